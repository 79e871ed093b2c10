/** Exchanges with upstreams, driven by upstream.test.ts. */
import { readdirSync } from "node:fs";
import type { Exchange, Exchanges, Log, SourcePorts, Upstream } from "../../src/ports.ts";
import { log, platform, serveCalls } from "./script.ts";

type Create = (log: Log, ports: SourcePorts) => Exchanges | null;
const { createExchanges } = await platform<{ createExchanges: Create }>("upstream.ts");

let exchanges: Exchanges;
let range: ReturnType<SourcePorts["range"]> = null;
let taken: readonly number[] = [];
type Opened = { exchange: Exchange; events: string[] };
const opened: Opened[] = [];

function open(server: Upstream): Opened {
  const events: string[] = [];
  let returned = false;
  const exchange = exchanges.open(server, {
    datagram: (wire) => events.push(Buffer.from(wire).toString("hex")),
    error: (code) => events.push(returned ? code : `${code} before open returned`),
  });
  returned = true;
  opened.push({ exchange, events });
  return opened.at(-1)!;
}

serveCalls({
  create(from: typeof range = null, not: number[] = []) {
    range = from;
    taken = not;
    exchanges = createExchanges(log, { range: () => range, taken: () => taken })!;
  },
  /** Opens `count` exchanges that send two octets of their number; the index of the first. */
  open(server: Upstream, count: number) {
    const first = opened.length;
    for (let i = first; i < first + count; i++)
      open(server).exchange.send(Uint8Array.of(i >> 8, i & 255));
    return first;
  },
  send: (i: number, hex: string) => opened[i]!.exchange.send(Buffer.from(hex, "hex")),
  close: (i: number) => opened[i]!.exchange.close(),
  /**
   * `count` exchanges that end before their replies, or errors, are read, and as many after them; the
   * index of the first. The event loop stands still in between, so that replies wait in the sockets.
   */
  sendAndReopen(first: Upstream, second: Upstream, count: number, holdMs: number) {
    const from = opened.length;
    for (let i = 0; i < count; i++) open(first).exchange.send(Uint8Array.of(9));
    const untilMs = performance.now() + holdMs;
    while (performance.now() < untilMs);
    for (let i = from; i < from + count; i++) opened[i]!.exchange.close();
    for (let i = 0; i < count; i++) open(second).exchange.send(Uint8Array.of(1, 2));
    return from;
  },
  closeAll: () => opened.forEach(({ exchange }) => exchange.close()),
  events: (i: number) => opened[i]!.events,
  errors: () => opened.flatMap(({ events }) => events.filter((event) => /^[A-Z]/.test(event))),
  openCount: () => exchanges.openCount,
  descriptors: () => readdirSync("/proc/self/fd").length,
  /** One question after the other, each closed by its reply: milliseconds of the slowest. */
  async relay(server: Upstream, count: number) {
    let slowest = 0;
    for (let i = 0; i < count; i++) {
      const from = performance.now();
      await new Promise<void>((replied, failed) => {
        const exchange = exchanges.open(server, {
          datagram() {
            exchange.close();
            exchange.close();
            exchange.send(Uint8Array.of(1));
            replied();
          },
          error: (code) => failed(new Error(code)),
        });
        exchange.send(Uint8Array.of(i >> 8, i & 255));
      });
      slowest = Math.max(slowest, performance.now() - from);
    }
    return slowest;
  },
  end: () => exchanges.close(),
});
