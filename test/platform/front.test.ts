import { createSocket, type RemoteInfo } from "node:dgram";
import { networkInterfaces } from "node:os";
import t from "tap";
import type { TallyFigures } from "../../src/dns/cells.ts";
import type { SocketAddress } from "../../src/ports.ts";
import { decode, query } from "../dns/prepared.ts";
import { type Host, startHost } from "./bun.ts";

const WAIT_MS = 5000;
const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === "::1"),
);

type Reply = { wire: Uint8Array; from: RemoteInfo };

/** Sends once; the first datagram that comes back, from wherever, or null after `waitMs`. */
function exchange(
  { address, port }: SocketAddress,
  wire: Uint8Array,
  waitMs = WAIT_MS,
): Promise<Reply | null> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  return new Promise((resolve) => {
    const finish = (reply: Reply | null): void => {
      clearTimeout(timer);
      socket.close();
      resolve(reply);
    };
    const timer = setTimeout(finish, waitMs, null);
    socket.once("message", (reply, from) => finish({ wire: new Uint8Array(reply), from }));
    socket.send(wire, port, address);
  });
}

const dataOf = (reply: Reply | null): unknown =>
  reply === null ? null : (decode(reply.wire).answers![0] as { data: unknown }).data;

type Counters = {
  tableHits: number;
  tableMisses: number;
  ignored: number;
  workerRestarts: number;
  tallies: TallyFigures[];
};

async function withHost(use: (host: Host) => Promise<void>): Promise<void> {
  const host = startHost("./front-script.ts");
  try {
    await use(host);
  } finally {
    await host.end();
  }
}

const options = (over: object = {}) => ({
  listen: [{ address: "127.0.0.1", port: 0 }],
  workerCount: 1,
  tableOctets: 1 << 20,
  batchedSystemCalls: true,
  ...over,
});

t.test("both paths give the same answers", { skip: process.platform !== "linux" }, async (t) => {
  const asked: [what: string, wire: Uint8Array][] = [
    ["miss", query("other.example", "A", { id: 1 })],
    ["miss that is published", query("hit.example", "A", { id: 2 })],
    ["hit", query("hit.example", "A", { id: 3, rd: false })],
    ["hit in other case", query("HIT.exAmple", "A", { id: 4, cd: true })],
    ["hit with EDNS", query("hit.example", "A", { id: 5, edns: 1232 })],
    ["client", query("client.example", "A", { id: 6 })],
  ];
  const replies: Uint8Array[][] = [];
  for (const batchedSystemCalls of [true, false])
    await withHost(async (host) => {
      const [address] = await host.call<SocketAddress[]>("start", options({ batchedSystemCalls }));
      const wires: Uint8Array[] = [];
      for (const [what, wire] of asked) {
        const reply = await exchange(address!, wire);
        if (reply === null) throw new Error(`${what}: no reply`);
        wires.push(reply.wire);
      }
      replies.push(wires);
      t.equal(await exchange(address!, query("silent.example"), 100), null, "silent");
      await exchange(address!, Uint8Array.of(1, 2, 3), 1);
      const response = query("hit.example");
      response[2]! |= 0x80;
      t.equal(await exchange(address!, response, 100), null, "a response is no question");
      const counters = await host.call<Counters>("counters", 0);
      t.match(counters, { tableHits: 3, tableMisses: 4, ignored: 2, workerRestarts: 0 });
      const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0);
      const tallies = (of: (tally: TallyFigures) => number) => sum(counters.tallies.map(of));
      t.equal(
        tallies(({ questions }) => questions[0]!),
        3,
        "those of the table; the rest is not its",
      );
      t.equal(
        tallies(({ rcodes }) => rcodes[0]!),
        3,
      );
      const timed = tallies(({ durations }) => sum(durations[0]!.counts));
      t.equal(timed, 3, "every reply is timed");
    });
  asked.forEach(([what], i) => t.same(replies[0]![i], replies[1]![i], what));
  t.equal(decode(replies[0]![3]!).questions![0]!.name, "HIT.exAmple");
});

