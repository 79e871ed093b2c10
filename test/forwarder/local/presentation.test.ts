// Data of records as zone files have it, judged by dns-packet where it knows the type.
import dnsPacket, { type Answer } from "dns-packet";
import fc from "fast-check";
import t from "tap";
import { formatData, parseType } from "../../../src/dns/presentation.ts";
import { parseData } from "../../../src/forwarder/local/presentation.ts";

/** RDATA as dns-packet encodes it. */
function encoded(type: string, data: unknown): string {
  const answer = { type, name: ".", ttl: 0, data } as unknown as Answer;
  const wire = dnsPacket.encode({ type: "response", answers: [answer] });
  return wire.subarray(12 + 1 + 10).toString("hex");
}

function parsed(type: string, text: string): string {
  const found = parseData(parseType(type)!, text);
  return found.ok ? Buffer.from(found.value).toString("hex") : found.error;
}

const same: [string, string, unknown][] = [
  ["A", "192.0.2.1", "192.0.2.1"],
  ["AAAA", "2001:db8::1", "2001:db8::1"],
  ["NS", "ns.example", "ns.example"],
  ["CNAME", "target.example.", "target.example"],
  ["PTR", "host.example", "host.example"],
  ["DNAME", "other.example", "other.example"],
  ["MX", "10 mail.example", { preference: 10, exchange: "mail.example" }],
  ["SRV", "1 2 80 web.example", { priority: 1, weight: 2, port: 80, target: "web.example" }],
  ["TXT", '"two words" plain "quo\\"te" \\065\\066', ["two words", "plain", 'quo"te', "AB"]],
  ["TXT", '""', [""]],
  [
    "NAPTR",
    '10 20 "U" "E2U+sip" "!^.*$!sip:x@example!" .',
    {
      order: 10,
      preference: 20,
      flags: "U",
      services: "E2U+sip",
      regexp: "!^.*$!sip:x@example!",
      replacement: ".",
    },
  ],
  ["CAA", '0 issue "ca.example"', { flags: 0, tag: "issue", value: "ca.example" }],
  [
    "SOA",
    "ns.example admin.example 1 2 3 4 4294967295",
    {
      mname: "ns.example",
      rname: "admin.example",
      serial: 1,
      refresh: 2,
      retry: 3,
      expire: 4,
      minimum: 4294967295,
    },
  ],
  ["HINFO", '"x86" linux', { cpu: "x86", os: "linux" }],
];

t.test("every type that has a form", async (t) => {
  for (const [type, text, data] of same)
    t.equal(parsed(type, text), encoded(type, data), `${type} ${text}`);
  t.equal(parsed("SSHFP", "1 2 00 ff"), "010200ff");
  t.equal(parsed("TLSA", "3 1 1 0A0B"), "0301010a0b");
  t.equal(
    parsed("URI", '10 1 "ftp://x.example/"'),
    `000a0001${Buffer.from("ftp://x.example/").toString("hex")}`,
  );
  t.equal(parsed("TYPE65280", "\\# 3 01 0203"), "010203");
  t.equal(parsed("A", "\\# 4 c0000201"), "c0000201", "RFC 3597 for a type that has a form");
  t.equal(parsed("TXT", "\\# 0"), "");
  t.equal(parsed("TXT", '"ü"'), `02${Buffer.from("ü").toString("hex")}`);
});

t.test("what is wrong with it", async (t) => {
  const rows: [string, string, string][] = [
    ["A", "::1", 'expected an IPv4 address, got "::1"'],
    ["A", "", "expected an IPv4 address, got nothing"],
    ["A", "192.0.2.1 192.0.2.2", 'there is more than expected: "192.0.2.2"'],
    ["MX", "mail.example", 'expected a number from 0 to 65535, got "mail.example"'],
    ["MX", "65536 mail.example", 'expected a number from 0 to 65535, got "65536"'],
    ["CNAME", "a..b", 'expected a domain name, got "a..b"'],
    ["TXT", '"open', "a quotation mark or an escape is not complete"],
    ["TXT", "bad\\25", "a quotation mark or an escape is not complete"],
    ["TXT", "bad\\256", "a quotation mark or an escape is not complete"],
    ["TXT", "x".repeat(256), "expected texts of at most 255 octets, got "],
    ["TLSA", "3 1 1 0", 'expected octets in hexadecimal, got "0"'],
    [
      "HTTPS",
      "1 .",
      "this type has no form of its own here: give it as \\# <octets> <hexadecimal>",
    ],
    ["TYPE1", "\\# 3 0102", "3 octets are told, 2 given"],
    ["TYPE1", "\\# x", "expected \\#, the number of octets, and the octets in hexadecimal"],
  ];
  for (const [type, text, problem] of rows) t.match(parsed(type, text), problem, `${type} ${text}`);
});

t.test("what is shown of a record is read as the same record", async (t) => {
  // Names inside other types are trusted to be well-formed.
  const types = [1, 16, 28, 65280];
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 40 }), (type, data) => {
      // Only what is well-formed of the type is shown in its form; all else in hexadecimal.
      const text = formatData({ owner: new Uint8Array(1), type, class: 1, ttl: 0, data });
      if (!text.startsWith("\\#")) return true;
      const again = parseData(type, text);
      return again.ok && Buffer.compare(again.value, data) === 0;
    }),
    { seed: 5, numRuns: 2000 },
  );
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.constantFrom(...types),
      (text, type) => {
        parseData(type, text);
        return true;
      },
    ),
    { seed: 6, numRuns: 2000 },
  );
  t.pass("4,000 of them");
});
