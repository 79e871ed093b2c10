/** The DNS front over UDP: shared table, worker threads, and what the main thread does for them. */
import { cellsFor, sumCounters } from "../dns/cells.ts";
import type { Resolve, SharedClock } from "../dns/answer.ts";
import { createFaults, unfailing } from "../dns/faults.ts";
import type { DnsFront, DnsFrontOptions, ListenPlace, StartDnsFront } from "../dns/front.ts";
import { type Gate, openGate } from "../dns/gate.ts";
import { countReplySize } from "../dns/gate-respond.ts";
import { TOKEN_OCTETS } from "../dns/rate.ts";
import {
  createMissMemory,
  hasMiss,
  type Miss,
  type MissRing,
  openMissRing,
  setSample,
  takeMiss,
  unloggedIn,
} from "../dns/misses.ts";
import { createAnswerTable } from "../dns/table-writer.ts";
import { createSharedClock } from "./clock.ts";
import { mainDoorbell } from "./doorbell.ts";
import { type Libc, openLibc } from "./libc.ts";
import { startPortableFront } from "./portable.ts";
import type { Listener } from "./listener.ts";
import { createListenerGroups } from "./listener-groups.ts";
import { createListenerTable, writeListenerTable } from "./listener-table.ts";
import { superviseThread, type SupervisedThread } from "./threads.ts";
import { createReplySender } from "./udp.ts";
import type { WorkerStart } from "./worker.ts";

/** How long `close` waits for answers under way; the forwarder gives up sooner. */
const DRAIN_MS = 5000;
/** How often the main thread looks for replies that are to be logged, and how many it takes of a worker. */
const COLLECT_MS = 100;
const COLLECT_MAX = 4096;
const EFD_CLOEXEC = 0o2000000;

/** Rejects with an Error that says which address could not be bound and why. */
export const startDnsFront: StartDnsFront = async (options) => {
  const libc = options.batchedSystemCalls ? openLibc() : null;
  if (libc !== null) return startBatchedFront(libc, options);
  if (options.batchedSystemCalls)
    options.log("warn", "batched system calls are not available here: portable DNS front");
  return startPortableFront(options);
};

async function startBatchedFront(libc: Libc, options: DnsFrontOptions): Promise<DnsFront> {
  const originMs = createSharedClock(0)();
  const clock = createSharedClock(originMs);
  const { table, memory } = createAnswerTable({
    octets: options.tableOctets,
    clock,
    random: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
  });
  const bell = mainDoorbell();
  const workerCount = Math.max(1, options.workerCount);
  const listeners: (Listener | undefined)[] = [];
  const listenerMemory = createListenerTable(workerCount);
  const listenerTable = writeListenerTable(listenerMemory);
  const wakes = Array.from({ length: workerCount }, () => libc.eventfd(0, EFD_CLOEXEC));
  const stop = new SharedArrayBuffer(64);
  const counters = Array.from(
    { length: workerCount },
    () => new SharedArrayBuffer(cellsFor(options.blocks ?? 1) * 8),
  );
  const cells = counters.map((memory) => new Float64Array(memory));
  const misses = Array.from({ length: workerCount }, () => createMissMemory());
  let restarts = 0;

  function wake(): void {
    for (const fd of wakes) libc.write(fd, new BigUint64Array([1n]), 8);
  }

  let threads: readonly SupervisedThread[] = [];
  /** Where DNS is not offered no thread is needed. */
  function startThreads(): void {
    if (threads.length > 0) return;
    threads = misses.map((ring, worker) => {
      const start: WorkerStart = {
        worker,
        workerCount,
        listeners: listenerMemory,
        wake: wakes[worker]!,
        table: memory,
        misses: ring,
        gate: options.gate,
        counters: counters[worker]!,
        bell: bell.memory,
        stop,
        clockOriginMs: originMs,
      };
      return superviseThread({
        name: `dns-${worker}`,
        entry: new URL("./worker.ts", import.meta.url),
        start,
        onMessage: bell.rung,
        onRestart() {
          restarts++;
          // It may have been about to ring.
          bell.rung();
        },
        log: options.log,
      });
    });
  }

  const groups = createListenerGroups(libc, {
    workerCount,
    table: listenerTable,
    listeners,
    serverOf: options.serverOf ?? (() => 0),
    wake,
  });
  const rings = misses.map(openMissRing);
  let collecting: ReturnType<typeof setInterval> | undefined;
  const desk = createDesk({
    libc,
    listeners,
    rings,
    gate: openGate(options.gate, 1),
    clock,
    resolve: unfailing(options.resolve, options.fault ?? createFaults(options.log, clock).note),
    served: options.served,
  });

  async function close(): Promise<void> {
    await groups.quiesce();
    Atomics.store(new Int32Array(stop), 0, 1);
    const ended = threads.map((thread) => thread.ended());
    listenerTable.publish();
    wake();
    groups.rouse();
    await Promise.all(ended);
    clearInterval(collecting);
    await desk.drained(DRAIN_MS);
    groups.close();
    for (const fd of wakes) libc.close(fd);
  }

  async function listen(places: readonly ListenPlace[], isSharing = false) {
    const bound = groups.open(places, isSharing);
    if (bound.length > 0) startThreads();
    return Promise.resolve(bound);
  }

  try {
    await listen(options.listen);
  } catch (error) {
    await close();
    throw error;
  }
  if (options.listensLater) startThreads();
  return {
    table,
    memory,
    clock,
    get addresses() {
      return groups.addresses();
    },
    get workerCount() {
      return threads.length;
    },
    counters: () => sumCounters(cells, restarts),
    cells,
    sample(share) {
      for (const ring of rings) setSample(ring, share);
      clearInterval(collecting);
      // Nobody rings for what is only for the log.
      if (share > 0) collecting = setInterval(desk.collect, COLLECT_MS);
    },
    unlogged: () => rings.reduce((sum, ring) => sum + unloggedIn(ring), 0),
    listen,
    leave: groups.leave,
    close,
  };
}