t.test("a mistake of ours is SERVFAIL, and the next question is answered", async (t) => {
  for (const batchedSystemCalls of [true, false])
    await withHost(async (host) => {
      const [address] = await host.call<SocketAddress[]>("start", options({ batchedSystemCalls }));
      for (let id = 1; id <= 3; id++) {
        const failed = await exchange(address!, query("throws.example", "A", { id }));
        const { flags = 0, questions } = decode(failed!.wire);
        t.same([flags & 15, questions![0]!.name], [2, "throws.example"]);
        t.equal(dataOf(await exchange(address!, query("other.example", "A", { id }))), "10.0.0.1");
      }
      const lines = host.log.filter(({ level }) => level === "error");
      t.equal(lines.length, 1, "one line for several in a row");
      t.match(lines[0]!.fields, { stack: /a mistake/ });
    });
});

t.test("several addresses, IPv4 and IPv6, over all workers", { skip: !hasIpv6 }, async (t) => {
  await withHost(async (host) => {
    const listen = ["127.0.0.1", "::1", "127.0.0.2"].map((address) => ({ address, port: 0 }));
    const bound = await host.call<SocketAddress[]>("start", options({ listen, workerCount: 2 }));
    t.same(
      bound.map(({ address }) => address),
      ["127.0.0.1", "::1", "127.0.0.2"],
    );
    for (const address of bound) {
      t.ok(address.port > 0);
      // Sixteen client ports: the kernel spreads them over both workers' sockets.
      for (const label of ["other", "hit", "hit", "client"]) {
        const wires = Array.from({ length: 16 }, (_, id) => query(`${label}.example`, "A", { id }));
        const replies = await Promise.all(wires.map((wire) => exchange(address, wire)));
        const expected = {
          other: "10.0.0.1",
          hit: "10.0.0.2",
          client: address.address === "::1" ? "6.6.6.6" : "127.0.0.1",
        }[label];
        t.ok(
          replies.every((reply) => dataOf(reply) === expected),
          `${label} at ${address.address}`,
        );
        t.same(
          replies.map((reply) => decode(reply!.wire).id),
          wires.map((_, id) => id),
        );
      }
    }
  });
});

t.test("a wildcard answers from the address that was asked", async (t) => {
  const rows: [listen: string, asked: string[]][] = [["0.0.0.0", ["127.0.0.1", "127.0.0.2"]]];
  if (hasIpv6) rows.push(["::", ["::1", "127.0.0.1", "127.0.0.3"]]);
  for (const [address, asked] of rows)
    await withHost(async (host) => {
      const [bound] = await host.call<SocketAddress[]>(
        "start",
        options({ listen: [{ address, port: 0 }] }),
      );
      for (const to of asked)
        for (const label of ["other", "hit", "hit", "client"]) {
          const reply = await exchange({ address: to, port: bound!.port }, query(`${label}.test`));
          t.equal(reply?.from.address, to, `${label} at ${to} behind ${address}`);
          if (label === "client") t.equal(dataOf(reply), to === "::1" ? "6.6.6.6" : "127.0.0.1");
        }
    });
});

t.test(":: leaves IPv4 to its own listener on the same port", { skip: !hasIpv6 }, async (t) => {
  for (const ipv4 of ["0.0.0.0", "127.0.0.1"])
    for (const batchedSystemCalls of [true, false])
      await withHost(async (host) => {
        const [first] = await host.call<SocketAddress[]>(
          "start",
          options({ listen: [{ address: "127.0.0.1", port: 0 }] }),
        );
        await host.call("close", 0);
        const { port } = first!;
        const listen = ["::", ipv4].map((address) => ({ address, port }));
        await host.call("start", options({ listen, batchedSystemCalls }));
        for (const address of ["127.0.0.1", "::1"])
          t.equal(dataOf(await exchange({ address, port }, query("other.test"))), "10.0.0.1");
      });
});

