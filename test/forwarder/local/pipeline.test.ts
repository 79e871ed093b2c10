// The way of a question through local data, rules and servers; answers as dnsmasq 2.90 gives them where it has them.
import t from "tap";
import { forwarderSettings } from "../../../src/agent/forwarder-settings.ts";
import { localDataSettings } from "../../../src/agent/local-data.ts";
import { TYPE } from "../../../src/dns/rr.ts";
import { createPipeline } from "../../../src/forwarder/pipeline.ts";
import { createDecider } from "../../../src/forwarder/local/decide.ts";
import { createHostsSet, type HostsSet } from "../../../src/forwarder/local/hosts-set.ts";
import { localDefaults } from "../../../src/forwarder/local/settings.ts";
import { parseAddress } from "../../../src/address.ts";
import { seededRandom, wireName } from "../world.ts";
import { createScene, expectAll, inWords, owners, requestOf } from "./scene.ts";

const key = { low: 5, high: 6 };

t.test("records of every type, and what else is asked of their names", async (t) => {
  const records = [
    { name: "h.loc.test", type: "A", data: "1.1.1.1" },
    { name: "t.loc.test", type: "TXT", data: "hello" },
    { name: "c.loc.test", type: "CNAME", data: "h.loc.test" },
    { name: "a.b.ent.test", type: "A", data: "1.1.1.5" },
    { name: "caa.test", type: "CAA", data: '0 issue "ca.test"' },
    { name: "n.test", type: "NAPTR", data: '10 20 "U" "SIP" "!x!y!" rep.test' },
    { name: "rr.test", type: "TYPE65280", data: "\\# 3 010203" },
    { name: "_x._tcp.srv.test", type: "SRV", data: "1 2 80 target.wc.test", ttl: "1m" },
    { name: "mx.test", type: "MX", data: "10 mail.test." },
    { name: "3.3.3.3.in-addr.arpa", type: "PTR", data: "three.test" },
    { name: "four.test", type: "MX", data: "10 mail.test" },
    { name: "both.test", type: "CNAME", data: "h.loc.test" },
    { name: "both.test", type: "TXT", data: "not given" },
    { name: "wild.test", type: "A", data: "5.5.5.5", wildcard: true },
    { name: "is.there.wild.test", type: "A", data: "5.5.5.6" },
  ];
  const scene = await createScene(t, {
    records,
    zones: [{ names: ["loc.test", "ent.test"], local: true }],
    addresses: [{ names: ["four.test"], addresses: ["1.2.3.4"] }],
  });
  expectAll(t, scene, [
    ["loc.test A", "NODATA"],
    ["h.loc.test A", "A 1.1.1.1"],
    ["H.LOC.test A", "A 1.1.1.1"],
    ["h.loc.test AAAA", "NODATA"],
    ["h.loc.test TXT", "NODATA"],
    ["h.loc.test ANY", "A 1.1.1.1"],
    ["t.loc.test A", "NODATA"],
    ["t.loc.test TXT", 'TXT "hello"'],
    ["u.t.loc.test TXT", "NXDOMAIN"],
    ["x.h.loc.test A", "NXDOMAIN"],
    ["c.loc.test A", "CNAME h.loc.test., A 1.1.1.1"],
    ["c.loc.test CNAME", "CNAME h.loc.test."],
    ["c.loc.test AAAA", "CNAME h.loc.test."],
    ["both.test TXT", "CNAME h.loc.test."],
    ["b.ent.test A", "NODATA"],
    ["c.ent.test A", "NXDOMAIN"],
    ["a.b.ent.test TXT", "NODATA"],
    ["caa.test CAA", "CAA \\# 14 0005697373756563612E74657374"],
    ["rr.test TYPE65280", "TYPE65280 \\# 3 010203"],
    ["_x._tcp.srv.test SRV", "SRV 1 2 80 target.wc.test."],
    ["_x._tcp.srv.test A", "@1"],
    ["mx.test MX", "MX 10 mail.test."],
    ["mx.test A", "@1"],
    ["3.3.3.3.in-addr.arpa PTR", "PTR three.test."],
    ["3.3.3.in-addr.arpa PTR", "@1"],
    ["four.test MX", "MX 10 mail.test."],
    ["four.test ANY", "MX 10 mail.test."],
    ["x.wild.test A", "A 5.5.5.5"],
    ["y.x.wild.test A", "A 5.5.5.5"],
    ["x.wild.test TXT", "@1"],
    ["is.there.wild.test A", "A 5.5.5.6"],
    // RFC 4592 section 2.2.1: what exists, if only because of what is below it, is not the wildcard's.
    ["there.wild.test A", "@1"],
    ["x.there.wild.test A", "@1"],
  ]);
  const answer = scene.answer("H.Loc.test A");
  t.ok(answer.ok && answer.aa && answer.ra, "authoritative");
  t.same(owners(answer), ["H.Loc.test."], "spelled as asked");
  const srv = scene.answer("_x._tcp.srv.test SRV");
  t.equal(srv.ok && srv.answers[0]?.ttl, 60, "a TTL of its own");
});

