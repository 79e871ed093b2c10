/**
 * What interacts in resolvers that have had holes there: stale answers, coalescing, prefetch, random case,
 * client subnets, CD and DO, TCP, each with each. First all together against what any order of events must
 * keep to, then the pairs that no other test has.
 */
import fc from "fast-check";
import t from "tap";
import { formatName } from "../../src/dns/name.ts";
import { TYPE } from "../../src/dns/rr.ts";
import {
  a,
  answering,
  createWorld,
  inWords,
  reply,
  silent,
  type AskOptions,
  type Behaviour,
  type Question,
  type Reply,
  type World,
} from "./world.ts";

const TTL_SECONDS = 10;
const STALE_TTL_SECONDS = 30;

/** 192.0.2.0/24 as a client's network (RFC 7871 section 6). */
const subnet = (last: number): Uint8Array => Uint8Array.of(0, 8, 0, 7, 0, 1, 24, 0, 192, 0, last);
const edns = (options: Uint8Array = new Uint8Array(0)) => ({ payload: 4096, options });

const optOf = (question: Question) =>
  (question.additionals ?? []).find(({ type }) => type === "OPT") as
    { flag_do: boolean; options: { code: number }[]; udpPayloadSize: number } | undefined;
const wantsCd = (question: Question): boolean => (question.flags! & 0x10) !== 0;
const wantsDo = (question: Question): boolean => optOf(question)?.flag_do === true;

/** 10.<CD, DO>.<epoch>: an answer tells to which question it was given, and when. */
const stamped = (world: World, question: Question): Buffer => {
  const epoch = Math.floor(world.nowMs() / 10);
  const kind = (wantsCd(question) ? 2 : 0) + (wantsDo(question) ? 1 : 0);
  const address = `10.${kind}.${epoch >> 8}.${epoch & 255}`;
  return reply(question, { flags: 0x20, answers: [a(question.name, address, TTL_SECONDS)] });
};

const manners = ["well", "slow", "silent", "fails", "truncates", "folds case", "forged"] as const;
type Manner = (typeof manners)[number];

function behave(world: World, manner: Manner): Behaviour {
  return (question) => {
    const good = stamped(world, question);
    switch (manner) {
      case "well":
        return [{ wire: good }];
      case "slow":
        return [{ wire: good, afterMs: 900 }];
      case "silent":
        return [];
      case "fails":
        return [{ wire: reply(question, { rcode: 2 }) }];
      case "truncates":
        return [{ wire: question.transport === "udp" ? reply(question, { flags: 0x0200 }) : good }];
      case "folds case": {
        const name = question.name.toLowerCase();
        const questions = question.questions!.map((asked) => ({ ...asked, name }));
        return [{ wire: stamped(world, { ...question, name, questions }) }];
      }
      case "forged": {
        const forged = reply(
          { ...question, id: (question.id! + 1) & 0xffff },
          { answers: [a(question.name, "6.6.6.6", 9999)] },
        );
        return [{ wire: forged }, { wire: good, afterMs: 20 }];
      }
    }
  };
}

const anyClient = fc.record({
  pauseMs: fc.oneof(
    fc.constant(0),
    fc.integer({ min: 0, max: 500 }),
    fc.integer({ min: 0, max: 12_000 }),
  ),
  name: fc.constantFrom("www.test", "WWW.test", "wWw.TesT", "other.test", "OTHER.test"),
  cd: fc.boolean(),
  dnssecOk: fc.boolean(),
  network: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
  transport: fc.constantFrom("udp" as const, "udp" as const, "tcp" as const),
  /** The server's manner from this question on; undefined: as before. */
  manner: fc.option(fc.constantFrom<Manner>(...manners), { nil: undefined, freq: 2 }),
});
type Client = typeof anyClient extends fc.Arbitrary<infer Each> ? Each : never;