t.test("an address that is taken is an error that names it", async (t) => {
  await withHost(async (host) => {
    const [taken] = await host.call<SocketAddress[]>("start", options({ workerCount: 2 }));
    for (const over of [{}, { workerCount: 2 }, { batchedSystemCalls: false }])
      await t.rejects(
        host.call("start", options({ ...over, listen: [taken] })),
        { message: new RegExp(`UDP cannot listen on 127.0.0.1 port ${taken!.port}: .*EADDRINUSE`) },
        JSON.stringify(over),
      );
    await t.rejects(host.call("start", options({ listen: [{ address: "localhost", port: 0 }] })), {
      message: /localhost is not an IP address/,
    });
    t.equal(dataOf(await exchange(taken!, query("other.test"))), "10.0.0.1", "the first goes on");
  });
});

t.test("closing answers what is under way and frees the port", async (t) => {
  for (const batchedSystemCalls of [true, false])
    await withHost(async (host) => {
      const [address] = await host.call<SocketAddress[]>("start", options({ batchedSystemCalls }));
      const pending = exchange(address!, query("late.test"));
      while ((await host.call<number>("lateCount")) === 0);
      const closed = host.call("close", 0);
      // What arrives before the threads have noticed is still answered.
      while ((await exchange(address!, query("other.test"), 200)) !== null);
      await host.call("release");
      t.equal(dataOf(await pending), "10.0.0.3");
      await closed;
      const again = await host.call("start", options({ batchedSystemCalls, listen: [address] }));
      t.same(again, [address]);
    });
});

t.test("a worker that ends is replaced, and the others go on", async (t) => {
  await withHost(async (host) => {
    const [address] = await host.call<SocketAddress[]>("start", options({ workerCount: 2 }));
    const askAll = (count: number, waitMs?: number): Promise<(Reply | null)[]> =>
      Promise.all(
        Array.from({ length: count }, () => exchange(address!, query("hit.test"), waitMs)),
      );
    const served = (replies: (Reply | null)[]): number =>
      replies.filter((reply) => dataOf(reply) === "10.0.0.2").length;
    t.equal(served(await askAll(32)), 32);
    // Threads that live longer than a moment are replaced at once.
    await new Promise((old) => setTimeout(old, 1100));

    for (const restarts of [1, 2, 3]) {
      const before = await host.call<number>("workerCount");
      // The newest thread, so each time one that serves. Asleep in the kernel, it ends when the next
      // datagram wakes it; that datagram dies with it, all others are answered.
      await host.call("terminate", restarts === 1 ? 0 : before - 1);
      const replies: (Reply | null)[] = [];
      for (let i = 0; i < 32; i++) replies.push(...(await askAll(1, 1000)));
      t.ok(served(replies) >= 31, `${served(replies)} of 32 answered during replacement`);
      t.equal(await host.call("workerCount"), before + 1);
      t.equal((await host.call<Counters>("counters", 0)).workerRestarts, restarts);
      t.equal(served(await askAll(32)), 32, "all are served again");
      await new Promise((old) => setTimeout(old, 1100));
    }
    const gaps = await host.call<number[]>("gaps");
    t.equal(gaps.length, 3);
    t.ok(Math.min(...gaps) < 200, `replaced after ${gaps.map(Math.round).join(", ")} ms`);
    const lines = host.log.filter(({ level }) => level === "error");
    t.equal(lines.length, 3);
    t.match(lines[0], { message: /thread ended unexpectedly/, fields: { thread: "dns-0" } });
  });
});

t.test("a worker that throws is replaced on the same socket", async (t) => {
  await withHost(async (host) => {
    const [address] = await host.call<SocketAddress[]>("start", options());
    t.equal(dataOf(await exchange(address!, query("other.test"))), "10.0.0.1");
    t.equal(await host.call("breakSockets", address!.port), 1);
    // The thread is still asleep in the call on the socket: this one wakes it.
    t.equal(await exchange(address!, query("other.test"), 100), null, "no way to reply");
    while ((await host.call<Counters>("counters", 0)).workerRestarts < 2);
    await host.call("mendSockets");
    t.equal(dataOf(await exchange(address!, query("other.test"))), "10.0.0.1");
    t.match(host.log[0], {
      level: "error",
      fields: { thread: "dns-0", problem: /receiving on 127\.0\.0\.1: / },
    });
  });
});

