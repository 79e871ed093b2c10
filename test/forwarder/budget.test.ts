/** How the cache shares out its budget when there is not enough for all. */
import t from "tap";
import { a, createWorld, reply, soa, type Question, type World } from "./world.ts";

/** Packets upstream that one question causes. */
function packets(world: World, name: string): number {
  const before = world.asked.length;
  world.ask(name);
  world.pass(5);
  return world.asked.length - before;
}

t.test("the budget holds, denials have a quarter, and eviction is by age of use", async (t) => {
  const cacheOctets = 100_000;
  const world = createWorld(1, { cacheOctets });
  world.server(1, (question: Question) => [
    {
      wire: question.name.startsWith("no")
        ? reply(question, {
            rcode: 3,
            authorities: [soa(question.name.replace(/^[^.]*\./, ""), 900, 300)],
          })
        : reply(question, { answers: [a(question.name, "192.0.2.1", 3600)] }),
    },
  ]);
  packets(world, "hot.test");
  for (let i = 0; i < 1000; i++) {
    packets(world, `no${i}.z${i % 5}.test`);
    if (i % 100 === 0) packets(world, "hot.test");
  }
  const stats = world.forwarder.stats().cache!;
  t.ok(stats.denials.octets <= cacheOctets / 4);
  t.ok(stats.denials.entries > 25);
  t.ok(stats.evictions.capacity > 800);
  t.equal(packets(world, "hot.test"), 0, "a flood of denials leaves answers alone (S17)");
  for (let i = 0; i < 500; i++) {
    packets(world, `yes${i}.test`);
    if (i % 10 === 0) packets(world, "hot.test");
  }
  const full = world.forwarder.stats().cache!;
  t.ok(full.answers.octets <= (cacheOctets * 3) / 4);
  t.equal(packets(world, "hot.test"), 0, "used and therefore kept");
  t.equal(packets(world, "yes0.test"), 1, "not used and therefore gone");
});

t.test("S17: a flood of names below one zone, denied or not, leaves the rest alone", async (t) => {
  for (const denied of [true, false]) {
    const cacheOctets = 1_000_000;
    const world = createWorld(1, { cacheOctets });
    world.server(1, (question) => [
      {
        wire:
          question.name.endsWith("victim.test") && denied
            ? reply(question, { rcode: 3, authorities: [soa("victim.test", 900, 300)] })
            : question.name.startsWith("no")
              ? reply(question, { rcode: 3, authorities: [soa("other.test", 900, 300)] })
              : reply(question, { answers: [a(question.name, "192.0.2.1", 30)] }),
      },
    ]);
    let hotPackets = 0;
    const hot = (name: string): void => {
      const before = world.asked.length;
      world.ask(name);
      world.pass(2);
      hotPackets += world.asked.length - before;
    };
    // 10,000 a second, of which the hot ones are asked 20 a second.
    let asked = 0;
    for (let ms = 0; ms < 4000; ms += 5, asked++) {
      for (let i = 0; i < 10; i++) world.ask(`x${ms * 10 + i}.victim.test`);
      hot(asked % 40 === 0 ? "no.other.test" : `hot${asked % 20}.test`);
      world.pass(3);
    }
    t.ok(hotPackets <= 21 + asked / 100, `${hotPackets} packets for ${asked} hot questions`);
    const { answers, denials, evictions } = world.forwarder.stats().cache!;
    t.ok(denials.octets <= cacheOctets / 4, "denials have a quarter");
    t.ok(answers.octets <= (cacheOctets * 3) / 4);
    if (denied) {
      t.ok(denials.octets <= cacheOctets * 0.1 + 2000, "those of one zone a tenth");
      t.ok(evictions.share > 5000);
    } else t.ok(evictions.capacity > 5000);
  }
});

t.test("what a hit pushes out is as old as it is then", async (t) => {
  const world = createWorld(1, { cacheOctets: 100_000 });
  world.server(1, (question: Question) => [
    { wire: reply(question, { answers: [a(question.name, "192.0.2.1", 3600)] }) },
  ]);
  const names = Array.from({ length: 200 }, (_, i) => `n${i}.test`);
  for (const name of names) packets(world, name);
  t.equal(world.forwarder.stats().cache!.evictions.capacity, 0);
  world.pass(100_000);
  for (const name of names) t.equal(packets(world, name), 0);
  const { evictions, evictedAges } = world.forwarder.stats().cache!;
  t.ok(evictions.capacity > 10, `${evictions.capacity}`);
  t.ok(evictedAges.sum >= 100 * evictions.capacity, `${evictedAges.sum} s`);
});
