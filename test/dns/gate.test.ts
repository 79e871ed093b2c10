/** Who may ask: ranges of rights against a scan of all networks, and what each client gets. */
import fc from "fast-check";
import t from "tap";
import { covers, formatAddress, mapped, readSourceText, unmapped } from "../../src/address.ts";
import { parseNetwork } from "../../src/config/network.ts";
import { ORIGIN_PROHIBITED, sumCounters } from "../../src/dns/cells.ts";
import { ANSWERED, EXEMPT, LOOPBACK, openGate, rightsOf, VIEWED } from "../../src/dns/gate.ts";
import { respondAtGate } from "../../src/dns/gate-respond.ts";
import { createGateOwner, type GateRules } from "../../src/dns/gate-writer.ts";
import { MISS } from "../../src/dns/respond.ts";
import { everybody } from "./gate-rules.ts";
import { addresses, answerWith, createBench, decode, query, tallyOf } from "./prepared.ts";

const network = (text: string) => {
  const parsed = parseNetwork(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
};
const NOW = 1_700_000_000;

type Over = Partial<Record<"allow" | "deny" | "local" | "exempt" | "views", string[]>> &
  Partial<Omit<GateRules, "allow" | "deny" | "local" | "exempt" | "views">>;

function rulesOf(over: Over): GateRules {
  const list = (texts: string[] = []) => texts.map(network);
  const { allow, deny, local, exempt, views, ...rest } = over;
  return {
    ...everybody,
    allow: list(allow),
    deny: list(deny),
    local: list(local),
    exempt: list(exempt),
    views: list(views),
    ...rest,
  };
}

function createGate(over: Over = {}) {
  let nowSeconds = NOW;
  const owner = createGateOwner(() => nowSeconds, 7);
  owner.write(rulesOf(over));
  const gate = openGate(owner.memory, 7);
  const bench = createBench();
  const rights = (address: string): number => {
    readSourceText(address, gate.source);
    return rightsOf(gate);
  };
  return {
    ...bench,
    owner,
    rights,
    advance: (seconds: number) => (nowSeconds += seconds),
    counters: () => sumCounters([bench.responder.counters], 0),
    ask(from: string, wire: Uint8Array, nowMs = 0) {
      readSourceText(from, gate.source);
      bench.responder.input.fill(0xee);
      bench.responder.input.set(wire, 0);
      const { responder } = bench;
      const octets = respondAtGate(responder, gate, 0, wire.length, 0, nowMs, nowSeconds);
      return octets > 0 ? responder.output.slice(0, octets) : octets;
    },
  };
}

/** Every network looked at, one by one. */
function slowRights(rules: GateRules, address: Uint8Array): number {
  const holds = ({ octets, prefixLength }: { octets: Uint8Array; prefixLength: number }) => {
    if (octets.length === 4)
      return covers({ octets: mapped(octets), prefixLength: prefixLength + 96 }, address);
    // ::/0 is all of IPv6, and nothing of IPv4.
    const isIpv4 = unmapped(address).length === 4;
    return covers({ octets, prefixLength }, address) && (!isIpv4 || prefixLength >= 96);
  };
  const bits = (list: GateRules["allow"]) =>
    Math.max(
      -1,
      ...list
        .filter(holds)
        .map(({ octets, prefixLength }) => prefixLength + (octets.length === 4 ? 96 : 0)),
    );
  const viewed = rules.views.some(holds) ? VIEWED : 0;
  const plain = unmapped(address);
  const isLoopback =
    plain.length === 4 ? plain[0] === 127 : plain.every((o, i) => o === (i === 15 ? 1 : 0));
  if (isLoopback) return ANSWERED | EXEMPT | LOOPBACK | viewed;
  const isLocal = rules.local.some(holds);
  const allowed = bits(rules.allow);
  const denied = bits(rules.deny);
  let answered = isLocal || rules.othersAnswered;
  if (allowed >= 0 || denied >= 0) answered = allowed > denied;
  const exempt = isLocal || rules.exempt.some(holds) ? EXEMPT : 0;
  return (answered ? ANSWERED : 0) | exempt | viewed;
}

const octet = fc.oneof(fc.constantFrom(0, 1, 127, 128, 255), fc.nat({ max: 255 }));
const someNetwork = fc.oneof(
  fc
    .tuple(fc.array(octet, { minLength: 4, maxLength: 4 }), fc.nat({ max: 32 }))
    .map(([list, prefixLength]) => ({ octets: Uint8Array.from(list), prefixLength })),
  fc
    .tuple(
      fc.array(octet, { minLength: 16, maxLength: 16 }),
      fc.oneof(fc.nat({ max: 128 }), fc.constantFrom(0, 1, 64, 95, 96, 97, 128)),
    )
    .map(([list, prefixLength]) => ({ octets: Uint8Array.from(list), prefixLength })),
);
const someList = fc.array(someNetwork, { maxLength: 12 });

t.test("rights of any address, as a scan of all networks finds them", async (t) => {
  const check = fc.property(
    fc.record({
      allow: someList,
      deny: someList,
      local: someList,
      exempt: someList,
      views: someList,
      othersAnswered: fc.boolean(),
    }),
    fc.array(fc.array(octet, { minLength: 16, maxLength: 16 }), { maxLength: 10 }),
    (lists, others) => {
      const rules = { ...everybody, ...lists };
      const owner = createGateOwner(() => NOW, 1);
      owner.write(everybody);
      owner.write(rules);
      const gate = openGate(owner.memory, 1);
      const near = Object.values(lists)
        .filter((list) => typeof list !== "boolean")
        .flat()
        .flatMap(({ octets, prefixLength }) => {
          const all = mapped(octets);
          const bits = prefixLength + (octets.length === 4 ? 96 : 0);
          const flipped = (bit: number) =>
            all.map((each, i) => (bit >> 3 === i ? each ^ (128 >> (bit & 7)) : each));
          const first = all.map(
            (each, i) => each & (0xff00 >> Math.min(8, Math.max(0, bits - 8 * i))),
          );
          return [all, first, bits > 0 ? flipped(bits - 1) : all, bits < 128 ? flipped(bits) : all];
        });
      const loopback = [mapped(Uint8Array.of(127, 0, 0, 1)), new Uint8Array(16).fill(1, 15)];
      for (const address of [
        ...near,
        ...others.map((list) => Uint8Array.from(list)),
        ...loopback,
      ]) {
        readSourceText(formatAddress(address), gate.source);
        const expected = slowRights(rules, address);
        if (rightsOf(gate) !== expected)
          throw new Error(`${formatAddress(address)}: ${rightsOf(gate)}, not ${expected}`);
        const isAnswered = (expected & ANSWERED) !== 0;
        if (owner.isAnswered(formatAddress(address)) !== isAnswered) return false;
      }
      return true;
    },
  );
  fc.assert(check, { numRuns: 300 });
  t.pass("held");
});

t.test("networks of one family hold nothing of the other", async (t) => {
  const six = createGate({ allow: ["::/0"], othersAnswered: false });
  t.equal(six.rights("2001:db8::1") & ANSWERED, ANSWERED);
  t.equal(six.rights("203.0.113.1") & ANSWERED, 0);
  const four = createGate({ allow: ["0.0.0.0/0"], othersAnswered: false });
  t.equal(four.rights("203.0.113.1") & ANSWERED, ANSWERED);
  t.equal(four.rights("2001:db8::1") & ANSWERED, 0);
  const without = createGate({ deny: ["::/0"] });
  t.equal(without.rights("203.0.113.1") & ANSWERED, ANSWERED);
  t.equal(without.rights("2001:db8::1") & ANSWERED, 0);
});

t.test("the longer prefix decides, deny of equal ones, loopback always", async (t) => {
  const { rights } = createGate({
    othersAnswered: false,
    allow: ["10.0.0.0/8", "10.66.1.0/24", "2001:db8::/32", "198.51.100.7/32"],
    deny: ["10.66.0.0/16", "0.0.0.0/0", "198.51.100.7/32"],
    local: ["192.168.3.0/24", "10.66.9.0/24"],
    exempt: ["2001:db8:1::/48"],
    views: ["10.1.0.0/16", "127.5.0.0/16"],
  });
  const rows: [string, number][] = [
    ["10.0.0.1", ANSWERED],
    ["10.66.0.1", 0],
    ["10.66.1.1", ANSWERED],
    ["::ffff:10.66.1.1", ANSWERED],
    ["198.51.100.7", 0],
    ["192.168.3.4", EXEMPT],
    ["10.66.9.1", EXEMPT],
    ["2001:db8:1::1", ANSWERED | EXEMPT],
    ["2001:db9::1", 0],
    ["10.1.2.3", ANSWERED | VIEWED],
    ["127.0.0.1", ANSWERED | EXEMPT | LOOPBACK],
    ["127.5.0.1", ANSWERED | EXEMPT | LOOPBACK | VIEWED],
    ["::1", ANSWERED | EXEMPT | LOOPBACK],
    ["fe80::1%eth0", 0],
  ];
  for (const [address, expected] of rows) t.equal(rights(address), expected, address);
});

t.test("before the first rules nobody is answered", async (t) => {
  const owner = createGateOwner(() => NOW, 1);
  t.notOk(owner.isAnswered("192.0.2.1"));
  t.notOk(owner.isAnswered("not an address"));
});

const optOf = (wire: Uint8Array | number) =>
  (decode(wire).additionals ?? []).find(({ type }) => type === "OPT") as
    | { udpPayloadSize: number; extendedRcode: number; options: { code: number; data: Buffer }[] }
    | undefined;

t.test(
  "S14: who may not ask gets REFUSED, with extended error 18 where there is an OPT",
  async (t) => {
    const gate = createGate({ othersAnswered: false, local: ["192.0.2.0/24"] });
    gate.table.publish(answerWith("a.consul", ["10.0.0.1"]));
    const plain = decode(gate.ask("198.51.100.1", query("a.consul", "A", { id: 77 })));
    t.match(plain, { id: 77, rcode: "REFUSED", flag_rd: true, answers: [], additionals: [] });
    t.match(plain.questions, [{ name: "a.consul" }]);
    const wire = gate.ask("2001:db8::1", query("a.consul", "A", { edns: 4096 }));
    t.match(optOf(wire), { udpPayloadSize: 1232 });
    t.same(
      optOf(wire)!.options.map(({ code, data }) => [code, ...data]),
      [[15, 0, 18]],
    );
    t.ok((wire as Uint8Array).length <= query("a.consul", "A", { edns: 4096 }).length + 6);
    t.match(decode(gate.ask("192.0.2.9", query("a.consul"))), { rcode: "NOERROR" });
    t.match(decode(gate.ask("127.0.0.1", query("a.consul"))), { rcode: "NOERROR" });
    t.equal(gate.ask("198.51.100.1", Uint8Array.of(1, 2, 3)), 0);
    t.match(gate.counters(), { prohibited: 2, tableHits: 2, tableMisses: 0, ignored: 1 });
    t.equal(tallyOf(gate.responder, ORIGIN_PROHIBITED).rcodes[5], 2);
  },
);

t.test("clients of a view are the main thread's, on loopback as well", async (t) => {
  const gate = createGate({ views: ["192.0.2.0/24", "127.0.0.9/32"] });
  gate.table.publish(answerWith("a.consul", ["10.0.0.1"]));
  t.equal(gate.ask("192.0.2.9", query("a.consul")), MISS);
  t.equal(gate.ask("127.0.0.9", query("a.consul")), MISS);
  t.match(decode(gate.ask("198.51.100.1", query("a.consul"))), { rcode: "NOERROR" });
  t.match(gate.counters(), { tableHits: 1, tableMisses: 2 });
});

t.test("S10: 1232 octets beyond loopback, and never more than the client said", async (t) => {
  const gate = createGate();
  gate.table.publish({ ...answerWith("big.consul", addresses(90)), minPayload: 1500 });
  gate.table.publish({ ...answerWith("mid.consul", addresses(40)), minPayload: 700 });
  const sizes = (name: string, edns: number) => {
    const reply = gate.ask("192.0.2.1", query(name, "A", { edns }));
    return typeof reply === "number" ? reply : reply.length;
  };
  t.equal(sizes("big.consul", 4096), MISS, "1,500 octets are not sent");
  t.equal(sizes("mid.consul", 600), MISS);
  t.equal(sizes("mid.consul", 4096), 12 + 16 + 40 * 16 + 11);
  t.match(optOf(gate.ask("192.0.2.1", query("mid.consul", "A", { edns: 4096 }))), {
    udpPayloadSize: 1232,
  });
  t.match(optOf(gate.ask("127.0.0.1", query("big.consul", "A", { edns: 4096 }))), {
    udpPayloadSize: 4096,
  });
  gate.table.publish({ ...answerWith("one.consul", addresses(90)), minPayload: 512 });
  t.equal(sizes("one.consul", 4096), MISS, "a record that is larger alone: TC is to be said");
});

const cookieQuery = (data: number[] | Uint8Array, name = "a.consul") =>
  query(name, "A", { edns: 1232, options: [{ code: 10, data: Buffer.from(data) }] as never });
const CLIENT = [1, 2, 3, 4, 5, 6, 7, 8];
const cookieOf = (wire: Uint8Array | number) =>
  optOf(wire)?.options.find(({ code }) => code === 10)?.data;

t.test("S16: cookies out of the table", async (t) => {
  const gate = createGate();
  gate.table.publish(answerWith("a.consul", ["10.0.0.1"]));
  const first = gate.ask("192.0.2.1", cookieQuery(CLIENT));
  const cookie = cookieOf(first)!;
  t.equal(cookie.length, 24);
  t.same([...cookie.subarray(0, 8)], CLIENT);
  t.match(decode(first).answers, [{ data: "10.0.0.1" }]);
  gate.advance(60);
  t.same(cookieOf(gate.ask("192.0.2.1", cookieQuery(cookie))), cookie, "good: the same again");
  gate.advance(1800);
  const renewed = cookieOf(gate.ask("192.0.2.1", cookieQuery(cookie)))!;
  t.not(renewed.toString("hex"), cookie.toString("hex"), "old: a new one");
  gate.advance(3600);
  const again = gate.ask("192.0.2.1", cookieQuery(cookie));
  t.match(decode(again), { rcode: "NOERROR" }, "expired, but nothing asks for a cookie");
  t.equal(cookieOf(again)!.length, 24);
  t.equal(gate.ask("192.0.2.1", cookieQuery([1, 2, 3])), MISS, "wrong length: the main thread");
  t.equal(cookieOf(gate.ask("127.0.0.1", cookieQuery(CLIENT))), undefined, "not on loopback");
  t.match(gate.counters(), { goodCookies: 2 });
  const none = createGate({ cookies: false });
  none.table.publish(answerWith("a.consul", ["10.0.0.1"]));
  t.equal(cookieOf(none.ask("192.0.2.1", cookieQuery(CLIENT))), undefined, "switched off");
});

t.test(
  "S15, S16: too many: silence or TC, BADCOOKIE for who has a cookie of his own",
  async (t) => {
    const gate = createGate({ ratePerSecond: 100, exempt: ["10.0.0.0/8"] });
    gate.table.publish(answerWith("a.consul", ["10.0.0.1"]));
    const from = "203.0.113.5";
    for (let i = 0; i < 5; i++)
      t.match(decode(gate.ask(from, query("a.consul"))).answers, [{ data: "10.0.0.1" }]);
    const cookie = cookieOf(gate.ask(from, cookieQuery(CLIENT)))!;
    let silent = 0;
    let slipped = 0;
    for (let i = 0; i < 1044; i++) {
      const reply = gate.ask(from, query("a.consul", "A", { edns: 1232 }));
      if (typeof reply === "number") silent++;
      else if (decode(reply).flag_tc) {
        slipped++;
        t.match(decode(reply), {
          rcode: "NOERROR",
          answers: [],
          questions: [{ name: "a.consul" }],
        });
        t.match(optOf(reply), { udpPayloadSize: 1232 });
      }
    }
    t.equal(silent + slipped, 1000, "44 more were within the limit");
    t.ok(slipped > 420 && slipped < 580, `${slipped} of 1,000 with TC`);
    t.match(gate.counters(), { rateDropped: silent, rateSlipped: slipped });
    t.match(decode(gate.ask(from, cookieQuery(cookie))).answers, [{}], "a good cookie passes");
    t.match(decode(gate.ask("10.1.1.1", query("a.consul"))).answers, [{}], "exempt");
    t.match(decode(gate.ask("203.0.113.6", query("a.consul"))).answers, [{}], "its neighbour");
    let bad: Uint8Array | number = 0;
    for (let i = 0; i < 100 && typeof bad === "number"; i++)
      bad = gate.ask(from, cookieQuery(CLIENT));
    t.match(optOf(bad), { extendedRcode: 1 }, "BADCOOKIE is 23");
    t.equal((bad as Uint8Array)[3]! & 15, 7);
    t.same(cookieOf(bad), cookie, "with a good one");
    t.equal(gate.counters().badCookies, 1);
    const unspoken = gate.ask(from, query("a.consul").slice(0, 14));
    t.equal(unspoken, 0, "no question to slip");
  },
);

t.test("S15: from one /24, the octets out are at most five times those in", async (t) => {
  const gate = createGate({ ratePerSecond: 100 });
  gate.table.publish(answerWith("big.consul", addresses(74)));
  const wire = query("big.consul", "A", { edns: 4096 });
  let octetsIn = 0;
  let octetsOut = 0;
  for (let i = 0; i < 50_000; i++) {
    const reply = gate.ask(`203.0.113.${i % 256}`, wire, i / 5);
    if (i < 5) t.equal((reply as Uint8Array).length, 12 + 16 + 74 * 16 + 11);
    octetsIn += wire.length;
    if (typeof reply !== "number") octetsOut += reply.length;
  }
  t.ok(octetsOut / octetsIn <= 5, `${(octetsOut / octetsIn).toFixed(2)} times`);
});
