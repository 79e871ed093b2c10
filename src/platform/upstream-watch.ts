/** Entry of the thread that waits for upstream replies while the main thread sleeps. Reads nothing. */
import { assert } from "../base.ts";
import { claimRing } from "./doorbell.ts";
import { openEpoll } from "./epoll.ts";
import { openLibc } from "./libc.ts";

declare const self: Worker;

/** First and only message to the watch. */
export type WatchStart = {
  /** Descriptor of the epoll that holds the sockets. */
  epoll: number;
  /** Cell WATCHING. */
  memory: SharedArrayBuffer;
  /** The main thread's doorbell. */
  bell: SharedArrayBuffer;
};

/** Cell: 1 from the time the main thread asks for a watch until it is rung, -1 to end, else 0. */
export const WATCHING = 0;

if (!Bun.isMainThread)
  self.onmessage = ({ data }: MessageEvent<WatchStart>) => {
    const libc = openLibc();
    assert(libc !== null, "the watch is started only where the C library was opened");
    const cells = new Int32Array(data.memory);
    const bell = new Int32Array(data.bell);
    // Level-triggered and for one event only: nothing is taken away from the main thread.
    const epoll = openEpoll(libc, data.epoll, 1);
    for (;;) {
      Atomics.wait(cells, WATCHING, 0);
      if (Atomics.load(cells, WATCHING) < 0) break;
      epoll.wait(-1);
      // Given up before ringing: the main thread, once awake, may ask for the next watch.
      if (Atomics.compareExchange(cells, WATCHING, 1, 0) < 0) break;
      if (claimRing(bell)) postMessage(0);
    }
    process.exit(0);
  };
