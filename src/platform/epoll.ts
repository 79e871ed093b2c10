/** Waiting for several descriptors at once. */
import { ptr } from "bun:ffi";
import { EINTR, errnoOf, errorName, type Libc } from "./libc.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;

/** struct epoll_event is packed on x86-64 only. */
const EVENT_WORDS = process.arch === "x64" ? 3 : 4;
const EVENT_DATA = EVENT_WORDS - 2;

/** An epoll instance (epoll(7)) of one thread. */
export type Epoll = {
  fd: number;
  /** Watches a descriptor for input under a number of the caller's (int32); false: errno tells why. */
  add: (fd: number, tag: number) => boolean;
  /** Waits (-1: without end) and returns how many are ready; a signal is 0. Throws if it is broken. */
  wait: (timeoutMs: number) => number;
  /** Tag of the i-th ready descriptor. */
  tag: (i: number) => number;
};

/** `fd`: an existing epoll, -1 for a new one. At most `maxEvents` are told by one wait. */
export function openEpoll(libc: Libc, fd: number, maxEvents: number): Epoll {
  const epoll = fd >= 0 ? fd : libc.epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) throw new Error(`epoll_create1: ${errorName(errnoOf(libc))}`);
  const added = new Int32Array(new ArrayBuffer(16));
  const addedAddress = ptr(added);
  const events = new Int32Array(new ArrayBuffer(4 * EVENT_WORDS * maxEvents));
  const eventsAddress = ptr(events);
  return {
    fd: epoll,
    add(watched, tag) {
      added[0] = EPOLLIN;
      added[EVENT_DATA] = tag;
      return libc.epoll_ctl(epoll, EPOLL_CTL_ADD, watched, addedAddress) === 0;
    },
    wait(timeoutMs) {
      const count = libc.epoll_wait(epoll, eventsAddress, maxEvents, timeoutMs);
      if (count >= 0) return count;
      const errno = errnoOf(libc);
      if (errno !== EINTR) throw new Error(`epoll_wait: ${errorName(errno)}`);
      return 0;
    },
    tag: (i) => events[i * EVENT_WORDS + EVENT_DATA]!,
  };
}
