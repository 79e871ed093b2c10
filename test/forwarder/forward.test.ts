import t from "tap";
import { formatName } from "../../src/dns/name.ts";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import { MAX_WAITERS_PER_QUESTION } from "../../src/forwarder/waiting.ts";
import type { ForwarderStats } from "../../src/forwarder/stats.ts";
import { answering, createWorld, inWords, saying, silent, type World } from "./world.ts";

const stats = (world: World): ForwarderStats => world.forwarder.stats();
const places = (world: World): number => stats(world).pools[0]!.limit;
const MAX_IN_FLIGHT = groupDefaults.maxInFlight;

t.test("ask 48, S6: 200 askers of one name cause one packet", async (t) => {
  for (const cacheEnabled of [true, false]) {
    const world = createWorld(1, { cacheEnabled });
    world.server(1, (question, wire) =>
      answering()(question, wire).map((said) =>
        "wire" in said ? { ...said, afterMs: 100 } : said,
      ),
    );
    const replies = Array.from({ length: 200 }, () => world.ask("www.test"));
    world.settle();
    t.equal(world.asked.length, 1);
    t.same(new Set(replies.map(inWords)), new Set(["A 198.51.100.1"]));
    t.ok(replies.every(({ calls }) => calls === 1));
    t.equal(stats(world).coalesced, 199);
  }
});

t.test("ask 48: whatever the case and the transport; each hears its own spelling", async (t) => {
  const world = createWorld(1);
  const names = ["www.test", "WWW.test", "wWw.TEST"];
  const replies = names.map((name, i) =>
    world.ask(name, "A", { transport: i === 1 ? "tcp" : "udp" }),
  );
  world.settle();
  t.equal(world.asked.length, 1);
  t.same(
    replies.map(({ answer }) => answer?.ok && formatName(answer.answers[0]!.owner)),
    names.map((name) => `${name}.`),
  );
});

t.test("questions that differ do not join", async (t) => {
  const world = createWorld(1);
  world.ask("www.test");
  world.ask("www.test", "AAAA");
  world.ask("www.test", "A", { cd: true });
  world.ask("www.test", "A", { do: true });
  world.ask("www.test", "A", { rd: false });
  world.ask("www.test", "A", { firstReply: true });
  t.equal(world.asked.length, 6);
  const off = createWorld(1, { cacheEnabled: false });
  const options = new Uint8Array(0);
  off.ask("www.test", "A");
  off.ask("WWW.test", "A");
  off.ask("www.test", "A", { transport: "tcp" });
  off.ask("www.test", "A", { edns: { payload: 1232, options } });
  off.ask("www.test", "A", { edns: { payload: 4096, options } });
  off.ask("www.test", "A", { ad: true });
  t.equal(off.asked.length, 6, "unchanged means: every octet is compared");
});

t.test("a question has so many waiters and no more; the next is refused", async (t) => {
  const world = createWorld(1);
  world.server(1, silent);
  const replies = Array.from({ length: MAX_WAITERS_PER_QUESTION + 1 }, () => world.ask("www.test"));
  t.equal(inWords(replies.at(-1)!), "refused");
  t.equal(inWords(replies.at(-2)!), "nothing");
  world.settle();
  t.equal(replies.filter((reply) => inWords(reply) === "failed").length, MAX_WAITERS_PER_QUESTION);
  t.equal(stats(world).refused, 1);
});

t.test("S18, ask 49: too many questions: the oldest ends, the newest has its chance", async (t) => {
  const world = createWorld(1);
  world.server(1, (question, wire) =>
    question.name.endsWith("silent.test") ? [] : answering()(question, wire),
  );
  const lost = Array.from({ length: MAX_IN_FLIGHT }, (_, i) => world.ask(`n${i}.silent.test`));
  const late = world.ask("www.good.test");
  t.equal(inWords(lost[0]!), "failed", "the oldest");
  t.equal(inWords(lost[1]!), "nothing");
  t.equal(stats(world).dropped, 1);
  t.equal(stats(world).inFlight, MAX_IN_FLIGHT);
  world.pass(5);
  t.equal(inWords(late), "A 198.51.100.1");
  world.settle();
  t.ok(
    lost.every(({ calls }) => calls === 1),
    "every one is answered",
  );
  t.equal(world.openSockets(), 0);
});

