import t from "tap";
import type { Answer } from "dns-packet";
import { TYPE } from "../../src/dns/rr.ts";
import { formatName } from "../../src/dns/name.ts";
import { groupDefaults } from "../../src/forwarder/settings.ts";
import {
  a,
  answering,
  cname,
  createWorld,
  flushAll,
  inWords,
  reply,
  saying,
  soa,
  wireName,
  type Reply,
  type World,
} from "./world.ts";

/** TTLs of the answers, then those of the authority section. */
function ttls({ answer }: Reply): number[] {
  if (answer === null || !answer.ok) return [];
  return [...answer.answers, ...answer.authority].map((rr) => rr.ttl);
}

function cacheable({ answer }: Reply): number {
  return answer?.ok ? answer.cacheableSeconds : -1;
}

/** Asks and lets the reply arrive; `packets` counts what went upstream for it. */
function ask(
  world: World,
  ...parameters: Parameters<World["ask"]>
): { reply: Reply; packets: number } {
  const before = world.asked.length;
  const asked = world.ask(...parameters);
  world.pass(5);
  return { reply: asked, packets: world.asked.length - before };
}

const txt = (name: string, ttl: number): Answer => ({ type: "TXT", name, ttl, data: "x" });

t.test("TTLs count down and end", async (t) => {
  const stale = { ...groupDefaults.stale, enabled: false };
  const world = createWorld(1, { stale, prefetch: false });
  world.server(1, answering("198.51.100.1", 30));
  const first = ask(world, "www.test");
  t.same(ttls(first.reply), [30], "as received");
  t.match(first.reply.answer, { fromCache: false });
  world.pass(3000);
  const hit = ask(world, "www.test");
  t.same(ttls(hit.reply), [27]);
  t.match(hit.reply.answer, { fromCache: true });
  t.equal(hit.packets, 0);
  t.ok(cacheable(hit.reply) <= 27 && cacheable(hit.reply) >= 26);
  world.pass(26_985);
  t.equal(ask(world, "www.test").packets, 0, "just before 30 s");
  world.pass(10);
  t.equal(ask(world, "www.test").packets, 1, "after 30 s");
  t.equal(world.forwarder.stats().cache!.evictions.expired, 1);
});

/** What a server says, and for how long it is kept and shown. */
const lifetimes: [string, Parameters<typeof saying>[0], { kept: number; shown: number[] }][] = [
  [
    "ask 24: TTL 1 is not raised",
    { answers: [a("www.test", "192.0.2.1", 1)] },
    { kept: 1, shown: [1] },
  ],
  [
    "TTL 0 is used and not kept",
    { answers: [a("www.test", "192.0.2.1", 0)] },
    { kept: 0, shown: [0] },
  ],
  [
    "at most a day",
    { answers: [a("www.test", "192.0.2.1", 999_999)] },
    { kept: 86400, shown: [86400] },
  ],
  [
    "top bit: 0 (RFC 2181 section 8)",
    { answers: [a("www.test", "192.0.2.1", 0x8000_0010)] },
    { kept: 0, shown: [0] },
  ],
  [
    "one RRset, one TTL: the smallest (RFC 2181 section 5.2)",
    { answers: [a("www.test", "192.0.2.1", 90), a("www.test", "192.0.2.2", 40)] },
    { kept: 40, shown: [40, 40] },
  ],
  [
    "ask 24: a chain lives as long as its shortest link",
    { answers: [cname("www.test", "x.test", 20), a("x.test", "192.0.2.1", 90)] },
    { kept: 20, shown: [20, 90] },
  ],
  [
    "a part of a chain is passed on and kept",
    { answers: [cname("www.test", "x.test", 20)] },
    { kept: 20, shown: [20] },
  ],
  [
    "NXDOMAIN: MINIMUM is smaller (RFC 2308 section 5)",
    { rcode: 3, authorities: [soa("test", 900, 20)] },
    { kept: 20, shown: [20] },
  ],
  [
    "NXDOMAIN: the TTL of the SOA is smaller",
    { rcode: 3, authorities: [soa("test", 15, 900)] },
    { kept: 15, shown: [15] },
  ],
  ["NODATA likewise", { authorities: [soa("test", 900, 20)] }, { kept: 20, shown: [20] }],
  [
    "denials end after 300 s",
    { rcode: 3, authorities: [soa("test", 86400, 86400)] },
    { kept: 300, shown: [300] },
  ],
  [
    "MINIMUM 0 is not kept",
    { rcode: 3, authorities: [soa("test", 900, 0)] },
    { kept: 0, shown: [0] },
  ],
  ["NXDOMAIN without SOA is not kept (RFC 2308 section 5)", { rcode: 3 }, { kept: 0, shown: [] }],
  ["NODATA without SOA is not kept", {}, { kept: 0, shown: [] }],
  [
    "an SOA of a zone that does not hold the name does not count",
    { rcode: 3, authorities: [soa("other", 900, 20)] },
    { kept: 0, shown: [] },
  ],
  [
    "NXDOMAIN behind a CNAME: the shorter of both",
    { rcode: 3, answers: [cname("www.test", "x.test", 10)], authorities: [soa("test", 900, 20)] },
    { kept: 10, shown: [10, 10] },
  ],
  [
    "a referral is no denial",
    { authorities: [{ type: "NS", name: "test", ttl: 900, data: "ns.test" }] },
    { kept: 0, shown: [] },
  ],
];
for (const [rule, says, { kept, shown }] of lifetimes)
  t.test(rule, async (t) => {
    const world = createWorld(1);
    world.server(1, saying(says));
    const first = ask(world, "www.test");
    t.same(ttls(first.reply), shown, "TTLs shown");
    t.equal(cacheable(first.reply), kept);
    if (kept === 0) {
      t.equal(ask(world, "www.test").packets, 1, "asked again");
      return;
    }
    world.pass(kept * 1000 - 20);
    t.equal(ask(world, "www.test").packets, 0, "kept until then");
    world.pass(20);
    t.equal(ask(world, "www.test").packets, 1, "not longer");
  });

