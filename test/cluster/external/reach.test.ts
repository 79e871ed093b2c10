import { createServer } from "node:net";
import { once } from "node:events";
import t from "tap";
import { createReach } from "../../../src/cluster/external/reach/driver.ts";
import type { Ping } from "../../../src/ports.ts";
import { freePort } from "../../free-port.mjs";

const port = await freePort();
const server = createServer((socket) => socket.destroy()).listen(port, "127.0.0.1");
await once(server, "listening");
t.teardown(() => server.close());
const closed = await freePort();

/** Echo replies from these addresses, silence else. */
const pingOf =
  (...alive: string[]): Ping =>
  (ip) => {
    let give: (found: { alive: boolean; rttMs: number }) => void = () => {};
    const result = new Promise<{ alive: boolean; rttMs: number }>((resolve) => (give = resolve));
    if (alive.includes(ip)) give({ alive: true, rttMs: 1 });
    return { result, cancel: () => give({ alive: false, rttMs: 0 }) };
  };

type Row = [
  what: string,
  ping: Ping | null,
  type: "any" | "icmp" | "tcp",
  at: [string, number],
  boolean,
];
/** Leaves all names to the system. */
const nobody = () => Promise.resolve([]);

const rows: Row[] = [
  ["a connection", null, "tcp", ["127.0.0.1", port], true],
  ["a refusal is an answer", null, "tcp", ["127.0.0.1", closed], true],
  ["a host name", null, "tcp", ["localhost", port], true],
  ["a name that does not resolve", null, "tcp", ["no-such-host.invalid", port], false],
  ["an address that cannot be reached", null, "tcp", ["255.255.255.255", 9], false],
  ["no echo requests allowed: TCP", null, "icmp", ["127.0.0.1", port], true],
  ["echo alone", pingOf("192.0.2.7"), "icmp", ["192.0.2.7", 9], true],
  ["echo alone, none", pingOf(), "icmp", ["127.0.0.1", port], false],
  ["any: TCP answers", pingOf(), "any", ["127.0.0.1", port], true],
  ["any: echo answers", pingOf("192.0.2.7"), "any", ["192.0.2.7", 9], true],
  ["any: neither", pingOf(), "any", ["255.255.255.255", 9], false],
];
for (const [what, ping, type, [address, at], alive] of rows)
  t.test(what, async (t) => {
    const reach = createReach({ ping, pingType: () => type, findAddresses: nobody });
    const startMs = performance.now();
    const reached = await reach({ address, port: at }, 400).result;
    t.equal(reached.alive, alive);
    t.ok(alive ? reached.rttMs >= 0 : reached.rttMs === 0);
    t.ok(performance.now() - startMs < 5000, "settles by its timeout");
  });

t.test("names that others know than the system", async (t) => {
  const findAddresses = async (host: string) => (host === "db.invalid" ? ["127.0.0.1"] : []);
  const reach = createReach({ ping: null, pingType: () => "tcp", findAddresses });
  t.equal((await reach({ address: "db.invalid", port }, 2000).result).alive, true);
  t.equal((await reach({ address: "localhost", port }, 2000).result).alive, true);
  t.equal((await reach({ address: "no-such-host.invalid", port }, 400).result).alive, false);
});

t.test("cancelled: settles at once", async (t) => {
  const { result, cancel } = createReach({
    ping: pingOf(),
    pingType: () => "icmp",
    findAddresses: nobody,
  })({ address: "192.0.2.1", port: 9 }, 60_000);
  cancel();
  t.same(await result, { alive: false, rttMs: 0 });
});