t.test("no more sockets: refused, and fewer questions at a time from then on (S23)", async (t) => {
  const world = createWorld(1, {}, 500);
  world.server(1, silent);
  const replies = Array.from({ length: 2000 }, (_, i) => {
    const reply = world.ask(`n${i}.test`);
    if (i % 10 === 0) world.pass(1);
    return reply;
  });
  t.ok(places(world) <= 500, `limit ${places(world)}`);
  t.ok(stats(world).refused > 0);
  t.equal(stats(world).servers[0]!.standing, "good", "that is no word about the server");
  world.settle();
  t.ok(
    replies.every(({ calls }) => calls === 1),
    "every one is answered",
  );
  const shrunk = places(world);
  world.server(1, answering());
  for (let i = 0; i < 1000; i++) {
    world.ask(`m${i}.test`);
    world.pass(2);
  }
  t.ok(places(world) > shrunk, "answers give places back");
});

t.test("without servers nothing is forwarded", async (t) => {
  const world = createWorld(0);
  t.equal(inWords(world.ask("www.test")), "no upstream");
});

t.test("reload", async (t) => {
  const world = createWorld(2, { timeoutMs: 400 });
  const servers = [1, 2].map((number) => ({ address: `192.0.2.${number}`, port: 53 }));
  world.ask("www.test");
  world.pass(5);
  t.test("the same servers: what is kept stays", async (t) => {
    world.settings({ servers: structuredClone(servers), timeoutMs: 500 });
    world.ask("www.test");
    t.equal(world.asked.length, 1);
  });
  t.test("other servers: their word counts, not what others said", async (t) => {
    const under = world.ask("slow.test");
    world.settings({ servers: servers.toReversed() });
    world.pass(5);
    t.equal(inWords(under), "A 198.51.100.1", "what is under way is answered");
    t.equal(under.answer?.ok && under.answer.cacheableSeconds, 0, "and not kept");
    for (const name of ["www.test", "slow.test"]) world.ask(name);
    world.pass(5);
    t.same(
      world.asked.slice(-2).map(({ server }) => server),
      [2, 2],
    );
  });
  t.test("none: nothing is forwarded", async (t) => {
    world.settings({ servers: [] });
    t.equal(inWords(world.ask("other.test")), "no upstream");
  });
  t.test("cache switched off and on", async (t) => {
    world.settings({ servers, cacheEnabled: false });
    const before = world.asked.length;
    for (let i = 0; i < 2; i++) {
      world.ask("again.test");
      world.pass(5);
    }
    t.equal(world.asked.length - before, 2);
    world.settings({ cacheEnabled: true });
    world.ask("again.test");
    world.pass(5);
    world.ask("again.test");
    t.equal(world.asked.length - before, 3);
  });
});

t.test("what is known about a server survives a reload that keeps it", async (t) => {
  const world = createWorld(2, { timeoutMs: 400 });
  world.server(1, silent);
  world.ask("a.test");
  world.settle();
  t.equal(stats(world).servers[0]!.standing, "dead");
  world.settings({ servers: [{ address: "192.0.2.1", port: 53 }] });
  t.equal(stats(world).servers[0]!.standing, "dead");
});

t.test("close ends every question", async (t) => {
  const world = createWorld(1);
  world.server(1, silent);
  const replies = [world.ask("a.test"), world.ask("a.test"), world.ask("b.test")];
  world.forwarder.close();
  t.same(replies.map(inWords), ["failed", "failed", "failed"]);
  t.equal(inWords(world.ask("c.test")), "failed");
  t.equal(world.openSockets(), 0);
});

t.test("the counters say what happened", async (t) => {
  const world = createWorld(2);
  world.server(1, saying({ rcode: 2 }));
  world.ask("a.test");
  world.pass(5);
  world.ask("a.test");
  world.server(2, saying({ rcode: 5 }));
  world.ask("b.test");
  world.pass(5);
  world.ask("b.test");
  const { requests, failures, cache, servers } = stats(world);
  t.equal(requests, 4);
  t.match(cache, { hits: 1, misses: 3, failureHits: 1, insertions: 1, answers: { entries: 1 } });
  t.equal(failures.errorReplies, 1);
  t.match(servers[0], { standing: "failing", counts: { udp: 2, replies: 2, errorRcodes: 2 } });
  t.match(servers[1], { counts: { udp: 2, replies: 2, errorRcodes: 1 }, srttMs: 1 });
});
