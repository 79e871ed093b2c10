/** One monotonic clock for the main thread and all workers. */
import { ptr } from "bun:ffi";
import type { SharedClock } from "../dns/answer.ts";
import { openLibc } from "./libc.ts";

const CLOCK_MONOTONIC = 1;

/**
 * Milliseconds since `originMs`, which is 0 for the thread that decides it: that thread hands
 * `clock()` of its start to the others. Where the C library is not at hand there are no workers, and
 * Bun's own clock, which starts anew in every thread, serves.
 */
export function createSharedClock(originMs: number): SharedClock {
  const libc = openLibc();
  if (libc === null) return () => performance.now() - originMs;
  const timespec = new ArrayBuffer(16);
  const words = new Uint32Array(timespec);
  const address = ptr(new Uint8Array(timespec));
  return () => {
    libc.clock_gettime(CLOCK_MONOTONIC, address);
    return words[0]! * 1000 + words[2]! / 1e6 - originMs;
  };
}
