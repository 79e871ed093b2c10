// The client's network in questions (RFC 7871): what is sent, and for whom an answer is kept.
import t from "tap";
import { parseAddSubnet, subnetFor, type SubnetSettings } from "../../src/forwarder/subnet.ts";
import { a, createWorld, reply, type World } from "./world.ts";

const settings = (text: string, strip = false): SubnetSettings => {
  if (text === "") return { add: null, strip };
  const add = parseAddSubnet(text);
  if (!add.ok) throw new Error(add.error);
  return { add: add.value, strip };
};

/** The option as it is on the wire, without code and length; "" for none. */
const hexOf = (text: string, from: string, strip = false, options = new Uint8Array(0)): string => {
  const client = { address: from, port: 1, transport: "udp" as const };
  const sent = subnetFor(settings(text, strip), { client, edns: { payload: 1232, options } });
  return sent === null ? "" : Buffer.from(sent.option).toString("hex").slice(8);
};
const ofClient = Uint8Array.of(0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113);

// Family, source and scope prefix length, address (RFC 7871 section 6).
const rows: [text: string, from: string, hex: string][] = [
  ["24", "198.51.100.77", "00011800c63364"],
  ["25", "198.51.100.177", "00011900c6336480"],
  ["32", "198.51.100.77", "00012000c633644d"],
  ["0", "198.51.100.77", "00010000"],
  ["24", "2001:db8::1", "00020000"],
  ["24,33", "2001:db8:ffff::1", "0002210020010db880"],
  ["24,33", "::ffff:198.51.100.77", "00011800c63364"],
  ["192.0.2.1/24", "198.51.100.77", "00011800c00002"],
  ["192.0.2.1/24,2001:db8::1/32", "2001:db9::1", "0002200020010db8"],
  ["192.0.2.1/24,192.0.2.1/24", "2001:db9::1", "00011800c00002"],
];
for (const [text, from, hex] of rows)
  t.test(`add_subnet ${text} for ${from}`, async (t) => t.equal(hexOf(text, from), hex));

t.test("what the client has put in stays, unless it is stripped", async (t) => {
  t.equal(hexOf("24", "198.51.100.77", false, ofClient), "00011800cb0071");
  t.equal(hexOf("24", "198.51.100.77", true, ofClient), "00011800c63364");
  t.equal(hexOf("", "198.51.100.77", true, ofClient), "");
});

t.test("what cannot be meant is refused", async (t) => {
  for (const text of [
    "x",
    "33",
    "1,2,3",
    "1,129",
    "192.0.2.1/33",
    "192.0.2/24",
    "/24/1",
    "-1",
    "24/",
  ])
    t.equal(parseAddSubnet(text).ok, false, text);
});

/** The option in the last question. */
const lastSent = ({ asked }: World): string => {
  const { wire } = asked.at(-1)!;
  return wire.subarray(wire.indexOf(Buffer.of(0, 8, 0)) + 4).toString("hex");
};

/** Answers with the subnet that was asked for, and this scope; "none": without the option. */
function scoped(world: World, scope: number | "none" | "another"): void {
  world.server(1, (question, wire) => {
    const given = reply(question, { answers: [a(question.name, "198.51.100.1")] });
    if (scope === "none") return [{ wire: given }];
    const at = wire.indexOf(Buffer.of(0, 8, 0));
    const option = Buffer.from(wire.subarray(at));
    if (scope === "another") option[option.length - 1]! ^= 1;
    else option[7] = scope;
    const opt = Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, option.length]);
    given.writeUInt16BE(1, 10);
    return [{ wire: Buffer.concat([given, opt, option]) }];
  });
}

const kept: [scope: number | "none" | "another", asked: number, what: string][] = [
  [0, 1, "for everybody, says the server"],
  ["none", 1, "the server knows nothing of networks"],
  [24, 3, "for that network"],
  [1, 3, "for half of the world"],
  ["another", 3, "for a network that was not asked for"],
];
for (const [scope, asked, what] of kept)
  t.test(`an answer is kept or not: ${what}`, async (t) => {
    const world = createWorld(1, { subnet: settings("24") });
    scoped(world, scope);
    for (const from of ["198.51.100.7", "198.51.100.8", "203.0.113.9"]) {
      const got = world.ask("www.test", "A", { from });
      world.settle();
      t.match(got.answer, { ok: true, fromCache: from !== "198.51.100.7" && asked === 1 });
      if (asked === 3) t.match(got.answer, { cacheableSeconds: 0 }, "nothing for the workers");
    }
    t.equal(world.asked.length, asked);
    if (asked === 3) t.equal(lastSent(world), "00011800cb0071");
    t.match(world.forwarder.stats().cache, { insertions: asked === 1 ? 1 : 0 });
  });

t.test("one network's questions wait for one answer, another's for their own", async (t) => {
  const world = createWorld(1, { subnet: settings("24") });
  scoped(world, 24);
  for (const from of ["198.51.100.7", "198.51.100.8", "203.0.113.9"])
    world.ask("www.test", "A", { from });
  world.settle();
  t.equal(world.asked.length, 2);
  t.match(world.forwarder.stats(), { coalesced: 1 });
});

t.test("a network that is the same for all: kept whatever the scope", async (t) => {
  for (const text of ["192.0.2.0/24", "192.0.2.0/24,2001:db8::/32", "0", "0,0"]) {
    const world = createWorld(1, { subnet: settings(text) });
    scoped(world, 24);
    for (const from of ["198.51.100.7", "203.0.113.9"]) {
      world.ask("www.test", "A", { from });
      world.settle();
    }
    t.equal(world.asked.length, 1, text);
  }
});

t.test("a failure for one network is none for another", async (t) => {
  const world = createWorld(1, { subnet: settings("24") });
  world.server(1, (question) => [{ wire: reply(question, { rcode: 2 }) }]);
  world.ask("www.test", "A", { from: "198.51.100.7" });
  world.settle();
  const before = world.asked.length;
  scoped(world, 24);
  const other = world.ask("www.test", "A", { from: "203.0.113.9" });
  world.settle();
  t.ok(world.asked.length > before);
  t.equal(other.answer?.ok, true);
});

t.test("without a cache: the client's options go on, its network as it is told", async (t) => {
  const edns = { payload: 4096, options: Uint8Array.of(...ofClient, 0, 3, 0, 0) };
  for (const [text, strip, expected] of [
    ["", true, "00030000"],
    ["24", true, "0003000000080007000118007f0000"],
    ["24", false, "000300000008000700011800cb0071"],
  ] as const) {
    const world = createWorld(1, { subnet: settings(text, strip), cacheEnabled: false });
    world.ask("www.test", "A", { edns });
    world.settle();
    const { wire } = world.asked[0]!;
    t.equal(wire.subarray(wire.indexOf(41, 12) + 9).toString("hex"), expected, text);
  }
});

t.test("another network from now on: what was kept is not given", async (t) => {
  const world = createWorld(1, { subnet: settings("192.0.2.0/24") });
  world.ask("www.test");
  world.settle();
  world.settings({ subnet: settings("192.0.2.0/24") });
  world.ask("www.test");
  t.equal(world.asked.length, 1, "the same");
  world.settings({ subnet: settings("198.51.100.0/24") });
  world.ask("www.test");
  t.equal(world.asked.length, 2);
});
