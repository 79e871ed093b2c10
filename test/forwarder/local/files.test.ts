// What hosts files, leases and blocklists say; hosts as dnsmasq 2.90 read the same file.
import fc from "fast-check";
import t from "tap";
import { formatData, parseType, typeName } from "../../../src/dns/presentation.ts";
import type { Rr } from "../../../src/dns/rr.ts";
import { asciiDomain } from "../../../src/config/forwarder/domain-text.ts";
import { createBlocklistReader } from "../../../src/forwarder/local/blocklist.ts";
import {
  createHostsReader,
  createLeasesReader,
  leasesAt,
} from "../../../src/forwarder/local/hosts-file.ts";
import type { RecordSet } from "../../../src/forwarder/local/records.ts";
import { hashSuffixes } from "../../../src/forwarder/local/suffix-hash.ts";
import type { PieceReader } from "../../../src/forwarder/local/text-lines.ts";
import { wireName } from "../world.ts";

const key = { low: 1, high: 2 };
const domain = wireName("lan.example");

/** Feeds a text in pieces of this many characters. */
function read<T>(reader: PieceReader<string, T>, text: string, step = 7) {
  for (let at = 0; at < text.length; at += step) if (!reader.feed(text.slice(at, at + step))) break;
  return reader.end();
}

function readOctets<T>(reader: PieceReader<Uint8Array, T>, text: string, step = 7) {
  const octets = Buffer.from(text, "latin1");
  for (let at = 0; at < octets.length; at += step)
    if (!reader.feed(octets.subarray(at, at + step))) break;
  return reader.end();
}

function look(set: RecordSet, question: string): string {
  const [name = "", type = "A"] = question.split(" ");
  const found: Rr[] = [];
  const qname = wireName(name);
  hashSuffixes(qname, key);
  set.find(qname, parseType(type)!, found);
  return found.map((rr) => `${typeName(rr.type)} ${formatData(rr)}`).join(", ");
}

const hosts = `# comment
1.2.3.4 alpha alpha2.example.com  # trailing
1.2.3.4 again.example.com
1.2.3.5 alpha
::5 alpha
\t1.2.3.6\tunder_score.example.com   -dash.example.com\r
1.2.3.7 UPPER.Example.COM
1.2.3.8 dotted.example.org.
fe80::1%eth0 linkl.example
bad line here
1.2.3.300 bad.example
1.2.3.9 bad..name fine.example
1.2.3.9
10.65.97.1 a.example
10.97.65.1 b.example`;

t.test("hosts files", async (t) => {
  const options = { key, ttlSeconds: 30, expandWith: domain };
  const { value, problems } = read(createHostsReader("H", hosts.length, options), hosts);
  const rows: [string, string][] = [
    ["alpha A", "A 1.2.3.4, A 1.2.3.5"],
    ["ALPHA AAAA", "AAAA ::5"],
    ["alpha.lan.example A", "A 1.2.3.4, A 1.2.3.5"],
    ["alpha ANY", "A 1.2.3.4, A 1.2.3.5, AAAA ::5"],
    ["alpha TXT", ""],
    ["alpha2.example.com A", "A 1.2.3.4"],
    ["again.example.com A", "A 1.2.3.4"],
    ["4.3.2.1.in-addr.arpa PTR", "PTR alpha.lan.example."],
    ["4.3.2.1.in-addr.arpa A", ""],
    ["3.2.1.in-addr.arpa PTR", ""],
    ["under_score.example.com A", "A 1.2.3.6"],
    ["-dash.example.com A", "A 1.2.3.6"],
    ["7.3.2.1.in-addr.arpa PTR", "PTR upper.example.com."],
    ["dotted.example.org A", "A 1.2.3.8"],
    ["linkl.example AAAA", ""],
    ["fine.example A", "A 1.2.3.9"],
    // 65 and 97 are letters that differ by case alone.
    ["1.97.65.10.in-addr.arpa PTR", "PTR a.example."],
    ["1.65.97.10.in-addr.arpa PTR", "PTR b.example."],
    ["example.com A", ""],
  ];
  for (const [question, expected] of rows) t.equal(look(value, question), expected, question);
  hashSuffixes(wireName("example.com"), key);
  t.ok(value.hasName(wireName("example.com")), "there is something below");
  t.equal(value.nameCount, 11);
  t.same(problems, [
    'H:9: "fe80::1%eth0" is an address with a zone, which no answer can hold: left out',
    'H:10: "bad" is no address: left out',
    'H:11: "1.2.3.300" is no address: left out',
    'H:12: "bad..name" is no domain name: left out',
  ]);
});

