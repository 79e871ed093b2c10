// Rates and places of groups: asks 9, 45, 49; S18, S23.
import t from "tap";
import {
  createBucket,
  packetsLastSecond,
  takePacket,
  untilNextMs,
} from "../../src/forwarder/bucket.ts";
import { createForwarder } from "../../src/forwarder/forward.ts";
import { createPools } from "../../src/forwarder/pools.ts";
import { createRoundTrips, hedgeMs, noteRoundTrip, retryMs } from "../../src/forwarder/rtt.ts";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import { createWorld, inWords, oneGroup, seededRandom, silent, wireName } from "./world.ts";

t.test("ask 45: the bucket against a list of all packets", async (t) => {
  const random = seededRandom(3);
  const perSecond = 50;
  const bucket = createBucket();
  const sentAtMs: number[] = [];
  let tokens = perSecond;
  let lastMs = 0;
  let nowMs = 0;
  let busy = 0;
  for (let i = 0; i < 20_000; i++) {
    nowMs += (random.uint32() % 1000) / (i % 4000 < 2000 ? 100 : 12);
    tokens = Math.min(perSecond, tokens + ((nowMs - lastMs) * perSecond) / 1000);
    lastMs = nowMs;
    const taken = takePacket(bucket, perSecond, nowMs);
    if ((taken === "empty") !== tokens < 1) t.fail(`packet ${i}`);
    if (taken === "empty")
      t.ok(Math.abs(untilNextMs(bucket, perSecond) - (1 - tokens) * 20) < 1e-6);
    else {
      tokens--;
      sentAtMs.push(nowMs);
    }
    if (taken === "busy") busy++;
  }
  const bySecond = new Map<number, number>();
  for (const atMs of sentAtMs)
    bySecond.set(Math.floor(atMs / 1000), (bySecond.get(Math.floor(atMs / 1000)) ?? 0) + 1);
  const counts = [...bySecond.values()];
  t.equal(busy, counts.filter((count) => count >= 40).length, "told once in each busy second");
  t.ok(Math.max(...counts) <= 2 * perSecond, "a burst of one second at most");
  const last = Math.floor(nowMs / 1000);
  t.equal(packetsLastSecond(bucket, nowMs), bySecond.get(last - 1) ?? 0);
  t.equal(packetsLastSecond(bucket, nowMs + 1000), bySecond.get(last) ?? 0);
  t.equal(packetsLastSecond(bucket, nowMs + 5000), 0);
});

t.test(
  "ask 45: a zone with a low rate takes nothing from others with the same server",
  async (t) => {
    const bucket = createBucket();
    let taken = 0;
    for (let ms = 0; ms < 10_000; ms++) {
      takePacket(bucket, 10, ms);
      if (takePacket(bucket, 1000, ms) !== "empty") taken++;
    }
    t.equal(taken, 10_000);
    t.equal(untilNextMs(bucket, 1000), 0);
  },
);

t.test("without a limit every packet goes, and is counted", async (t) => {
  const bucket = createBucket();
  for (let i = 0; i < 5000; i++) t.equal(takePacket(bucket, 0, 10), "taken");
  t.equal(packetsLastSecond(bucket, 1010), 5000);
});

t.test("the usual rate is for servers elsewhere", async (t) => {
  const sent = new Map<string, number>();
  const none = { openCount: 0, close() {} };
  const open = (server: { address: string }) => ({
    send: () => void sent.set(server.address, (sent.get(server.address) ?? 0) + 1),
    close() {},
  });
  for (const address of ["192.0.2.1", "127.0.0.53", "::1"]) {
    const forwarder = createForwarder({
      settings: oneGroup({ servers: [{ address, port: 53 }], packetsPerSecond: -1 }),
      clock: { monotonicMs: () => 0, wallMs: () => 0 },
      timers: { after: () => () => {} },
      random: seededRandom(1),
      udp: { ...none, open },
      tcp: { ...none, open },
    });
    for (let i = 0; i < 3000; i++) {
      const qname = Uint8Array.of(4, ...Buffer.from(String(1000 + i)), 0);
      const request = { qname, qtype: 1, qclass: 1, rd: true, cd: false, ad: false, do: false };
      const client = { address: "127.0.0.1", port: 1, transport: "udp" as const };
      forwarder.forward({ ...request, edns: null, client }, () => {});
    }
  }
  t.same(Object.fromEntries(sent), { "192.0.2.1": 1024, "127.0.0.53": 3000, "::1": 3000 });
});

