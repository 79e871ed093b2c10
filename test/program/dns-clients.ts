/** Clients that hold on to connections of the real program, with TLS in them or without (S22, RFC 7766, RFC 7858). */
import type { Test } from "tap";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { decode, framed, query } from "../dns-client.ts";
import { a, replyTo } from "../upstream.ts";
import { BUSY_MS, type Program } from "../program.ts";
import { startScene } from "./scene.ts";

/** What the connections carry, and the program's configuration for it; `ca` in PEM for TLS. */
export type Carried = {
  config: object;
  portOf: (program: Program) => number;
  ca?: string;
};

type Connection = {
  socket: Socket;
  /** Whole messages received so far. */
  messages: Buffer[];
  /** Milliseconds from its start to its end; undefined while it stands. */
  endedAfterMs: number | undefined;
};

async function open(
  t: Test,
  port: number,
  { ca }: Carried,
  localAddress = "127.0.0.1",
): Promise<Connection> {
  const to = { port, host: "127.0.0.1", localAddress };
  const socket = ca === undefined ? connect(to) : connectTls({ ...to, ca, ALPNProtocols: ["dot"] });
  const connection: Connection = { socket, messages: [], endedAfterMs: undefined };
  t.teardown(() => socket.destroy());
  let received = Buffer.alloc(0);
  socket.on("data", (octets) => {
    received = Buffer.concat([received, octets]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0);
      connection.messages.push(received.subarray(2, end));
      received = received.subarray(end);
    }
  });
  socket.on("error", () => undefined);
  await once(socket, ca === undefined ? "connect" : "secureConnect");
  const startedMs = performance.now();
  const ended = (): void => {
    connection.endedAfterMs ??= performance.now() - startedMs;
  };
  socket.on("end", ended);
  socket.on("close", ended);
  return connection;
}

async function until(what: () => boolean, limitMs: number): Promise<boolean> {
  for (const end = performance.now() + limitMs; performance.now() < end; await sleep(10))
    if (what()) return true;
  return what();
}