t.test("pairs: all of them at once, in any order", { timeout: 120_000 }, async (t) => {
  const kinds = new Set<string>();
  const property = fc.property(
    fc.array(anyClient, { minLength: 5, maxLength: 40 }),
    fc.boolean(),
    (clients, prefetch) => {
      const world = createWorld(1, { mixedCase: true, prefetch });
      world.server(1, behave(world, "well"));
      const asked = clients.map((client) => {
        world.pass(client.pauseMs);
        if (client.manner !== undefined) world.server(1, behave(world, client.manner));
        const sentMs = world.nowMs();
        return { client, sentMs, reply: world.ask(client.name, "A", optionsOf(client)) };
      });
      world.settle();
      const seen = new Map<string, { atMs: number; epochMs: number }[]>();
      for (const { client, sentMs, reply: given } of asked)
        kinds.add(judge(client, sentMs, given, seen));
      notOlder(seen);
      for (const { question, transport } of world.asked) {
        const opt = optOf(question);
        if (opt !== undefined && opt.options.length > 0) throw new Error("an option went upstream");
        if (opt !== undefined && opt.udpPayloadSize !== 1232) throw new Error("another payload");
        if (transport === "udp" && (question.flags! & 0x20) !== 0) throw new Error("AD was asked");
      }
      if (world.openSockets() > 0) throw new Error(`${world.openSockets()} sockets stay open`);
      if (world.forwarder.stats().inFlight > 0) throw new Error("something stays in flight");
    },
  );
  const seed = Number(process.env["PAIRS_SEED"] ?? 11);
  fc.assert(property, { numRuns: Number(process.env["PAIRS_RUNS"] ?? 1500), seed });
  t.same([...kinds].toSorted(), ["failed", "fresh", "stale", "truncated"], "each of them happens");
});

function optionsOf({ cd, dnssecOk, network, transport }: Client): AskOptions {
  const sent = network !== undefined ? edns(subnet(network)) : dnssecOk ? edns() : null;
  return { cd, do: dnssecOk, transport, edns: sent };
}

/** What this client must and must not be told; when the answer was made is noted in `seen`. */
function judge(
  client: Client,
  sentMs: number,
  { answer, calls, afterMs }: Reply,
  seen: Map<string, { atMs: number; epochMs: number }[]>,
): string {
  const label = JSON.stringify(client);
  if (calls !== 1) throw new Error(`answered ${calls} times: ${label}`);
  if (afterMs > 3020) throw new Error(`${afterMs} ms: ${label}`);
  if (answer === null || !answer.ok) return "failed";
  const [record] = answer.answers;
  if (answer.tc && client.transport === "udp" && answer.answers.length === 0) return "truncated";
  if (answer.answers.length !== 1 || record?.type !== TYPE.A || answer.tc)
    throw new Error(`${inWords({ answer, calls, afterMs })}: ${label}`);
  if (answer.ad) throw new Error(`AD of a server that is not trusted: ${label}`);
  const owner = formatName(record.owner);
  if (owner !== `${client.name}.`) throw new Error(`${owner} told to ${client.name}`);
  const [ten, kind, high, low] = record.data;
  const own = (client.cd ? 2 : 0) + (client.dnssecOk ? 1 : 0);
  if (ten !== 10 || kind !== own) throw new Error(`${ten}.${kind} for CD, DO ${own}: ${label}`);
  const epochMs = ((high! << 8) | low!) * 10;
  const toldMs = sentMs + afterMs;
  const ageMs = toldMs - epochMs;
  const isStale = answer.ede?.some(({ code }) => code === 3) === true;
  if (isStale) {
    if (record.ttl !== STALE_TTL_SECONDS) throw new Error(`TTL ${record.ttl} of a stale one`);
    if (answer.cacheableSeconds !== 0) throw new Error("workers would keep a stale one");
    if (ageMs < TTL_SECONDS * 1000 - 20) throw new Error(`stale after ${ageMs} ms: ${label}`);
  } else {
    // A round trip of a slow server, and the second that TTLs are rounded to.
    const leastMs = toldMs + record.ttl * 1000 - (epochMs + TTL_SECONDS * 1000);
    if (leastMs > 1930) throw new Error(`TTL ${record.ttl} at the age of ${ageMs} ms: ${label}`);
    if (answer.cacheableSeconds > record.ttl) throw new Error("workers would keep it too long");
  }
  const key = `${client.name.toLowerCase()} ${own}`;
  const list = seen.get(key) ?? [];
  list.push({ atMs: toldMs, epochMs });
  seen.set(key, list);
  return isStale ? "stale" : "fresh";
}

