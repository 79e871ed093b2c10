// Questions that come from ports, addresses and interfaces that were chosen (asks 45 and 54, threat S1).
import { createSocket, type Socket } from "node:dgram";
import { createServer } from "node:net";
import t, { type Test } from "tap";
import type { Upstream as Server } from "../../src/ports.ts";
import { type Host, startHost } from "./bun.ts";

type Upstream = { at: Server; from: { port: number; address: string }[]; socket: Socket };

/** An upstream that notes who asks, and sends every datagram back. */
async function startUpstream(t: Test): Promise<Upstream> {
  const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
  const from: Upstream["from"] = [];
  socket.on("message", (wire, { port, address }) => {
    from.push({ port, address });
    socket.send(wire, port, address);
  });
  await new Promise<void>((bound) => socket.bind(0, "127.0.0.1", bound));
  t.teardown(() => socket.close());
  return { at: { address: "127.0.0.1", port: socket.address().port }, from, socket };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((again) => setTimeout(again, 5));
}

function scenario(name: string, run: (t: Test, host: Host) => Promise<void>): void {
  t.test(name, { skip: process.platform !== "linux", timeout: 60_000 }, async (t) => {
    const host = startHost("./upstream-script.ts");
    t.teardown(() => host.end());
    await run(t, host);
  });
}

/** As many ports as the range of 1024 to 65535 has. */
const wide = { min: 1024, max: 65_535 };

scenario(
  "S1, ask 54: 20,000 questions over a range: as many ports as chance gives",
  async (t, host) => {
    const upstream = await startUpstream(t);
    await host.call("create", wide);
    const total = 20_000;
    for (let asked = 0; asked < total; asked += 400) {
      await host.call("open", upstream.at, 400);
      await until(() => upstream.from.length === asked + 400);
      await host.call("closeAll");
    }
    t.same(await host.call("errors"), []);
    const ports = upstream.from.map(({ port }) => port);
    const range = wide.max - wide.min + 1;
    t.ok(Math.min(...ports) >= wide.min);
    const expected = range * (1 - Math.exp(-total / range));
    const distinct = new Set(ports).size;
    t.ok(distinct >= 0.95 * expected, `${distinct} ports, ${expected.toFixed()} expected`);
    t.notOk(ports.includes(upstream.at.port), "never a port that somebody listens on");
    const bins = 64;
    const counts = Array.from({ length: bins }, () => 0);
    for (const port of ports) counts[Math.floor(((port - wide.min) * bins) / range)]!++;
    const share = total / bins;
    const chiSquare = counts.reduce((sum, n) => sum + (n - share) ** 2 / share, 0);
    t.ok(chiSquare < 63 + 5 * Math.sqrt(126), `chi-square ${chiSquare.toFixed(1)}, 63 expected`);
    const mean = ports.reduce((sum, port) => sum + port, 0) / total;
    let product = 0;
    let square = 0;
    for (const [i, port] of ports.entries()) {
      square += (port - mean) ** 2;
      if (i > 0) product += (port - mean) * (ports[i - 1]! - mean);
    }
    t.ok(
      Math.abs(product / square) < 5 / Math.sqrt(total),
      `serial correlation ${product / square}`,
    );
  },
);

scenario("a small range, ports of others in it, and ports of our own", async (t, host) => {
  const upstream = await startUpstream(t);
  const others = createSocket("udp4");
  await new Promise<void>((bound) => others.bind(0, "0.0.0.0", bound));
  t.teardown(() => others.close());
  const used = others.address().port;
  const min = Math.max(1024, Math.min(used - 8, 65_535 - 19));
  const range = { min, max: min + 19 };
  const own = range.max === used ? range.min : range.max;
  await host.call("create", range, [own]);
  // One after the other: twenty draws of twenty ports would not all be free.
  for (let i = 0; i < 200; i++) {
    await host.call("open", upstream.at, 1);
    await host.call("closeAll");
  }
  const errors = await host.call<string[]>("errors");
  await until(() => upstream.from.length === 200 - errors.length);
  const ports = new Set(upstream.from.map(({ port }) => port));
  t.ok([...ports].every((port) => port >= range.min && port <= range.max));
  t.notOk(ports.has(used), "somebody's port");
  t.notOk(ports.has(own), "where we listen");
  t.same(errors, []);
  t.ok(ports.size >= 15, `${ports.size} of 18 ports`);
});

scenario("a source address, and one that is not of this machine", async (t, host) => {
  const upstream = await startUpstream(t);
  await host.call("create");
  await host.call("open", { ...upstream.at, source: { address: "127.0.0.9" } }, 3);
  await until(() => upstream.from.length === 3);
  t.same(new Set(upstream.from.map(({ address }) => address)), new Set(["127.0.0.9"]));
  t.equal(new Set(upstream.from.map(({ port }) => port)).size, 3);
  const other = await host.call<number>(
    "open",
    { ...upstream.at, source: { address: "192.0.2.1" } },
    1,
  );
  t.same(await host.call("events", other), [
    "EADDRNOTAVAIL: 192.0.2.1 is not an address of this machine",
  ]);
});

scenario("a fixed port: the same for several servers, not one of ours", async (t, host) => {
  const [first, second] = [await startUpstream(t), await startUpstream(t)];
  const free = createServer();
  await new Promise<void>((listening) => free.listen(0, "127.0.0.1", listening));
  const { port } = free.address() as { port: number };
  await new Promise((closed) => free.close(closed));
  await host.call("create", null, [5353]);
  for (const { at } of [first, second]) await host.call("open", { ...at, source: { port } }, 1);
  await until(() => first.from.length + second.from.length === 2);
  t.same(
    [...first.from, ...second.from].map((from) => from.port),
    [port, port],
  );
  await until(() => true);
  const events = async (i: number) => host.call<string[]>("events", i);
  for (const i of [0, 1]) {
    while ((await events(i)).length === 0);
    t.equal((await events(i)).length, 1, "each reply to the question of its server");
  }
  const own = await host.call<number>("open", { ...first.at, source: { port: 5353 } }, 1);
  t.same(await events(own), ["EADDRINUSE: source port 5353 is where we listen"]);
});

scenario("an interface: the one that is there, and one that is not", async (t, host) => {
  const upstream = await startUpstream(t);
  await host.call("create");
  const first = await host.call<number>("open", { ...upstream.at, source: { interface: "lo" } }, 1);
  const second = await host.call<number>(
    "open",
    { ...upstream.at, source: { interface: "gone0" } },
    1,
  );
  const [said] = await host.call<string[]>("events", second);
  t.match(said, /^(ENODEV: no interface gone0|EPERM: asking through gone0 needs CAP_NET_RAW)$/);
  await until(() => upstream.from.length > 0);
  while ((await host.call<string[]>("events", first)).length === 0);
  t.equal((await host.call<string[]>("events", first)).length, 1);
});
