/**
 * A DNS front with a made-up resolver, for front.test.ts. The first label of the name decides:
 * `hit` is published, `silent` gets no reply, `late` gets it when told, `client` tells who asked,
 * `throws` is a mistake, anything else gets 10.0.0.1.
 */
import { openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { PublishedAnswer, Reply, Resolve } from "../../src/dns/answer.ts";
import { FIRST_BLOCK, readTally, TALLY_CELLS, type TallyFigures } from "../../src/dns/cells.ts";
import type { DnsFront, DnsFrontOptions, ListenPlace, StartDnsFront } from "../../src/dns/front.ts";
import { createGateMemory } from "../../src/dns/gate.ts";
import type { SocketAddress } from "../../src/ports.ts";
import { log, platform, serveCalls } from "./script.ts";

const { startDnsFront } = await platform<{ startDnsFront: StartDnsFront }>("front.ts");
const fronts: DnsFront[] = [];
const late: (() => void)[] = [];

/** The part of Bun's Worker that this script uses; Node's types have no such global. */
type Thread = { terminate(): void; addEventListener(event: "close", run: () => void): void };
const world = globalThis as unknown as { Worker: new (url: string, options?: object) => Thread };

/** Every worker thread that the process has started. */
const workers: Thread[] = [];
const startedAtMs: number[] = [];
const endedAtMs: number[] = [];
world.Worker = class extends world.Worker {
  constructor(url: string, options?: object) {
    super(url, options);
    workers.push(this);
    startedAtMs.push(performance.now());
    this.addEventListener("close", () => endedAtMs.push(performance.now()));
  }
};

function answer(query: Uint8Array, address: readonly number[]): Uint8Array {
  let end = 12;
  while (query[end] !== 0) end += query[end]! + 1;
  end += 5;
  const wire = new Uint8Array(end + 16);
  wire.set(query.subarray(0, end));
  wire.set([0x84 | (query[2]! & 1), 0x80 | (query[3]! & 0x10), 0, 1, 0, 1, 0, 0, 0, 0], 2);
  wire.set([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, ...address], end);
  return wire;
}

function publish(front: DnsFront, query: Uint8Array): void {
  const wire = answer(query, [10, 0, 0, 2]);
  wire.set([0, 0, 0x84, 0x80]);
  const published: PublishedAnswer = {
    question: wire.slice(12, wire.length - 16),
    variants: [wire],
    minPayload: 0,
    maxPayload: 65535,
    withoutEdns: true,
    withEdns: true,
    shuffle: null,
    countdown: null,
    expiresAtMs: Infinity,
  };
  front.table.publish(published);
}

/** Everything that is counted without an origin. */
function dropped(cells: Float64Array): TallyFigures {
  return readTally(cells.subarray(FIRST_BLOCK, FIRST_BLOCK + TALLY_CELLS));
}

const resolveOf =
  (index: number): Resolve =>
  ({ query, client }, reply: Reply) => {
    const label = new TextDecoder().decode(query.subarray(13, 13 + query[12]!)).toLowerCase();
    if (label === "throws") throw new Error("a mistake");
    if (label === "silent") reply(null);
    else if (label === "late") late.push(() => reply(answer(query, [10, 0, 0, 3])));
    else if (label === "client") {
      const octets = client.address.split(".").map(Number);
      reply(answer(query, octets.length === 4 ? octets : [6, 6, 6, 6]));
    } else {
      if (label === "hit") publish(fronts[index]!, query);
      reply(answer(query, [10, 0, 0, label === "hit" ? 2 : 1]));
    }
  };

/** Descriptors of the UDP sockets bound to a port. */
function descriptorsOn(port: number): number[] {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const inodes = new Set(
    readFileSync("/proc/net/udp", "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[1]?.endsWith(`:${hex}`))
      .map((columns) => columns[9]),
  );
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => {
      try {
        return inodes.has(/socket:\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]);
      } catch {
        return false;
      }
    });
}

type Libc = { dup(fd: number): number; dup2(from: number, to: number): number };
// Only the types of Node are known to this folder; Bun has the module.
const ffi = (await import("bun:ffi" as string)) as {
  dlopen(library: string, symbols: object): { symbols: Libc };
};
const { symbols: libc } = ffi.dlopen("libc.so.6", {
  dup: { args: ["i32"], returns: "i32" },
  dup2: { args: ["i32", "i32"], returns: "i32" },
});
const devNull = openSync("/dev/null", "r+");
const broken: { fd: number; kept: number }[] = [];

serveCalls({
  async start(options: Omit<DnsFrontOptions, "resolve" | "log" | "gate">) {
    const gate = createGateMemory();
    const resolve = resolveOf(fronts.length);
    const front = await startDnsFront({ ...options, gate, resolve, log });
    fronts.push(front);
    return front.addresses;
  },
  listen: (index: number, places: ListenPlace[], isSharing: boolean) =>
    fronts[index]!.listen(places, isSharing),
  leave: (index: number, addresses: SocketAddress[]) => fronts[index]!.leave(addresses),
  close: (index: number) => fronts[index]!.close(),
  release: () => late.splice(0).forEach((run) => run()),
  lateCount: () => late.length,
  counters(index: number) {
    const front = fronts[index]!;
    return { ...front.counters(), tallies: front.cells.map((cells) => dropped(cells)) };
  },
  workerCount: () => workers.length,
  terminate: (index: number) => workers[index]!.terminate(),
  /** Milliseconds from the end of each thread to the start of the one that came next. */
  gaps: () =>
    endedAtMs.map(
      (ended) => Math.min(...startedAtMs.filter((started) => started >= ended)) - ended,
    ),
  /** Puts something that is no socket in the place of the sockets of a port. */
  breakSockets(port: number) {
    for (const fd of descriptorsOn(port)) {
      broken.push({ fd, kept: libc.dup(fd) });
      libc.dup2(devNull, fd);
    }
    return broken.length;
  },
  mendSockets() {
    for (const { fd, kept } of broken.splice(0)) libc.dup2(kept, fd);
  },
});