type DeskOptions = {
  libc: Libc;
  listeners: readonly (Listener | undefined)[];
  rings: readonly MissRing[];
  gate: Gate;
  clock: SharedClock;
  resolve: Resolve;
  served: DnsFrontOptions["served"];
};

/** The main thread's part: takes misses, has them resolved, sends the replies. */
function createDesk(options: DeskOptions) {
  const { libc, listeners, rings, gate, clock, resolve, served } = options;
  const bell = mainDoorbell();
  const sender = createReplySender(libc, listeners);
  let underWay = 0;
  let flushScheduled = false;
  let onIdle: (() => void) | undefined;

  function reply({ returnAddress }: Miss, wire: Uint8Array | null): void {
    underWay--;
    if (wire !== null) {
      sender.send(returnAddress, wire);
      if (wire.length > TOKEN_OCTETS) {
        sender.readSource(returnAddress, gate.source);
        countReplySize(gate, wire.length, clock());
      }
      if (!bell.inTurn()) scheduleFlush();
    }
    if (underWay === 0) onIdle?.();
  }

  /** Replies outside a turn (timers, TCP upstreams) leave when the current callback is done. */
  function scheduleFlush(): void {
    if (flushScheduled) return;
    flushScheduled = true;
    queueMicrotask(() => {
      flushScheduled = false;
      sender.flush();
    });
  }

  function drain(limit: number): number {
    let taken = 0;
    for (const ring of rings) {
      for (let left = limit; left > 0; left--) {
        const miss = takeMiss(ring);
        if (miss === undefined) break;
        taken++;
        const { query, isSampled } = miss;
        const { address, port } = sender.clientOf(miss.returnAddress);
        const client = { address, port, transport: "udp" as const };
        if (miss.isServed) {
          served?.(query, client);
          continue;
        }
        underWay++;
        const server = sender.serverOf(miss.returnAddress);
        const { arrivedMs } = miss;
        resolve({ query, client, isSampled, server, arrivedMs }, (wire) => reply(miss, wire));
      }
    }
    return taken;
  }

  const detach = bell.attach({
    drain,
    flush: sender.flush,
    hasMore: () => rings.some(hasMiss),
    beforeSleep: () => {},
  });

  return {
    collect: () => void drain(COLLECT_MAX),
    /** Resolves when no question is left, or after `limitMs`. */
    async drained(limitMs: number): Promise<void> {
      while (drain(Infinity) > 0);
      if (underWay > 0) {
        const idle = new Promise<void>((resolveIdle) => (onIdle = resolveIdle));
        let timer: ReturnType<typeof setTimeout> | undefined;
        const limit = new Promise<void>((late) => (timer = setTimeout(late, limitMs)));
        await Promise.race([idle, limit]);
        clearTimeout(timer);
      }
      detach();
      sender.flush();
    },
  };
}