t.test(
  "NXDOMAIN covers all types of the name, and no other name (RFC 8020, RFC 2308 5)",
  async (t) => {
    const world = createWorld(1);
    world.server(1, saying({ rcode: 3, authorities: [soa("test", 900, 100)] }));
    ask(world, "gone.test");
    const other = ask(world, "GONE.test", "AAAA");
    t.equal(other.packets, 0);
    t.equal(inWords(other.reply), "NXDOMAIN");
    t.equal(ask(world, "a.gone.test").packets, 1, "below: asked, nothing here is signed");
    t.equal(ask(world, "test").packets, 1);
  },
);

t.test("NXDOMAIN behind a CNAME is about the end of the chain", async (t) => {
  const world = createWorld(1);
  world.server(
    1,
    saying({
      rcode: 3,
      answers: [cname("www.test", "gone.test")],
      authorities: [soa("test", 900, 100)],
    }),
  );
  t.equal(ask(world, "www.test").packets, 1);
  t.equal(ask(world, "www.test").packets, 0);
  t.equal(ask(world, "www.test", "CNAME").packets, 1, "the name itself exists");
});

t.test("ask 21: NODATA covers its type only", async (t) => {
  const world = createWorld(1);
  world.server(1, saying({ authorities: [soa("test", 900, 100)] }));
  ask(world, "www.test");
  t.equal(ask(world, "www.test").packets, 0);
  t.equal(ask(world, "www.test", "AAAA").packets, 1);
});

t.test("an answer ends the denial of its name", async (t) => {
  const world = createWorld(1);
  // Asked for before the denial came, answered after it.
  world.server(1, (question) => [
    { wire: reply(question, { answers: [a("www.test", "192.0.2.1")] }), afterMs: 100 },
  ]);
  const late = world.ask("www.test", "A");
  world.server(1, saying({ rcode: 3, authorities: [soa("test", 900, 100)] }));
  ask(world, "www.test", "AAAA");
  t.equal(ask(world, "www.test", "TXT").packets, 0, "denied");
  world.pass(100);
  t.equal(inWords(late), "A 192.0.2.1");
  t.equal(ask(world, "www.test", "TXT").packets, 1, "the name exists again");
});

t.test(
  "S13: answers that were not checked are for those who asked so (RFC 4035 3.2.2)",
  async (t) => {
    const world = createWorld(1);
    ask(world, "www.test", "A", { cd: true });
    t.equal(ask(world, "www.test", "A").packets, 1, "CD clear: asked again");
    t.equal(ask(world, "www.test", "A", { cd: true }).packets, 0);
    const flags = world.asked.map(({ question }) => question.flags! & 0x10);
    t.same(flags, [0x10, 0], "CD goes upstream");
  },
);