/** Who has heard something newer never hears something older again. */
function notOlder(seen: ReadonlyMap<string, { atMs: number; epochMs: number }[]>): void {
  for (const [key, list] of seen) {
    let newest = -Infinity;
    for (const { epochMs } of list.toSorted((x, y) => x.atMs - y.atMs)) {
      if (epochMs < newest) throw new Error(`${key}: of ${epochMs} after one of ${newest}`);
      newest = epochMs;
    }
  }
}

t.test("S6: coalescing with CD and DO, case, subnets, TCP: four questions of 200", async (t) => {
  const world = createWorld(1, { mixedCase: true });
  world.server(1, (question) => [{ wire: stamped(world, question), afterMs: 100 }]);
  const spellings = ["www.test", "WWW.test", "wwW.tesT", "wWw.TEST"];
  const replies = Array.from({ length: 200 }, (_, i) => {
    const name = spellings[i % 4]!;
    const dnssecOk = i % 3 === 0;
    const options = {
      cd: i % 5 === 0,
      do: dnssecOk,
      ad: i % 7 === 0,
      edns: i % 2 === 0 || dnssecOk ? edns(subnet(i)) : null,
      transport: i % 11 === 0 ? ("tcp" as const) : ("udp" as const),
    };
    return { name, options, reply: world.ask(name, "A", options) };
  });
  world.settle();
  t.equal(world.asked.length, 4);
  t.equal(world.forwarder.stats().coalesced, 196);
  for (const { name, options, reply: given } of replies) {
    const { answer } = given;
    const kind = (options.cd ? 2 : 0) + (options.do ? 1 : 0);
    t.equal(answer?.ok && answer.answers[0]!.data[1], kind);
    t.equal(answer?.ok && formatName(answer.answers[0]!.owner), `${name}.`);
  }
});

t.test("coalescing and 0x20: one retry for all who wait, each with its own spelling", async (t) => {
  const world = createWorld(1, { mixedCase: true });
  world.server(1, behave(world, "folds case"));
  const names = ["www.example.test", "WWW.EXAMPLE.TEST", "wWw.example.test"];
  const replies = names.map((name) => world.ask(name));
  world.settle();
  t.equal(world.asked.length, 2);
  t.same(
    replies.map(({ answer }) => answer?.ok && formatName(answer.answers[0]!.owner)),
    names.map((name) => `${name}.`),
  );
});

t.test("coalescing and TCP: what was truncated is asked for again once, for all", async (t) => {
  const world = createWorld(1);
  world.server(1, behave(world, "truncates"));
  const replies = Array.from({ length: 50 }, (_, i) =>
    world.ask("www.test", "A", { transport: i % 2 === 0 ? "udp" : "tcp" }),
  );
  world.settle();
  t.same(
    world.asked.map(({ transport }) => transport),
    ["udp", "tcp"],
  );
  t.ok(replies.every(({ answer }) => answer?.ok && answer.answers.length === 1 && !answer.tc));
});

t.test(
  "S13: coalescing, AD, CD and DO: each of those who wait is told AD as it asked",
  async (t) => {
    for (const trustAd of [true, false])
      for (const order of [
        [false, true, false],
        [true, false, true],
      ]) {
        const world = createWorld(1, { trustAd });
        world.server(1, (question) => [{ wire: stamped(world, question), afterMs: 50 }]);
        const wanted = (over: AskOptions) =>
          order.map((ad) => world.ask("www.test", "A", { ad, ...over }));
        const plain = [...wanted({}), ...wanted({ cd: true })];
        const signed = wanted({ do: true, edns: edns() });
        world.settle();
        t.equal(world.asked.length, 3);
        const ads = (replies: Reply[]) => replies.map(({ answer }) => answer?.ok && answer.ad);
        t.same(ads(plain), trustAd ? [...order, ...order] : plain.map(() => false));
        t.same(ads(signed), trustAd ? [true, true, true] : [false, false, false]);
        t.same(ads(wanted({})), trustAd ? order : [false, false, false], "from the cache as well");
      }
  },
);

