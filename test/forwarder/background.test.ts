// Prefetches and refreshes, which nobody waits for, beside questions of clients when places are few.
import t from "tap";
import { createPools } from "../../src/forwarder/pools.ts";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import { answering, createWorld, inWords, silent, type OneGroup, type World } from "./world.ts";

/** A name in demand whose answer is in its last tenth, and a server that has fallen silent. */
function inDemand(settings: OneGroup): World {
  const world = createWorld(1, settings);
  world.server(1, answering("198.51.100.1", 100));
  for (const ms of [20_000, 20_000, 20_000, 32_000]) {
    world.ask("www.test");
    world.pass(ms);
  }
  world.server(1, silent);
  return world;
}

const poolOf = (world: World) => world.forwarder.stats().pools[0];

t.test("a prefetch is not begun where all places are taken", async (t) => {
  const world = inDemand({ maxInFlight: 2 });
  const clients = ["one.test", "two.test"].map((name) => world.ask(name));
  const sent = world.asked.length;
  t.equal(inWords(world.ask("www.test")), "A 198.51.100.1", "given all the same");
  t.equal(world.asked.length, sent, "and nothing asked");
  t.match(poolOf(world), { inFlight: 2, dropped: 0, forgone: 1 });
  t.match(world.forwarder.stats(), { dropped: 0, prefetches: { sent: 0, unpaid: 0 } });
  t.ok(clients.every(({ calls }) => calls === 0));
  world.settle();
  t.ok(
    clients.every(({ calls, afterMs }) => calls === 1 && afterMs >= 1900),
    "the clients had all their time",
  );
});

t.test("a prefetch under way makes room for clients, the younger one too", async (t) => {
  const world = inDemand({ maxInFlight: 2 });
  const first = world.ask("one.test");
  world.ask("www.test");
  t.match(poolOf(world), { inFlight: 2, dropped: 0, forgone: 0 });
  t.match(world.forwarder.stats().prefetches, { sent: 1 });
  const second = world.ask("two.test");
  t.match(poolOf(world), { inFlight: 2, dropped: 0, forgone: 1 });
  t.same([first.calls, second.calls], [0, 0], "both are under way");
  t.notOk(
    world.told.some(({ type }) => type === "full"),
    "nobody was turned away, so nothing is told",
  );
  world.ask("three.test");
  t.equal(first.calls, 1, "now the oldest client pays");
  t.match(poolOf(world), { inFlight: 2, dropped: 1, forgone: 1 });
  t.equal(world.forwarder.stats().dropped, 1);
  world.settle();
  t.equal(world.openSockets(), 0);
});

t.test("what has been answered stale makes room, before those who wait", async (t) => {
  const world = createWorld(1, { maxInFlight: 2 });
  world.server(1, answering("198.51.100.1", 5));
  world.ask("www.test");
  world.pass(6000);
  world.server(1, silent);
  const patient = world.ask("one.test");
  const stale = world.ask("www.test");
  world.pass(500);
  t.equal(inWords(stale), "stale A 198.51.100.1");
  world.ask("two.test");
  t.equal(patient.calls, 0);
  t.match(poolOf(world), { inFlight: 2, dropped: 0, forgone: 1 });
  t.equal(world.forwarder.stats().stale.timeout, 1, "told once");
  world.settle();
});

t.test("a refresh of what is stale waits for a place", async (t) => {
  const stale = { ...groupDefaults.stale, clientTimeoutMs: 0 };
  const world = createWorld(1, { maxInFlight: 1, stale });
  world.server(1, answering("198.51.100.1", 5));
  world.ask("www.test");
  world.pass(6000);
  world.server(1, silent);
  const client = world.ask("one.test");
  const sent = world.asked.length;
  t.equal(inWords(world.ask("www.test")), "stale A 198.51.100.1", "at once");
  t.equal(client.calls, 0);
  t.equal(world.asked.length, sent, "not asked again");
  t.match(poolOf(world), { inFlight: 1, dropped: 0, forgone: 1 });
  world.server(1, answering("198.51.100.2", 5));
  world.pass(1000);
  t.equal(client.calls, 1);
  world.ask("www.test");
  world.pass(10);
  t.equal(inWords(world.ask("www.test")), "A 198.51.100.2", "with a place it is refreshed");
  t.match(poolOf(world), { inFlight: 0, dropped: 0, forgone: 1 });
});

t.test("places: who waits for nothing goes first, whoever came first", async (t) => {
  const pools = createPools<string>();
  const group = { ...groupDefaults, maxInFlight: 100 };
  for (let i = 0; i < 100; i++)
    pools.enter(group, `${i % 2 === 0 ? "client" : "idle"} ${i}`, i % 2 === 0);
  t.notOk(pools.hasRoom(group));
  t.equal(pools.overdue(group), "idle 1");
  pools.await(group, "idle 1", true);
  t.equal(pools.overdue(group), "idle 3", "somebody has joined the first");
  pools.await(group, "client 0", false);
  t.equal(pools.overdue(group), "idle 3", "in the order in which nobody waits any more");
  t.same(
    pools.shrink(),
    [3, 5, 7, 9, 11, 13, 15, 17, 19, 21].map((i) => `idle ${i}`),
  );
  for (let i = 3; i < 100; i += 2) pools.leave(group, `idle ${i}`, false);
  pools.leave(group, "client 0", false);
  pools.await(group, "client 0", false);
  t.match(pools.stats(), [{ inFlight: 50, dropped: 0, forgone: 14 }]);
  t.ok(pools.hasRoom(group));
});
