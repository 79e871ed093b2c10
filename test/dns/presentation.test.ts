import t from "tap";
import dnsPacket, { type Answer } from "dns-packet";
import { parseMessage } from "../../src/dns/message.ts";
import { formatData, parseType, rcodeName, typeName } from "../../src/dns/presentation.ts";

/** What dns-packet encodes, and how RFC 1035 section 5.1 or RFC 3597 section 5 writes it. */
const records: [record: Answer, text: string][] = [
  [{ type: "A", name: "x", data: "192.0.2.1" }, "192.0.2.1"],
  [{ type: "AAAA", name: "x", data: "2001:db8::1" }, "2001:db8::1"],
  [{ type: "CNAME", name: "x", data: "a.example" }, "a.example."],
  [{ type: "NS", name: "x", data: "a.example" }, "a.example."],
  [{ type: "PTR", name: "x", data: "a.example" }, "a.example."],
  [{ type: "DNAME", name: "x", data: "a.example" }, "a.example."],
  [{ type: "MX", name: "x", data: { preference: 10, exchange: "mx.example" } }, "10 mx.example."],
  [
    { type: "SRV", name: "x", data: { priority: 1, weight: 2, port: 80, target: "t.example" } },
    "1 2 80 t.example.",
  ],
  [
    {
      type: "SOA",
      name: "x",
      data: {
        mname: "ns.example",
        rname: "who.example",
        serial: 4294967295,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum: 5,
      },
    },
    "ns.example. who.example. 4294967295 2 3 4 5",
  ],
  [{ type: "TXT", name: "x", data: ["a b", 'q"\\'] }, '"a b" "q\\"\\\\"'],
  [{ type: "TXT", name: "x", data: [Buffer.from([0, 0xff, 0x41])] }, '"\\000\\255A"'],
  [{ type: "NULL", name: "x", data: Buffer.from([1, 0xab]) }, "\\# 2 01AB"],
  [{ type: "NULL", name: "x", data: Buffer.alloc(0) }, "\\# 0"],
];

t.test("records as a zone file has them", async (t) => {
  for (const [record, text] of records) {
    const parsed = parseMessage(dnsPacket.encode({ type: "response", answers: [record] }));
    if (!parsed.ok) throw new Error(parsed.error);
    t.equal(formatData(parsed.value.answers[0]!), text);
  }
  const owner = Uint8Array.of(0);
  const odd = (type: number, ...data: number[]) =>
    formatData({ owner, type, class: 1, ttl: 0, data: Uint8Array.from(data) });
  t.equal(odd(1, 1, 2, 3), "\\# 3 010203", "an A record of three octets");
  t.equal(odd(16, 5, 65), "\\# 2 0541", "a text that ends too soon");
  t.equal(odd(65280, 1), "\\# 1 01");
});

t.test("names of types and RCODEs", async (t) => {
  t.same([28, 33, 65280].map(typeName), ["AAAA", "SRV", "TYPE65280"]);
  t.same([0, 3, 16, 11].map(rcodeName), ["NOERROR", "NXDOMAIN", "BADVERS", "RCODE11"]);
  t.same(["aaaa", "SRV", "type65280", "TYPE65536", "TYPE", "nope"].map(parseType), [
    28,
    33,
    65280,
    undefined,
    undefined,
    undefined,
  ]);
});
