// Mail for hosts, domains by network, and the SOA record of a zone of our own: as dnsmasq 2.90 has them.
import t from "tap";
import { formatName } from "../../../src/dns/name.ts";
import { TYPE } from "../../../src/dns/rr.ts";
import { formatData } from "../../../src/dns/presentation.ts";
import { createHostsReader, leasesAt } from "../../../src/forwarder/local/hosts-file.ts";
import { hashSuffixes } from "../../../src/forwarder/local/suffix-hash.ts";
import type { Rr } from "../../../src/dns/rr.ts";
import { parseAddress } from "../../../src/address.ts";
import { wireName } from "../world.ts";
import { createScene, expectAll } from "./scene.ts";

const records = [
  { name: "host.test", type: "A", data: "192.0.2.1" },
  { name: "six.test", type: "AAAA", data: "2001:db8::1" },
  { name: "own.test", type: "A", data: "192.0.2.2" },
  { name: "own.test", type: "MX", data: "7 mail.own.test" },
  { name: "text.test", type: "TXT", data: "x" },
  { name: "alias.test", type: "CNAME", data: "host.test" },
];
const zones = [{ names: ["test"], local: true }];

t.test("host_mx: names with an address and no MX lead to one host, or to themselves", async (t) => {
  const common: [string, string][] = [
    ["own.test MX", "MX 7 mail.own.test."],
    ["text.test MX", "NODATA"],
    ["absent.test MX", "NXDOMAIN"],
    ["host.test A", "A 192.0.2.1"],
    ["host.test TXT", "NODATA"],
  ];
  const one = await createScene(t, { records, zones, host_mx: "mx.test" });
  expectAll(t, one, [
    ...common,
    ["host.test MX", "MX 1 mx.test."],
    ["six.test MX", "MX 1 mx.test."],
    ["host.test ANY", "A 192.0.2.1, MX 1 mx.test."],
    ["alias.test MX", "CNAME host.test., MX 1 mx.test."],
  ]);
  t.equal(one.pipeline.stats().answers.records, 6);
  const self = await createScene(t, { records, zones, host_mx: "self" });
  expectAll(t, self, [
    ...common,
    ["host.test MX", "MX 1 host.test."],
    ["alias.test MX", "CNAME host.test., MX 1 host.test."],
  ]);
  const none = await createScene(t, { records, zones });
  expectAll(t, none, [...common, ["host.test MX", "NODATA"]]);
});

t.test("a zone with an SOA record of its own denies with it (RFC 2308 section 3)", async (t) => {
  const soa = { name: "zone.test", type: "SOA", ttl: "900s" };
  const scene = await createScene(t, {
    records: [
      { ...soa, data: "ns.test me.test 7 1 2 3 50" },
      { name: "zone.test", type: "NS", data: "ns.test" },
      { name: "host.zone.test", type: "A", data: "192.0.2.1" },
    ],
    zones: [{ names: ["zone.test"], local: true }],
  });
  expectAll(t, scene, [
    ["zone.test SOA", "SOA ns.test. me.test. 7 1 2 3 50"],
    ["zone.test NS", "NS ns.test."],
    ["zone.test A", "NODATA"],
    ["host.zone.test TXT", "NODATA"],
    ["absent.zone.test A", "NXDOMAIN"],
  ]);
  for (const question of ["absent.zone.test A", "zone.test A", "host.zone.test TXT"]) {
    const answer = scene.answer(question);
    const [denial] = answer.ok ? answer.authority : [];
    t.equal(denial?.type, TYPE.SOA, question);
    t.equal(formatData(denial!), "ns.test. me.test. 7 1 2 3 50");
    t.equal(denial!.ttl, 50, "the smaller of TTL and MINIMUM");
  }
});

t.test("the domain of a name follows its address", async (t) => {
  const key = { low: 1, high: 2 };
  const network = (text: string, prefixLength: number) => ({
    octets: parseAddress(text)!,
    prefixLength,
  });
  const options = {
    key,
    ttlSeconds: 0,
    expandWith: wireName("usual.test"),
    domains: [
      { name: wireName("first.test"), networks: [network("192.0.2.0", 25), network("::", 64)] },
      { name: wireName("second.test"), networks: [network("192.0.2.0", 24)] },
    ],
  };
  const text = "192.0.2.1 one\n192.0.2.200 two\n198.51.100.1 three\n::9 six\n192.0.2.3 a.b\n";
  const reader = createHostsReader("H", text.length, options);
  reader.feed(text);
  const { value: hosts, problems } = reader.end();
  t.same(problems, []);
  const leases = [
    { name: wireName("one"), address: parseAddress("192.0.2.1")!, untilSeconds: Infinity },
    { name: wireName("two"), address: parseAddress("192.0.2.200")!, untilSeconds: Infinity },
  ];
  const { set } = leasesAt(leases, 0, options);
  const taken = wireName("one.first.test");
  const isTaken = (name: Uint8Array) => formatName(name) === formatName(taken);
  const beside = leasesAt(leases, 0, options, isTaken);
  hashSuffixes(taken, key);
  t.notOk(beside.set.hasName(taken), "a name that others have is theirs");
  t.equal(beside.set.nameCount, 3);
  const rows: [name: string, type: number, expected: string][] = [
    ["one", TYPE.A, "192.0.2.1"],
    ["one.first.test", TYPE.A, "192.0.2.1"],
    ["one.second.test", TYPE.A, ""],
    ["one.usual.test", TYPE.A, ""],
    ["two.second.test", TYPE.A, "192.0.2.200"],
    ["three.usual.test", TYPE.A, "198.51.100.1"],
    ["six.first.test", TYPE.AAAA, "::9"],
    ["a.b.first.test", TYPE.A, ""],
    ["1.2.0.192.in-addr.arpa", TYPE.PTR, "one.first.test."],
    ["200.2.0.192.in-addr.arpa", TYPE.PTR, "two.second.test."],
  ];
  for (const [name, type, expected] of rows)
    for (const [i, each] of [hosts, set].entries()) {
      const isLeased = /^(one|two|1\.|200\.)/.test(name);
      if (i === 1 && !isLeased) continue;
      hashSuffixes(wireName(name), key);
      const found: Rr[] = [];
      each.find(wireName(name), type, found);
      t.equal(found.map(formatData).join(), expected, name);
    }
});
