import type { Timers } from "../ports.ts";

/** The runtime's timers hold no more milliseconds (24.8 days); what is longer fires at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** One-shot timers of any length on this thread's event loop. */
export const timers: Timers = {
  after(delayMs, run) {
    let timer: ReturnType<typeof setTimeout>;
    const wait = (leftMs: number): void => {
      timer =
        leftMs <= MAX_DELAY_MS
          ? setTimeout(run, leftMs)
          : setTimeout(() => wait(leftMs - MAX_DELAY_MS), MAX_DELAY_MS);
    };
    wait(delayMs);
    return () => clearTimeout(timer);
  },
};
