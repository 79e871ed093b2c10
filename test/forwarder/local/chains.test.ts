// Chains that servers begin and that end in data of our own, or of another zone.
import t from "tap";
import { createScene, expectAll, inWords } from "./scene.ts";
import { createHostsSet } from "../../../src/forwarder/local/hosts-set.ts";
import { parseAddress } from "../../../src/address.ts";
import { wireName } from "../world.ts";

const records = [
  { name: "nas.home.test", type: "A", data: "192.168.1.5" },
  { name: "ours.home.test", type: "CNAME", data: "nas.home.test" },
];

t.test("a server's CNAME that leads to a record of ours has its TTL", async (t) => {
  const scene = await createScene(t, { records });
  scene.tells(1, "moves.test", ["moves.test CNAME nas.home.test"]);
  const led = scene.answer("moves.test A");
  t.equal(inWords(led), "CNAME nas.home.test., A 192.168.1.5");
  t.match(led, { constant: false, cacheableSeconds: 0, aa: false }, "not for ever in the table");
  const own = scene.answer("ours.home.test A");
  t.match(own, { constant: true, aa: true }, "what is all ours is");
  scene.world.pass(61_000);
  scene.tells(1, "moves.test", ["moves.test A 203.0.113.9"]);
  t.equal(scene.ask("moves.test A"), "A 203.0.113.9");
});

t.test("S12: names of others do not lead inside by way of our records or zones", async (t) => {
  const zones = [{ names: ["corp.test"], servers: ["192.0.2.2"] }];
  const inside = { zones, records, rebind_domains_ok: ["corp.test"] };
  const chains = [
    ["evil.test", "evil.test CNAME nas.home.test"],
    ["worse.test", "worse.test CNAME db.corp.test"],
    ["fine.test", "fine.test CNAME www.corp.test"],
  ] as const;
  for (const isProtected of [true, false]) {
    const scene = await createScene(t, { ...inside, rebind_protection: isProtected });
    for (const [name, record] of chains) scene.tells(1, name, [record]);
    scene.tells(2, "db.corp.test", ["db.corp.test A 10.1.2.3"]);
    scene.tells(2, "www.corp.test", ["www.corp.test A 8.8.8.8"]);
    expectAll(t, scene, [
      ["evil.test A", isProtected ? "NODATA" : "CNAME nas.home.test., A 192.168.1.5"],
      ["worse.test A", isProtected ? "NODATA" : "CNAME db.corp.test., A 10.1.2.3"],
      ["fine.test A", "CNAME www.corp.test., A 8.8.8.8"],
      ["db.corp.test A", "A 10.1.2.3"],
      ["ours.home.test A", "CNAME nas.home.test., A 192.168.1.5"],
    ]);
  }
});

t.test("an expired link is marked, wherever it leads", async (t) => {
  const scene = await createScene(t, { records, stale_client_timeout: "0s" });
  scene.tells(1, "moves.test", ["moves.test CNAME nas.home.test"]);
  scene.ask("moves.test A");
  scene.world.pass(61_000);
  scene.world.server(1, () => []);
  t.match(scene.answer("moves.test A"), { ok: true, ede: [{ code: 3 }] });
});

t.test("ask 47: a name that a chain leads to counts once", async (t) => {
  const scene = await createScene(t, { search_domains: ["corp.test"] });
  scene.tells(1, "alias.test", ["alias.test CNAME www.example.com.corp.test"]);
  t.equal(scene.ask("alias.test A"), "CNAME www.example.com.corp.test. NXDOMAIN");
  t.match(scene.pipeline.stats().searchLists, [{ denied: 1 }]);
});

