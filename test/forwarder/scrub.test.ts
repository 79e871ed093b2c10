import t from "tap";
import packet, { type Answer } from "dns-packet";
import { parseMessage } from "../../src/dns/message.ts";
import { formatName } from "../../src/dns/name.ts";
import { TYPE } from "../../src/dns/rr.ts";
import { MAX_CHAIN_LINKS, scrub } from "../../src/forwarder/scrub.ts";
import {
  a,
  cname,
  createWorld,
  inWords,
  saying,
  soa,
  wireName,
  type AskOptions,
  type OneGroup,
} from "./world.ts";

type Sections = {
  rcode?: number;
  answers?: Answer[];
  authorities?: Answer[];
  additionals?: Answer[];
};

function scrubbed(sections: Sections, over: { qtype?: number; do?: boolean } = {}) {
  const wire = packet.encode({ type: "response", ...sections });
  wire[3] = (wire[3]! & 0xf0) | (sections.rcode ?? 0);
  const parsed = parseMessage(wire);
  if (!parsed.ok) throw new Error(parsed.error);
  return scrub(parsed.value, {
    qname: wireName("www.test"),
    qtype: over.qtype ?? TYPE.A,
    qclass: 1,
    do: over.do ?? false,
  });
}

const chain = (length: number): Answer[] =>
  Array.from({ length }, (_, i) => cname(i === 0 ? "www.test" : `c${i}.test`, `c${i + 1}.test`));

const dname = (name: string, data: string) =>
  ({ type: "DNAME", name, ttl: 60, data }) as unknown as Answer;
const ns: Answer = { type: "NS", name: "test", ttl: 60, data: "ns.test" };
const rrsig = (name: string): Answer => ({
  type: "RRSIG",
  name,
  ttl: 60,
  data: {
    typeCovered: "A",
    algorithm: 8,
    labels: 2,
    originalTTL: 60,
    expiration: 2,
    inception: 1,
    keyTag: 1,
    signersName: "test",
    signature: Buffer.from("00", "hex"),
  },
});

