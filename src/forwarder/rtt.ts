/** Round trips of one server: their mean, and how long is longer than nearly all of them. */

/** Round trips that are remembered. */
const WINDOW = 64;
/** After so many new ones the bound is worked out again. */
const EVERY = 8;
const QUANTILE = 0.95;
/** Bounds of the time after which another server is asked as well. */
const HEDGE_MIN_MS = 20;
const HEDGE_MAX_MS = 400;
/** The same for a server that has never answered: most answer from afar within this. */
const HEDGE_UNKNOWN_MS = 200;
/** Nobody is asked a second time before this (unbound's least time-out). */
const RETRY_MIN_MS = 50;

/** What is known of one server's round trips. */
export type RoundTrips = {
  /** Exponentially weighted mean (1/8 as in RFC 6298); -1: not yet known. */
  smoothedMs: number;
  /** 95 of 100 were no longer than this; -1: not yet known. */
  p95Ms: number;
  readonly recentMs: Float64Array;
  count: number;
};

export function createRoundTrips(): RoundTrips {
  return { smoothedMs: -1, p95Ms: -1, recentMs: new Float64Array(WINDOW), count: 0 };
}

/** A reply came after this time. */
export function noteRoundTrip(trips: RoundTrips, ms: number): void {
  const { smoothedMs } = trips;
  trips.smoothedMs = smoothedMs < 0 ? ms : smoothedMs + (ms - smoothedMs) / 8;
  noteWait(trips, ms);
}

/** A reply takes at least this time; it was not waited for longer. Else slow replies would never count. */
export function noteWait(trips: RoundTrips, ms: number): void {
  trips.recentMs[trips.count++ % WINDOW] = ms;
  if (trips.count > EVERY && trips.count % EVERY !== 0) {
    // Between two looks only what is longer than all that was seen early counts at once.
    if (trips.count < 1 / (1 - QUANTILE)) trips.p95Ms = Math.max(trips.p95Ms, ms);
    return;
  }
  const known = trips.recentMs.slice(0, Math.min(trips.count, WINDOW)).sort();
  trips.p95Ms = known[Math.ceil(known.length * QUANTILE) - 1]!;
}

/** So long one server is waited for alone. */
export function hedgeMs({ p95Ms }: RoundTrips): number {
  if (p95Ms < 0) return HEDGE_UNKNOWN_MS;
  return Math.min(HEDGE_MAX_MS, Math.max(HEDGE_MIN_MS, p95Ms));
}

/**
 * So long a server is waited for before it is asked once more: twice a round trip, and nearly any
 * of them. Without a bound: one that is slow because it has too much to do must not be given more.
 */
export function retryMs({ smoothedMs, p95Ms }: RoundTrips): number {
  if (smoothedMs < 0) return HEDGE_UNKNOWN_MS;
  return Math.max(RETRY_MIN_MS, 2 * smoothedMs, p95Ms);
}