/** Deadlines, order, pipelining and clients that do not read. */
export async function holdOn(t: Test, carried: Carried): Promise<void> {
  const { program } = await startScene(
    t,
    async (got) => {
      if (got.name.startsWith("slow")) await sleep(700);
      return [replyTo(got, { answers: [a(got.name, "192.0.2.1", 60)] })];
    },
    carried.config,
  );
  for (let i = 0; i < 1500; i += 50)
    await Promise.all(
      Array.from({ length: 50 }, (_, k) =>
        program.http("PUT", "/v1/catalog/register", {
          Node: `node-${i + k}`,
          Address: `10.1.${(i + k) >> 8}.${(i + k) & 255}`,
          Service: { Service: "wide", Port: 80 },
        }),
      ),
    );
  const port = carried.portOf(program);
  const closed = async (reason: string): Promise<number> => {
    const { text } = await program.http("GET", "/metrics");
    const family =
      carried.ca === undefined ? "dns_tcp_closed_total{" : 'dns_secure_closed_total{proto="tls",';
    const start = `waypost_${family}reason="${reason}"} `;
    const line = text.split("\n").find((each) => each.startsWith(start));
    return Number(line?.slice(start.length) ?? 0);
  };
  const own = (id: number): Buffer => framed(query(id, `node-${id % 1500}.node.consul`));

  const scenes: Record<string, () => Promise<void>> = {
    "nothing at all: closed after 3 s": async () => {
      const idle = await open(t, port, carried);
      t.ok(await until(() => idle.endedAfterMs !== undefined, 3_000 + BUSY_MS));
      t.ok(idle.endedAfterMs! > 2_500, `${idle.endedAfterMs} ms`);
    },
    "a message that does not end: 5 s, however it trickles": async () => {
      const stuck = await open(t, port, carried);
      const slow = await open(t, port, carried);
      stuck.socket.write(Buffer.from([0]));
      const wire = framed(query(1, "a-rather-long-name-to-send-slowly.service.consul"));
      for (let i = 0; i < 8 && slow.endedAfterMs === undefined; i++) {
        slow.socket.write(wire.subarray(i, i + 1));
        await until(() => slow.endedAfterMs !== undefined, 1_000);
      }
      for (const [what, one] of [
        ["half a length", stuck],
        ["an octet a second", slow],
      ] as const) {
        t.ok(await until(() => one.endedAfterMs !== undefined, 3 * BUSY_MS), what);
        t.ok(one.endedAfterMs! > 4_500, `${what}: ${one.endedAfterMs} ms`);
      }
    },
    "replies in the order they are ready": async () => {
      const one = await open(t, port, carried);
      one.socket.write(Buffer.concat([framed(query(1, "slow.example")), own(2), own(3)]));
      t.ok(await until(() => one.messages.length === 3, 2_000 + BUSY_MS));
      t.same(
        one.messages.map((wire) => wire.readUInt16BE(0)),
        [2, 3, 1],
      );
    },
    "ten thousand pipelined: all answered": async () => {
      const one = await open(t, port, carried);
      for (let id = 0; id < 10_000; id++) one.socket.write(own(id));
      t.ok(await until(() => one.messages.length === 10_000, 30_000), `${one.messages.length}`);
      t.equal(new Set(one.messages.map((wire) => wire.readUInt16BE(0))).size, 10_000);
      t.equal(one.endedAfterMs, undefined);
    },
    "large answers that nobody reads: cut off, and little is held for them": async () => {
      const greedy = await open(t, port, carried);
      const beside = await open(t, port, carried);
      greedy.socket.pause();
      const wire = framed(query(9, "wide.service.consul", "SRV"));
      for (let i = 0; i < 1_000; i++) greedy.socket.write(wire);
      const took: number[] = [];
      const giveUpMs = performance.now() + 60_000;
      for (let id = 1; performance.now() < giveUpMs; id++) {
        if (id % 20 === 0 && (await closed("write")) > 0) break;
        const startedMs = performance.now();
        beside.socket.write(own(id));
        if (!(await until(() => beside.messages.length === id, 20_000))) break;
        took.push(performance.now() - startedMs);
        await sleep(15);
      }
      t.ok(took.length > 50, `${took.length} questions beside it`);
      const median = took.toSorted((x, y) => x - y)[took.length >> 1]!;
      t.comment(`beside it: the slowest ${Math.max(...took).toFixed()} ms`);
      t.ok(median < 500, `beside it: median ${median.toFixed()} ms`);
      // What the kernel holds is still read, then comes the end.
      greedy.socket.resume();
      t.ok(await until(() => greedy.endedAfterMs !== undefined, 20_000), "cut off");
      t.ok(greedy.messages.length < 1_000, `${greedy.messages.length} of 1000 came through`);
      for (const message of greedy.messages.slice(0, 2))
        t.ok(decode(message).answers!.length > 500);
    },
  };
  // Side by side: they are there to disturb each other.
  await Promise.all(
    Object.entries(scenes).map(async ([what, run]) => {
      await run();
      t.pass(what);
    }),
  );
  t.equal(program.child.exitCode, null);
}

/** Idle connections in the way of a new client: from one address and from several, 30 and all places. */
export async function crowdIn(t: Test, carried: Carried): Promise<void> {
  const { program } = await startScene(t, () => [], carried.config);
  const port = carried.portOf(program);
  const ask = async (address: string): Promise<number> => {
    const startedMs = performance.now();
    const one = await open(t, port, carried, address);
    one.socket.write(framed(query(1, "n1.node.consul")));
    t.ok(await until(() => one.messages.length === 1, 3 * BUSY_MS), `${address} is answered`);
    one.socket.destroy();
    return performance.now() - startedMs;
  };
  /** Of five new clients the fastest: whoever had to wait for a place would wait for seconds. */
  const isQuick = async (address: string, what: string): Promise<void> => {
    const took: number[] = [];
    for (let i = 0; i < 5; i++) took.push(await ask(address));
    took.sort((x, y) => x - y);
    t.ok(took[0]! < 1_000, `${what}: ${took.map((ms) => ms.toFixed()).join(", ")} ms`);
  };
  const crowd: Connection[] = [];
  for (let i = 0; i < 30; i++) crowd.push(await open(t, port, carried));
  await isQuick("127.0.0.1", "30 idle ones of the same address");
  for (let i = 0; i < 370; i++) crowd.push(await open(t, port, carried));
  await isQuick("127.0.0.1", "400 of the same address");
  const standing = () => crowd.filter(({ endedAfterMs }) => endedAfterMs === undefined).length;
  t.ok(await until(() => standing() <= 256, 2_000), `${standing()} stand: a quarter of 1024`);
  for (const address of ["127.0.0.2", "127.0.0.3", "127.0.0.4"])
    for (let i = 0; i < 256; i++) crowd.push(await open(t, port, carried, address));
  await isQuick("127.0.0.5", "a fifth address, with all places taken");
  await isQuick("127.0.0.1", "and the first again");
}
