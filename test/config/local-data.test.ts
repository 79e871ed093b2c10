// Names that are answered here, as files say them, and what is wrong with what they say.
import t from "tap";
import { formatName } from "../../src/dns/name.ts";
import { load, writeFiles } from "./world.ts";

t.test("mistakes are told with their place and what was expected", async (t) => {
  const rows: [Record<string, unknown>, string][] = [
    [
      { addresses: [{ names: ["a..b"] }] },
      'forwarder.addresses[0].names[0]: "a..b" is no domain name: empty label',
    ],
    [
      { addresses: [{ names: ["a.test"], addresses: ["x"] }] },
      'forwarder.addresses[0].addresses[0]: expected an IP address or "#", got "x"',
    ],
    [
      { addresses: [{ name: ["a.test"] }] },
      "forwarder.addresses[0]: invalid key name (did you mean names?); expected names, addresses",
    ],
    [{ addresses: ["x"] }, 'forwarder.addresses[0]: expected an object, got "x"'],
    [
      { addresses: [{ names: ["10.0.0.1/8"] }] },
      "bits are set behind the prefix; it would be 10.0.0.0/8",
    ],
    [
      { addresses: [{ names: ["10.0.0.0/33"] }] },
      "the number behind the slash must be from 1 to 32",
    ],
    [
      { records: [{ name: "a.test", type: "A", data: "::1" }] },
      'forwarder.records[0].data: A: expected an IPv4 address, got "::1"',
    ],
    [
      { records: [{ name: "a.test", type: "AXFR", data: "x" }] },
      'forwarder.records[0].type: "AXFR" is no type of records; TYPE123 names any',
    ],
    [
      { records: [{ name: "", type: "A", data: "1.1.1.1" }] },
      'forwarder.records[0].name: "" is no domain name',
    ],
    [
      { records: [{ type: "A", data: "1.1.1.1" }] },
      "forwarder.records[0].name: expected a text, got nothing",
    ],
    [
      { records: [{ name: "a.test", type: "A", data: "1.1.1.1", ttl: -1 }] },
      "forwarder.records[0].ttl: must be from 0 to 2147483647, got -1",
    ],
    [
      { records: [{ name: "a.test", type: "A", data: "1.1.1.1", ttl: "x" }] },
      'forwarder.records[0].ttl: expected seconds, or a duration such as "1m", got "x"',
    ],
    [
      { records: [{ name: "a.test", type: "A", data: "1.1.1.1", wildcard: 1 }] },
      "forwarder.records[0].wildcard: expected true or false, got 1",
    ],
    [
      {
        records: [
          { name: "l1.test", type: "CNAME", data: "l2.test" },
          { name: "l2.test", type: "CNAME", data: "L1.test" },
        ],
      },
      "forwarder.records: the CNAME of l1.test. leads back to itself",
    ],
    [
      { search_domains: ["a..b"] },
      'forwarder.search_domains[0]: "a..b" is no domain name: empty label',
    ],
    [
      { expand_hosts: true },
      "forwarder.expand_hosts: forwarder.host_domain says no domain to expand with",
    ],
    [{ host_domain: "." }, 'forwarder.host_domain: "." is no domain name'],
    [
      { private_reverse: "maybe" },
      "forwarder.private_reverse: must be one of auto, local, forward",
    ],
    [
      { blocklist_answer: "drop" },
      "forwarder.blocklist_answer: must be one of nxdomain, null, refused",
    ],
    [
      { views: [{ clients: ["10.0.0.0/8"] }] },
      "forwarder.views[0].name: expected a text, got nothing",
    ],
    [
      { views: [{ name: "v", clients: ["10.0.0/8"] }] },
      'forwarder.views[0].clients[0]: "10.0.0/8" is not a network such as 10.0.0.0/8',
    ],
    [
      { views: [{ name: "v", clients: [], records: [{ name: "a.test", type: "A", data: "x" }] }] },
      "forwarder.views[0].records[0].data: A: expected an IPv4 address",
    ],
    [
      {
        views: [
          { name: "v", clients: [] },
          { name: "v", clients: [] },
        ],
      },
      'forwarder.views[1].name: "v" is the name of another view',
    ],
  ];
  for (const [forwarder, problem] of rows) {
    const directory = writeFiles(t, { "a.json": { data_dir: "x", forwarder } });
    const loaded = await load([`${directory}/a.json`]);
    const text = loaded.ok ? "no mistake" : loaded.error.join("\n");
    t.ok(text.includes(problem), `${JSON.stringify(forwarder)}: ${text}`);
    t.ok(text.includes("a.json"), "the file is named");
  }
});

