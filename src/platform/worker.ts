/** Entry of a DNS worker thread: sockets of the main thread, the loop of dns/worker.ts. */
import { assert } from "../base.ts";
import { COUNTER_CELLS } from "../dns/cells.ts";
import { openGate } from "../dns/gate.ts";
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
import { openEpoll } from "./epoll.ts";
import { type Libc, openLibc, pinned } from "./libc.ts";
import { createDatagramBatch, type Listener } from "./udp.ts";

declare const self: Worker;

/** First and only message to a worker. */
export type WorkerStart = {
  /** This worker's sockets, with their indexes among all. */
  listeners: readonly { listener: Listener; index: number }[];
  table: SharedArrayBuffer;
  misses: SharedArrayBuffer;
  gate: SharedArrayBuffer;
  /** COUNTER_CELLS float64 cells of this worker. */
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
      counters: new Float64Array(start.counters, 0, COUNTER_CELLS),
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
  const epoll = openEpoll(libc, -1, listeners.length);
  listeners.forEach(({ listener }, i) =>
    assert(epoll.add(listener.fd, i), "an open socket can be watched"),
  );
  while (!stopped()) {
    const count = epoll.wait(-1);
    for (let i = 0; i < count; i++) serveBatch(serving, batches[epoll.tag(i)]!);
  }
  libc.close(epoll.fd);
}