t.test("ask 32: chains lead from local data to servers, to other zones, and end", async (t) => {
  const scene = await createScene(t, {
    records: [
      { name: "up.test", type: "CNAME", data: "www.elsewhere.example" },
      { name: "zone.test", type: "CNAME", data: "db.corp.example" },
      { name: "address.test", type: "CNAME", data: "fixed.test" },
      { name: "catalog.test", type: "CNAME", data: "web.service.consul" },
      { name: "local.example.com", type: "A", data: "7.7.7.7" },
      ...Array.from({ length: 12 }, (_, i) => ({
        name: `l${i}.test`,
        type: "CNAME",
        data: `l${i + 1}.test`,
      })),
    ],
    addresses: [{ names: ["fixed.test"], addresses: ["6.6.6.6"] }],
    zones: [{ names: ["corp.example"], servers: ["192.0.2.2"] }],
  });
  expectAll(t, scene, [
    ["up.test A", "CNAME www.elsewhere.example., @1"],
    ["zone.test A", "CNAME db.corp.example., @2"],
    ["address.test A", "CNAME fixed.test., A 6.6.6.6"],
    ["catalog.test A", "CNAME web.service.consul."],
    [
      "l3.test A",
      [4, 5, 6, 7, 8, 9, 10, 11, 12].map((i) => `CNAME l${i}.test.`).join(", ") + ", @1",
    ],
    ["l0.test A", "failed"],
  ]);
  t.equal(scene.pipeline.stats().brokenChains, 1, "eleven links are too many");
  // What a server says of names of another zone is not taken from it.
  scene.tells(1, "www.evil.test", [
    "www.evil.test CNAME db.corp.example",
    "db.corp.example A 6.6.6.6",
  ]);
  t.equal(scene.ask("www.evil.test A"), "CNAME db.corp.example., @2");
  scene.tells(1, "alias.test", [
    "alias.test CNAME local.example.com",
    "local.example.com A 1.9.9.9",
  ]);
  t.equal(scene.ask("alias.test A"), "CNAME local.example.com., A 7.7.7.7");
  t.equal(scene.pipeline.stats().followed, 2);
});

t.test("S20: chains back and forth between servers end", async (t) => {
  const scene = await createScene(t, {
    zones: [{ names: ["two.test"], servers: ["192.0.2.2"] }],
  });
  scene.tells(1, "a.one.test", ["a.one.test CNAME a.two.test"]);
  scene.tells(2, "a.two.test", ["a.two.test CNAME a.one.test"]);
  t.equal(scene.ask("a.one.test A"), "failed", "a loop across two servers");
  for (let i = 0; i < 60; i++) {
    scene.tells(1, `b${i}.one.test`, [`b${i}.one.test CNAME b${i}.two.test`]);
    scene.tells(2, `b${i}.two.test`, [`b${i}.two.test CNAME b${i + 1}.one.test`]);
  }
  const before = scene.world.asked.length;
  t.equal(scene.ask("b0.one.test A"), "failed", "a chain of 120");
  t.ok(scene.world.asked.length - before <= 20, `${scene.world.asked.length - before} questions`);
  t.equal(scene.pipeline.stats().brokenChains, 2);
});

