/** What is in demand is asked for again before it runs out, alone and with what else the forwarder does. */
import t from "tap";
import { createPrefetch } from "../../src/forwarder/prefetch.ts";
import {
  a,
  answering,
  createWorld,
  inWords,
  reply,
  saying,
  seededRandom,
  silent,
  soa,
  type OneGroup,
  type Reply,
  type World,
} from "./world.ts";

/** A name with a TTL of 100 s that was asked for four times, 92 s after its answer came. */
function inDemand(change: OneGroup = {}, over: Parameters<World["ask"]>[2] = {}): World {
  const world = createWorld(1, change);
  world.server(1, answering("198.51.100.1", 100));
  for (const ms of [20_000, 20_000, 20_000, 32_000]) {
    world.ask("www.test", "A", over);
    world.pass(ms);
  }
  return world;
}

const seconds = ({ answer }: Reply): number => (answer?.ok ? answer.cacheableSeconds : -1);

t.test(
  "asked for by the first question in the last tenth, which does not wait for it",
  async (t) => {
    const world = inDemand();
    world.server(1, answering("198.51.100.2", 100));
    t.equal(world.asked.length, 1);
    const asked = world.ask("www.test");
    t.equal(inWords(asked), "A 198.51.100.1");
    t.equal(asked.afterMs, 0);
    t.equal(seconds(asked), 0, "the workers get the new one");
    t.equal(world.asked.length, 2);
    world.ask("www.test");
    t.equal(world.asked.length, 2, "once");
    world.pass(10);
    const next = world.ask("www.test");
    t.equal(inWords(next), "A 198.51.100.2");
    t.ok(seconds(next) > 89.9 && seconds(next) < 90, "workers have it until its own last tenth");
    t.equal(world.asked.length, 2);
    t.match(world.forwarder.stats().prefetches, { sent: 1, unpaid: 0 });
  },
);

t.test("the first question that workers do not have any more starts it", async (t) => {
  for (const ttl of [2, 7, 30, 300]) {
    const world = createWorld(1);
    world.server(1, answering("198.51.100.1", ttl));
    for (let times = 0; times < 3; times++) {
      world.ask("www.test");
      world.pass(70);
    }
    const kept = world.ask("www.test");
    t.ok(seconds(kept) > 0, `TTL ${ttl}: workers have it`);
    world.pass(seconds(kept) * 1000);
    t.equal(world.asked.length, 1);
    const asked = world.ask("www.test");
    t.equal(
      world.asked.length,
      2,
      `TTL ${ttl}: and no time passes when they do not, and nobody asks`,
    );
    t.equal(inWords(asked), "A 198.51.100.1");
  }
});

t.test("not for what is asked for less", async (t) => {
  const world = createWorld(1);
  world.server(1, answering("198.51.100.1", 100));
  world.ask("www.test");
  world.pass(50_000);
  world.ask("www.test");
  world.pass(45_000);
  const asked = world.ask("www.test");
  t.equal(world.asked.length, 1);
  t.equal(seconds(asked), 5, "the workers have it to its end");
});

t.test("what workers answered counts as well", async (t) => {
  const prefetch = createPrefetch();
  const entry = {
    wire: new Uint8Array(0),
    storedAtMs: 0,
    expiresAtMs: 10_000,
    denialSeconds: -1,
    server: "",
    hits: 1,
    earlyForMs: 0,
  };
  const room = () => true;
  t.notOk(prefetch.isDue(entry, 9500, () => 1, room));
  t.ok(prefetch.isDue(entry, 9500, () => 2, room));
  t.notOk(
    prefetch.isDue(entry, 8500, () => 3, room),
    "too early",
  );
});

t.test("off", async (t) => {
  const world = inDemand({ prefetch: false });
  t.equal(seconds(world.ask("www.test")), 8);
  t.equal(world.asked.length, 1);
});

