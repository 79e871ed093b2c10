// forwarder.zones: names, servers, policies, what is wrong with them, and the groups that come of it.
import t from "tap";
import { forwarderSettings } from "../../src/agent/forwarder-settings.ts";
import { localDataSettings } from "../../src/agent/local-data.ts";
import type { LoadedConfig } from "../../src/config.ts";
import { formatName } from "../../src/dns/name.ts";
import type { Rule } from "../../src/forwarder/rules.ts";
import { load, writeFiles } from "./world.ts";

async function loaded(t: Parameters<typeof writeFiles>[0], tree: object): Promise<LoadedConfig> {
  const folder = writeFiles(t, { "c.json": { data_dir: "/tmp/none", ...tree } });
  const config = await load([`${folder}/c.json`]);
  if (!config.ok) throw new Error(config.error.join("\n"));
  return config.value;
}

async function errorsOf(t: Parameters<typeof writeFiles>[0], zones: unknown): Promise<string[]> {
  const folder = writeFiles(t, { "c.json": { data_dir: "/tmp/none", forwarder: { zones } } });
  const config = await load([`${folder}/c.json`]);
  return config.ok ? [] : config.error.map((each) => each.replace(`${folder}/`, ""));
}

const ruleText = ({ match, action }: Rule): string => {
  const name =
    "name" in match ? formatName(match.name) : "bits" in match ? `/${match.bits}` : "one label";
  const to = action.kind === "forward" ? `forward ${action.group || "defaults"}` : action.kind;
  return `${match.kind} ${name} ${to}`;
};

t.test("names and where they lead", async (t) => {
  const config = await loaded(t, {
    recursors: ["192.0.2.1"],
    forwarder: {
      zones: [
        { names: ["corp.example", "*.Below.example"], servers: ["10.0.0.1", "10.0.0.2:5353"] },
        { names: ["10.0.0.0/8"], servers: ["10.0.0.1"] },
        { names: ["corp.example"], servers: ["tls://10.0.0.3#dns.corp.example"] },
        { names: ["www.corp.example"], defaults: true },
        { names: ["internal", ""], local: true },
        { names: ["*text"], servers: "resolver.example" },
      ],
      views: [
        {
          name: "guests",
          clients: ["192.0.2.0/24"],
          zones: [
            { names: ["corp.example"], local: true },
            { names: ["x"], servers: ["10.0.0.9"] },
          ],
        },
      ],
    },
  });
  t.same(config.zones.rules.map(ruleText), [
    "suffix corp.example. forward corp.example",
    "below below.example. forward corp.example",
    "reverse /8 forward 10.0.0.0/8",
    "suffix corp.example. forward corp.example #2",
    "suffix www.corp.example. forward defaults",
    "suffix internal. deny",
    "single label one label deny",
    "text text. forward *text",
  ]);
  t.same(
    config.zones.viewRules.map((rules) => rules.map(ruleText)),
    [["suffix corp.example. deny", "suffix x. forward guests: x"]],
  );
  t.same(localDataSettings(config).views[0]!.rules.map(ruleText), [
    "suffix corp.example. deny",
    "suffix x. forward guests: x",
  ]);
  const { groups } = forwarderSettings(config);
  t.same(
    groups.map(({ name, servers }) => [
      name,
      servers.map(({ address, port }) => `${address} ${port}`),
    ]),
    [
      ["", ["192.0.2.1 53"]],
      ["corp.example", ["10.0.0.1 53", "10.0.0.2 5353"]],
      ["10.0.0.0/8", ["10.0.0.1 53"]],
      ["corp.example #2", ["10.0.0.3 853"]],
      ["*text", ["192.0.2.53 53", "2001:db8::53 53"]],
      ["guests: x", ["10.0.0.9 53"]],
    ],
  );
  t.same(
    groups.map(({ maxInFlight }) => maxInFlight),
    [4096, 1024, 1024, 1024, 1024, 1024],
  );
});

t.test("a policy changes what it says and nothing else", async (t) => {
  const config = await loaded(t, {
    recursors: ["192.0.2.1"],
    dns_config: { recursor_strategy: "random" },
    forwarder: {
      mixed_case: false,
      next_on: ["refused"],
      stale_ttl: "7s",
      zones: [
        {
          names: ["a"],
          servers: ["10.0.0.1"],
          strategy: "Parallel",
          timeout: "300ms",
          max_in_flight: 7,
          next_on: ["NXDOMAIN", "RCODE11"],
          mixed_case: true,
          packets_per_second: 5,
          cache: false,
          min_ttl: "2s",
          max_ttl: "1m",
          max_negative_ttl: "3s",
          stale: false,
          last_known_good: true,
          trust_ad: true,
        },
        { names: ["b"], servers: ["10.0.0.1"] },
        { names: ["c"], defaults: true, cache: false },
      ],
    },
  });
  const [every, a, b, c] = forwarderSettings(config).groups;
  t.match(every, { strategy: "random", mixedCase: false, nextOn: [5], keep: true });
  t.match(a, {
    strategy: "parallel",
    timeoutMs: 300,
    maxInFlight: 7,
    nextOn: [3, 11],
    mixedCase: true,
    packetsPerSecond: 5,
    keep: false,
    minTtlSeconds: 2,
    maxTtlSeconds: 60,
    negativeTtlCapSeconds: 3,
    stale: { enabled: false, lastKnownGood: true, ttlSeconds: 7 },
    trustAd: true,
  });
  t.same({ ...b, name: "", servers: every!.servers, maxInFlight: 4096 }, every);
  t.match(c, { servers: every!.servers, keep: false, strategy: "random" });
});