t.test("hosts data before addresses, addresses before servers", async (t) => {
  const scene = await createScene(t, {
    records: [{ name: "h5.test", type: "A", data: "1.1.1.5" }],
    addresses: [{ names: ["h5.test"], addresses: ["9.9.9.9"] }],
  });
  expectAll(t, scene, [
    ["h5.test A", "A 1.1.1.5"],
    ["x.h5.test A", "A 9.9.9.9"],
    ["h5.test AAAA", "@1"],
  ]);
});

t.test("ask 43: names of addresses", async (t) => {
  const auto = { private_reverse: "auto" };
  const outside = await createScene(t, {
    ...auto,
    records: [{ name: "7.0.0.10.in-addr.arpa", type: "PTR", data: "seven.test" }],
    zones: [{ names: ["10.9.0.0/16"], servers: ["192.0.2.2"] }],
  });
  expectAll(t, outside, [
    ["8.8.8.8.in-addr.arpa PTR", "@1"],
    ["1.1.168.192.in-addr.arpa PTR", "NXDOMAIN"],
    ["9.0.0.10.in-addr.arpa PTR", "NXDOMAIN"],
    ["7.0.0.10.in-addr.arpa PTR", "PTR seven.test."],
    ["1.1.9.10.in-addr.arpa PTR", "@2"],
    ["10.in-addr.arpa SOA", "NODATA"],
    ["1.0.31.172.in-addr.arpa PTR", "NXDOMAIN"],
    ["1.0.32.172.in-addr.arpa PTR", "@1"],
    ["1.0.0.127.in-addr.arpa PTR", "PTR localhost."],
    ["2.0.0.127.in-addr.arpa PTR", "NXDOMAIN"],
    [`1.${"0.".repeat(31)}ip6.arpa PTR`, "PTR localhost."],
    [`1.${"0.".repeat(29)}d.f.ip6.arpa PTR`, "NXDOMAIN"],
    [`1.${"0.".repeat(29)}0.2.ip6.arpa PTR`, "@1"],
  ]);
  t.notOk(
    outside.world.asked.some(({ question }) => /168\.192|0\.10\.in-addr/.test(question.name)),
    "nothing of private addresses went out",
  );
  const denial = outside.answer("1.1.168.192.in-addr.arpa PTR");
  t.equal(denial.ok && denial.authority[0]?.type, TYPE.SOA, "the denial has an SOA record");

  const recursors = ["192.0.2.1", "169.254.169.253", "10.0.0.2"];
  const { loaded } = await createScene(t, auto, { recursors });
  t.same(
    forwarderSettings(loaded).groups.map(({ name, servers }) => [name, servers.length]),
    [
      ["", 3],
      ["private reverse", 2],
    ],
  );
  const groups: string[] = [];
  const vpc = createPipeline({
    forwarder: { forwardTo: (group) => void groups.push(group) },
    settings: localDataSettings(loaded),
    filter: null,
    random: seededRandom(1),
  });
  for (const name of ["9.0.0.10.in-addr.arpa", "8.8.8.8.in-addr.arpa"])
    vpc.forward(requestOf(`${name} PTR`, "127.0.0.1"), () => {});
  t.same(groups, ["private reverse", ""], "the VPC's resolver is asked, nobody outside");

  const local = await createScene(t, { private_reverse: "local" }, { recursors: ["10.0.0.2"] });
  t.equal(local.ask("9.0.0.10.in-addr.arpa PTR"), "NXDOMAIN", "local: not even the VPC's resolver");
  const none = await createScene(t, auto, { recursors: [] });
  t.equal(none.ask("8.8.8.8.in-addr.arpa PTR"), "no upstream");
});

