/** Padding as RFC 7830 and RFC 8467 have it; dns-packet reads what comes out. */
import dnsPacket from "dns-packet";
import fc from "fast-check";
import t from "tap";
import { withoutOption } from "../../src/dns/edns.ts";
import { padQuestion, padReply } from "../../src/dns/padding.ts";

type Option = { code: number; data?: Buffer; length?: number; type?: string };
const PADDING = 12;

function message(answers: number, options: Option[] | null, name = "www.example.test"): Buffer {
  return dnsPacket.encode({
    type: "response",
    questions: [{ name, type: "A" }],
    answers: Array.from({ length: answers }, () => ({
      name,
      type: "TXT" as const,
      data: "x".repeat(100),
      ttl: 60,
    })),
    additionals:
      options === null
        ? []
        : [{ type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options } as never],
  });
}

const optionsOf = (wire: Uint8Array): Option[] =>
  dnsPacket
    .decode(Buffer.from(wire))
    .additionals!.flatMap((record) => (record as unknown as { options: Option[] }).options);
const question = (options: Option[] | null): Buffer => message(0, options);
const asks = question([{ code: PADDING, length: 0 }]);

t.test("replies to padded questions are multiples of 468 octets", async (t) => {
  for (const answers of [0, 1, 3, 4, 5, 40]) {
    const plain = message(answers, [{ code: 10, data: Buffer.alloc(24, 7) }]);
    const reply = padReply(plain, asks);
    t.equal(reply.length % 468, 0, `${plain.length} octets`);
    t.ok(reply.length - plain.length < 468 + 4, "not more than a block");
    const { answers: got } = dnsPacket.decode(Buffer.from(reply));
    t.equal(got!.length, answers);
    const [cookie, padding, ...none] = optionsOf(reply);
    t.equal(cookie!.code, 10, "what was there stays");
    t.equal(padding!.code, PADDING);
    t.same(none, []);
    t.ok(
      reply.subarray(plain.length + 4).every((octet) => octet === 0),
      "zeros (RFC 7830 section 3)",
    );
    t.same(padReply(reply, asks), reply, "once only");
  }
});

t.test("only who pads gets padding", async (t) => {
  const reply = message(1, []);
  for (const query of [
    question(null),
    question([]),
    question([{ code: 10, data: Buffer.alloc(8) }]),
  ])
    t.equal(padReply(reply, query), reply);
  const bare = message(1, null);
  t.equal(padReply(bare, asks), bare, "a reply without OPT stays as it is");
});

/** A reply of so many octets: one record of an unknown type, and an OPT. */
function replyOf(octets: number): Buffer {
  const bare = message(0, []);
  const record = Buffer.from([0, 0xff, 0, 0, 1, 0, 0, 0, 9, 0, 0]);
  const opt = bare.length - 11;
  const data = Buffer.alloc(octets - bare.length - record.length, 5);
  record.writeUInt16BE(data.length, 9);
  const wire = Buffer.concat([bare.subarray(0, opt), record, data, bare.subarray(opt)]);
  wire.writeUInt16BE(1, 6);
  return wire;
}

t.test("the longest messages: as much as there is room for", async (t) => {
  const rows = [
    [65_516, 65_520],
    [65_517, 65_535],
    [65_531, 65_535],
    [65_532, 65_532],
    [65_535, 65_535],
  ] as const;
  for (const [octets, expected] of rows) {
    const reply = padReply(replyOf(octets), asks);
    t.equal(reply.length, expected, `${octets} octets`);
    t.equal(dnsPacket.decode(Buffer.from(reply)).answers!.length, 1);
  }
});

t.test("questions are multiples of 128 octets", async (t) => {
  for (let octets = 1; octets < 60; octets++) {
    const wire = message(0, [], "z".repeat(octets));
    const padded = padQuestion(wire);
    t.equal(padded.length % 128, 0);
    t.equal(optionsOf(padded).at(-1)!.code, PADDING);
  }
  const bare = question(null);
  t.equal(padQuestion(bare), bare);
});

t.test("whatever comes: nothing thrown, nothing shorter, nothing else changed", async (t) => {
  const some = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc
      .tuple(
        fc.constantFrom(asks, message(2, [])),
        fc.array(fc.tuple(fc.nat(200), fc.nat(255))),
        fc.nat(300),
      )
      .map(([wire, changes, end]) => {
        const changed = Uint8Array.from(wire);
        for (const [at, octet] of changes) changed[at % changed.length] = octet;
        return changed.subarray(0, end);
      }),
  );
  fc.assert(
    fc.property(some, some, (reply, query) => {
      for (const after of [padReply(reply, query), padQuestion(reply)]) {
        t.ok(after === reply || after.length % 468 === 0 || after.length % 128 === 0);
        if (after.length < reply.length) return false;
        // The length of the options has two octets.
        if (reply.filter((octet, i) => octet !== after[i]).length > 2) return false;
      }
      return true;
    }),
    { numRuns: 2000 },
  );
});

t.test("options without those of a code, as a filter of the list has it", async (t) => {
  const list = fc.array(
    fc.record({ code: fc.constantFrom(3, 10, 12), data: fc.uint8Array({ maxLength: 5 }) }),
  );
  const encode = (options: { code: number; data: Uint8Array }[]): Uint8Array =>
    Uint8Array.from(options.flatMap(({ code, data }) => [0, code, 0, data.length, ...data]));
  fc.assert(
    fc.property(list, (options) => {
      const before = encode(options);
      const got = withoutOption(before, PADDING);
      t.same(got, encode(options.filter(({ code }) => code !== PADDING)));
      return true;
    }),
    { numRuns: 200 },
  );
});
