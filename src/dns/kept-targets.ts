/**
 * The last good answers for host names that stand in the catalog, for the time when no upstream
 * answers (RFC 8767): an address that was right a minute ago is better than none.
 */
import { equalNames, isWithin } from "./name.ts";
import type { Rr } from "./rr.ts";

/** Names kept of one view; when full, the one that was answered longest ago goes. */
export const MAX_KEPT_TARGETS = 10_000;
/** How last answers are given, as the forwarder's own stale ones are. */
export type StaleTargets = {
  /** TTL that they are shown with at most. */
  ttlSeconds: number;
  /** The upstreams have so long before a client is given the last answer. */
  waitMs: number;
  /** How old it may be. */
  maxSeconds: number;
};

/** RFC 8767: section 4 has the TTL, section 5 the timers (a maximum of one to three days). */
export const staleTargetDefaults: StaleTargets = {
  ttlSeconds: 30,
  waitMs: 1800,
  maxSeconds: 24 * 3600,
};

/** Records by name as nameKey gives it; times are monotonic ms. */
export type KeptTargets = {
  /** For so long at most, whatever `find` allows. */
  keep(key: string, records: readonly Rr[], nowMs: number, maxSeconds: number): void;
  /** For what an upstream denies, and what may not outlive its TTL. */
  forget(key: string): void;
  /** Forgets a name, with `subtree` also those below it; null: all. */
  flush(wanted: { name: Uint8Array | null; subtree: boolean }): void;
  /** With their TTL as stale records; undefined: nothing is known, or it is too old. */
  find(
    key: string,
    nowMs: number,
    limits: Pick<StaleTargets, "maxSeconds" | "ttlSeconds">,
  ): readonly Rr[] | undefined;
};

export function createKeptTargets(): KeptTargets {
  const kept = new Map<string, { records: readonly Rr[]; atMs: number; maxSeconds: number }>();
  return {
    keep(key, records, nowMs, maxSeconds) {
      kept.delete(key); // so that the order is that of the answers
      if (kept.size >= MAX_KEPT_TARGETS)
        for (const oldest of kept.keys()) {
          kept.delete(oldest);
          break;
        }
      kept.set(key, { records, atMs: nowMs, maxSeconds });
    },
    forget: (key) => void kept.delete(key),
    flush({ name, subtree }) {
      if (name === null) kept.clear();
      for (const key of kept.keys()) {
        const own = Uint8Array.from(key, (octet) => octet.charCodeAt(0));
        if (name !== null && (subtree ? isWithin(own, name) : equalNames(own, name)))
          kept.delete(key);
      }
    },
    find(key, nowMs, { maxSeconds, ttlSeconds }) {
      const found = kept.get(key);
      if (found === undefined) return undefined;
      if (nowMs - found.atMs > Math.min(maxSeconds, found.maxSeconds) * 1000) return undefined;
      return found.records.map((rr) => ({ ...rr, ttl: Math.min(rr.ttl, ttlSeconds) }));
    },
  };
}

/** What clients of one view are told is nothing for those of another: each has targets of its own. */
export type KeptByView = Pick<KeptTargets, "flush"> & { of(view: string): KeptTargets };

/** As many as there are views, "" for clients without one; see views.ts for how many. */
export function createKeptByView(): KeptByView {
  const kept = new Map<string, KeptTargets>();
  return {
    of(view) {
      let found = kept.get(view);
      if (found === undefined) kept.set(view, (found = createKeptTargets()));
      return found;
    },
    flush(wanted) {
      for (const each of kept.values()) each.flush(wanted);
    },
  };
}
