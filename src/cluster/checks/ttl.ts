/** Timers of TTL checks: a check that is not updated within its time is reported as expired, once. */
import type { Cancel, Clock, Timers } from "../../ports.ts";
import { expiredOutput } from "./check.ts";

/** Deadlines of TTL checks. */
export type TtlTimers = {
  /** Starts the time of this check afresh, forgetting its last output. */
  start(id: string, ttlMs: number): void;
  stop(id: string): void;
  has(id: string): boolean;
  /** The check was updated: its time starts again. Gives its TTL; undefined: no such TTL check. */
  update(id: string, output: string): number | undefined;
  close(): void;
  readonly count: number;
};

type Entry = { ttlMs: number; expiresAtMs: number; lastOutput: string; cancel: Cancel | undefined };

/** `expired` gets Consul's text for an expired TTL. */
export function createTtlTimers(deps: {
  clock: Pick<Clock, "monotonicMs">;
  timers: Timers;
  expired(id: string, output: string): void;
}): TtlTimers {
  const entries = new Map<string, Entry>();

  /** One timer per check; an update only moves the deadline, the timer looks at it when it fires. */
  function arm(id: string, entry: Entry): void {
    const delayMs = Math.max(0, entry.expiresAtMs - deps.clock.monotonicMs());
    entry.cancel = deps.timers.after(delayMs, () => {
      entry.cancel = undefined;
      if (deps.clock.monotonicMs() < entry.expiresAtMs) arm(id, entry);
      else deps.expired(id, expiredOutput(entry.lastOutput));
    });
  }

  function stop(id: string): void {
    entries.get(id)?.cancel?.();
    entries.delete(id);
  }

  return {
    start(id, ttlMs) {
      stop(id);
      const expiresAtMs = deps.clock.monotonicMs() + ttlMs;
      const entry: Entry = { ttlMs, expiresAtMs, lastOutput: "", cancel: undefined };
      entries.set(id, entry);
      arm(id, entry);
    },
    stop,
    has: (id) => entries.has(id),
    update(id, output) {
      const entry = entries.get(id);
      if (entry === undefined) return undefined;
      entry.lastOutput = output;
      entry.expiresAtMs = deps.clock.monotonicMs() + entry.ttlMs;
      if (entry.cancel === undefined) arm(id, entry);
      return entry.ttlMs;
    },
    close() {
      for (const id of entries.keys()) stop(id);
    },
    get count() {
      return entries.size;
    },
  };
}
