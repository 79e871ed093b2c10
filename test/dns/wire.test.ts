import dnsPacket from "dns-packet";
import t from "tap";
import { createScan, foldAndHash, IGNORED, PLAIN, scanQuery, UNUSUAL } from "../../src/dns/wire.ts";
import { query, seeded } from "./prepared.ts";

/** Octets that throw when anything outside start..start+length is read. */
function fenced(octets: Uint8Array, start: number): Uint8Array {
  const memory = new Uint8Array(start + octets.length + 64).fill(0xff);
  memory.set(octets, start);
  return new Proxy(memory, {
    get(target, key) {
      const index = Number(key);
      if (index < start || index >= start + octets.length)
        throw new Error(`read of octet ${index}`);
      return target[index];
    },
  });
}

const START = 8;

function scan(octets: Uint8Array) {
  const found = createScan();
  return { kind: scanQuery(fenced(octets, START), START, octets.length, found), ...found };
}

const ecs = { code: 8, type: "CLIENT_SUBNET", family: 1, ip: "10.0.0.0", sourcePrefixLength: 8 };
const cookie = { code: 10, type: "OPTION_10", data: Buffer.alloc(8) };
const plain = query("web.service.consul");
const patched = (octets: Uint8Array, ...changes: [at: number, value: number][]): Uint8Array => {
  const copy = octets.slice();
  for (const [at, value] of changes) copy[at] = value;
  return copy;
};
const joined = (...parts: (Uint8Array | number[])[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));
const opt = (payload = 1232): Uint8Array =>
  Uint8Array.of(0, 0, 41, payload >> 8, payload & 255, 0, 0, 0, 0, 0, 0);
const longest = joined(
  plain.slice(0, 12),
  ...Array.from({ length: 3 }, () => [63, ...Array.from({ length: 63 }, () => 97)]),
  [61, ...Array.from({ length: 61 }, () => 98)],
  [0, 0, 1, 0, 1],
);

const rows: [what: string, octets: Uint8Array, kind: number][] = [
  ["a stub's query", plain, PLAIN],
  ["with EDNS", query("web.service.consul", "A", { edns: 1232 }), PLAIN],
  ["with a cookie", query("a.b", "A", { edns: 4096, options: [cookie as never] }), PLAIN],
  ["for the root", query("."), PLAIN],
  ["the longest name", longest, PLAIN],
  ["AA, TC, RA, Z and rcode set", patched(plain, [2, 0x07], [3, 0xcf]), PLAIN],
  ["nothing", new Uint8Array(0), IGNORED],
  ["eleven octets", plain.slice(0, 11), IGNORED],
  ["a response", patched(plain, [2, 0x80]), IGNORED],
  ["opcode NOTIFY", patched(plain, [2, 0x20]), UNUSUAL],
  ["no question", patched(plain, [5, 0]), UNUSUAL],
  ["two questions", patched(plain, [5, 2]), UNUSUAL],
  ["257 questions", patched(plain, [4, 1]), UNUSUAL],
  ["an answer record announced", patched(plain, [7, 1]), UNUSUAL],
  ["an authority record announced", patched(plain, [9, 1]), UNUSUAL],
  ["an additional record that is missing", patched(plain, [11, 1]), UNUSUAL],
  ["two additional records", patched(joined(plain, opt(), opt()), [11, 2]), UNUSUAL],
  ["octets behind the question", joined(plain, [0]), UNUSUAL],
  ["octets behind the OPT", patched(joined(plain, opt(), [0]), [11, 1]), UNUSUAL],
  ["an OPT that is not counted", joined(plain, opt()), UNUSUAL],
  ["a compressed question", patched(plain, [12, 0xc0]), UNUSUAL],
  ["label type 0x40", patched(plain, [12, 0x40]), UNUSUAL],
  ["a name of 256 octets", patched(longest, [12 + 192, 62]), UNUSUAL],
  ["no QCLASS", plain.slice(0, -2), UNUSUAL],
  ["AXFR", query("consul", "AXFR"), UNUSUAL],
  ["IXFR", query("consul", "IXFR"), UNUSUAL],
  ["client subnet", query("a.b", "A", { edns: 1232, options: [ecs as never] }), UNUSUAL],
  ["EDNS version 1", patched(joined(plain, opt()), [11, 1], [plain.length + 6, 1]), UNUSUAL],
  ["OPT with an owner", patched(joined(plain, [1], opt()), [11, 1]), UNUSUAL],
  [
    "another record than OPT",
    patched(joined(plain, opt()), [11, 1], [plain.length + 2, 1]),
    UNUSUAL,
  ],
  ["OPT RDATA cut", patched(joined(plain, opt()), [11, 1], [plain.length + 10, 4]), UNUSUAL],
  [
    "an option longer than RDATA",
    patched(joined(plain, opt(), [0, 10, 0, 1]), [11, 1], [plain.length + 10, 4]),
    UNUSUAL,
  ],
  [
    "half an option header",
    patched(joined(plain, opt(), [0, 10]), [11, 1], [plain.length + 10, 2]),
    UNUSUAL,
  ],
];

