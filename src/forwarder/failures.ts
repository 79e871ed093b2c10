/**
 * Questions whose last attempt failed: for how long nobody asks again (RFC 9520 3.2), and for how long
 * what is kept is given without waiting for a fresh answer first (RFC 8767 section 5).
 */
import { LRUCache } from "lru-cache";

/**
 * Why there is no fresh answer: no server replied in time, all replied with errors, or they deny what
 * they had known (only where the last known answer is preferred).
 */
export type FailureReason = "timeout" | "servfail" | "nxdomain" | "nodata";

export type Failure = {
  readonly reason: FailureReason;
  /** Before that nobody asks again. */
  readonly untilMs: number;
  /** Before that an expired answer is given at once. */
  readonly recheckAtMs: number;
  /** Index into FAILURE_SECONDS. */
  readonly step: number;
};

export type Failures = {
  /** The last failure, perhaps long over. */
  find(key: string): Failure | undefined;
  /** True while it is too early to ask again; counted. */
  isFailing(key: string, nowMs: number): boolean;
  store(key: string, reason: FailureReason, recheckMs: number, nowMs: number): void;
  forget(key: string): void;
  clear(): void;
  flush(isWanted: (key: string) => boolean): Generator<undefined, void>;
  /** How often `isFailing` was true. */
  hits(): number;
};

/** Remembered failures; the least recently used is forgotten. */
const MAX_FAILURES = 4096;
/** RFC 9520 3.2 wants failures remembered for 1 s to 5 min, growing when they persist. */
const FAILURE_SECONDS = [1, 2, 4, 5] as const;
/** A failure this long after the last one ended counts as the first again. */
const FAILURE_FORGET_MS = 30_000;
/** Keys that a flush looks at in one go. */
const SLICE = 256;

export function createFailures(): Failures {
  const failures = new LRUCache<string, Failure>({ max: MAX_FAILURES });
  let hits = 0;
  return {
    find: (key) => (failures.size === 0 ? undefined : failures.get(key)),
    isFailing(key, nowMs) {
      if (failures.size === 0) return false;
      const failure = failures.get(key);
      if (failure === undefined || nowMs >= failure.untilMs) return false;
      hits++;
      return true;
    },
    store(key, reason, recheckMs, nowMs) {
      const before = failures.get(key);
      const again = before !== undefined && nowMs - before.untilMs < FAILURE_FORGET_MS;
      // Silence says nothing about the name: the server may be back within a second.
      const isGrowing = reason !== "timeout" && again;
      const step = isGrowing ? Math.min(before.step + 1, FAILURE_SECONDS.length - 1) : 0;
      const untilMs = nowMs + FAILURE_SECONDS[step]! * 1000;
      failures.set(key, { reason, untilMs, recheckAtMs: nowMs + recheckMs, step });
    },
    forget(key) {
      if (failures.size > 0) failures.delete(key);
    },
    clear: () => failures.clear(),
    *flush(isWanted) {
      // At most MAX_FAILURES of them.
      const keys = Array.from(failures.keys());
      for (let i = 0; i < keys.length; i++) {
        if (i % SLICE === 0) yield undefined;
        if (isWanted(keys[i]!)) failures.delete(keys[i]!);
      }
    },
    hits: () => hits,
  };
}