t.test("TCP: who asks over it is not told to ask over it", async (t) => {
  const world = createWorld(1);
  world.server(1, (question) => [{ wire: reply(question, { flags: 0x0200 }) }]);
  const replies = (["udp", "tcp", "tls", "https"] as const).flatMap((transport, i) => [
    world.ask("www.test", "A", { transport }),
    world.ask(`n${i}.test`, "A", { transport }),
  ]);
  world.settle();
  const failed = Array.from({ length: 6 }, () => "failed");
  t.same(replies.map(inWords), ["TC", "TC", ...failed], "joined, or first");
  t.equal(world.asked.length, 2 * 5);
});

t.test(
  "subnets, stale and coalescing: what is kept is for everybody, so no server hears of them",
  async (t) => {
    const world = createWorld(1);
    world.server(1, answering());
    const ask = (last: number, pauseMs: number): Reply => {
      world.pass(pauseMs);
      return world.ask("www.test", "A", { edns: edns(subnet(last)) });
    };
    ask(1, 0);
    ask(2, 0);
    world.settle(100);
    t.equal(inWords(ask(3, 50_000)), "A 198.51.100.1");
    t.equal(world.asked.length, 1, "one key, whatever the subnet");
    world.pass(70_000);
    world.server(1, silent);
    const replies = [ask(7, 0), ask(8, 100)];
    world.settle();
    t.same(replies.map(inWords), ["stale A 198.51.100.1", "stale A 198.51.100.1"]);
    for (const { question } of world.asked) t.same(optOf(question)!.options, []);
  },
);

t.test("prefetch and subnets: whoever asks counts, and no server hears of them", async (t) => {
  const world = createWorld(1);
  world.server(1, answering("198.51.100.1", 100));
  for (const [last, pauseMs] of [20_000, 20_000, 20_000, 32_000, 10].entries()) {
    world.ask("www.test", "A", { edns: edns(subnet(last)) });
    world.pass(pauseMs);
  }
  t.equal(world.asked.length, 2);
  t.equal(world.forwarder.stats().prefetches.sent, 1);
  for (const { question } of world.asked) t.same(optOf(question)!.options, []);
});

t.test("client subnets with the cache off: passed on, and not joined with others", async (t) => {
  for (const transport of ["udp", "tcp"] as const) {
    const world = createWorld(1, { cacheEnabled: false, mixedCase: true });
    const ask = (last: number, over: AskOptions = {}) =>
      world.ask("Www.test", "A", { transport, edns: edns(subnet(last)), ...over });
    ask(1);
    ask(1);
    ask(2);
    ask(1, { cd: true });
    ask(1, { do: true });
    world.settle();
    t.equal(world.asked.length, 4);
    t.same(
      world.asked.map(({ question, wire }) => [
        question.name,
        wire.at(-1),
        wantsCd(question),
        wantsDo(question),
      ]),
      [
        ["Www.test", 1, false, false],
        ["Www.test", 2, false, false],
        ["Www.test", 1, true, false],
        ["Www.test", 1, false, true],
      ],
      "letters stay as they were asked",
    );
    t.ok(world.asked.every((each) => each.transport === transport));
  }
});

t.test("CD, DO and TCP: repeated as they were", async (t) => {
  const world = createWorld(1, { mixedCase: true });
  world.server(1, behave(world, "truncates"));
  const asked = world.ask("www.test", "A", { cd: true, do: true, edns: edns() });
  world.settle();
  t.same(
    world.asked.map(({ transport, question }) => [transport, wantsCd(question), wantsDo(question)]),
    [
      ["udp", true, true],
      ["tcp", true, true],
    ],
  );
  const { answer } = asked;
  t.equal(answer?.ok && answer.answers[0]!.data[1], 3);
});

t.test("0x20, CD, DO and subnets: the retry in lower case asks for the same", async (t) => {
  const world = createWorld(1, { mixedCase: true });
  world.server(1, behave(world, "folds case"));
  world.ask("www.example.test", "A", { cd: true, do: true, edns: edns(subnet(1)) });
  world.settle();
  t.same(
    world.asked.map(({ question }) => [wantsCd(question), wantsDo(question)]),
    [
      [true, true],
      [true, true],
    ],
  );
  t.equal(world.asked[1]!.question.name, "www.example.test");
  t.same(optOf(world.asked[1]!.question)!.options, []);
});