/** S7: what comes in, what is left. Owners of the answers, owners of the authority section. */
const cases: {
  when: string;
  sections: Sections;
  do?: boolean;
  qtype?: number;
  kind: string;
  answers: string[];
  authority?: string[];
}[] = [
  {
    when: "a plain answer",
    sections: { answers: [a("www.test", "192.0.2.1")] },
    kind: "answer",
    answers: ["www.test."],
  },
  {
    when: "owner in other case",
    sections: { answers: [a("WWW.test", "192.0.2.1")] },
    kind: "answer",
    answers: ["WWW.test."],
  },
  {
    when: "an unrelated record beside the answer",
    sections: { answers: [a("www.test", "192.0.2.1"), a("bank.test", "6.6.6.6")] },
    kind: "answer",
    answers: ["www.test."],
  },
  {
    when: "only an unrelated record",
    sections: { answers: [a("bank.test", "6.6.6.6")] },
    kind: "nodata",
    answers: [],
  },
  {
    when: "a chain in order",
    sections: { answers: [...chain(2), a("c2.test", "192.0.2.1")] },
    kind: "answer",
    answers: ["www.test.", "c1.test.", "c2.test."],
  },
  {
    when: "a chain out of order",
    sections: { answers: [a("c2.test", "192.0.2.1"), ...chain(2).toReversed()] },
    kind: "answer",
    answers: ["c2.test.", "c1.test.", "www.test."],
  },
  {
    when: "records of names beside the chain",
    sections: {
      answers: [...chain(1), a("c1.test", "192.0.2.1"), a("victim.test", "6.6.6.6")],
    },
    kind: "answer",
    answers: ["www.test.", "c1.test."],
  },
  {
    when: "a chain with nothing at its end",
    sections: { answers: chain(1) },
    kind: "partial",
    answers: ["www.test."],
  },
  {
    when: "a chain whose end has no such type",
    sections: { answers: chain(1), authorities: [soa("test", 60, 60)] },
    kind: "nodata",
    answers: ["www.test."],
    authority: ["test."],
  },
  {
    when: "an address beside a CNAME of the same name: the address was asked for",
    sections: { answers: [a("www.test", "192.0.2.1"), cname("www.test", "x.test")] },
    kind: "answer",
    answers: ["www.test.", "www.test."],
  },
  {
    when: "the CNAME itself was asked for",
    sections: { answers: [cname("www.test", "x.test"), a("x.test", "192.0.2.1")] },
    qtype: TYPE.CNAME,
    kind: "answer",
    answers: ["www.test."],
  },
  {
    when: "another class",
    sections: { answers: [{ type: "A", name: "www.test", class: "CH", data: "192.0.2.1" }] },
    kind: "nodata",
    answers: [],
  },
  {
    when: "name servers and their addresses",
    sections: {
      answers: [a("www.test", "192.0.2.1")],
      authorities: [ns],
      additionals: [a("ns.test", "6.6.6.6")],
    },
    kind: "answer",
    answers: ["www.test."],
  },
  {
    when: "an SOA beside an answer",
    sections: { answers: [a("www.test", "192.0.2.1")], authorities: [soa("test", 60, 60)] },
    kind: "answer",
    answers: ["www.test."],
  },
  {
    when: "a denial",
    sections: { rcode: 3, authorities: [soa("test", 60, 60), ns] },
    kind: "nxdomain",
    answers: [],
    authority: ["test."],
  },
  {
    when: "a denial that brings what it denies",
    sections: {
      rcode: 3,
      answers: [a("www.test", "192.0.2.1"), rrsig("www.test")],
      authorities: [soa("test", 60, 60)],
    },
    do: true,
    kind: "nxdomain",
    answers: [],
    authority: ["test."],
  },
  {
    when: "the same behind an alias (RFC 6604 3)",
    sections: {
      rcode: 3,
      answers: [cname("www.test", "x.test"), a("x.test", "192.0.2.1")],
      authorities: [soa("test", 60, 60)],
    },
    kind: "nxdomain",
    answers: ["www.test."],
    authority: ["test."],
  },
  {
    when: "two SOA",
    sections: { rcode: 3, authorities: [soa("test", 60, 60), soa(".", 60, 60)] },
    kind: "nxdomain",
    answers: [],
    authority: ["test."],
  },
  {
    when: "signatures, not asked for",
    sections: { answers: [a("www.test", "192.0.2.1"), rrsig("www.test")] },
    kind: "answer",
    answers: ["www.test."],
  },
  {
    when: "signatures with DO",
    sections: {
      answers: [a("www.test", "192.0.2.1"), rrsig("www.test"), rrsig("bank.test")],
      authorities: [ns],
    },
    do: true,
    kind: "answer",
    answers: ["www.test.", "www.test."],
  },
  {
    when: "a DNAME above the name (RFC 6672 3.1)",
    sections: {
      answers: [
        dname("test", "example"),
        cname("www.test", "www.example"),
        a("www.example", "192.0.2.1"),
      ],
    },
    kind: "answer",
    answers: ["test.", "www.test.", "www.example."],
  },
  {
    when: "a DNAME whose CNAME was asked for",
    sections: { answers: [dname("test", "example"), cname("www.test", "WWW.example")] },
    qtype: TYPE.CNAME,
    kind: "answer",
    answers: ["test.", "www.test."],
  },
  {
    when: "DNAMEs that make another name, of the name itself, and of all names",
    sections: {
      answers: [
        dname("test", "evil"),
        dname("www.test", "evil"),
        dname(".", "evil"),
        cname("www.test", "www.example"),
        a("www.example", "192.0.2.1"),
      ],
    },
    kind: "answer",
    answers: ["www.test.", "www.example."],
  },
  {
    when: "a DNAME that makes no name at all",
    sections: { answers: [dname("test", "evil")], authorities: [soa("test", 60, 60)] },
    kind: "nodata",
    answers: [],
    authority: ["test."],
  },
  {
    when: "ten links",
    sections: { answers: [...chain(MAX_CHAIN_LINKS), a("c10.test", "192.0.2.1")] },
    kind: "answer",
    answers: ["www.test.", ...Array.from({ length: 10 }, (_, i) => `c${i + 1}.test.`)],
  },
  {
    when: "eleven links",
    sections: { answers: [...chain(MAX_CHAIN_LINKS + 1), a("c11.test", "192.0.2.1")] },
    kind: "broken",
    answers: [],
  },
  {
    when: "a name that is its own alias",
    sections: { answers: [cname("www.test", "WWW.test")] },
    kind: "broken",
    answers: [],
  },
  {
    when: "a loop",
    sections: { answers: [cname("www.test", "x.test"), cname("x.test", "www.test")] },
    kind: "broken",
    answers: [],
  },
];