t.test("domain-needed", async (t) => {
  const scene = await createScene(t, {
    domain_needed: true,
    zones: [{ names: [""], servers: ["192.0.2.2"] }],
    records: [{ name: "known", type: "TXT", data: "x" }],
  });
  expectAll(t, scene, [
    ["plain A", "NXDOMAIN"],
    ["plain AAAA", "NXDOMAIN"],
    ["plain TXT", "@2"],
    ["known A", "NODATA"],
    ["localhost A", "A 127.0.0.1"],
    ["two.labels A", "@1"],
  ]);
});

t.test("ask 47: search lists", async (t) => {
  const scene = await createScene(t, {
    search_domains: ["corp.example", "eu.corp.example"],
    zones: [{ names: ["com.corp.example"], servers: ["192.0.2.2"] }],
  });
  expectAll(t, scene, [
    ["www.example.net.corp.example A", "NXDOMAIN"],
    ["api.service.consul.corp.example A", "NXDOMAIN"],
    ["db.corp.example.corp.example A", "NXDOMAIN"],
    ["db.corp.example.eu.corp.example A", "NXDOMAIN"],
    ["net.corp.example A", "@1"],
    ["www.corp.example A", "@1"],
    ["www.dev.corp.example A", "@1"],
    // A zone of its own goes before.
    ["www.google.com.corp.example A", "@2"],
  ]);
  t.notOk(scene.world.asked.some(({ question }) => question.name.includes("net.corp.example.")));
  const missing = await createScene(
    t,
    { search_domains: ["corp.example"] },
    { recursors: ["192.0.2.9"] },
  );
  t.equal(missing.ask("nope.corp.example A"), "NXDOMAIN");
  t.equal(missing.ask("nope.corp.example A"), "NXDOMAIN");
  t.equal(missing.ask("elsewhere.example A"), "NXDOMAIN");
  t.equal(missing.ask("x.org.corp.example A"), "NXDOMAIN");
  t.match(missing.pipeline.stats().searchLists, [{ missed: 2, denied: 1 }]);
  t.same(
    missing.world.asked.map(({ question }) => question.name),
    ["nope.corp.example", "elsewhere.example"],
  );
});

t.test("views: the same name, other answers for some clients", async (t) => {
  const scene = await createScene(t, {
    records: [{ name: "who.test", type: "A", data: "1.1.1.1" }],
    addresses: [{ names: ["a.test"], addresses: ["1.1.1.2"] }],
    views: [
      {
        name: "office",
        clients: ["10.0.0.0/8", "fd00::/8"],
        records: [{ name: "who.test", type: "A", data: "2.2.2.2" }],
        addresses: [{ names: ["a.test"], addresses: ["2.2.2.3"] }],
        zones: [{ names: ["inner.test"], servers: ["192.0.2.3"] }],
      },
      {
        name: "one desk",
        clients: ["10.1.1.1"],
        records: [{ name: "who.test", type: "A", data: "3.3.3.3" }],
      },
    ],
  });
  const rows: [string, string, string][] = [
    ["who.test A", "192.0.2.200", "A 1.1.1.1"],
    ["who.test A", "10.2.2.2", "A 2.2.2.2"],
    ["who.test A", "fd00::7", "A 2.2.2.2"],
    ["who.test A", "::ffff:10.2.2.2", "A 2.2.2.2"],
    ["who.test A", "10.1.1.1", "A 3.3.3.3"],
    ["a.test A", "10.2.2.2", "A 2.2.2.3"],
    ["a.test A", "10.1.1.1", "A 1.1.1.2"],
    ["x.inner.test A", "10.2.2.2", "@3"],
    ["x.inner.test A", "192.0.2.200", "@1"],
  ];
  for (const [question, client, expected] of rows)
    t.equal(scene.ask(question, client), expected, `${question} of ${client}`);
  const inView = scene.answer("who.test A", "10.2.2.2");
  t.ok(
    inView.ok && inView.constant !== true && inView.cacheableSeconds === 0,
    "nothing for others",
  );
  const ofAll = scene.answer("who.test A", "192.0.2.200");
  t.ok(ofAll.ok && ofAll.constant === true, "for all others");
  const forwarded = scene.answer("x.inner.test A", "10.2.2.2");
  t.ok(forwarded.ok && forwarded.cacheableSeconds === 0, "nor what servers of a view say");
});

