/** Questions one by one over UDP, each with its time and its RCODE: for rows on the worst of them. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { query } from "../test/dns-client.ts";

/** `tookMs` Infinity and `rcode` -1: no answer came. Times of performance.now(). */
export type Asked = { sentMs: number; tookMs: number; rcode: number };

/** How long the last answers are waited for: longer than any client waits. */
const PATIENCE_MS = 10_000;
const RECEIVE_OCTETS = 4 << 20;

export type Steady = {
  /** Asks nothing more, waits for what is under way, and gives all, in the order they were asked. */
  stop(): Promise<Asked[]>;
};

/** Asks `perSecond` questions a second from now on; `name` gives the n-th one's. */
export async function askSteadily(
  port: number,
  perSecond: number,
  name: (n: number) => string,
): Promise<Steady> {
  const asked: Asked[] = [];
  const socket = createSocket({ type: "udp4", recvBufferSize: RECEIVE_OCTETS });
  socket.on("error", () => undefined);
  socket.on("message", (wire) => {
    // Ids repeat after 65,536 questions, which no load here has under way.
    const id = wire.readUInt16BE(0);
    const latest = asked.length - 1;
    const one = asked[latest - ((latest - id) & 0xffff)];
    if (one === undefined || one.rcode >= 0) return;
    one.tookMs = performance.now() - one.sentMs;
    one.rcode = wire[3]! & 15;
  });
  socket.connect(port, "127.0.0.1");
  await once(socket, "connect");
  const startMs = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startMs) * perSecond) / 1000);
    while (asked.length < due) {
      const n = asked.length;
      asked.push({ sentMs: performance.now(), tookMs: Infinity, rcode: -1 });
      socket.send(query(n & 0xffff, name(n)));
    }
  }, 1);
  return {
    async stop() {
      clearInterval(timer);
      const limitMs = performance.now() + PATIENCE_MS;
      while (asked.some(({ rcode }) => rcode < 0) && performance.now() < limitMs) await pause(10);
      socket.close();
      return asked;
    },
  };
}

/** One question, and its answer within `PATIENCE_MS`. */
export async function askOnce(port: number, name: string): Promise<Asked> {
  const socket = createSocket("udp4");
  socket.on("error", () => undefined);
  socket.connect(port, "127.0.0.1");
  await once(socket, "connect");
  const sentMs = performance.now();
  socket.send(query(1, name));
  const reply = once(socket, "message") as Promise<[Buffer]>;
  const late = new AbortController();
  const wire = await Promise.race([reply, pause(PATIENCE_MS, null, { signal: late.signal })]);
  const tookMs = performance.now() - sentMs;
  late.abort();
  socket.close();
  return wire === null
    ? { sentMs, tookMs: Infinity, rcode: -1 }
    : { sentMs, tookMs, rcode: wire[0][3]! & 15 };
}