t.test("ask 9: the places of a group are its own", async (t) => {
  const pools = createPools<number>();
  const small = { ...groupDefaults, name: "small", maxInFlight: 3 };
  const large = { ...groupDefaults, name: "large", maxInFlight: 200 };
  for (let i = 0; i < 3; i++) pools.enter(small, i, true);
  t.equal(pools.overdue(small), 0, "the oldest has to go");
  pools.leave(small, 0, false);
  t.equal(pools.overdue(small), undefined);
  for (let i = 0; i < 150; i++) pools.enter(large, i, true);
  t.equal(pools.overdue(large), undefined);
  t.same(
    pools.shrink(),
    Array.from({ length: 15 }, (_, i) => i),
    "the largest pays for what the system lacks, with its oldest",
  );
  t.same(pools.stats(), [
    { group: "small", inFlight: 2, limit: 3, dropped: 1, forgone: 0 },
    { group: "large", inFlight: 150, limit: 135, dropped: 15, forgone: 0 },
  ]);
  for (let i = 0; i < 21; i++) pools.leave(large, i, true);
  t.equal(pools.stats()[1]!.limit, 137, "answers give places back");
  pools.keep([small]);
  t.equal(pools.stats().length, 2, "questions under way keep their group");
  for (let i = 21; i < 150; i++) pools.leave(large, i, true);
  pools.keep([small]);
  t.equal(pools.stats().length, 1);
});

t.test(
  "ask 9: what was asked before a reload takes no place back from what came with it",
  async (t) => {
    const pools = createPools<number>();
    const before = { ...groupDefaults, maxInFlight: 100 };
    const after = { ...groupDefaults, maxInFlight: 200 };
    pools.enter(before, 0, true);
    for (let i = 1; i <= 150; i++) pools.enter(after, i, true);
    pools.shrink();
    pools.leave(before, 0, true);
    t.match(pools.stats(), [{ inFlight: 150, limit: 135 }], "shrunk, and not back to 100 or 200");
  },
);

t.test("ask 9: 4096 places, and who took the last one of which zone is told", async (t) => {
  t.ok(groupDefaults.maxInFlight >= 1024);
  const world = createWorld(1, { name: "corp.test", maxInFlight: 3 });
  world.server(1, silent);
  const group = "corp.test";
  const asked = Array.from({ length: 4 }, (_, i) => world.ask(`n${i}.corp.test`, "A", { group }));
  t.same(world.told, [{ type: "full", group, client: "127.0.0.1", places: 3 }]);
  t.same(asked.map(inWords), ["failed", "nothing", "nothing", "nothing"], "the oldest goes");
});

t.test(
  "S18: a full group has no more places for what its dropped questions ask instead",
  async (t) => {
    const world = createWorld(1, { maxInFlight: 20 });
    world.server(1, silent);
    let most = 0;
    const asked = Array.from({ length: 500 }, (_, i) => {
      const name = `n${i}.test`;
      const [qname, client] = [wireName(name), { address: "127.0.0.1", port: 1 }];
      const flags = { rd: true, cd: false, ad: false, do: false, edns: null };
      const request = { qname, qtype: 28, qclass: 1, ...flags };
      const from = { ...request, client: { ...client, transport: "udp" as const } };
      const told: string[] = [];
      // As DNS64 does: after a failure the A records are asked for.
      world.forwarder.forward(from, () =>
        world.forwarder.forward({ ...from, qtype: 1 }, ({ ok }) => told.push(String(ok))),
      );
      most = Math.max(most, world.forwarder.stats().inFlight);
      return told;
    });
    t.ok(most <= 20, `${most} under way`);
    world.settle();
    t.ok(
      asked.every((told) => told.length === 1),
      "everybody is told, once",
    );
  },
);