t.test("answers with DO are kept apart", async (t) => {
  const world = createWorld(1);
  ask(world, "www.test");
  const edns = { payload: 1232, options: new Uint8Array(0) };
  const signed = ask(world, "www.test", "A", { do: true, edns });
  t.equal(signed.packets, 1);
  t.same(
    world.asked.map(({ question }) =>
      question.additionals!.map((opt) => opt.type === "OPT" && [opt.udpPayloadSize, opt.flag_do]),
    ),
    [[[1232, false]], [[1232, true]]],
    "an OPT of our own, DO as asked",
  );
  t.same(signed.reply.answer?.ok && signed.reply.answer.edns?.flags, 0x8000);
});

t.test("neither ANY nor questions without RD nor other classes are kept", async (t) => {
  const world = createWorld(1);
  for (const [type, over] of [
    ["ANY", {}],
    ["A", { rd: false }],
    ["A", { qclass: 3 }],
  ] as const) {
    t.equal(ask(world, "www.test", type, over).packets, 1);
    t.equal(ask(world, "www.test", type, over).packets, 1, `${type} ${JSON.stringify(over)}`);
  }
  t.equal(world.forwarder.stats().cache!.insertions, 0);
});

t.test("case is ignored in keys and kept in answers", async (t) => {
  const world = createWorld(1);
  ask(world, "www.Example.test");
  const hit = ask(world, "WWW.example.TEST");
  t.equal(hit.packets, 0);
  t.same(hit.reply.answer?.ok && hit.reply.answer.answers.map((rr) => formatName(rr.owner)), [
    "WWW.example.TEST.",
  ]);
});

t.test("ask 45: SERVFAIL is remembered for 1, 2, 4, 5, 5 s (RFC 9520 3.2)", async (t) => {
  const world = createWorld(1);
  world.server(1, saying({ rcode: 2 }));
  for (const seconds of [1, 2, 4, 5, 5]) {
    t.equal(ask(world, "bad.test").packets, 1);
    world.pass(seconds * 1000 - 15);
    const again = ask(world, "bad.test");
    t.equal(again.packets, 0, `within ${seconds} s`);
    t.equal(inWords(again.reply), "failed");
    world.pass(15);
  }
  world.server(1, answering());
  t.equal(inWords(ask(world, "bad.test").reply), "A 198.51.100.1");
});

t.test("silence is remembered for a second, and forgotten when the server is back", async (t) => {
  const world = createWorld(1, { timeoutMs: 300 });
  world.server(1, () => []);
  ask(world, "a.test");
  world.pass(300);
  t.equal(ask(world, "a.test").packets, 1, "the only server may be back");
  t.equal(ask(world, "a.test").packets, 0, "which this one shows");
  world.server(1, answering());
  world.pass(300);
  t.equal(inWords(ask(world, "b.test").reply), "A 198.51.100.1", "it is back");
  t.equal(inWords(ask(world, "a.test").reply), "A 198.51.100.1");
});

t.test("ask 14: a failure never hides what is known", async (t) => {
  const world = createWorld(1);
  world.server(1, answering("198.51.100.1", 60));
  ask(world, "www.test", "A");
  world.server(1, saying({ rcode: 2 }));
  // By the rule of the first reply SERVFAIL is an answer; it must not replace the good one either.
  ask(world, "www.test", "AAAA", { firstReply: true });
  ask(world, "other.test");
  t.equal(inWords(ask(world, "www.test").reply), "A 198.51.100.1");
});

t.test(
  "S13: AD reaches only those who ask for it, and only if servers are trusted (RFC 6840 5.7, 5.8)",
  async (t) => {
    for (const trustAd of [false, true]) {
      const world = createWorld(1, { trustAd });
      world.server(1, (question) => [
        { wire: reply(question, { flags: 0x20, answers: [a(question.name, "192.0.2.1")] }) },
      ]);
      const seen = [{}, { ad: true }, {}].map((over) => {
        const { answer } = ask(world, "www.test", "A", over).reply;
        return answer?.ok && answer.ad;
      });
      t.same(seen, [false, trustAd, false]);
    }
  },
);

