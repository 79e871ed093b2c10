import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { errorReply, parseRequest, type Request } from "../../src/dns/request.ts";

const question = "03617069077365727669636506636f6e73756c0000010001";
const a = "01610162000001000100000005000401020304";
const octets = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const parse = (text: string) => parseRequest(octets(text));
const isRequest = (parsed: ReturnType<typeof parseRequest>): parsed is Request => "qname" in parsed;

t.test("parser: what is refused, and how (spec of the DNS interface, section 1)", async (t) => {
  const rows: [when: string, query: string, problem: string, reply: string | null][] = [
    ["11 octets", "1234 0100 0001 0000 0000 00", "short", null],
    ["QR set", `1234 8100 0001 0000 0000 0000 ${question}`, "response", null],
    ["IQUERY", `1234 0800 0001 0000 0000 0000 ${question}`, "opcode", "123488040000000000000000"],
    [
      "STATUS, RD",
      `1234 1100 0001 0000 0000 0000 ${question}`,
      "opcode",
      "123491040000000000000000",
    ],
    ["UPDATE", `1234 2800 0001 0000 0000 0000 ${question}`, "opcode", "1234a8040000000000000000"],
    [
      "opcode 15, RD",
      `1234 7900 0001 0000 0000 0000 ${question}`,
      "opcode",
      "1234f9040000000000000000",
    ],
    ["no question", "1234 0100 0000 0000 0000 0000", "question count", "123481010000000000000000"],
    [
      "65535 questions",
      "1234 0000 ffff 0000 0000 0000",
      "question count",
      "123480010000000000000000",
    ],
    [
      "two answers",
      `1234 0100 0001 0002 0000 0000 ${question} ${a} ${a}`,
      "record count",
      "123481010000000000000000",
    ],
    [
      "two authorities",
      `1234 0100 0001 0000 0002 0000 ${question} ${a} ${a}`,
      "record count",
      "123481010000000000000000",
    ],
    [
      "three additional",
      `1234 0100 0001 0000 0000 0003 ${question} ${a} ${a} ${a}`,
      "record count",
      "123481010000000000000000",
    ],
    ["nothing follows", "1234 0100 0001 0000 0000 0000", "name", "123481010000000000000000"],
    ["name cut", "1234 0100 0001 0000 0000 0000 03 77 77 77", "name", "123481010000000000000000"],
    [
      "pointer to itself",
      "1234 0100 0001 0000 0000 0000 c00c 0001 0001",
      "name",
      "123481010000000000000000",
    ],
    [
      "label type 0x40",
      "1234 0100 0001 0000 0000 0000 41 61 00 0001 0001",
      "name",
      "123481010000000000000000",
    ],
    [
      "class missing",
      `1234 0100 0001 0000 0000 0000 ${question.slice(0, -4)}`,
      "cut",
      "123481010000000000000000",
    ],
    [
      "record missing",
      `1234 0100 0001 0000 0000 0001 ${question}`,
      "cut",
      `123481010001000000000000${question}`,
    ],
    [
      "OPT cut",
      `1234 0100 0001 0000 0000 0001 ${question} 00 0029 04d0 00000000 0008`,
      "cut",
      `123481010001000000000000${question}`,
    ],
    [
      "option overruns",
      `1234 0100 0001 0000 0000 0001 ${question} 00 0029 04d0 00000000 0004 000a 0008`,
      "opt",
      `123481010001000000000000${question}`,
    ],
    [
      "OPT with an owner",
      `1234 0100 0001 0000 0000 0001 ${question} 0178 00 0029 04d0 00000000 0000`,
      "opt",
      `123481010001000000000000${question}`,
    ],
    [
      "two OPT",
      `1234 0100 0001 0000 0000 0002 ${question} 00 0029 04d0 00000000 0000 00 0029 04d0 00000000 0000`,
      "opt",
      `123481010001000000000000${question}`,
    ],
    [
      "subnet too short",
      `1234 0100 0001 0000 0000 0001 ${question} 00 0029 04d0 00000000 0007 0008 0003 000118`,
      "subnet",
      `123481010001000000000000${question}`,
    ],
    [
      "subnet prefix 33",
      `1234 0100 0001 0000 0000 0001 ${question} 00 0029 04d0 00000000 000c 0008 0008 0001 21 00 01020304`,
      "subnet",
      `123481010001000000000000${question}`,
    ],
    [
      "subnet address cut",
      `1234 0100 0001 0000 0000 0001 ${question} 00 0029 04d0 00000000 000a 0008 0006 0001 18 00 0102`,
      "subnet",
      `123481010001000000000000${question}`,
    ],
  ];
  for (const [when, query, problem, reply] of rows) {
    const parsed = parse(query);
    if (isRequest(parsed)) {
      t.fail(`${when}: taken for a question`);
      continue;
    }
    t.equal(parsed.problem, problem, when);
    const wire = errorReply(octets(query), parsed);
    t.equal(wire && Buffer.from(wire).toString("hex"), reply, `reply to ${when}`);
  }
});

