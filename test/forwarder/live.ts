/** The machine's own clock, timers and randomness, for tests with real sockets. */
import { randomFillSync } from "node:crypto";
import type { Clock, Random, Timers } from "../../src/ports.ts";

const clock: Clock = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };

const timers: Timers = {
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

/** The generator of the operating system, read in blocks. */
function systemRandom(): Random {
  const block = new Uint32Array(1024);
  let at = block.length;
  return {
    uint32() {
      if (at === block.length) {
        randomFillSync(block);
        at = 0;
      }
      return block[at++]!;
    },
    uuid: () => "",
  };
}

/** What a forwarder needs beside its sockets. */
export const live = { clock, timers, random: systemRandom() };
