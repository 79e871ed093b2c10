import assert from "node:assert/strict";
import dnsPacket from "dns-packet";
import fc from "fast-check";
import t from "tap";
import { encodeMessage, measureMessage, ttlOffsets } from "../../src/dns/encode.ts";
import { parseMessage, type ParsedMessage } from "../../src/dns/message.ts";
import { formatName, parseName } from "../../src/dns/name.ts";
import { FLAG, TYPE, type Message, type Rr } from "../../src/dns/rr.ts";

const wire = (text: string) => {
  const parsed = parseName(text);
  if (!parsed.ok) throw new Error(`${text}: ${parsed.error}`);
  return parsed.value;
};
const parse = (octets: Uint8Array): ParsedMessage => {
  const parsed = parseMessage(octets);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
};
const rr = (owner: string, type: number, data: Uint8Array | number[], ttl = 60): Rr => ({
  owner: wire(owner),
  type,
  class: 1,
  ttl,
  data: Uint8Array.from(data),
});
const question = (name: string, type: number) => Uint8Array.from([...wire(name), 0, type, 0, 1]);
const reply = (name: string, type: number, parts: Partial<Message> = {}): Message => ({
  id: 7,
  flags: FLAG.QR,
  question: question(name, type),
  answers: [],
  authority: [],
  additional: [],
  ...parts,
});

/** Every type with names in its data that dns-packet knows, compressed by dns-packet. */
const foreign = dnsPacket.encode({
  type: "response",
  id: 1,
  flags: 0x0180,
  questions: [{ name: "www.Example.com", type: "A", class: "IN" }],
  answers: [
    { name: "www.Example.com", type: "CNAME", ttl: 5, data: "web.Example.com" },
    { name: "web.Example.com", type: "A", ttl: 6, data: "10.0.0.1" },
    { name: "web.Example.com", type: "AAAA", ttl: 7, data: "fd00::1" },
    {
      name: "Example.com",
      type: "MX",
      ttl: 8,
      data: { preference: 10, exchange: "mx.Example.com" },
    },
    {
      name: "_x._tcp.Example.com",
      type: "SRV",
      ttl: 9,
      data: { priority: 1, weight: 2, port: 3, target: "srv.Example.com" },
    },
    { name: "Example.com", type: "TXT", ttl: 10, data: ["hello", "world"] },
  ],
  authorities: [
    { name: "Example.com", type: "NS", ttl: 11, data: "ns1.Example.com" },
    {
      name: "Example.com",
      type: "SOA",
      ttl: 12,
      data: {
        mname: "ns1.Example.com",
        rname: "hostmaster.Example.com",
        serial: 1,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum: 5,
      },
    },
  ],
  additionals: [
    { name: "ns1.Example.com", type: "A", ttl: 13, data: "10.0.0.2" },
    {
      name: ".",
      type: "OPT",
      udpPayloadSize: 1232,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0x8000,
      flag_do: true,
      options: [{ code: 12, length: 8 }],
    },
  ],
});

t.test(
  "dns-packet's message, read and written again, is the same message to dns-packet",
  async (t) => {
    const message = parse(foreign);
    t.match(message.opt, { payload: 1232, version: 0, flags: 0x8000, extendedRcode: 0 });
    t.equal(message.opt!.options.length, 12);
    t.equal(formatName(message.answers[4]!.data.slice(6)), "srv.Example.com.");
    const expected = dnsPacket.decode(foreign);
    for (const compress of [true, false]) {
      const again = encodeMessage(message, { compress, opt: message.opt });
      t.same(dnsPacket.decode(Buffer.from(again)), expected, `compress ${compress}`);
      t.same(parse(again), message, "and to ourselves");
      t.equal(measureMessage(message, { compress, opt: message.opt }), again.length);
      const offsets = ttlOffsets(again);
      t.same(
        offsets.map((offset) => Buffer.from(again).readUInt32BE(offset)),
        [5, 6, 7, 8, 9, 10, 11, 12, 13],
      );
      if (!compress) t.notOk(hasPointer(again), "no pointer anywhere");
    }
  },
);

/** True if a name of the message is compressed; walks like a reader, so data octets do not count. */
function hasPointer(octets: Uint8Array): boolean {
  const unpacked = parse(octets);
  const names = (record: Rr) => record.owner.length + 10 + record.data.length;
  const opt = unpacked.opt === null ? 0 : 11 + unpacked.opt.options.length;
  const all = [...unpacked.answers, ...unpacked.authority, ...unpacked.additional];
  const plain = 12 + unpacked.question.length + opt + all.reduce((sum, r) => sum + names(r), 0);
  return plain !== octets.length;
}