t.test("other classes are nobody's but the servers'", async (t) => {
  const scene = await createScene(t, { records: [{ name: "a.test", type: "A", data: "1.1.1.1" }] });
  let answered = "";
  scene.pipeline.forward({ ...requestOf("a.test A", "127.0.0.1"), qclass: 3 }, (answer) => {
    answered = answer.ok ? "answered" : answer.reason;
  });
  scene.world.settle();
  t.equal(scene.world.asked.length, 1);
  t.not(answered, "");
});

t.test("after a reload other rules hold, and answers under way are not kept", async (t) => {
  const scene = await createScene(t, { zones: [{ names: ["z.test"], servers: ["192.0.2.2"] }] });
  let kept: boolean | undefined;
  scene.pipeline.forward(requestOf("x.z.test A", "127.0.0.1"), (answer) => {
    kept = answer.ok && answer.cacheableSeconds > 0;
  });
  scene.pipeline.reload({ ...localDataSettings(scene.loaded), rules: [] }, null);
  scene.world.settle();
  t.equal(kept, false);
  t.equal(scene.ask("x.z.test A"), "@1");
});

t.test("what exists here is not denied by servers", async (t) => {
  const scene = await createScene(
    t,
    {
      records: [{ name: "a.here.test", type: "A", data: "1.1.1.1" }],
      addresses: [{ names: ["fixed.test"], addresses: ["1.1.1.2"] }],
    },
    { recursors: ["192.0.2.9"] },
  );
  expectAll(t, scene, [
    ["a.here.test TXT", "NODATA"],
    ["here.test A", "NODATA"],
    ["fixed.test AAAA", "NODATA"],
    ["b.here.test A", "NXDOMAIN"],
  ]);
});

t.test("localise-queries: of several addresses those in the client's network", async (t) => {
  const decider = createDecider(
    {
      ...localDefaults,
      localise: [
        { octets: Uint8Array.of(10, 0, 0, 0), prefixLength: 24 },
        { octets: Uint8Array.of(192, 168, 7, 0), prefixLength: 24 },
      ],
    },
    { records: [hostsOf("10.0.0.1 192.168.7.1 172.16.0.1", "gw.test")], blocklists: [] },
    key,
  );
  const rows: [string, string][] = [
    ["10.0.0.77", "A 10.0.0.1"],
    ["::ffff:10.0.0.77", "A 10.0.0.1"],
    ["192.168.7.9", "A 192.168.7.1"],
    ["192.0.2.1", "A 10.0.0.1, A 192.168.7.1, A 172.16.0.1"],
    ["fe80::1%eth0", "A 10.0.0.1, A 192.168.7.1, A 172.16.0.1"],
  ];
  for (const [address, expected] of rows) {
    const client = { address, port: 1, transport: "udp" } as const;
    const decision = decider.decide(wireName("gw.test"), TYPE.A, client);
    t.equal(decision.kind === "answer" && inWords(decision.answer), expected, address);
    t.notOk(decision.general, "for this client alone");
    const any = decider.decide(wireName("gw.test"), TYPE.ANY, client);
    t.equal(any.kind === "answer" && inWords(any.answer), expected, `${address} ANY`);
  }
});

/** One name with several addresses, as a hosts file would give it. */
function hostsOf(addresses: string, name: string): HostsSet {
  const set = createHostsSet(key, 0, "/etc/hosts");
  for (const literal of addresses.split(" "))
    set.add(wireName(name), parseAddress(literal)!, false);
  return set;
}
