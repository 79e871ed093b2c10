/** One monotonic clock for the main thread and all workers, which goes on while the machine sleeps. */
import { ptr } from "bun:ffi";
import type { SharedClock } from "../dns/answer.ts";
import { openLibc } from "./libc.ts";

/** CLOCK_MONOTONIC stands still while the machine is suspended; TTLs do not. */
const CLOCK_BOOTTIME = 7;

/**
 * Milliseconds since `originMs`, which is 0 for the thread that decides it: that thread hands
 * `clock()` of its start to the others. Where the C library is not at hand there are no workers, and
 * Bun's own clock, which starts anew in every thread and stands still during sleep, serves.
 */
export function createSharedClock(originMs: number): SharedClock {
  const libc = openLibc();
  if (libc === null) return () => performance.now() - originMs;
  const timespec = new ArrayBuffer(16);
  const words = new Uint32Array(timespec);
  const address = ptr(new Uint8Array(timespec));
  return () => {
    libc.clock_gettime(CLOCK_BOOTTIME, address);
    return words[0]! * 1000 + words[2]! / 1e6 - originMs;
  };
}