t.test("what a worker may answer by itself", async (t) => {
  for (const [what, octets, kind] of rows) t.equal(scan(octets).kind, kind, what);
});

t.test("the parts of a query", async (t) => {
  const found = scan(query("Web.Service.consul", "SRV", { edns: 1232, dnssecOk: true }));
  t.match(found, { qtype: 33, qclass: 1, qnameOctets: 20, questionEnd: 36, hasOpt: true });
  t.match(found, { askedPayload: 1232, payload: 1232, hasSecurityBits: true });
  for (const [asked, payload] of [
    [0, 512],
    [511, 512],
    [513, 513],
    [65535, 65467],
  ] as const)
    t.match(scan(query("a", "A", { edns: asked })), { askedPayload: asked, payload });
  t.match(scan(plain), { payload: 512, hasOpt: false, hasSecurityBits: false });
  t.ok(scan(query("a", "A", { cd: true })).hasSecurityBits, "CD");
  t.ok(scan(query("a", "A", { ad: true })).hasSecurityBits, "AD");
  t.notOk(scan(query("a", "A", { edns: 1232 })).hasSecurityBits, "plain EDNS");
});

/** Is a query that the scan calls plain one that dns-packet reads the same way? */
function disagreement(octets: Uint8Array): string | undefined {
  const found = scan(octets);
  if (found.kind !== PLAIN) return undefined;
  const { questions, additionals, type } = dnsPacket.decode(Buffer.from(octets));
  if (type !== "query" || questions?.length !== 1) return "not one question";
  // Text has a dot where the wire has a length, and neither the first length nor the root.
  const { name } = questions[0]!;
  const qnameOctets = name === "." ? 1 : name.length + 2;
  if (qnameOctets !== found.qnameOctets) return `name of ${qnameOctets} octets`;
  return (additionals?.length === 1) === found.hasOpt ? undefined : "OPT";
}

t.test("cut and changed queries are scanned within their bounds", async (t) => {
  const valid = [
    plain,
    query("www.example.org", "AAAA", { edns: 1232, options: [cookie as never] }),
    query("a.b", "A", { edns: 1232, options: [ecs as never] }),
    longest,
  ];
  for (const octets of valid) {
    for (let length = 0; length <= octets.length; length++) scan(octets.slice(0, length));
    for (let at = 0; at < octets.length; at++)
      for (let value = 0; value < 256; value++) scan(patched(octets, [at, value]));
  }
  const random = seeded(42);
  const disagreements = new Set<string>();
  for (let i = 0; i < 200_000; i++) {
    const octets = valid[random() % 3]!.slice(0);
    for (let changes = 1 + (random() % 4); changes > 0; changes--)
      octets[random() % octets.length] = random() & 255;
    // dns-packet reads text names: labels with octets above ASCII change their length there.
    const found = octets.subarray(12).every((octet) => octet < 0x80)
      ? disagreement(octets)
      : undefined;
    if (found !== undefined) disagreements.add(`${found}: ${Buffer.from(octets).toString("hex")}`);
  }
  t.same([...disagreements].slice(0, 5), []);
});

t.test("names that differ only in ASCII case have one hash, others do not", async (t) => {
  const folded = new Int32Array(64);
  const hash = (octets: Uint8Array, key = 5): number => {
    const words = new Int32Array(80);
    new Uint8Array(words.buffer).set(octets);
    const { qnameOctets, qtype, qclass } = scan(octets);
    return foldAndHash(words, 3, qnameOctets, (qtype << 16) | qclass, folded, key, 6);
  };
  t.equal(hash(query("WEB.Service.CONSUL")), hash(query("web.service.consul")));
  t.equal(Buffer.from(folded.buffer, 0, 20).toString(), "\x03web\x07service\x06consul\0");
  // "@", "[", "`" and "{" are the neighbours of the letters; 0xc1 is "A" with the top bit.
  for (const [a, b] of [
    [0x40, 0x60],
    [0x5b, 0x7b],
    [0xc1, 0xe1],
  ] as const)
    t.not(hash(patched(plain, [13, a])), hash(patched(plain, [13, b])), `${a} and ${b} differ`);
  // HTTPS is type 65, "A": the question's type is not text.
  t.not(hash(patched(plain, [plain.length - 3, 65])), hash(patched(plain, [plain.length - 3, 97])));
  t.not(hash(plain, 5), hash(plain, 9), "keyed");

  const seen = new Set<number>();
  for (let i = 0; i < 20_000; i++) seen.add(hash(query(`n${i}.example.org`)));
  t.ok(seen.size >= 19_998, "about no collisions among 20,000 of 2^32");
});
