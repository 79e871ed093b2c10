import t from "tap";
import { parseAddress } from "../../src/address.ts";
import type { ForwardRequest } from "../../src/dns/answer.ts";
import { formatName, parseName } from "../../src/dns/name.ts";
import { TYPE, type Rr } from "../../src/dns/rr.ts";
import { node, register, service } from "../cluster/state-fixtures.ts";
import { query } from "./prepared.ts";
import { createWorld, decode, good, lines, tcp, udp, type World } from "./resolver-world.ts";

const wire = (text: string): Uint8Array => {
  const parsed = parseName(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
};
const rr = (owner: string, type: number, ttl: number, data: Uint8Array): Rr => ({
  owner: wire(owner),
  type,
  class: 1,
  ttl,
  data,
});
const a = (owner: string, ttl = 60, last = 1) =>
  rr(owner, TYPE.A, ttl, Uint8Array.of(192, 0, 2, last));
const forwarding = (
  upstream: (request: ForwardRequest) => ReturnType<typeof good>,
  forwardCache = true,
) => createWorld({ settings: { recursorsConfigured: true, forwardCache }, upstream });
const ask = (world: World, name: string, type = "A", options = {}, client = udp) =>
  decode(world.compute(query(name, type, options), client));

t.test("flags, EDNS and records of a forwarded reply", async (t) => {
  const seen: ForwardRequest[] = [];
  const world = forwarding((request) => {
    seen.push(request);
    return good({ ad: true, answers: [a("Www.Example.com")] });
  });
  const plain = ask(world, "wWw.example.com", "A", { rd: false });
  t.match(plain, {
    flag_ra: true,
    flag_aa: false,
    flag_rd: false,
    flag_ad: false,
    additionals: [],
  });
  t.match(plain.questions, [{ name: "wWw.example.com" }]);
  const secure = ask(world, "www.example.com", "A", { edns: 1400, dnssecOk: true });
  t.match(secure, { flag_ad: true, additionals: [{ udpPayloadSize: 1400, flags: 0x8000 }] });
  t.match(ask(world, "www.example.com", "A", { cd: true, ad: true }), {
    flag_cd: true,
    flag_ad: true,
  });
  t.match(seen[0], {
    rd: false,
    ad: false,
    do: false,
    edns: null,
    qtype: 1,
    qclass: 1,
    client: udp,
  });
  t.match(seen[1], { rd: true, do: true, edns: { payload: 1400 } });
  t.match(seen[2], { cd: true, ad: true });
  t.equal(formatName(seen[0]!.qname), "wWw.example.com.", "case is kept");
});

t.test("cache off: the reply goes on as it came, OPT or none", async (t) => {
  let opt: { payload: number; flags: number; options: Uint8Array } | null = null;
  const world = forwarding(
    () => good({ aa: true, ad: true, edns: opt, answers: [a("x.test")] }),
    false,
  );
  t.match(ask(world, "x.test", "A", { edns: 1232 }), {
    flag_aa: true,
    flag_ad: true,
    additionals: [],
  });
  opt = { payload: 1400, flags: 0, options: new Uint8Array(0) };
  t.match(ask(world, "x.test", "A", { edns: 1232 }).additionals, [{ udpPayloadSize: 1400 }]);
  t.same(ask(world, "x.test", "A").additionals, [], "none for a client that sent none");
});

t.test("failure shapes", async (t) => {
  const world = createWorld({ settings: { recursorsConfigured: true } });
  t.match(ask(world, "x.test", "A", { edns: 1232, cd: true }), {
    rcode: "SERVFAIL",
    flag_ra: true,
    flag_aa: false,
    flag_rd: true,
    flag_cd: true,
    questions: [{ name: "x.test" }],
    additionals: [{ udpPayloadSize: 1232 }],
  });
  // RFC 6891 6.1.3, for names that are not ours only.
  const version1 = query("x.test", "A", { edns: 1232 });
  version1[version1.length - 5] = 1;
  const badvers = world.compute(version1)!;
  t.match(decode(badvers).additionals, [{ extendedRcode: 1, ednsVersion: 0 }]);
  t.equal(badvers[3]! & 15, 0);
  const notify = query("x.test");
  notify[2] = (4 << 3) | 1;
  t.match(decode(world.compute(notify)), { rcode: "NOTIMP", opcode: "NOTIFY" });
  t.same(world.asked, ["x.test. 1"]);
});

t.test("sizes: additional records go silently, others with TC; TCP has room", async (t) => {
  const many = Array.from({ length: 40 }, (_, i) => a("many.test", 60, i));
  const glue = Array.from({ length: 20 }, (_, i) => a(`glue${i}.many.test`));
  const world = forwarding(({ qname }) =>
    formatName(qname) === "many.test."
      ? good({ answers: many, additional: glue })
      : good({ answers: many.slice(0, 20), additional: glue }),
  );
  const small = world.compute(query("many.test"))!;
  t.ok(small.length <= 512);
  t.match(decode(small), { flag_tc: true, additionals: [] });
  t.equal(decode(small).answers?.length, Math.floor((512 - 12 - 15) / 16), "as many as fit");
  t.match(ask(world, "many.test", "A", { edns: 1232 }), {
    flag_tc: false,
    answers: { length: 40 },
  });
  t.match(ask(world, "few.test"), { flag_tc: false, answers: { length: 20 }, additionals: [] });
  t.match(ask(world, "many.test", "A", {}, tcp), { flag_tc: false, additionals: { length: 20 } });
  t.equal(world.resolver.counters.truncated, 1);
});

t.test("a kept answer is served by workers and counts down; others are not", async (t) => {
  const kept = { cacheableSeconds: 30, fromCache: true };
  let answer = good({ answers: [a("X.test", 60), a("x.test", 30, 2)], ...kept, fromCache: false });
  const world = forwarding(() => answer);
  const plain = query("x.test");
  t.equal(world.fromTable(plain), null);
  world.compute(plain);
  t.equal(world.fromTable(plain), null, "asked once: only the forwarder keeps it");
  answer = good({ answers: [a("X.test", 60), a("x.test", 30, 2)], ...kept });
  world.compute(plain);
  t.same(lines(decode(world.fromTable(plain)).answers), [
    "x.test. 60 A 192.0.2.1",
    "x.test. 30 A 192.0.2.2",
  ]);
  world.advance(9500);
  const late = decode(world.fromTable(query("X.TEST", "A", { edns: 1232 })));
  t.same(lines(late.answers), ["X.TEST. 51 A 192.0.2.1", "X.TEST. 21 A 192.0.2.2"]);
  t.match(late, { flag_ra: true, flag_aa: false, additionals: [{ udpPayloadSize: 1232 }] });
  t.equal(world.fromTable(query("x.test", "A", { cd: true })), null, "CD asks for itself");
  world.advance(21_000);
  t.equal(world.fromTable(plain), null, "expired");

  const rows: [why: string, over: object, options: object][] = [
    ["TTL 0", { cacheableSeconds: 0 }, {}],
    ["TC", { tc: true }, {}],
    ["DO", {}, { edns: 1232, dnssecOk: true }],
    ["AD", {}, { ad: true }],
    ["CD", {}, { cd: true }],
    ["a client subnet", {}, { edns: 1232, options: [{ code: "CLIENT_SUBNET", ip: "192.0.2.0" }] }],
  ];
  for (const [i, [why, over, options]] of rows.entries()) {
    const name = `n${i}.test`;
    answer = good({ answers: [a(name)], ...kept, ...over });
    world.compute(query(name, "A", options));
    t.equal(world.fromTable(query(name)), null, `not after ${why}`);
  }
  answer = good({ answers: [a("y.test")], ...kept });
  world.compute(query("y.test"));
  t.ok(world.fromTable(query("y.test")));
  world.reload({ recursorsConfigured: false });
  t.equal(world.fromTable(query("y.test")), null, "a reload withdraws everything");
});

t.test(
  "host names as addresses: the chain is fetched once and cut to five without EDNS",
  async (t) => {
    const chain = Array.from({ length: 8 }, (_, i) => a("host.example", 300, i));
    const world = createWorld({
      settings: { recursorsConfigured: true, serviceTtlSeconds: new Map([["*", 5]]) },
      upstream: () => "later",
    });
    world.apply(register(node("e1", { address: "host.example" }), service("out")));
    world.apply(register(node("e2", { address: "host.example." }), service("out")));
    const replies: (Uint8Array | null)[] = [];
    for (const edns of [false, true])
      world.resolver.resolve(
        { query: query("out.service.consul", "A", edns ? { edns: 4096 } : {}), client: udp },
        (reply) => replies.push(reply),
      );
    t.same(replies, [], "waits");
    t.same(
      world.asked,
      ["host.example. 1", "host.example. 1"],
      "one question for each client's question",
    );
    world.release(good({ answers: chain, cacheableSeconds: 300 }));
    t.equal(lines(decode(replies[0]!).answers).length, 3, "CNAME, and the UDP answer limit");
    t.same(lines(decode(replies[1]!).answers), [
      "out.service.consul. 5 CNAME host.example",
      ...chain.map((_, i) => `host.example. 5 A 192.0.2.${i}`),
    ]);
    const overTcp = createWorld({
      settings: { recursorsConfigured: true },
      upstream: () => good({ answers: chain }),
    });
    overTcp.apply(register(node("e1", { address: "host.example" }), service("out")));
    t.equal(ask(overTcp, "out.service.consul", "A", {}, tcp).answers?.length, 1 + 5);
  },
);

t.test("a choice among host names stays what it was when the chain comes late", async (t) => {
  const world = createWorld({ settings: { recursorsConfigured: true }, upstream: () => "later" });
  for (let i = 0; i < 6; i++)
    world.apply(register(node(`e${i}`, { address: `h${i}.example` }), service("out")));
  for (let round = 0; round < 20; round++) {
    let reply: Uint8Array | null = null;
    world.asked.length = 0;
    world.resolver.resolve(
      { query: query("out.service.consul"), client: udp },
      (wire) => (reply = wire),
    );
    t.equal(world.asked.length, 1, "only the chosen name is asked");
    const chosen = world.asked[0]!.split(" ")[0]!;
    world.release(good({ answers: [a(chosen)] }));
    t.match(lines(decode(reply).answers), [
      new RegExp(`CNAME ${chosen.slice(0, -1)}$`),
      new RegExp(`^${chosen}`),
    ]);
  }
});

t.test(
  "one question causes at most twenty upstream questions, loops end, failures are bare",
  async (t) => {
    const world = createWorld({ settings: { recursorsConfigured: true } });
    for (let i = 0; i < 30; i++)
      world.apply(register(node(`e${i}`, { address: `h${i}.example` }), service("wide")));
    const reply = ask(world, "wide.service.consul", "SRV", {}, tcp);
    t.equal(reply.answers?.length, 30);
    t.equal(world.asked.length, 20);
    world.apply(register(node("l", { address: "loop.service.consul" }), service("loop")));
    t.equal(
      ask(world, "loop.service.consul", "AAAA", {}, tcp).answers?.length,
      4,
      "three levels inside",
    );
    world.apply(register(node("bad", { address: "bad..name" }), service("odd")));
    t.match(ask(world, "odd.service.consul"), {
      rcode: "NOERROR",
      answers: [],
      authorities: { length: 1 },
    });
  },
);

t.test("an answer with foreign data is published for as long as that data is good", async (t) => {
  let fresh = 20;
  const world = createWorld({
    settings: { recursorsConfigured: true },
    upstream: ({ qname }) => good({ answers: [a(formatName(qname))], cacheableSeconds: fresh }),
  });
  world.apply(register(node("e1", { address: "host.example" }), service("out")));
  const q = query("out.service.consul");
  world.compute(q);
  t.same(lines(decode(world.fromTable(q)).answers), [
    "out.service.consul. 0 CNAME host.example",
    "host.example. 0 A 192.0.2.1",
  ]);
  world.advance(20_001);
  t.equal(world.fromTable(q), null);
  world.compute(query("e1.node.consul"));
  t.equal(
    world.fromTable(query("e1.node.consul")),
    null,
    "a node's chain shows TTLs that run down",
  );
  fresh = 0;
  world.compute(q);
  t.equal(world.fromTable(q), null);
});

t.test(
  "however often a chain goes out and in, its client's time is that of one question",
  async (t) => {
    const world = createWorld({
      settings: { recursorsConfigured: true },
      // As the forwarder does: the time is noted when it is first asked.
      upstream(request) {
        request.sinceMs ??= 1000 * world.forwarded.length;
        return "later";
      },
    });
    world.apply(register(node("e1", { address: "one.example" }), service("out")));
    world.apply(register(node("e2", { address: "two.example" }), service("next")));
    const leadsTo = (name: string, target: string): void =>
      world.release(
        good({ answers: [rr(name, TYPE.CNAME, 9, wire(target))], cacheableSeconds: 9 }),
      );
    let replies = 0;
    const count = (): void => void replies++;
    world.resolver.resolve({ query: query("www.example"), client: udp }, count);
    leadsTo("www.example", "e1.node.consul");
    leadsTo("one.example", "e2.node.consul");
    world.release({ ok: false, reason: "failed" });
    t.equal(replies, 1);
    t.same(
      world.forwarded.map(({ qname, sinceMs }) => [formatName(qname), sinceMs]),
      [
        ["www.example.", 1000],
        ["one.example.", 1000],
        ["two.example.", 1000],
      ],
    );
  },
);

t.test("reloaded while a chain was under way: the reply comes, nothing is published", async (t) => {
  const world = createWorld({ settings: { recursorsConfigured: true }, upstream: () => "later" });
  world.apply(register(node("e1", { address: "host.example" }), service("out")));
  let reply: Uint8Array | null = null;
  world.resolver.resolve(
    { query: query("out.service.consul"), client: udp },
    (wire) => (reply = wire),
  );
  world.reload({ nodeTtlSeconds: 3 });
  world.release(
    good({
      answers: [rr("host.example", TYPE.A, 9, parseAddress("192.0.2.7")!)],
      cacheableSeconds: 9,
    }),
  );
  t.equal(decode(reply).answers?.length, 2);
  t.equal(world.fromTable(query("out.service.consul")), null);
});

t.test("a reverse name from upstream gives way to a node with that address, at once", async (t) => {
  const answer = good({
    answers: [rr("7.0.0.10.in-addr.arpa", TYPE.PTR, 600, wire("printer.example"))],
    cacheableSeconds: 600,
    fromCache: true,
  });
  let late = false;
  const world = createWorld({
    settings: { recursorsConfigured: true },
    upstream: () => (late ? "later" : answer),
  });
  const ptr = query("7.0.0.10.in-addr.arpa", "PTR");
  world.compute(ptr);
  t.match(lines(decode(world.fromTable(ptr)).answers), [/printer\.example$/]);
  world.apply(register(node("n7", { address: "10.0.0.7" })));
  t.equal(world.fromTable(ptr), null, "withdrawn");
  t.match(lines(decode(world.compute(ptr)).answers), [/n7\.node\.dc1\.consul$/]);

  late = true;
  const other = query("8.0.0.10.in-addr.arpa", "PTR");
  world.resolver.resolve({ query: other, client: udp }, () => {});
  world.apply(register(node("n8", { address: "10.0.0.8" })));
  world.release(answer);
  t.equal(world.fromTable(other), null, "not published over what was registered meanwhile");
});
