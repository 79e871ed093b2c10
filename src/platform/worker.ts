/** Entry of a DNS worker thread: sockets of the main thread, the loop of dns/worker.ts. */
import { assert } from "../base.ts";
import { openGate } from "../dns/gate.ts";
import { openMissRing } from "../dns/misses.ts";
import { createResponder } from "../dns/respond.ts";
import {
  BATCH_DATAGRAMS,
  INPUT_SLOT_OCTETS,
  OUTPUT_OCTETS,
  serveBatch,
  type Serving,
} from "../dns/worker.ts";
import { createSharedClock } from "./clock.ts";
import { claimRing } from "./doorbell.ts";
import { openEpoll } from "./epoll.ts";
import { type Libc, openLibc, pinned } from "./libc.ts";
import { readListenerTable, type ServedSocket } from "./listener-table.ts";
import { type BatchMemory, createDatagramBatch } from "./udp.ts";

declare const self: Worker;

/** Tag of the eventfd among those of sockets. */
const WAKE = -1;

/** First and only message to a worker. */
export type WorkerStart = {
  /** Which of the workers this is, and how many there are. */
  worker: number;
  workerCount: number;
  /** The sockets of all workers (listener-table.ts). */
  listeners: SharedArrayBuffer;
  /** An eventfd: readable when the sockets have changed, or the worker shall end. */
  wake: number;
  table: SharedArrayBuffer;
  misses: SharedArrayBuffer;
  gate: SharedArrayBuffer;
  /** The cells of this worker (cells.ts). */
  counters: SharedArrayBuffer;
  /** The main thread's doorbell. */
  bell: SharedArrayBuffer;
  /** Cell 0: not 0 when the worker shall end. */
  stop: SharedArrayBuffer;
  clockOriginMs: number;
};

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
      counters: new Float64Array(start.counters),
      seed: crypto.getRandomValues(new Int32Array(4)),
    }),
    gate: openGate(start.gate, crypto.getRandomValues(new Int32Array(1))[0]!),
    misses: openMissRing(start.misses),
    clock: createSharedClock(start.clockOriginMs),
    wallSeconds: () => Math.floor(Date.now() / 1000),
    ring() {
      if (claimRing(bell)) postMessage(0);
    },
  };
  const memory: BatchMemory = { input, output };
  const own = readListenerTable(start.listeners, start.worker, start.workerCount);
  while (Atomics.load(stop, 0) === 0) {
    const version = own.version();
    const isCurrent = (): boolean => own.version() === version;
    const sockets = own.read();
    if (sockets.length === 1) serveOne(libc, serving, sockets[0]!, memory, isCurrent);
    else serveSeveral(libc, serving, { sockets, wake: start.wake }, memory, isCurrent);
  }
}

/** One socket: the thread sleeps in recvmmsg. */
function serveOne(
  libc: Libc,
  serving: Serving,
  socket: ServedSocket,
  memory: BatchMemory,
  isCurrent: () => boolean,
): void {
  const batch = createDatagramBatch(libc, socket, memory, { waits: true, index: socket.index });
  while (isCurrent()) serveBatch(serving, batch);
}

/** Several sockets, or none: it sleeps in epoll_wait; each ready socket gets one batch in turn. */
function serveSeveral(
  libc: Libc,
  serving: Serving,
  { sockets, wake }: { sockets: readonly ServedSocket[]; wake: number },
  memory: BatchMemory,
  isCurrent: () => boolean,
): void {
  const epoll = openEpoll(libc, -1, sockets.length + 1);
  const batches = sockets.map((socket) =>
    createDatagramBatch(libc, socket, memory, { waits: false, index: socket.index }),
  );
  const count = pinned(8);
  try {
    assert(epoll.add(wake, WAKE), "an open eventfd can be watched");
    sockets.forEach(({ fd }, i) => assert(epoll.add(fd, i), "an open socket can be watched"));
    while (isCurrent()) {
      const ready = epoll.wait(-1);
      for (let i = 0; i < ready; i++) {
        const tag = epoll.tag(i);
        if (tag === WAKE) libc.read(wake, count.octets, 8);
        else serveBatch(serving, batches[tag]!);
      }
    }
  } finally {
    libc.close(epoll.fd);
  }
}
