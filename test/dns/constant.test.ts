// Answers of our own to names that are not ours: constant, authoritative, for workers as well; and names below our domain that others are asked for.
import t from "tap";
import { RCODE, TYPE, type Rr } from "../../src/dns/rr.ts";
import { wireName } from "../forwarder/world.ts";
import { question } from "../program/scene.ts";
import { createWorld, decode, good, lines, tcp } from "./resolver-world.ts";

const address = (qname: Uint8Array, last: number, ttl = 0): Rr => ({
  owner: qname,
  type: TYPE.A,
  class: 1,
  ttl,
  data: Uint8Array.of(192, 0, 2, last),
});

function worldOf(count: number, ttl = 0) {
  return createWorld({
    settings: { recursorsConfigured: true },
    upstream: ({ qname }) =>
      good({
        aa: true,
        constant: true,
        answers: Array.from({ length: count }, (_, i) => address(qname, i + 1, ttl)),
      }),
  });
}

t.test("asked twice it is for workers, with the same TTL for ever", async (t) => {
  const world = worldOf(1, 30);
  // A worker folds the question where it stands: each is a new one.
  const asked = (): Buffer => question("Host.Example");
  t.same(lines(decode(world.compute(asked())).answers), ["Host.Example. 30 A 192.0.2.1"]);
  t.equal(world.fromTable(asked()), null, "once is nothing");
  world.compute(asked());
  const kept = decode(world.fromTable(asked()));
  t.same(lines(kept.answers), ["Host.Example. 30 A 192.0.2.1"]);
  t.ok(kept.flag_aa && kept.flag_ra);
  world.advance(86_400_000);
  t.same(
    lines(decode(world.fromTable(question("hOST.example"))).answers),
    ["hOST.example. 30 A 192.0.2.1"],
    "spelled as asked, and no older",
  );
  world.resolver.withdrawAll();
  t.equal(world.fromTable(asked()), null, "until local data change");
});

t.test("names made up once each stay out of the table", async (t) => {
  const world = worldOf(1);
  for (let i = 0; i < 100; i++) world.compute(question(`x${i}.blocked.example`));
  t.equal(world.table.stats().entries, 0);
});

t.test("what does not fit is cut with TC over UDP, and whole over TCP", async (t) => {
  const world = worldOf(60);
  const plain = decode(world.compute(question("many.example")));
  t.ok(plain.flag_tc);
  t.ok((plain.answers ?? []).length < 60);
  const whole = decode(world.compute(question("many.example"), tcp));
  t.notOk(whole.flag_tc);
  t.equal(whole.answers?.length, 60);
});

t.test("with the forwarder's cache off the OPT is there all the same", async (t) => {
  const world = createWorld({
    settings: { recursorsConfigured: true, forwardCache: false },
    upstream: ({ qname }) => good({ aa: true, constant: true, answers: [address(qname, 1)] }),
  });
  const reply = decode(world.compute(question("host.example", { edns: 1232 })));
  t.equal(reply.additionals?.[0]?.type, "OPT");
});

t.test("ask 32: a CNAME of ours into the catalog is followed there", async (t) => {
  const world = createWorld({
    settings: { recursorsConfigured: true, forwardCache: false },
    upstream: ({ qname }) =>
      good({
        constant: true,
        answers: [
          { owner: qname, type: TYPE.CNAME, class: 1, ttl: 0, data: wireName("n1.node.consul") },
        ],
      }),
  });
  const reply = decode(world.compute(question("alias.example")));
  t.same(lines(reply.answers), ["alias.example. 0 CNAME n1.node.consul"]);
  t.equal(reply.flags! & 15, RCODE.NXDOMAIN, "the catalog knows no such node");
});

t.test("ask 42: names below our domain that others are asked for", async (t) => {
  const world = createWorld({
    settings: {
      recursorsConfigured: true,
      elsewhere: [
        { name: wireName("dc2.consul"), belowOnly: false },
        { name: wireName("dc3.consul"), belowOnly: true },
      ],
    },
    upstream: ({ qname }) => good({ answers: [address(qname, 9)] }),
  });
  for (const [name, isAsked] of [
    ["web.service.dc2.consul", true],
    ["DC2.consul", true],
    ["x.dc3.consul", true],
    ["dc3.consul", false],
    ["web.service.consul", false],
    ["web.service.dc1.consul", false],
    ["xdc2.consul", false],
  ] as const) {
    const before = world.asked.length;
    world.compute(question(name));
    t.equal(world.asked.length > before, isAsked, name);
  }
});

t.test(
  "ask 43: without a server to ask, names of addresses are unknown, others refused",
  async (t) => {
    const world = createWorld({
      settings: { recursorsConfigured: true },
      upstream: () => ({ ok: false, reason: "no upstream" }),
    });
    const reverse = decode(world.compute(question("4.3.2.1.in-addr.arpa", { type: "PTR" })));
    t.equal(reverse.flags! & 15, RCODE.NXDOMAIN);
    t.equal(reverse.authorities?.[0]?.type, "SOA");
    const other = decode(world.compute(question("host.example")));
    t.equal(other.flags! & 15, RCODE.REFUSED);
  },
);