t.test("cache off: nothing is kept, and replies come back unchanged", async (t) => {
  const world = createWorld(1, { cacheEnabled: false });
  world.server(1, (question) => [
    {
      wire: reply(question, {
        flags: 0x0400 | 0x20,
        answers: [a(question.name, "192.0.2.1", 999_999), a("other.test", "192.0.2.2", 7)],
        authorities: [{ type: "NS", name: "test", ttl: 900, data: "ns.test" }],
        additionals: [a("ns.test", "192.0.2.3", 8)],
      }),
    },
  ]);
  const edns = { payload: 4000, options: Uint8Array.of(0, 10, 0, 2, 1, 2) };
  for (let i = 0; i < 2; i++) {
    const { reply: got, packets } = ask(world, "www.test", "A", { edns, ad: true, do: true });
    t.equal(packets, 1);
    t.same(ttls(got), [999_999, 7, 900]);
    const { answer } = got;
    t.ok(answer?.ok && answer.aa && answer.ad && answer.ra);
    t.equal(answer?.ok && answer.additional.length, 1);
    t.equal(cacheable(got), 0);
  }
  const [sent] = world.asked;
  t.equal(sent!.question.flags! & 0x20, 0x20, "AD as asked");
  const [opt] = sent!.question.additionals!;
  t.equal(opt!.type, "OPT");
  t.match(opt, { udpPayloadSize: 4000, flag_do: true, options: [{ code: 10 }] });
  t.equal(world.forwarder.stats().cache, null);
  world.server(1, answering());
  t.equal(ask(world, "plain.test").packets, 1);
  t.same(world.asked.at(-1)!.question.additionals, [], "no OPT asked, none sent");
});

t.test("minimum TTLs raise answers, not denials (asks 18, 24)", async (t) => {
  const world = createWorld(1, { minTtlSeconds: 20 });
  world.server(1, answering("192.0.2.1", 1));
  t.same(ttls(ask(world, "www.test").reply), [20]);
  world.pass(19_900);
  t.equal(ask(world, "www.test").packets, 0);
  world.server(1, saying({ rcode: 3, authorities: [soa("test", 2, 2)] }));
  t.same(ttls(ask(world, "gone.test").reply), [2]);
  world.pass(2000);
  t.equal(ask(world, "gone.test").packets, 1);
  const exact = createWorld(1);
  exact.server(1, answering("192.0.2.1", 1));
  t.same(ttls(ask(exact, "www.test").reply), [1], "as it came, unless told otherwise");
});

t.test("S9: a longer TTL takes hold with a new answer only, and within the limits", async (t) => {
  const world = createWorld(1);
  world.server(1, answering("192.0.2.1", 10));
  ask(world, "www.test");
  world.server(
    1,
    saying(({ name }) => ({
      answers: [a(name, "192.0.2.9", 0xffff_ffff)],
      authorities: [a("www.test", "6.6.6.6", 86_400) as never],
      additionals: [a("www.test", "6.6.6.6", 86_400)],
    })),
  );
  ask(world, "other.test");
  t.equal(inWords(ask(world, "www.test").reply), "A 192.0.2.1", "not touched by others' replies");
  world.pass(10_000);
  const { reply: next, packets } = ask(world, "www.test");
  t.equal(packets, 1);
  t.equal(inWords(next), "A 192.0.2.9");
  t.same(ttls(next), [0], "2^32 - 1 has the top bit set");
});

t.test("ask 25: flush by name and by subtree", async (t) => {
  const world = createWorld(1);
  world.server(
    1,
    saying(({ name, type }) => ({
      answers: [type === "A" ? a(name, "192.0.2.1") : txt(name, 60)],
    })),
  );
  for (const name of ["example.test", "www.example.test", "notexample.test"]) ask(world, name);
  ask(world, "www.example.test", "TXT");
  t.equal(
    flushAll(
      world.forwarder.flush({ name: wireName("WWW.example.test"), subtree: false, type: null }),
    ),
    2,
    "both types",
  );
  t.equal(ask(world, "www.example.test").packets, 1);
  t.equal(ask(world, "example.test").packets, 0);
  t.equal(
    flushAll(world.forwarder.flush({ name: wireName("example.test"), subtree: true, type: null })),
    2,
    "by label, not by text",
  );
  t.equal(ask(world, "notexample.test").packets, 0);
  t.equal(
    flushAll(world.forwarder.flush({ name: wireName("."), subtree: true, type: null })),
    1,
    "everything",
  );
});

t.test("other types", async (t) => {
  const world = createWorld(1);
  world.server(1, saying({ answers: [txt("t.test", 50)] }));
  const { reply: got } = ask(world, "t.test", "TXT");
  t.equal(got.answer?.ok && got.answer.answers[0]!.type, TYPE.TXT);
  t.equal(ask(world, "t.test", "TXT").packets, 0);
});