t.test("S18: a silent zone is flooded, the others do not notice", async (t) => {
  const world = createWorld(2, { timeoutMs: 2000 });
  const [bad, good] = [1, 2].map((number) => ({ address: `192.0.2.${number}`, port: 53 }));
  const base = oneGroup({ servers: [good!] });
  const zone = { ...base.groups[0], name: "bad.test", servers: [bad!], maxInFlight: 1024 };
  world.forwarder.reload({ ...base, groups: [base.groups[0], zone] });
  world.server(1, silent);
  const flood: ReturnType<typeof world.ask>[] = [];
  const others: ReturnType<typeof world.ask>[] = [];
  for (let ms = 0; ms < 10_000; ms += 10) {
    for (let i = 0; i < 50; i++)
      flood.push(world.ask(`n${ms + i / 50}.bad.test`, "A", { group: zone.name }));
    others.push(world.ask(`n${ms}.test`));
    world.pass(10);
  }
  world.settle();
  t.ok(
    others.every((asked) => asked.afterMs === 1 && inWords(asked) === "A 198.51.100.1"),
    "one round trip each",
  );
  t.ok(
    flood.every(({ calls, afterMs }) => calls === 1 && afterMs <= 3000),
    "and every question of the flood ends",
  );
  const ofZone = world.forwarder.stats().pools.find(({ group }) => group === zone.name);
  t.ok(ofZone!.dropped > 0, `${ofZone!.dropped} found no place`);
  t.equal(world.openSockets(), 0);
});

t.test("S23: with few sockets for all, other groups still get theirs", async (t) => {
  const world = createWorld(2, {}, 300);
  const [bad, good] = [1, 2].map((number) => ({ address: `192.0.2.${number}`, port: 53 }));
  const base = oneGroup({ servers: [good!] });
  const zone = { ...base.groups[0], name: "bad.test", servers: [bad!], maxInFlight: 1024 };
  world.forwarder.reload({ ...base, groups: [base.groups[0], zone] });
  world.server(1, silent);
  for (let i = 0; i < 400; i++) world.ask(`n${i}.bad.test`, "A", { group: zone.name });
  world.pass(10);
  let failed = 0;
  for (let i = 0; i < 200; i++) {
    const asked = world.ask(`n${i}.test`);
    world.ask(`m${i}.bad.test`, "A", { group: zone.name });
    world.pass(10);
    if (inWords(asked) !== "A 198.51.100.1") failed++;
  }
  t.ok(failed <= 5, `${failed} of 200 had no socket`);
});

t.test("how long one is waited for: 95 of 100 round trips, within bounds", async (t) => {
  const trips = createRoundTrips();
  t.equal(hedgeMs(trips), 200);
  t.equal(retryMs(trips), 200);
  noteRoundTrip(trips, 1);
  t.equal(hedgeMs(trips), 20, "not below 20 ms");
  t.equal(retryMs(trips), 50, "not below 50 ms");
  for (let i = 0; i < 64; i++) noteRoundTrip(trips, i % 10 === 0 ? 150 : 30);
  t.equal(hedgeMs(trips), 150);
  t.ok(retryMs(trips) >= 150);
  for (let i = 0; i < 64; i++) noteRoundTrip(trips, i % 32 === 0 ? 3000 : 30);
  t.equal(hedgeMs(trips), 30, "three of a hundred are not waited for");
  for (let i = 0; i < 64; i++) noteRoundTrip(trips, 3000);
  t.equal(hedgeMs(trips), 400, "not above 400 ms");
  t.ok(retryMs(trips) > 5000, "one that is slow in all is not given more to do");
});