t.test("denials are left to run out", async (t) => {
  const world = createWorld(1);
  world.server(1, saying({ rcode: 3, authorities: [soa("test", 100, 100)] }));
  for (const ms of [20_000, 20_000, 20_000, 32_000]) {
    world.ask("www.test");
    world.pass(ms);
  }
  t.equal(inWords(world.ask("www.test")), "NXDOMAIN");
  t.equal(world.asked.length, 1);
});

t.test(
  "prefetch and failure: the answer stays, and is not asked for at every question",
  async (t) => {
    const world = inDemand();
    world.server(1, saying({ rcode: 2 }));
    for (let i = 0; i < 50; i++) {
      t.equal(inWords(world.ask("www.test")), "A 198.51.100.1");
      world.pass(100);
    }
    t.ok(world.asked.length <= 1 + 4, `${world.asked.length - 1} in five seconds`);
  },
);

t.test("prefetch and stale: who asks after the end waits for the client timer only", async (t) => {
  const world = inDemand();
  world.server(1, silent);
  world.pass(7900);
  world.ask("www.test");
  world.pass(200);
  const asked = world.ask("www.test");
  t.equal(world.forwarder.stats().coalesced, 1, "it joined the prefetch");
  world.settle();
  t.equal(inWords(asked), "stale A 198.51.100.1");
  t.ok(asked.afterMs <= 400);
});

t.test(
  "prefetch and coalescing: who asks after the end gets what was asked for early",
  async (t) => {
    const world = inDemand();
    world.server(1, (question) => [
      { wire: reply(question, { answers: [a("www.test", "198.51.100.2")] }), afterMs: 300 },
    ]);
    world.pass(7900);
    world.ask("www.test");
    world.pass(150);
    const asked = world.ask("WWW.test", "A", { transport: "tcp" });
    world.settle(1000);
    t.equal(inWords(asked), "A 198.51.100.2");
    t.ok(asked.afterMs < 300);
  },
);

t.test("prefetch and CD, DO, 0x20: asked for as the client did", async (t) => {
  const edns = { payload: 1232, options: new Uint8Array(0) };
  const world = inDemand({ mixedCase: true }, { cd: true, do: true, edns });
  world.ask("www.test", "A", { cd: true, do: true, edns });
  const [first, second] = world.asked;
  t.equal(world.asked.length, 2);
  t.equal(second!.question.flags, first!.question.flags);
  t.match(second!.question.additionals, [{ flag_do: true }]);
  t.not(second!.question.id, first!.question.id);
  t.equal(second!.question.name.toLowerCase(), "www.test");
});

t.test("prefetch and TCP: a truncated reply is completed", async (t) => {
  const world = inDemand();
  world.server(1, (question) => [
    {
      wire:
        question.transport === "udp"
          ? reply(question, { flags: 0x0200 })
          : reply(question, { answers: [a("www.test", "198.51.100.2", 100)] }),
    },
  ]);
  world.ask("www.test");
  world.pass(10);
  t.equal(inWords(world.ask("www.test")), "A 198.51.100.2");
});

/** Packets upstream for the same questions: an hour of them, as `draw` picks names. */
function packets(prefetch: boolean, draw: (uniform: number) => number): number {
  const world = createWorld(1, { prefetch });
  world.server(1, answering("198.51.100.1", 60));
  const random = seededRandom(7);
  for (let ms = 0; ms < 3_600_000; ms += 50) {
    world.ask(`n${draw(random.uint32() / 2 ** 32)}.test`);
    world.pass(50);
  }
  return world.asked.length;
}

const loads: [string, (uniform: number) => number][] = [
  ["few names that all are in demand", (u) => Math.floor(u * 20)],
  ["as names are asked for: the n-th 1/n of the time", (u) => Math.floor(2000 ** u)],
  ["names at the edge of being in demand", (u) => Math.floor(u * 300)],
];
for (const [load, draw] of loads)
  t.test(`at most a twentieth more packets: ${load}`, async (t) => {
    const [without, withPrefetch] = [packets(false, draw), packets(true, draw)];
    t.ok(withPrefetch <= without * 1.05 + 32, `${without} without, ${withPrefetch} with`);
    t.comment(`${without} without, ${withPrefetch} with`);
  });