t.test("addresses come and go while others are served", async (t) => {
  for (const batchedSystemCalls of [true, false])
    await withHost(async (host) => {
      const answers = async (at: SocketAddress, waitMs?: number) =>
        dataOf(await exchange(at, query("other.test"), waitMs));
      const [first] = await host.call<SocketAddress[]>("start", options({ batchedSystemCalls }));
      const places = [2, 3, 4].map((n) => ({ address: `127.0.0.${n}`, port: first!.port }));
      t.same(await host.call("listen", 0, places, false), places);
      for (const at of [first!, ...places]) t.equal(await answers(at), "10.0.0.1", at.address);
      const pending = exchange(places[0]!, query("late.test"));
      while ((await host.call<number>("lateCount")) === 0);
      const left = host.call("leave", 0, [first, places[0]]);
      if (batchedSystemCalls) await left;
      await host.call("release");
      await left;
      t.equal(dataOf(await pending), "10.0.0.3", "what was asked before is answered");
      t.equal(await answers(first!, 100), null, "nobody is there any more");
      t.equal(await answers(places[1]!), "10.0.0.1", "the others stay");
      t.same(await host.call("listen", 0, [first], false), [first]);
      t.equal(await answers(first!), "10.0.0.1", "it has come back");
      await t.rejects(host.call("listen", 0, [{ ...first!, address: "127.0.0.9" }, first], false), {
        message: /EADDRINUSE/,
      });
      t.equal(await answers({ ...first!, address: "127.0.0.9" }, 100), null, "all of them or none");
      await host.call("close", 0);
    });
});

t.test("the portable front shares no port with a successor, and says so", async (t) => {
  await withHost(async (host) => {
    const portable = options({ batchedSystemCalls: false });
    const [at] = await host.call<SocketAddress[]>("start", portable);
    await t.rejects(host.call("listen", 0, [at], true), {
      message: /portable front cannot share a port with the agent before/,
    });
  });
});

t.test("a successor shares the port; what the one before had received it answers", async (t) => {
  await withHost(async (host) => {
    const two = options({ workerCount: 2 });
    const [at] = await host.call<SocketAddress[]>("start", two);
    await host.call("start", { ...two, listen: [], listensLater: true });
    await t.rejects(host.call("listen", 1, [at], false), { message: /EADDRINUSE/ }, "no stranger");
    t.same(await host.call("listen", 1, [at], true), [at]);
    const sockets = Array.from({ length: 40 }, () => createSocket("udp4"));
    const replies: unknown[] = [];
    let asked = 0;
    const ask = (): void => {
      const socket = sockets[asked++ % sockets.length]!;
      socket.send(query("other.test", "A", { id: asked & 0xffff }), at!.port, at!.address);
    };
    for (const socket of sockets) socket.on("message", (wire) => replies.push(wire));
    const asking = setInterval(() => Array.from({ length: 10 }, ask), 5);
    const steps: unknown[] = [];
    while (asked < 200) await new Promise((turn) => setImmediate(turn));
    steps.push(await host.call("close", 0));
    const until = asked + 200;
    while (asked < until) await new Promise((turn) => setImmediate(turn));
    clearInterval(asking);
    for (const limit = Date.now() + 2000; replies.length < asked && Date.now() < limit;)
      await new Promise((turn) => setTimeout(turn, 5));
    for (const socket of sockets) socket.close();
    t.equal(replies.length, asked, "not one question is lost");
    const served = async (index: number) =>
      (await host.call<Counters>("counters", index)).tableMisses;
    t.ok((await served(0)) > 0 && (await served(1)) > 100, "both had their part");
  });
});