// The answers are those of dnsmasq 2.90 with IDN2.
t.test("names of other scripts in hosts files", async (t) => {
  const text = "127.0.0.2 bücher.lan Straße.lan\n::5 例え\n";
  const options = { key, ttlSeconds: 30, expandWith: domain, asciiDomain };
  const { value, problems } = read(createHostsReader("H", text.length, options), text, 7);
  t.equal(look(value, "xn--bcher-kva.lan A"), "A 127.0.0.2");
  t.equal(look(value, "xn--strae-oqa.lan A"), "A 127.0.0.2");
  t.equal(look(value, "strasse.lan A"), "");
  t.equal(look(value, "xn--r8jz45g.lan.example AAAA"), "AAAA ::5");
  t.equal(look(value, "2.0.0.127.in-addr.arpa PTR"), "PTR xn--bcher-kva.lan.");
  t.same(problems, []);
});

t.test("a file in other pieces says the same", async (t) => {
  const options = { key, ttlSeconds: 0, expandWith: null };
  const whole = read(createHostsReader("H", 0, options), hosts, 10_000);
  for (const step of [1, 2, 3, 64]) {
    const pieces = read(createHostsReader("H", 0, options), hosts, step);
    t.same(pieces.problems, whole.problems, `pieces of ${step}`);
    t.equal(pieces.value.nameCount, whole.value.nameCount);
  }
  const long = `1.1.1.1 ${"x".repeat(200_000)}\n1.1.1.2 after.example\n`;
  const { value, problems } = read(createHostsReader("H", 0, options), long, 4096);
  t.same(problems, ["H:1: longer than 65536 characters: left out"]);
  t.equal(look(value, "after.example A"), "A 1.1.1.2");
});

t.test("what nobody has written is no file that stops anything", async (t) => {
  const options = { key, ttlSeconds: 0, expandWith: null };
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
      read(createHostsReader("H", text.length, options), text);
      read(createLeasesReader("L"), text);
      readOctets(createBlocklistReader("B", text.length, key), text);
      return true;
    }),
    { numRuns: 1500, seed: 7 },
  );
  const many = Array.from({ length: 50 }, (_, i) => `bad${i} line`).join("\n");
  t.equal(read(createHostsReader("H", 0, options), many).problems.length, 6);
  t.match(read(createHostsReader("H", 0, options), many).problems[5], "and 45 more lines");
});

t.test("leases, and when they end", async (t) => {
  const text = `0 02:00:00:00:00:01 192.168.50.10 perm-host 01:02
2000 02:00:00:00:00:02 192.168.50.11 lease-host *
900 02:00:00:00:00:03 192.168.50.12 old-host *
2500 02:00:00:00:00:04 192.168.50.13 * *
duid 00:01:00:01
3000 12345 fd00::7 lease-host 00:01
what is this
`;
  const { value, problems } = read(createLeasesReader("L"), text);
  t.same(problems, ["L:7: this is no lease: left out"]);
  const options = { key, ttlSeconds: 0, expandWith: domain };
  const at1000 = leasesAt(value, 1000, options);
  t.equal(at1000.untilSeconds, 2000);
  t.equal(look(at1000.set, "lease-host A"), "A 192.168.50.11");
  t.equal(look(at1000.set, "lease-host.lan.example AAAA"), "AAAA fd00::7");
  t.equal(look(at1000.set, "old-host A"), "");
  t.equal(look(at1000.set, "11.50.168.192.in-addr.arpa PTR"), "PTR lease-host.lan.example.");
  const at2000 = leasesAt(value, 2000, options);
  t.equal(look(at2000.set, "lease-host A"), "");
  t.equal(look(at2000.set, "perm-host A"), "A 192.168.50.10");
  t.equal(at2000.untilSeconds, 3000);
  t.equal(leasesAt(value, 9000, options).untilSeconds, Infinity);
});

