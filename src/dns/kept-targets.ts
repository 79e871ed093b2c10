/**
 * The last good answers for host names that stand in the catalog, for the time when no upstream
 * answers (RFC 8767): an address that was right a minute ago is better than none.
 */
import { equalNames, isWithin } from "./name.ts";
import type { Rr } from "./rr.ts";

/** Names kept; when full, the one that was answered longest ago goes. */
export const MAX_KEPT_TARGETS = 10_000;
/** RFC 8767 section 5: a maximum stale timer of one to three days. */
const MAX_STALE_MS = 24 * 3_600_000;
/** RFC 8767 section 4: TTL of stale records. */
export const STALE_TTL_SECONDS = 30;
/** RFC 8767 section 5: a client is given the stale answer when the upstreams have had this long. */
export const STALE_WAIT_MS = 1800;

/** Records by name as nameKey gives it; times are monotonic ms. */
export type KeptTargets = {
  keep(key: string, records: readonly Rr[], nowMs: number): void;
  /** For what an upstream denies. */
  forget(key: string): void;
  /** Forgets a name, with `subtree` also those below it; null: all. */
  flush(wanted: { name: Uint8Array | null; subtree: boolean }): void;
  /** With their TTL as stale records; undefined: nothing is known, or it is too old. */
  find(key: string, nowMs: number): readonly Rr[] | undefined;
};

export function createKeptTargets(): KeptTargets {
  const kept = new Map<string, { records: readonly Rr[]; atMs: number }>();
  return {
    keep(key, records, nowMs) {
      kept.delete(key); // so that the order is that of the answers
      if (kept.size >= MAX_KEPT_TARGETS)
        for (const oldest of kept.keys()) {
          kept.delete(oldest);
          break;
        }
      kept.set(key, { records, atMs: nowMs });
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
    find(key, nowMs) {
      const found = kept.get(key);
      if (found === undefined || nowMs - found.atMs > MAX_STALE_MS) return undefined;
      return found.records.map((rr) => ({ ...rr, ttl: Math.min(rr.ttl, STALE_TTL_SECONDS) }));
    },
  };
}
