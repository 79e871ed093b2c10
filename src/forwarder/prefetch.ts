/**
 * Asking again for what is in demand before it runs out. Each such question is paid from what ordinary
 * ones bring in, so that all of them together stay below a twentieth of the packets to the servers.
 */
import type { Entry } from "./cache.ts";

/** Part of its life for which an answer is not left to the workers: who asks then starts the refresh. */
const LAST_PART = 0.1;
/** Times that a name must have been asked for since its answer came. */
const MIN_HITS = 3;
/** What each ordinary question to the servers adds to the budget; the rest of the twentieth is for what is not seen. */
const EXTRA_SHARE = 0.04;
/** Prefetches that may be made at once after a quiet time; more must have been earned. */
const BURST = 32;

export type PrefetchCounts = { sent: number; unpaid: number };

export type Prefetch = {
  /** An ordinary question goes to the servers. */
  earn(): void;
  /**
   * Is it time to ask again for this answer? Takes from the budget if so. `workerHits`: how often workers
   * gave it, as far as they count. `hasRoom`: may it be asked, if it is in demand?
   */
  isDue(entry: Entry, nowMs: number, workerHits: () => number, hasRoom: () => boolean): boolean;
  /** An answer that was fetched early has been asked for, once: its cost is what it was early. */
  settle(entry: Entry, nowMs: number): void;
  readonly counts: PrefetchCounts;
};

/** How long before its end an answer is not left to the workers any more. */
export function reservedMs({ storedAtMs, expiresAtMs }: Entry): number {
  return (expiresAtMs - storedAtMs) * LAST_PART;
}

export function createPrefetch(): Prefetch {
  const counts: PrefetchCounts = { sent: 0, unpaid: 0 };
  let budget = BURST;
  return {
    counts,
    earn() {
      budget = Math.min(BURST, budget + EXTRA_SHARE);
    },
    isDue(entry, nowMs, workerHits, hasRoom) {
      // A denial in demand is no service to anyone: its name may come to exist.
      if (entry.denialSeconds >= 0) return false;
      if (entry.expiresAtMs - nowMs > reservedMs(entry)) return false;
      if (entry.hits < MIN_HITS && entry.hits + workerHits() < MIN_HITS) return false;
      if (!hasRoom()) return false;
      if (budget < 1) {
        counts.unpaid++;
        return false;
      }
      budget--;
      counts.sent++;
      return true;
    },
    settle(entry, nowMs) {
      // Without it this question would have been the next one asked, so its life began that much too soon.
      const { storedAtMs, expiresAtMs, earlyForMs } = entry;
      const lost = (Math.max(nowMs, earlyForMs) - storedAtMs) / (expiresAtMs - storedAtMs);
      budget = Math.min(BURST, budget + Math.max(0, 1 - lost));
    },
  };
}
