import t from "tap";
import {
  ARPA,
  equalNames,
  foldName,
  formatName,
  isWithin,
  parseName,
  parseReverseName,
  suffixOffset,
} from "../../src/dns/name.ts";
import { parseAddress } from "../../src/address.ts";

const wire = (text: string) => {
  const parsed = parseName(text);
  if (!parsed.ok) throw new Error(`${text}: ${parsed.error}`);
  return parsed.value;
};
const hex = (octets: Uint8Array) => Buffer.from(octets).toString("hex");
const long = "x".repeat(63);

t.test("presentation text and wire (RFC 1035 3.1, 5.1)", async (t) => {
  const rows: [text: string, wire: string, back?: string][] = [
    [".", "00"],
    ["", "00", "."],
    ["com.", "03636f6d00"],
    ["a.B.com", "01610142" + "03636f6d00", "a.B.com."],
    ["a\\.b.c.", "03612e62016300"],
    ["a\\\\b.", "03615c6200"],
    ["a\\032b.", "0361206200"],
    ["\\000.", "010000"],
    ["\\255\\010.", "02ff0a00"],
    ["é.", "02c3a900", "\\195\\169."],
    ["_web._tcp.x.", "045f776562045f746370017800"],
  ];
  for (const [text, octets, back = text] of rows) {
    t.equal(hex(wire(text)), octets, `${text} to wire`);
    t.equal(formatName(wire(text)), back, `${text} back`);
  }
  t.equal(formatName(wire(`${long}.${long}.${long}.${"y".repeat(61)}`)).length, 254);
  const bad: [string, string][] = [
    ["a..b", "empty label"],
    [".a", "empty label"],
    ["a..", "empty label"],
    ["\\046..", "empty label"],
    [`${long}x.`, "label too long"],
    [`é${long}.`, "label too long"],
    [`${long}.${long}.${long}.${"y".repeat(62)}`, "name too long"],
    [`é.${long}.${long}.${long}.${"y".repeat(62)}`, "name too long"],
    ["a\\", "bad escape"],
    ["a\\25", "bad escape"],
    ["a\\256", "bad escape"],
  ];
  for (const [text, error] of bad) t.same(parseName(text), { ok: false, error }, text);
});

t.test("the escaped and the plain reader agree", async (t) => {
  for (const text of ["a.b.c.", "a.b.c", "x.", `${long}.${long}.`, "_a._b.service.consul"])
    t.equal(
      hex(wire(text)),
      hex(wire(text.replace(/[abx]/, (c) => `\\${String(c.charCodeAt(0)).padStart(3, "0")}`))),
    );
});

t.test("comparison ignores ASCII case only and respects labels", async (t) => {
  t.ok(equalNames(wire("WeB.Consul."), wire("web.consul.")));
  t.notOk(equalNames(wire("a.bc."), wire("ab.c.")));
  t.notOk(equalNames(wire("a\\@."), wire("a\\`.")), "@ and ` differ by 0x20 but are no letters");
  t.notOk(equalNames(wire("\\195\\137."), wire("\\195\\169.")), "beyond ASCII nothing is folded");
  t.equal(formatName(foldName(wire("ABC.\\219Z."))), "abc.\\219z.");
  const rows: [name: string, zone: string, offset: number][] = [
    ["consul.", "consul.", 0],
    ["a.CONSUL.", "consul.", 2],
    ["xconsul.", "consul.", -1],
    ["a.xconsul.", "consul.", -1],
    ["consul.", "a.consul.", -1],
    ["x.y.", ".", 4],
    [".", ".", 0],
    // The octets of "\006consul" inside a longer label are no label boundary.
    ["\\007\\006consul.", "consul.", -1],
  ];
  for (const [name, zone, offset] of rows)
    t.equal(suffixOffset(wire(name), wire(zone)), offset, `${name} in ${zone}`);
  t.ok(isWithin(wire("4.3.2.1.in-addr.arpa."), ARPA));
});

t.test("reverse names (RFC 1035 3.5, RFC 3596 2.5)", async (t) => {
  const rows = [
    ["10.1.2.3", "3.2.1.10.in-addr.arpa."],
    ["255.0.0.199", "199.0.0.255.in-addr.arpa."],
    [
      "4321:0:1:2:3:4:567:89ab",
      "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa.",
    ],
  ] as const;
  for (const [address, name] of rows) {
    const octets = parseAddress(address)!;
    t.same(parseReverseName(wire(name)), octets, name);
    t.same(parseReverseName(wire(name.toUpperCase())), octets, `${name} in capitals`);
  }
  for (const name of [
    "in-addr.arpa.",
    "1.in-addr.arpa.",
    "5.4.3.2.1.in-addr.arpa.",
    "256.1.1.1.in-addr.arpa.",
    "01.1.1.1.in-addr.arpa.",
    "x.1.1.1.in-addr.arpa.",
    "1.1.1.1.ip6.arpa.",
    "g.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa.",
    "1.b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa.",
    "4.3.2.1.example.",
  ])
    t.equal(parseReverseName(wire(name)), undefined, name);
});
