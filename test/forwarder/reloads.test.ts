// Other settings while questions are under way, and what replies that are not kept may say.
import t from "tap";
import { createGroups } from "../../src/forwarder/groups.ts";
import { a, createWorld, inWords, oneGroup, reply, saying, silent } from "./world.ts";

t.test("a reply by limits that hold no more is given, not kept", async (t) => {
  const world = createWorld(1, { maxTtlSeconds: 86_400 });
  world.server(1, (question) => [
    { wire: reply(question, { answers: [a(question.name, "198.51.100.1", 5000)] }), afterMs: 50 },
  ]);
  const first = world.ask("www.test");
  world.pass(10);
  world.settings({ maxTtlSeconds: 60 });
  world.settle();
  t.equal(inWords(first), "A 198.51.100.1");
  const again = world.ask("www.test");
  world.settle();
  t.equal(world.asked.length, 2, "asked anew");
  t.match(again.answer, { answers: [{ ttl: 60 }] });
  world.ask("www.test");
  t.equal(world.asked.length, 2);
});

t.test(
  "what holds an address that is to be ignored from now on is not given from the cache",
  async (t) => {
    const world = createWorld(1);
    world.ask("www.test");
    world.settle();
    const octets = Uint8Array.of(198, 51, 100, 1);
    world.settings({ ignoredAddresses: [{ octets, prefixLength: 32 }] });
    world.server(
      1,
      saying(({ name }) => ({ answers: [a(name, "198.51.100.2")] })),
    );
    const asked = world.ask("www.test");
    world.settle();
    t.equal(inWords(asked), "A 198.51.100.2");
    world.settings({ ignoredAddresses: [{ octets, prefixLength: 32 }] });
    world.ask("www.test");
    t.equal(world.asked.length, 2, "the same addresses once more change nothing");
  },
);

t.test("a server that is no more is not looked after when its last question fails", async (t) => {
  const world = createWorld(2, { probeName: ".", loopDetection: true });
  world.server(1, silent);
  world.ask("www.test");
  world.ask("www.test");
  world.pass(100);
  world.settings({ servers: [{ address: "192.0.2.2", port: 53 }] });
  world.settle(60_000);
  const toIt = world.asked.filter(({ server }) => server === 1);
  t.ok(toIt.length <= 2, `${toIt.length} messages, the client's alone`);
  t.ok(toIt.every(({ question }) => question.name === "www.test"));
});

t.test("S13: AD of a server that is not trusted, in what is never kept", async (t) => {
  const known = { flags: 0x20 };
  for (const [trustAd, cacheEnabled, expected] of [
    [false, true, false],
    [true, true, true],
    // Passed on as it came, as Consul does.
    [false, false, true],
  ] as const) {
    const world = createWorld(1, { trustAd, cacheEnabled });
    world.server(
      1,
      saying(({ name }) => ({ ...known, answers: [a(name, "198.51.100.1")] })),
    );
    for (const options of [{ rd: false }, { qclass: 3 }]) {
      const asked = world.ask("www.test", "A", { ...options, ad: true });
      world.settle();
      t.match(asked.answer, { ok: true, ad: expected }, `${trustAd} ${cacheEnabled}`);
    }
  }
});

t.test("an extended RCODE is no NOERROR", async (t) => {
  const opt = { type: "OPT" as const, name: ".", udpPayloadSize: 1232, extendedRcode: 1 };
  const rest = { ednsVersion: 0, flags: 0, flag_do: false, options: [] };
  const next = { nextOn: [3], bareDenialSeconds: 60 };
  for (const rcode of [0, 7]) {
    const world = createWorld(1, next);
    world.server(1, saying({ rcode, additionals: [{ ...opt, ...rest }] }));
    const asked = world.ask("www.test");
    world.settle();
    t.equal(inWords(asked), "failed", `RCODE ${16 + rcode}`);
    t.match(world.forwarder.stats().cache, { insertions: 0 });
  }
});

t.test("other servers of one zone: what is kept of the others stays", async (t) => {
  const at = (number: number) => ({ address: `192.0.2.${number}`, port: 53 });
  const world = createWorld(3);
  const base = oneGroup({ servers: [at(1)] });
  const corp = { ...base.groups[0], name: "corp.test" };
  const withCorp = (number: number) =>
    world.forwarder.reload({
      ...base,
      groups: [base.groups[0], { ...corp, servers: [at(number)] }],
    });
  withCorp(2);
  for (let i = 0; i < 600; i++) {
    world.ask(`n${i}.test`);
    world.ask(`n${i}.corp.test`, "A", { group: "corp.test" });
  }
  world.settle();
  t.match(world.forwarder.stats().cache, { answers: { entries: 1200 } });
  const before = world.asked.length;

  withCorp(3);
  world.ask("n0.corp.test", "A", { group: "corp.test" });
  t.ok(world.forwarder.stats().cache!.evictions.flushed < 256, "not all in one go");
  world.settle();
  t.equal(world.asked.at(-1)!.server, 3, "asked anew at once");
  t.match(world.forwarder.stats().cache, {
    answers: { entries: 601 },
    evictions: { flushed: 600 },
  });
  for (let i = 0; i < 600; i++) world.ask(`n${i}.test`);
  t.equal(world.asked.length - before, 1, "the others are as they were");
});

t.test("ids of groups that have run out begin anew, and so does what is kept", async (t) => {
  const at = (number: number) => ({ address: `192.0.2.${number}`, port: 53 });
  const settings = [1, 2].map((number) => oneGroup({ servers: [at(number)] }));
  const groups = createGroups(settings[0]!);
  const seen = new Set([groups.get("")!.groupId]);
  let isRenumbered = false;
  for (let i = 1; !isRenumbered && i < 70_000; i++) {
    ({ isRenumbered } = groups.use(settings[i % 2]!));
    const { groupId } = groups.get("")!;
    if (!isRenumbered && seen.has(groupId)) t.fail(`${groupId} means two things`);
    if (groupId > 0xffff) t.fail(`${groupId} has more than 16 bits`);
    seen.add(groupId);
  }
  t.ok(isRenumbered);
  t.equal(groups.get("")!.groupId, 1);
});