for (const { when, sections, kind, answers, authority = [], ...over } of cases)
  t.test(`S7: ${when}`, async (t) => {
    const got = scrubbed(sections, over);
    t.equal(got.kind, kind);
    t.same(
      got.answers.map((rr) => formatName(rr.owner)),
      answers,
    );
    t.same(
      got.authority.map((rr) => formatName(rr.owner)),
      authority,
    );
    const kept = got.answers.length + got.authority.length;
    const sent = [sections.answers, sections.authorities, sections.additionals].flat();
    t.equal(got.untouched, kept === sent.filter((rr) => rr !== undefined).length);
  });

t.test("S7: nothing that came along is served under its own name", async (t) => {
  const world = createWorld(1);
  world.server(
    1,
    saying({
      answers: [cname("x.evil.test", "victim.test"), a("victim.test", "6.6.6.6")],
      authorities: [ns],
      additionals: [a("ns.test", "6.6.6.6"), a("bank.test", "6.6.6.6")],
    }),
  );
  const poisoned = world.ask("x.evil.test");
  world.settle();
  t.equal(inWords(poisoned), "CNAME victim.test. A 6.6.6.6", "its own chain is the server's word");
  world.server(1, saying({ rcode: 3 }));
  for (const name of ["victim.test", "ns.test", "bank.test"]) {
    const reply = world.ask(name);
    world.settle();
    t.equal(inWords(reply), "NXDOMAIN", name);
  }
});

t.test(
  "S7: a denial with the address asked for is a denial, for as long as its SOA says",
  async (t) => {
    const world = createWorld(1);
    const contradiction = {
      rcode: 3,
      answers: [a("www.test", "6.6.6.6", 3600)],
      authorities: [soa("test", 60, 60)],
    };
    world.server(1, saying(contradiction));
    const ask = (): string => {
      const reply = world.ask("www.test");
      world.settle();
      return inWords(reply);
    };
    t.equal(ask(), "NXDOMAIN");
    t.equal(ask(), "NXDOMAIN");
    t.equal(world.asked.length, 1, "kept once it is known");
    world.server(1, saying({ answers: [a("www.test", "192.0.2.1")] }));
    world.pass(61_000);
    t.equal(ask(), "A 192.0.2.1");
    world.server(1, saying({ rcode: 3, answers: [a("bare.test", "6.6.6.6")] }));
    const bare = world.ask("bare.test");
    world.settle();
    t.equal(inWords(bare), "NXDOMAIN", "nor without an SOA");
  },
);

t.test("S20: a loop is SERVFAIL, from the cache as well", async (t) => {
  const world = createWorld(1);
  world.server(1, saying({ answers: [cname("a.test", "b.test"), cname("b.test", "a.test")] }));
  for (let i = 0; i < 2; i++) {
    const reply = world.ask("a.test");
    world.pass(5);
    t.equal(inWords(reply), "failed");
  }
  t.equal(world.asked.length, 1);
});

t.test("S7: what is passed on and not kept holds no strangers either", async (t) => {
  const ours = [
    a("www.test", "192.0.2.1"),
    cname("www.test", "end.test"),
    a("end.test", "192.0.2.2"),
  ];
  const strangers = [a("web.service.consul", "6.6.6.6"), a("bank.test", "6.6.6.6")];
  const parts = {
    answers: [...strangers, ...ours],
    authorities: [ns, soa("other", 60, 60), a("bank.test", "6.6.6.6")],
    additionals: [a("ns.test", "6.6.6.6")],
  };
  const rows: [when: string, type: string, over: AskOptions, change: OneGroup, answers: number][] =
    [
      ["without RD", "A", { rd: false }, {}, 3],
      ["class CH", "A", { qclass: 3 }, {}, 2],
      ["any class", "A", { qclass: 255 }, {}, 2],
      ["any type", "ANY", { transport: "tcp" }, {}, 2],
      ["a zone that is not kept", "A", {}, { keep: false }, 3],
      ["as Consul forwards: unchanged", "A", {}, { cacheEnabled: false }, 5],
    ];
  for (const [when, type, over, change, count] of rows) {
    const world = createWorld(1, change);
    world.server(1, saying(parts));
    const asked = world.ask("www.test", type, over);
    world.settle();
    const { answer } = asked;
    if (!answer?.ok) throw new Error(`${when}: ${inWords(asked)}`);
    t.equal(answer.answers.length, count, when);
    const isUnchanged = change.cacheEnabled === false;
    t.equal(answer.authority.length, isUnchanged ? 3 : 1, `${when}: the zone around it`);
    t.equal(answer.additional.length, isUnchanged ? 1 : 0, `${when}: nothing beside`);
  }
});