t.test(
  "what is said of names that the catalog answers for is told to have no effect",
  async (t) => {
    const forwarder = {
      zones: [
        { names: ["consul"], servers: ["192.0.2.1"] },
        { names: ["dc2.consul"], servers: ["192.0.2.1"] },
      ],
      records: [
        { name: "web.service.consul", type: "A", data: "1.1.1.1" },
        { name: "x.dc2.consul", type: "A", data: "1.1.1.1" },
        { name: "web.example", type: "A", data: "1.1.1.1" },
      ],
      views: [
        {
          name: "lab",
          clients: ["10.0.0.0/8"],
          zones: [
            { names: ["lab.consul"], servers: ["192.0.2.1"] },
            { names: ["CONSUL"], local: true },
          ],
          addresses: [{ names: ["x.lab.consul", "y.consul"], addresses: ["10.0.0.1"] }],
          records: [{ name: "z.dc2.consul", type: "A", data: "1.1.1.1" }],
        },
        {
          name: "others",
          clients: ["192.0.2.0/24"],
          records: [{ name: "z.lab.consul", type: "A", data: "1.1.1.1" }],
        },
      ],
    };
    const directory = writeFiles(t, { "a.json": { data_dir: "x", forwarder } });
    const loaded = await load([`${directory}/a.json`]);
    t.same(loaded.ok && loaded.value.warnings.filter((text) => text.includes("catalog")), [
      "forwarder: what is said of consul. has no effect: the catalog answers for this domain",
      "forwarder: what is said of web.service.consul. has no effect: the catalog answers for this domain",
      "forwarder: what is said of y.consul. has no effect: the catalog answers for this domain",
      "forwarder: what is said of z.lab.consul. has no effect: the catalog answers for this domain",
    ]);
  },
);

t.test("what is valid and hardly meant is told", async (t) => {
  const forwarder = {
    cache_min_ttl: "10m",
    cache_max_ttl: "1m",
    records: [
      { name: "both.example", type: "CNAME", data: "b.example" },
      { name: "Both.example", type: "A", data: "192.0.2.1" },
      { name: "two.example", type: "CNAME", data: "b.example" },
      { name: "two.example", type: "CNAME", data: "c.example" },
      { name: "*.wild.example", type: "CNAME", data: "b.example" },
      { name: "wild.example", type: "A", data: "192.0.2.1" },
      { name: "10.1.2.3", type: "PTR", data: "host.example" },
    ],
    zones: [
      { names: ["corp.example", "10.0.0.0/8"], servers: ["192.0.2.53"] },
      { names: ["corp.example", "*.corp.example", "10.0.0.0/8", "lan.example"], local: true },
      { names: ["lan.example"], defaults: true },
      { names: ["link.example"], servers: ["fe80::1%eth0", "fe80::2", "tcp://[fe80::3]:53"] },
      { names: ["bound.example"], servers: ["fe80::4@eth0"] },
    ],
    views: [{ name: "nobody", clients: [] }],
  };
  const directory = writeFiles(t, { "a.json": { data_dir: "x", forwarder } });
  const loaded = await load([`${directory}/a.json`]);
  t.same(loaded.ok && loaded.value.warnings.filter((text) => text.startsWith("forwarder")), [
    "forwarder.records: both.example. has a CNAME and other records: clients follow one CNAME, and the rest is as good as absent",
    "forwarder.records: two.example. has 2 CNAME records: clients follow one CNAME, and the rest is as good as absent",
    "forwarder.records: 10.1.2.3 is an address, no name; clients ask for 3.2.1.10.in-addr.arpa",
    'forwarder.zones: "corp.example" has servers, which are asked, and is local as well',
    'forwarder.views[0]: "nobody" has no clients, so it is for nobody',
    'forwarder.zones[3].servers: "fe80::2" is reached by no interface; write fe80::1%eth0',
    'forwarder.zones[3].servers: "tcp://[fe80::3]:53" is reached by no interface; write fe80::1%eth0',
    "forwarder.cache_min_ttl is above forwarder.cache_max_ttl, which holds",
  ]);
});

