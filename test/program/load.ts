/** A steady load of questions over UDP, each with an id and a time of its own. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { Test } from "tap";
import { query } from "../dns-client.ts";

export type Load = {
  /** So far. */
  counts(): LoadCounts;
  /** Asks nothing more, waits for what is under way, and gives the counts. */
  stop(): Promise<LoadCounts>;
};

/** `rcodes`: replies by RCODE. */
export type LoadCounts = {
  asked: number;
  answered: number;
  slowestMs: number;
  rcodes: ReadonlyMap<number, number>;
};

/** Sockets, so source ports: the kernel spreads them over the sockets of a server. */
const SOCKETS = 16;
const TICK_MS = 5;
const RECEIVE_OCTETS = 4 << 20;
/** Ticks that are made up for after a standstill of this process; the rest is left out. */
const LATE_TICKS_MAX = 4;
/** How long an answer is waited for. */
const LATE_MS = 5000;

/** Begins at once, with `perSecond` at most; `names` gives the i-th question's name. */
export async function startLoad(
  t: Pick<Test, "teardown">,
  options: { port: number; perSecond: number; names: (i: number) => string },
): Promise<Load> {
  const { port, perSecond, names } = options;
  /** Per socket: id → when it was asked. */
  const waiting: Map<number, number>[] = [];
  const rcodes = new Map<number, number>();
  let asked = 0;
  let answered = 0;
  let slowestMs = 0;
  const sockets: Socket[] = [];
  for (let i = 0; i < SOCKETS; i++) {
    // What this process is too slow to read must not count as lost.
    const socket = createSocket({ type: "udp4", recvBufferSize: RECEIVE_OCTETS });
    const own = new Map<number, number>();
    socket.on("error", () => undefined);
    socket.on("message", (wire) => {
      const id = wire.readUInt16BE(0);
      const sentMs = own.get(id);
      if (sentMs === undefined) return;
      own.delete(id);
      answered++;
      slowestMs = Math.max(slowestMs, performance.now() - sentMs);
      const rcode = wire[3]! & 15;
      rcodes.set(rcode, (rcodes.get(rcode) ?? 0) + 1);
    });
    socket.bind(0, "127.0.0.1");
    // oxlint-disable-next-line no-await-in-loop -- a handful, once
    await once(socket, "listening");
    sockets.push(socket);
    waiting.push(own);
  }
  let lastMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const ticks = Math.min((nowMs - lastMs) / TICK_MS, LATE_TICKS_MAX);
    const due = asked + Math.round((ticks * TICK_MS * perSecond) / 1000);
    lastMs = nowMs;
    while (asked < due) {
      const i = asked++;
      const id = Math.floor(i / SOCKETS) & 0xffff;
      waiting[i % SOCKETS]!.set(id, performance.now());
      sockets[i % SOCKETS]!.send(query(id, names(i)), port, "127.0.0.1");
    }
  }, TICK_MS);
  const close = (): void => {
    clearInterval(timer);
    for (const socket of sockets.splice(0)) socket.close();
  };
  t.teardown(close);
  const counts = (): LoadCounts => ({ asked, answered, slowestMs, rcodes });
  return {
    counts,
    async stop() {
      clearInterval(timer);
      for (const limit = performance.now() + LATE_MS; performance.now() < limit;) {
        if (answered === asked) break;
        await new Promise((turn) => setTimeout(turn, TICK_MS));
      }
      close();
      return counts();
    },
  };
}