t.test("what is tolerated", async (t) => {
  const rows: [when: string, query: string, seen: object][] = [
    [
      "plain",
      `1234 0110 0001 0000 0000 0000 ${question}`,
      { id: 0x1234, flags: 0x0110, qtype: 1, qclass: 1, opt: null },
    ],
    ["AA, TC, Z, rcode", `1234 064f 0001 0000 0000 0000 ${question}`, { flags: 0, opcode: 0 }],
    [
      "NOTIFY: flags are not copied",
      `1234 2110 0001 0000 0000 0000 ${question}`,
      { opcode: 4, flags: 0 },
    ],
    ["one answer", `1234 0100 0001 0001 0000 0000 ${question} ${a}`, { opt: null }],
    ["one authority", `1234 0100 0001 0000 0001 0000 ${question} ${a}`, { opt: null }],
    [
      "OPT second",
      `1234 0100 0001 0000 0000 0002 ${question} ${a} 00 0029 0578 00000000 0000`,
      { opt: { payload: 1400 } },
    ],
    [
      "EDNS version 1, DO",
      `1234 0100 0001 0000 0000 0001 ${question} 00 0029 0578 00018000 0000`,
      { opt: { version: 1, flags: 0x8000 }, wantsSecurity: true },
    ],
    ["octets behind", `1234 0100 0001 0000 0000 0000 ${question} ffff`, { qtype: 1 }],
    [
      "unknown family",
      `1234 0100 0001 0000 0000 0001 ${question} 00 0029 0578 00000000 0008 0008 0004 0003 00 00`,
      { subnet: null },
    ],
    ["AD", `1234 0120 0001 0000 0000 0000 ${question}`, { wantsSecurity: true, flags: 0x0100 }],
  ];
  for (const [when, query, seen] of rows) t.match(parse(query), seen, when);
  const masked = parse(
    `1234 0100 0001 0000 0000 0001 ${question} 00 0029 0578 00000000 000b 0008 0007 0001 14 00 c00002`,
  );
  t.match(masked, { subnet: { family: 1, source: 20, address: Uint8Array.of(192, 0, 0) } });
});

t.test("any octets: no throw, and a reply that is smaller than the request allows", async (t) => {
  const valid = octets(
    `1234 0100 0001 0000 0000 0001 ${question} 00 0029 04d0 00000000 000c 0008 0008 0001 20 00 01020304`,
  );
  const check = (query: Uint8Array) => {
    const parsed = parseRequest(query);
    if (isRequest(parsed)) {
      assert.equal(parsed.question.length, parsed.qname.length + 4);
      return;
    }
    const reply = errorReply(query, parsed);
    if (reply === null) return;
    assert.ok(reply.length <= query.length * 1.5, "no amplification");
    assert.equal(reply[2]! & 0x80, 0x80, "QR");
  };
  for (let length = 0; length <= valid.length; length++) check(valid.subarray(0, length));
  for (let at = 0; at < valid.length; at++)
    for (let value = 0; value < 256; value++) {
      const changed = valid.slice();
      changed[at] = value;
      check(changed);
    }
  const changes = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 });
  fc.assert(
    fc.property(changes, fc.nat(valid.length), (list, cut) => {
      const changed = valid.slice(0, cut);
      for (const [at, value] of list) if (at < cut) changed[at] = value;
      check(changed);
    }),
    { numRuns: 5000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (any) => check(any)),
    { numRuns: 3000 },
  );
  t.pass("all survived");
});
