/** Long work on the thread that answers DNS and HTTP, in slices between which others have their turn. */
import type { Clock, Timers } from "../ports.ts";

/**
 * Asked between two steps of long work: a promise when the slice is used up, to be awaited before the
 * next step; undefined while there is time left.
 */
export type Rest = () => Promise<void> | undefined;

/** Work without a turn for others: short beside the 20 ms that nobody should wait. */
const SLICE_MS = 4;

/** Rests by the clock. Several works that share one share its slices too. */
export function createRest({ clock, timers }: { clock: Clock; timers: Timers }): Rest {
  let endMs = 0;
  let turn: Promise<void> | undefined;
  return () => {
    if (turn !== undefined) return turn;
    if (clock.monotonicMs() < endMs) return undefined;
    turn = new Promise((resolve) =>
      timers.after(0, () => {
        turn = undefined;
        endMs = clock.monotonicMs() + SLICE_MS;
        resolve();
      }),
    );
    return turn;
  };
}

/** The same items, with rests between them. */
export async function* inSlices<T>(items: Iterable<T>, rest: Rest): AsyncGenerator<T> {
  for (const item of items) {
    yield item;
    const turn = rest();
    if (turn !== undefined) await turn;
  }
}