t.test("names of other scripts are those that questions have", async (t) => {
  const forwarder = {
    zones: [{ names: ["bücher.example", "*.Straße.example", "*bücher"], local: true }],
    addresses: [{ names: ["例え.example"], addresses: ["192.0.2.1"] }],
    records: [{ name: "*.übung.example", type: "A", data: "192.0.2.1" }],
    host_domain: "büro.example",
    host_domains: [{ domain: "küche.example", networks: ["10.0.0.0/8"] }],
    host_mx: "größe.example",
    search_domains: [".Süd.example"],
    synth_domains: [{ domain: "gäste.example", range: "10.9.0.0/24" }],
  };
  const directory = writeFiles(t, { "a.json": { data_dir: "x", forwarder } });
  const loaded = await load([`${directory}/a.json`]);
  if (!loaded.ok) throw new Error(loaded.error.join());
  const { local, zones } = loaded.value;
  const names = [...zones.rules, ...local.rules].map(({ match }) =>
    "name" in match ? formatName(match.name) : "",
  );
  t.same(
    [...names, formatName(local.records[0]!.owner)],
    [
      "xn--bcher-kva.example.",
      "xn--strae-oqa.example.",
      // By text, which may begin inside a label.
      "b\\195\\188cher.",
      "xn--r8jz45g.example.",
      "xn--bung-zra.example.",
    ],
  );
  const { hostDomain, hostDomains, hostMx, searchDomains, synthDomains } = local;
  const hosts = [hostDomain, hostMx, hostDomains[0]!.name, searchDomains[0], synthDomains[0]!.name];
  t.same(
    hosts.map((name) => (name instanceof Uint8Array ? formatName(name) : name)),
    [
      "xn--bro-hoa.example.",
      "xn--gre-6ka8i.example.",
      "xn--kche-0ra.example.",
      "xn--sd-xka.example.",
      "xn--gste-loa.example.",
    ],
  );
});

t.test("two lists of servers for the same names are told", async (t) => {
  const forwarder = {
    zones: [
      { names: ["a.test", "b.test"], servers: ["192.0.2.1"] },
      { names: ["A.test"], servers: ["192.0.2.2"] },
      { names: ["*.a.test"], servers: ["192.0.2.2"] },
    ],
  };
  const directory = writeFiles(t, { "a.json": { data_dir: "x", forwarder } });
  const loaded = await load([`${directory}/a.json`]);
  t.same(loaded.ok && loaded.value.warnings.filter((text) => text.includes("one list")), [
    'forwarder.zones: "A.test" says other servers for names of "a.test", which are asked; put them into one list',
  ]);
});

t.test("files in order: lists are joined", async (t) => {
  const directory = writeFiles(t, {
    "a.json": { data_dir: "x", forwarder: { addresses: [{ names: ["a.test"] }], hosts: ["/a"] } },
    "b.json": {
      forwarder: { addresses: [{ names: ["b.test"], addresses: ["#"] }], hosts: ["/b"] },
    },
    "c.hcl":
      'forwarder { addresses { names = ["c.test"] addresses = ["::1", "#"] } local_ttl = "30s" }',
  });
  const loaded = await load(["a.json", "b.json", "c.hcl"].map((name) => `${directory}/${name}`));
  if (!loaded.ok) throw new Error(loaded.error.join("\n"));
  t.same(
    loaded.value.local.rules.map(({ action }) => action.kind),
    ["deny", "unspecified", "unspecified", "addresses"],
  );
  t.same(loaded.value.config["forwarder.hosts"], ["/a", "/b"]);
});
