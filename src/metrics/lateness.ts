/** How late the event loop is: a timer that should fire every INTERVAL_MS tells. */
import type { Cancel, Clock, Timers } from "../ports.ts";

const INTERVAL_MS = 100;
const BOUNDS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5] as const;

export type LoopLateness = {
  boundsSeconds: readonly number[];
  /** One more than bounds; not cumulative. */
  counts: readonly number[];
  sumSeconds: number;
  /** Largest since the start. */
  maxSeconds: number;
};

/** Measures until cancelled. */
export function measureLateness(
  clock: Clock,
  timers: Timers,
): { read: () => LoopLateness; stop: Cancel } {
  const counts = Array.from({ length: BOUNDS_SECONDS.length + 1 }, () => 0);
  let sumSeconds = 0;
  let maxSeconds = 0;
  let cancel: Cancel = () => {};
  const arm = () => {
    const due = clock.monotonicMs() + INTERVAL_MS;
    cancel = timers.after(INTERVAL_MS, () => {
      const seconds = Math.max(0, clock.monotonicMs() - due) / 1000;
      const bucket = BOUNDS_SECONDS.findIndex((bound) => seconds <= bound);
      counts[bucket < 0 ? BOUNDS_SECONDS.length : bucket]!++;
      sumSeconds += seconds;
      maxSeconds = Math.max(maxSeconds, seconds);
      arm();
    });
  };
  arm();
  return {
    read: () => ({ boundsSeconds: BOUNDS_SECONDS, counts: [...counts], sumSeconds, maxSeconds }),
    stop: () => cancel(),
  };
}