t.test("what is here for one type is not denied for the others", async (t) => {
  const scene = await createScene(t, {
    records: [
      { name: "ads.test", type: "A", data: "192.0.2.7" },
      { name: "here.invalid", type: "A", data: "192.0.2.8" },
      { name: "www.example.com.corp.test", type: "A", data: "192.0.2.9" },
      { name: "7.0.0.10.in-addr.arpa", type: "PTR", data: "seven.test" },
    ],
    private_reverse: "local",
    search_domains: ["corp.test"],
  });
  const { hashKey } = scene.pipeline;
  const hosts = createHostsSet(hashKey, 0, "/etc/hosts");
  hosts.add(wireName("five.test"), parseAddress("10.0.0.5")!, true);
  const empty = createHostsSet(hashKey, 0, "/etc/hosts");
  const blocked = { match: () => 8 };
  scene.pipeline.replace({ records: [empty, hosts], blocklists: [] });
  expectAll(t, scene, [
    ["here.invalid AAAA", "NODATA"],
    ["there.invalid AAAA", "NXDOMAIN"],
    ["www.example.com.corp.test AAAA", "NODATA"],
    ["ftp.example.com.corp.test AAAA", "NXDOMAIN"],
    ["5.0.0.10.in-addr.arpa PTR", "PTR five.test."],
    ["5.0.0.10.in-addr.arpa TXT", "NODATA"],
    ["7.0.0.10.in-addr.arpa TXT", "NODATA"],
    ["6.0.0.10.in-addr.arpa TXT", "NXDOMAIN"],
  ]);
  scene.pipeline.replace({ records: [], blocklists: [blocked] });
  expectAll(t, scene, [
    ["ads.test A", "A 192.0.2.7"],
    ["ads.test AAAA", "NODATA"],
    ["bad.test AAAA", "NXDOMAIN"],
  ]);
});

t.test(
  "RFC 6147 5.3.1: the name of an address inside a translated one is asked where it belongs",
  async (t) => {
    const scene = await createScene(t, {
      dns64_prefix: ["64:ff9b:1::/96"],
      rebind_protection: true,
      zones: [{ names: ["10.in-addr.arpa"], servers: ["192.0.2.2"] }],
      records: [{ name: "9.9.9.9.in-addr.arpa", type: "PTR", data: "nine.test" }],
    });
    const asked = (): string =>
      scene.world.asked
        .splice(0)
        .map(({ server, question }) => `${server} ${question.name}`)
        .join();
    const reverse = (last: string): string =>
      `${Array.from(`0064ff9b0001${"0".repeat(12)}${last}`)
        .toReversed()
        .join(".")}.ip6.arpa`;
    const of10 = reverse("0a000005");
    t.equal(scene.ask(`${of10} PTR`), "CNAME 5.0.0.10.in-addr.arpa., @2");
    t.equal(asked(), "2 5.0.0.10.in-addr.arpa", "private ones are nothing for other servers");
    t.equal(scene.ask(`${reverse("c0a80001")} PTR`), "CNAME 1.0.168.192.in-addr.arpa. NXDOMAIN");
    t.equal(asked(), "", "nor are those that stay here");
    const nine = scene.answer(`${reverse("09090909")} PTR`);
    t.equal(inWords(nine), "CNAME 9.9.9.9.in-addr.arpa., PTR nine.test.");
    t.notOk(nine.ok && (nine.constant || nine.cacheableSeconds), "not for workers");
    t.equal(asked(), "");
    t.equal(scene.ask(`${reverse("08080808")} PTR`), "CNAME 8.8.8.8.in-addr.arpa., @1");
    t.equal(asked(), "1 8.8.8.8.in-addr.arpa");
  },
);

t.test("DNS64 under a private prefix: names", async (t) => {
  const block = { dns64_prefix: ["fd00:64::/96"], rebind_protection: true };
  const nibbles = (hex: string): string => `${Array.from(hex).toReversed().join(".")}.ip6.arpa`;
  const name = nibbles(`fd000064${"0".repeat(16)}08080808`);
  const beside = nibbles(`fd000065${"0".repeat(16)}08080808`);
  const all = await createScene(t, block);
  t.equal(all.ask(`${name} PTR`), "CNAME 8.8.8.8.in-addr.arpa., @1");
  t.equal(all.ask(`${name} TXT`), "NXDOMAIN", "only its name");
  t.equal(all.ask(`${beside} PTR`), "NXDOMAIN", "another private address");
  t.equal(all.pipeline.stats().answers["private reverse"], 2);
  t.same(
    all.world.asked.map(({ question }) => question.name),
    ["8.8.8.8.in-addr.arpa"],
    "nothing private is told to servers",
  );
  const some = await createScene(t, { ...block, dns64_clients: ["10.0.0.0/8"] });
  t.equal(some.ask(`${name} PTR`, "10.1.2.3"), "CNAME 8.8.8.8.in-addr.arpa., @1");
  const denied = some.answer(`${name} PTR`, "192.0.2.77");
  t.equal(inWords(denied), "NXDOMAIN");
  t.notOk(denied.ok && (denied.constant || denied.cacheableSeconds), "not for workers");
  const other = some.answer(`${beside} PTR`, "192.0.2.77");
  t.ok(other.ok && other.constant, "what all are told is for workers");
  t.equal(some.world.asked.length, 1);
});