const mistakes: [zones: unknown, error: string][] = [
  [[{ servers: ["10.0.0.1"] }], "forwarder.zones[0]: names is missing"],
  [[{ names: ["a"] }], "forwarder.zones[0]: expected one of servers, defaults, local; got none"],
  [
    [{ names: ["a"], local: true, servers: ["10.0.0.1"] }],
    "forwarder.zones[0]: expected one of servers, defaults, local; got servers and local",
  ],
  [
    [{ names: ["a"], servers: [] }],
    "forwarder.zones[0].servers: is empty; use local for names that are never forwarded",
  ],
  [
    [{ names: ["a"], local: true, timeout: "1s" }],
    "forwarder.zones[0]: local names are not asked of anybody, yet it says how",
  ],
  [[{ names: ["a"], local: 1 }], "forwarder.zones[0].local: expected true or false, got 1"],
  [
    [
      { names: ["a"], servers: ["10.0.0.1"] },
      { names: ["b"], server: ["10.0.0.1"] },
    ],
    "forwarder.zones[1]: invalid key server (did you mean servers?); expected",
  ],
  [
    [{ names: ["a"], servers: ["10.0.0.1"], strategy: "quick" }],
    'forwarder.zones[0].strategy: must be one of sequential, random, fastest, parallel; got "quick"',
  ],
  [
    [{ names: ["a"], servers: ["10.0.0.1"], next_on: ["NOERROR"] }],
    "forwarder.zones[0].next_on[0]: expected an RCODE such as NXDOMAIN, SERVFAIL or REFUSED",
  ],
  [
    [{ names: ["a"], servers: ["10.0.0.1"], min_ttl: "5s", max_ttl: "2s" }],
    "forwarder.zones[0]: min_ttl is above max_ttl",
  ],
  [[{ names: ["a..b"], local: true }], 'forwarder.zones[0].names[0]: "a..b" is no domain name'],
  [[{ names: ["10.0.0.1/8"], local: true }], "forwarder.zones[0].names[0]: "],
  [[{ names: ["a"], servers: ["nowhere.example"] }], "forwarder.zones[0].servers: the host name"],
  [[{ names: ["a"], servers: ["1.2.3"] }], "forwarder.zones[0].servers: "],
  [["a"], 'forwarder.zones[0]: expected an object, got "a"'],
];
for (const [zones, error] of mistakes)
  t.test(`refused: ${JSON.stringify(zones)}`, async (t) => {
    const errors = await errorsOf(t, zones);
    t.ok(
      errors.some((each) => each.startsWith(`c.json: ${error}`)),
      errors.join("\n"),
    );
  });

t.test("the Consul agent whose place this one takes is not asked", async (t) => {
  const folder = writeFiles(t, {
    "dnsmasq.conf": [
      "server=/consul/127.0.0.1#8600",
      "server=/dc2.consul/127.0.0.1#8600",
      "server=/both.example/127.0.0.1#8600",
      "server=/both.example/192.0.2.7",
      "rev-server=10.0.0.0/8,127.0.0.1#8600",
      "server=/corp.example/127.0.0.1#5353",
      "no-resolv",
    ].join("\n"),
  });
  const dnsmasq = await loaded(t, { forwarder: { dnsmasq_conf: `${folder}/dnsmasq.conf` } });
  t.same(dnsmasq.zones.rules.map(ruleText), [
    "reverse /8 deny",
    "suffix both.example. forward both.example",
    "suffix corp.example. forward corp.example",
  ]);
  t.same(
    dnsmasq.zones.groups.map(({ name, servers }) => [name, servers?.map(({ port }) => port)]),
    [
      ["both.example", [53]],
      ["corp.example", [5353]],
    ],
  );
  t.same(
    dnsmasq.warnings.filter((each) => each.includes("itself")),
    [
      "forwarder.zones: 127.0.0.1:8600 is not asked, for this agent answers consul. itself, and all that 127.0.0.1:8600 was asked for; if another agent goes on there, give this one a domain of its own",
    ],
  );

  const zones = [{ names: ["consul", "10.0.0.0/8"], servers: ["10.1.2.3:8600"] }];
  const own = await loaded(t, { forwarder: { zones } });
  t.same(own.zones.rules.map(ruleText), ["reverse /8 deny"], "also by an address of this host");
  const apart = await loaded(t, { domain: "edge", forwarder: { zones } });
  t.equal(apart.zones.groups.length, 1, "an agent with another domain asks it");
  const elsewhere = [{ names: ["consul", "10.0.0.0/8"], servers: ["10.1.2.4:8600"] }];
  const remote = await loaded(t, { forwarder: { zones: elsewhere } });
  t.equal(remote.zones.groups.length, 1, "an agent of another host goes on");
});

t.test("too many zones with servers are refused, and what to do is said", async (t) => {
  const zones = Array.from({ length: 4097 }, (_, i) => ({
    names: [`z${i}.example`],
    servers: ["192.0.2.1"],
  }));
  t.same(await errorsOf(t, zones), [
    "c.json: forwarder.zones: 4097 zones with servers, at most 4096 are possible; names with the same servers can share one",
  ]);
  const [first] = zones;
  t.same(await errorsOf(t, [{ ...first, names: zones.flatMap(({ names }) => names) }]), []);
});
