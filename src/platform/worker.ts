/** Entry of a DNS worker thread: sockets of the main thread, the loop of dns/worker.ts. */
import { ptr } from "bun:ffi";
import { assert } from "../base.ts";
import { COUNTER_CELLS } from "../dns/counters.ts";
import { openMissRing } from "../dns/misses.ts";
import { createResponder } from "../dns/respond.ts";
import {
  BATCH_DATAGRAMS,
  type DatagramBatch,
  INPUT_SLOT_OCTETS,
  OUTPUT_OCTETS,
  serveBatch,
  type Serving,
} from "../dns/worker.ts";
import { createSharedClock } from "./clock.ts";
import { claimRing } from "./doorbell.ts";
import { EINTR, errnoOf, errorName, type Libc, openLibc, pinned } from "./libc.ts";
import { createDatagramBatch, type Listener } from "./udp.ts";

declare const self: Worker;

/** First and only message to a worker. */
export type WorkerStart = {
  /** This worker's sockets, with their indexes among all. */
  listeners: readonly { listener: Listener; index: number }[];
  table: SharedArrayBuffer;
  misses: SharedArrayBuffer;
  /** COUNTER_CELLS float64 cells of this worker. */
  counters: SharedArrayBuffer;
  /** The main thread's doorbell. */
  bell: SharedArrayBuffer;
  /** Cell 0: not 0 when the worker shall end. */
  stop: SharedArrayBuffer;
  clockOriginMs: number;
};

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;

self.onmessage = (event: MessageEvent<WorkerStart>) => {
  const libc = openLibc();
  assert(libc !== null, "workers are started only where the C library was opened");
  serve(libc, event.data);
  process.exit(0);
};

function serve(libc: Libc, start: WorkerStart): void {
  const input = pinned(BATCH_DATAGRAMS * INPUT_SLOT_OCTETS);
  const output = pinned(OUTPUT_OCTETS);
  const bell = new Int32Array(start.bell);
  const stop = new Int32Array(start.stop);
  const serving: Serving = {
    responder: createResponder({
      memory: start.table,
      input: input.octets.buffer as ArrayBuffer,
      output: output.octets.buffer as ArrayBuffer,
      counters: new Float64Array(start.counters, 0, COUNTER_CELLS),
      seed: crypto.getRandomValues(new Int32Array(4)),
    }),
    misses: openMissRing(start.misses),
    clock: createSharedClock(start.clockOriginMs),
    ring() {
      if (claimRing(bell)) postMessage(0);
    },
  };
  const single = start.listeners.length === 1;
  const batches = start.listeners.map(({ listener, index }) =>
    createDatagramBatch(libc, listener, { input, output }, { waits: single, index }),
  );
  const stopped = (): boolean => Atomics.load(stop, 0) !== 0;
  if (single) serveOne(serving, batches[0]!, stopped);
  else serveSeveral(libc, serving, start, batches, stopped);
}

/** One socket: the thread sleeps in recvmmsg. */
function serveOne(serving: Serving, batch: DatagramBatch, stopped: () => boolean): void {
  while (!stopped()) serveBatch(serving, batch);
}

/** Several sockets: it sleeps in epoll_wait; each ready socket gets one batch in turn. */
function serveSeveral(
  libc: Libc,
  serving: Serving,
  { listeners }: WorkerStart,
  batches: readonly DatagramBatch[],
  stopped: () => boolean,
): void {
  const epoll = libc.epoll_create1(EPOLL_CLOEXEC);
  assert(epoll >= 0, "a process that could open its sockets can open an epoll");
  listeners.forEach(({ listener }, i) => {
    const event = packEvents(1);
    event.setUint32(0, EPOLLIN, true);
    event.setUint32(EVENT_DATA, i, true);
    libc.epoll_ctl(epoll, EPOLL_CTL_ADD, listener.fd, ptr(event));
  });
  const events = packEvents(listeners.length);
  const address = ptr(events);
  while (!stopped()) {
    const count = libc.epoll_wait(epoll, address, listeners.length, -1);
    if (count < 0) {
      const errno = errnoOf(libc);
      if (errno !== EINTR) throw new Error(`epoll_wait: ${errorName(errno)}`);
    }
    for (let i = 0; i < count; i++)
      serveBatch(serving, batches[events.getUint32(i * EVENT_OCTETS + EVENT_DATA, true)]!);
  }
  libc.close(epoll);
}

/** struct epoll_event is packed on x86-64 only. */
const EVENT_OCTETS = process.arch === "x64" ? 12 : 16;
const EVENT_DATA = EVENT_OCTETS - 8;

function packEvents(count: number): DataView {
  return new DataView(new ArrayBuffer(count * EVENT_OCTETS));
}