t.test("blocklists of all kinds", async (t) => {
  const text = `# plain names
ads.example.com
! a comment of ad blockers
[Adblock Plus]
||tracker.example^
@@||allowed.example^
0.0.0.0 hosts-ad.example other-ad.example # both
127.0.0.1 localhost
::1 ip6-localhost
address=/dm.example/0.0.0.0
address=/dm3.example/dm4.example/
local=/dm2.example/
*.stars.example
trailing.example.\r
UPPER.example
single
192.0.2.1
bad|line
`;
  for (const step of [1, 5, 10_000]) {
    const { value, problems } = readOctets(
      createBlocklistReader("B", text.length, key),
      text,
      step,
    );
    const blocked = (name: string): number => value.match(wireName(name));
    for (const name of [
      "ads.example.com",
      "x.y.ads.example.com",
      "tracker.example",
      "hosts-ad.example",
      "other-ad.example",
      "dm.example",
      "dm2.example",
      "dm3.example",
      "dm4.example",
      "stars.example",
      "trailing.example",
      "upper.EXAMPLE",
      "single",
    ])
      t.ok(blocked(name) > 0, name);
    for (const name of ["example.com", "ds.example.com", "localhost", "ip6-localhost", "com", "."])
      t.equal(blocked(name), -1, name);
    t.equal(blocked("x.ads.example.com"), "ads.example.com".length + 1, "how long the match is");
    t.equal(value.nameCount, 12);
    t.same(problems, [
      'B:6: "@@||allowed.example^" names nothing to block: left out',
      'B:18: "bad|line" names nothing to block: left out',
    ]);
  }
});

t.test("a blocklist against a plain set of names", async (t) => {
  const label = fc.constantFrom("a", "b", "ad", "ads", "com", "x1");
  const name = fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join("."));
  fc.assert(
    fc.property(fc.array(name, { maxLength: 30 }), name, (listed, asked) => {
      const { value } = readOctets(createBlocklistReader("B", 0, key), `${listed.join("\n")}\n`);
      const labels = asked.split(".");
      const isListed = labels.some((_, i) => listed.includes(labels.slice(i).join(".")));
      return value.match(wireName(asked)) >= 0 === isListed;
    }),
    { numRuns: 3000, seed: 3 },
  );
  // More than the room that was made: another segment is begun.
  const lines = Array.from({ length: 20_000 }, (_, i) => `n${i}.example.com`).join("\n");
  const { value } = readOctets(createBlocklistReader("B", 0, key), lines, 4096);
  t.equal(value.nameCount, 20_000);
  let found = 0;
  for (let i = 0; i < 20_000; i++) if (value.match(wireName(`x.n${i}.example.com`)) > 0) found++;
  t.equal(found, 20_000);
  t.equal(value.match(wireName("n20000.example.com")), -1);
});

t.test("a name with more addresses than any message carries", async (t) => {
  const options = { key, ttlSeconds: 0, expandWith: null };
  const lines: string[] = [];
  for (let i = 0; i < 20_000; i++)
    lines.push(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255} many.example`);
  const startMs = performance.now();
  const { value, problems } = read(createHostsReader("H", 0, options), lines.join("\n"), 4096);
  t.equal(look(value, "many.example A").split(", ").length, 1000);
  t.match(problems[0], 'H:1001: "many.example" has more than 1000 addresses');
  t.ok(performance.now() - startMs < 5000, "and it does not take for ever");
});
