/** Long work in slices: between two of them whatever waits on the event loop has its turn. */

/** Work that stops at each `yield`, which it reaches every few hundred microseconds. */
export type Slices<T> = Generator<undefined, T, undefined>;

/** How slices follow each other. */
export type Pace = {
  /** Milliseconds that never go back, with fractions. */
  nowMs: () => number;
  /** Resolves when all that waited has had its turn. */
  turn: () => Promise<void>;
};

/** So long a slice goes on at least: turns have their price as well. */
export const SLICE_MS = 1;

/** Does all of it at once, for those whom nobody waits for. */
export function atOnce<T>(work: Slices<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Does it in slices of SLICE_MS and one step; rejects with what the work throws. `pace` null: at once. */
export async function inSlices<T>(work: Slices<T>, pace: Pace | null): Promise<T> {
  if (pace === null) return atOnce(work);
  for (;;) {
    // The way here was work as well.
    // oxlint-disable-next-line no-await-in-loop -- one slice after the other
    await pace.turn();
    const untilMs = pace.nowMs() + SLICE_MS;
    do {
      const step = work.next();
      if (step.done === true) return step.value;
    } while (pace.nowMs() < untilMs);
  }
}