t.test("compression", async (t) => {
  const a = (owner: string) => rr(owner, TYPE.A, [10, 0, 0, 1]);
  const size = (message: Message) => encodeMessage(message, { compress: true, opt: null }).length;
  const base = size(reply("web.service.consul.", 1));
  t.equal(
    size(
      reply("web.service.consul.", 1, {
        answers: [a("web.service.consul."), a("web.service.consul.")],
      }),
    ),
    base + 2 * 16,
    "owner equal to the QNAME: two octets each",
  );
  t.equal(
    size(reply("web.service.consul.", 1, { answers: [a("WEB.service.consul.")] })),
    base + 20,
    "other spelling: only the equal suffix is shared",
  );
  const srv = (target: string) =>
    rr("web.service.consul.", TYPE.SRV, [0, 1, 0, 1, 31, 144, ...wire(target)]);
  const target = "n1.node.dc1.consul.";
  t.equal(
    size(reply("web.service.consul.", 33, { answers: [srv(target)], additional: [a(target)] })),
    base + (2 + 10 + 6 + wire(target).length) + 16,
    "SRV target in full (RFC 2782), but the glue's owner points to it",
  );
  const chain = reply("a.example.", 1, {
    answers: [rr("a.example.", TYPE.CNAME, wire("b.example.")), a("b.example.")],
  });
  t.equal(size(chain), 12 + 15 + (2 + 10 + 4) + 16, "CNAME data is compressed and a target itself");
  const dname = reply("a.example.", 1, {
    answers: [rr("a.example.", TYPE.DNAME, wire("b.example."))],
  });
  t.equal(size(dname), 12 + 15 + 2 + 10 + 11, "DNAME data is not (RFC 6672 2.5)");
  t.equal(
    size(reply(".", 2, { answers: [rr(".", TYPE.NS, wire("."))] })),
    12 + 5 + 12,
    "root names",
  );
});

t.test(
  "no pointer beyond 16383, and over 65535 octets TC instead of a broken message",
  async (t) => {
    const answers = Array.from({ length: 4000 }, (_, i) =>
      rr(`host-${i}.some.quite.long.zone.name.example.`, TYPE.TXT, [3, 97, 98, 99]),
    );
    const octets = encodeMessage(reply("x.example.", 16, { answers }), {
      compress: true,
      opt: { payload: 4096, extendedRcode: 0, version: 0, flags: 0, options: new Uint8Array() },
    });
    t.ok(octets.length <= 65535);
    const again = parse(octets);
    t.ok(again.flags & FLAG.TC);
    t.ok(again.opt, "the OPT stays");
    t.same(again.answers, answers.slice(0, again.answers.length));
    const plain = encodeMessage(reply("x.example.", 16, { answers }), {
      compress: false,
      opt: null,
    });
    t.ok(plain.length > 65000 && plain.length <= 65535);
    t.same(dnsPacket.decode(Buffer.from(plain)).answers?.length, parse(plain).answers.length);
  },
);

