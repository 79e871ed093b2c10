// Asks 37 and 45: a server that leads back to us is left out while it does, the others go on.
import t from "tap";
import { play } from "./scenario.ts";
import { answering, createWorld, inWords, type Behaviour, type World } from "./world.ts";

/** Reached by way of the forwarder itself: asks it what it was asked, and sends its answer back. */
const leadsBack =
  (world: World, fold = false): Behaviour =>
  ({ name, type }) => {
    world.later(1, () => world.ask(fold ? name.toLowerCase() : name, type));
    return [];
  };

const scenarios: [title: string, text: string][] = [
  [
    "an echo of our own spelling shows it at once; the question goes on",
    `servers 2 mixed case loops
     upstream 1 leads back
     ask www.example.test
     expect A 198.51.100.1 within 10 ms
     told loop 1
     ask ftp.example.test
     expect A 198.51.100.1 after 1 ms`,
  ],
  [
    "without random case silence does, if the same is asked again meanwhile",
    `servers 2 loops
     upstream 1 leads back
     ask www.example.test
     expect A 198.51.100.1 within 210 ms
     2100 ms pass
     told down 1, loop 1`,
  ],
  [
    "mere silence is no loop",
    `servers 2 loops mixed case
     upstream 1 is silent
     ask www.example.test
     expect A 198.51.100.1 within 210 ms
     2100 ms pass
     told down 1
     upstream 1 has probes 0`,
  ],
  [
    "switched off, it is a dead server like any other",
    `servers 2 mixed case
     upstream 1 leads back
     ask www.example.test
     expect A 198.51.100.1 within 210 ms
     2100 ms pass
     told down 1`,
  ],
];
for (const [title, text] of scenarios) t.test(title, async (t) => play(t, text));

t.test(
  "the only server: the question fails as soon as it is known, later ones at once",
  async (t) => {
    const world = createWorld(1, { mixedCase: true, loopDetection: true });
    world.server(1, leadsBack(world));
    const first = world.ask("www.example.test");
    world.settle(1000);
    t.equal(inWords(first), "failed");
    t.ok(first.afterMs < 20, `${first.afterMs} ms`);
    t.same(first.answer?.ede, [
      { code: 0, text: "what these servers are asked comes back to this resolver" },
    ]);
    const { length } = world.asked;
    const later = world.ask("ftp.example.test");
    t.equal(later.afterMs, 0);
    t.equal(world.asked.length, length, "it is not asked");
    t.equal(world.forwarder.stats().failures.looping, 2);
  },
);

t.test("it is asked again every minute, and used when its questions stay away", async (t) => {
  const world = createWorld(2, { mixedCase: true, loopDetection: true, cacheEnabled: false });
  world.settings({ cacheEnabled: true });
  world.server(1, leadsBack(world));
  world.ask("www.example.test");
  world.pass(100);
  t.same(world.events, ["loop 1"]);
  const before = world.asked.filter(({ server }) => server === 1).length;
  world.pass(10 * 60_000);
  const asked = world.asked.filter(({ server }) => server === 1).slice(before);
  t.equal(asked.length, 10, "one question a minute");
  t.ok(asked.every(({ question }) => /^[0-9a-f]{16}\.www\.example\.test$/.test(question.name)));
  t.equal(new Set(asked.map(({ question }) => question.name)).size, 10, "each with a secret");
  world.server(1, answering("203.0.113.1"));
  world.pass(60_000);
  t.same(world.events.slice(1), ["loop over 1"]);
  world.settings({});
  const after = world.ask("other.example.test");
  world.settle(3000);
  t.match(inWords(after), /^A /);
});

t.test("another set of servers is a new chance", async (t) => {
  const world = createWorld(2, { mixedCase: true, loopDetection: true });
  world.server(1, leadsBack(world));
  world.ask("www.example.test");
  world.pass(100);
  t.ok(world.forwarder.stats().servers[0]!.looping);
  world.server(1, answering("203.0.113.1"));
  world.settings({ servers: [1, 2].map((number) => ({ address: `192.0.2.${number}`, port: 53 })) });
  world.pass(10);
  t.notOk(world.forwarder.stats().servers[0]!.looping);
  t.same(world.events, ["loop 1", "loop over 1"]);
});

t.test("ask 37: a loop that folds case, asked by many clients: no storm", async (t) => {
  for (const cacheEnabled of [true, false]) {
    const world = createWorld(2, { mixedCase: true, loopDetection: true, cacheEnabled });
    world.server(1, leadsBack(world, true));
    const replies: ReturnType<typeof world.ask>[] = [];
    for (let i = 0; i < 100; i++) {
      replies.push(world.ask(`n${i}.example.test`));
      world.pass(50);
    }
    world.settle();
    t.ok(replies.every(({ calls }) => calls === 1));
    t.ok(
      replies.every(({ afterMs }, k) => afterMs < (k < 4 ? 220 : 30)),
      "nobody waits but those of the first 200 ms",
    );
    const sent = world.asked.filter(({ server }) => server === 1).length;
    t.ok(sent <= 40, `${sent} packets into the loop`);
    t.ok(world.forwarder.stats().servers[0]!.looping);
  }
});

t.test("a name that only looks like one of ours is forwarded", async (t) => {
  const world = createWorld(1, { mixedCase: true, loopDetection: true });
  const asked = world.ask("0123456789abcdef.www.example.test");
  world.settle(100);
  t.equal(inWords(asked), "A 198.51.100.1");
});

t.test("a name too long for a label in front is asked by its end", async (t) => {
  const world = createWorld(2, { mixedCase: true, loopDetection: true });
  world.server(1, leadsBack(world));
  const name = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(55)}.test`;
  world.ask(name);
  world.pass(100);
  t.same(world.events, ["loop 1"]);
});