t.test("parser: messages that must be refused (RFC 9267)", async (t) => {
  const header = "0001 8180 0001 0001 0000 0000".replaceAll(" ", "");
  const q = "0161 00 0001 0001".replaceAll(" ", "");
  const rest = (text: string) => Buffer.from(header + q + text.replaceAll(" ", ""), "hex");
  const rows: [when: string, octets: Uint8Array, error: string][] = [
    ["11 octets", Buffer.alloc(11), "short header"],
    ["two questions", Buffer.from("000101000002000000000000" + q + q, "hex"), "question count"],
    ["nothing behind the header", Buffer.from(header, "hex"), "bad name"],
    [
      "question without class",
      Buffer.from(header + "01610000 01".replace(" ", ""), "hex"),
      "cut record",
    ],
    ["announced record missing", rest(""), "cut record"],
    ["pointer to itself", rest("c013 0001 0001 00000000 0004 01020304"), "bad name"],
    ["pointer forward", rest("c020 0001 0001 00000000 0004 01020304"), "bad name"],
    ["pointer into the header", rest("c004 0001 0001 00000000 0004 01020304"), "bad name"],
    ["half a pointer at the end", rest("c0"), "bad name"],
    ["label type 0x40", rest("4161 00 0001 0001 00000000 0004 01020304"), "bad name"],
    ["label type 0x80", rest("8161 00 0001 0001 00000000 0004 01020304"), "bad name"],
    ["name of 256 octets", rest(("3f" + "61".repeat(63)).repeat(4) + "00"), "bad name"],
    ["fixed part cut", rest("c00c 0001 0001 0000"), "cut record"],
    ["RDLENGTH beyond the end", rest("c00c 0001 0001 00000000 0005 01020304"), "cut record"],
    ["A of 3 octets", rest("c00c 0001 0001 00000000 0003 010203"), "bad rdata"],
    ["AAAA of 4 octets", rest("c00c 001c 0001 00000000 0004 01020304"), "bad rdata"],
    ["TXT string overruns", rest("c00c 0010 0001 00000000 0002 0561"), "bad rdata"],
    ["CNAME overruns RDLENGTH", rest("c00c 0005 0001 00000000 0002 0161 00"), "bad rdata"],
    ["CNAME shorter than RDLENGTH", rest("c00c 0005 0001 00000000 0004 0161 00 00"), "bad rdata"],
    ["CNAME of no octets", rest("c00c 0005 0001 00000000 0000"), "bad rdata"],
    ["SRV cut in its numbers", rest("c00c 0021 0001 00000000 0004 00010001"), "bad rdata"],
    ["SOA without numbers", rest("c00c 0006 0001 00000000 0004 c00c c00c"), "bad rdata"],
    ["OPT among the answers", rest("00 0029 1000 00000000 0000"), "bad opt"],
  ];
  for (const [when, octets, error] of rows)
    t.same(parseMessage(octets), { ok: false, error }, when);
  const opt = (text: string) =>
    parseMessage(Buffer.from("000101000001000000000001" + q + text.replaceAll(" ", ""), "hex"));
  t.same(opt("0161 00 0029 1000 00000000 0000"), { ok: false, error: "bad opt" }, "owner not root");
  t.same(
    opt("00 0029 1000 00000000 0004 000a0001"),
    { ok: false, error: "bad opt" },
    "option overruns",
  );
  t.match(opt("00 0029 1000 00000000 0000 ff"), {
    ok: true,
    value: { trailingOctets: 1, optCount: 1 },
  });
});

t.test("parser: 127 pointers in a row end", async (t) => {
  // Names of one label, each followed by a pointer to the one before: legal up to 255 octets.
  const parts = [
    Buffer.from("0001818000010001", "hex"),
    Buffer.alloc(4),
    Buffer.from("016100", "hex"),
  ];
  const chain: number[] = [12];
  let at = 15;
  for (let i = 0; i < 200; i++) {
    parts.push(Buffer.from([1, 98, 0xc0 | (chain.at(-1)! >> 8), chain.at(-1)! & 255]));
    chain.push(at);
    at += 4;
  }
  const octets = Buffer.concat(parts);
  for (const i of [0, 1, 125, 126, 127, 199])
    t.doesNotThrow(() => parseMessage(octets.subarray(0, chain[i])), `${i} links`);
});

t.test(
  "octets from anywhere: no throw, bounded work, and what is read can be written",
  async (t) => {
    const survives = (octets: Uint8Array) => {
      const parsed = parseMessage(octets);
      if (!parsed.ok) return;
      const { opt } = parsed.value;
      for (const compress of [true, false]) {
        const again = parseMessage(encodeMessage(parsed.value, { compress, opt }));
        const expected: ParsedMessage = parsed.value;
        if (!again.ok) throw new Error(`own octets refused: ${again.error}`);
        if (again.value.flags !== expected.flags) return; // TC: it did not fit
        const readBack = { ...expected, optCount: opt === null ? 0 : 1, trailingOctets: 0 };
        assert.deepEqual(again.value, readBack);
      }
    };
    for (let length = 0; length < foreign.length; length++) {
      const prefix = parseMessage(foreign.subarray(0, length));
      t.equal(prefix.ok, false, `prefix of ${length} octets`);
    }
    for (let at = 0; at < foreign.length; at++)
      for (const value of [
        0,
        1,
        0x3f,
        0x40,
        0x80,
        0xc0,
        0xff,
        foreign[at]! ^ 1,
        foreign[at]! ^ 0x20,
      ]) {
        const changed = Uint8Array.from(foreign);
        changed[at] = value;
        survives(changed);
      }
    const mutations = fc.array(fc.tuple(fc.nat(foreign.length - 1), fc.nat(255)), { maxLength: 8 });
    fc.assert(
      fc.property(mutations, fc.nat(foreign.length), (changes, cut) => {
        const changed = Uint8Array.from(foreign);
        for (const [at, value] of changes) changed[at] = value;
        survives(changed);
        survives(changed.subarray(0, cut));
      }),
      { numRuns: 3000 },
    );
  },
);
