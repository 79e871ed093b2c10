import t from "tap";
import { parseAddress } from "../../src/address.ts";
import { formatName, parseName } from "../../src/dns/name.ts";
import { TYPE, type Rr } from "../../src/dns/rr.ts";
import {
  check,
  deregister,
  node,
  query as preparedQuery,
  register,
  service,
} from "../cluster/state-fixtures.ts";
import { query } from "./prepared.ts";
import { createWorld, decode, good, lines, tcp, type World } from "./resolver-world.ts";

const wire = (text: string): Uint8Array => {
  const parsed = parseName(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
};
const rr = (owner: string, type: number, ttl: number, data: Uint8Array): Rr => ({
  owner: wire(owner),
  type,
  class: 1,
  ttl,
  data,
});
const ask = (world: World, name: string, type = "A", options = {}) =>
  decode(world.compute(query(name, type, options)));

/** One of everything that has a TTL. */
function populated(): World {
  const world = createWorld({
    settings: {
      nodeTtlSeconds: 15,
      serviceTtlSeconds: new Map([
        ["*", 5],
        ["db*", 7],
      ]),
      soa: { refreshSeconds: 1, retrySeconds: 2, expireSeconds: 3, minTtlSeconds: 4 },
      recursorsConfigured: true,
    },
    upstream: ({ qname }) =>
      good({ answers: [rr(formatName(qname), TYPE.A, 300, parseAddress("198.51.100.9")!)] }),
  });
  world.apply(register(node("n1", { address: "10.1.0.1", meta: { rack: "r7" } }), service("web")));
  world.apply(
    register(node("n2", { address: "10.1.0.2" }), service("db-main", { address: "fd00::2" })),
  );
  world.apply(register(node("ext", { address: "host.example" }), service("outside")));
  world.apply(register(node("edge-1", { address: "10.0.0.9" }), service("consul")));
  world.apply(
    preparedQuery("11111111-1111-1111-1111-111111111111", "q45", { dns: { ttl: "45s" } }),
  );
  world.apply(preparedQuery("21111111-1111-1111-1111-111111111111", "q0", { dns: { ttl: "0s" } }));
  world.apply(
    preparedQuery("31111111-1111-1111-1111-111111111111", "q", { service: { service: "db-main" } }),
  );
  return world;
}

t.test(
  "TTL rules (spec of the DNS interface, section 6): every form, every kind of record",
  async (t) => {
    const world = populated();
    const soa = "consul. 4 SOA ns.consul hostmaster.consul 1700000000 1 2 3 4";
    const rows: [
      name: string,
      type: string,
      answers: string[],
      authority: string[],
      additional: string[],
    ][] = [
      [
        "n1.node.consul",
        "A",
        ["n1.node.consul. 15 A 10.1.0.1"],
        [],
        ['n1.node.consul. 15 TXT "rack=r7"'],
      ],
      ["n1.node.consul", "TXT", ['n1.node.consul. 15 TXT "rack=r7"'], [], []],
      [
        "n1.node.consul",
        "ANY",
        ["n1.node.consul. 15 A 10.1.0.1", 'n1.node.consul. 15 TXT "rack=r7"'],
        [],
        [],
      ],
      ["n1.node.consul", "MX", [], [], []],
      ["nope.node.consul", "A", [], [soa], []],
      ["nope.node.consul", "MX", [], [], []],
      ["web.service.consul", "A", ["web.service.consul. 5 A 10.1.0.1"], [], []],
      ["web.service.consul", "AAAA", [], [soa], []],
      ["web.service.consul", "TXT", ["web.service.consul. 5 A 10.1.0.1"], [], []],
      [
        "_web._tcp.consul",
        "SRV",
        ["_web._tcp.consul. 5 SRV 1 1 80 n1.node.dc1.consul"],
        [],
        ["n1.node.dc1.consul. 5 A 10.1.0.1", 'n1.node.dc1.consul. 5 TXT "rack=r7"'],
      ],
      ["db-main.service.consul", "AAAA", ["db-main.service.consul. 7 AAAA fd00::2"], [], []],
      [
        "db-main.service.consul",
        "SRV",
        ["db-main.service.consul. 7 SRV 1 1 80 fd000000000000000000000000000002.addr.dc1.consul"],
        [],
        ["fd000000000000000000000000000002.addr.dc1.consul. 7 AAAA fd00::2"],
      ],
      [
        "outside.service.consul",
        "AAAA",
        ["outside.service.consul. 5 CNAME host.example", "host.example. 5 A 198.51.100.9"],
        [],
        [],
      ],
      [
        "ext.node.consul",
        "A",
        ["ext.node.consul. 15 CNAME host.example", "host.example. 300 A 198.51.100.9"],
        [],
        [],
      ],
      ["q45.query.consul", "A", ["q45.query.consul. 45 A 10.1.0.1"], [], []],
      ["q0.query.consul", "A", ["q0.query.consul. 0 A 10.1.0.1"], [], []],
      ["q.query.consul", "AAAA", ["q.query.consul. 7 AAAA fd00::2"], [], []],
      ["0a010001.addr.consul", "A", ["0a010001.addr.consul. 15 A 10.1.0.1"], [], []],
      ["0a010001.addr.consul", "AAAA", [], [], ["0a010001.addr.consul. 15 A 10.1.0.1"]],
      [
        "consul",
        "NS",
        ["consul. 15 NS edge-1.node.dc1.consul"],
        [],
        ["edge-1.node.dc1.consul. 15 A 10.0.0.9"],
      ],
      [
        "any.thing.consul",
        "SOA",
        [soa],
        ["consul. 15 NS edge-1.node.dc1.consul"],
        ["edge-1.node.dc1.consul. 15 A 10.0.0.9"],
      ],
      ["1.0.1.10.in-addr.arpa", "PTR", ["1.0.1.10.in-addr.arpa. 0 PTR n1.node.dc1.consul"], [], []],
      [
        "1.0.1.10.in-addr.arpa",
        "SOA",
        ["1.0.1.10.in-addr.arpa. 0 PTR n1.node.dc1.consul"],
        [soa],
        [],
      ],
      ["consul", "A", [], [soa], []],
    ];
    for (const [name, type, answers, authority, additional] of rows) {
      const reply = ask(world, name, type);
      t.same(lines(reply.answers), answers, `${name} ${type}: answers`);
      t.same(lines(reply.authorities), authority, `${name} ${type}: authority`);
      t.same(lines(reply.additionals), additional, `${name} ${type}: additional`);
      t.match(reply, {
        flag_qr: true,
        flag_aa: true,
        flag_ra: true,
        flag_rd: true,
        flag_tc: false,
        flag_ad: false,
      });
    }
  },
);

t.test("what is made up has stored spelling, what answers has that of the question", async (t) => {
  const world = createWorld();
  world.apply(
    register(
      node("App2", { address: "10.1.0.2", meta: { k: "v" } }),
      service("Web", { address: "Db.Example" }),
    ),
  );
  const reply = ask(world, "wEb.SERVICE.Consul", "SRV");
  t.same(lines(reply.answers), ["wEb.SERVICE.Consul. 0 SRV 1 1 80 Db.Example"]);
  t.same(lines(reply.additionals), ['App2.node.dc1.consul. 0 TXT "k=v"']);
  t.same(lines(ask(world, "APP2.node.consul").answers), ["APP2.node.consul. 0 A 10.1.0.2"]);
  t.same(lines(ask(world, "nope.service.CONSUL").authorities!)[0]!.split(" ")[0], "consul.");
});

t.test("SRV weights: the worst state counts (Consul findWeight)", async (t) => {
  const rows: [when: string, checks: ReturnType<typeof check>[], weight: number][] = [
    ["no checks", [], 7],
    ["passing", [check("a")], 7],
    ["own warning", [check("a", { status: "warning", serviceId: "web" })], 3],
    ["node warning", [check("a", { status: "warning" })], 3],
    ["unknown state", [check("a", { status: "strange" })], 1],
  ];
  for (const [when, checks, weight] of rows) {
    const world = createWorld();
    world.apply(
      register(node("n1"), service("web", { weights: { passing: 7, warning: 3 } }), checks),
    );
    t.match(ask(world, "web.service.consul", "SRV").answers, [{ data: { weight } }], when);
  }
  const ignoring = createWorld();
  const critical = check("flappy", { status: "critical", serviceId: "web" });
  ignoring.apply(register(node("n1"), service("web"), [critical]));
  ignoring.apply(
    preparedQuery("11111111-1111-1111-1111-111111111111", "q", {
      service: { ignoreCheckIds: ["flappy"] },
    }),
  );
  t.match(ask(ignoring, "q.query.consul", "SRV").answers, [{ data: { weight: 0 } }]);
  t.match(ask(ignoring, "web.service.consul", "SRV"), { rcode: "NXDOMAIN" });
});

t.test("node names that are no domain names get the addr form; NS leaves them out", async (t) => {
  const world = createWorld();
  const odd = "x".repeat(64);
  world.apply(register(node(odd, { address: "10.0.0.7", meta: { k: "v" } }), service("web")));
  world.apply(register(node("under_score", { address: "10.0.0.8" }), service("consul")));
  t.same(lines(ask(world, "web.service.consul", "SRV").answers), [
    "web.service.consul. 0 SRV 1 1 80 0a000007.addr.dc1.consul",
  ]);
  t.same(lines(ask(world, "7.0.0.10.in-addr.arpa", "PTR").answers), []);
  t.match(ask(world, "consul", "NS"), { rcode: "NOERROR", answers: [] });
});

t.test("alternative domain: made-up names are in the domain of the question", async (t) => {
  const world = createWorld({ settings: { altDomain: "test.consul." } });
  world.apply(register(node("n1", { address: "10.1.0.1" }), service("web")));
  t.same(lines(ask(world, "web.service.test.consul", "SRV").answers), [
    "web.service.test.consul. 0 SRV 1 1 80 n1.node.dc1.test.consul",
  ]);
  t.match(lines(ask(world, "no.test.consul").authorities!), [
    /^test\.consul\. .*hostmaster\.test\.consul/,
  ]);
  // The longer suffix is stripped first: "test" is no datacenter here.
  t.match(lines(ask(world, "1.0.1.10.in-addr.arpa", "PTR").answers), [/n1\.node\.dc1\.consul$/]);
});

t.test("ask 43: routing: reverse, own, foreign; RA and REFUSED", async (t) => {
  const world = createWorld();
  const foreign = ask(world, "example.com", "A", { edns: 1232 });
  t.match(foreign, {
    rcode: "REFUSED",
    flag_aa: false,
    flag_ra: false,
    flag_rd: true,
    additionals: [],
  });
  t.match(ask(world, "xconsul", "A"), { rcode: "REFUSED" });
  t.match(ask(world, "9.9.9.9.in-addr.arpa", "PTR"), {
    rcode: "NXDOMAIN",
    flag_aa: true,
    flag_ra: false,
  });
  t.match(ask(world, "web.service.consul", "DS"), { rcode: "NXDOMAIN", flag_aa: true });
  t.same(world.asked, [], "nothing goes upstream");

  world.reload({ recursorsConfigured: true });
  for (const [name, type] of [
    ["example.com", "A"],
    ["9.9.9.9.in-addr.arpa", "PTR"],
    ["consul", "DS"],
    ["web.service.consul", "DS"],
  ] as const)
    t.match(
      ask(world, name, type),
      { rcode: "SERVFAIL", flag_aa: false, flag_ra: true },
      `${name} ${type}`,
    );
  t.same(world.asked, [
    "example.com. 1",
    "9.9.9.9.in-addr.arpa. 12",
    "consul. 43",
    "web.service.consul. 43",
  ]);
  t.match(ask(world, "nope.service.consul"), { rcode: "NXDOMAIN", flag_aa: true, flag_ra: true });
  t.match(ask(world, "x.consul", "AXFR"), { rcode: "NOTIMP", flag_aa: true });
  t.match(ask(world, "example.com", "AXFR"), { rcode: "NOTIMP", flag_aa: false });
});

t.test(
  "ask 16: no leader: the last replica answers; SERVFAIL if stale data is not allowed or too old",
  async (t) => {
    const world = createWorld({ settings: { maxStaleMs: 60_000 } });
    world.apply(register(node("n1"), service("web")));
    world.freshness.leader = false;
    world.freshness.ageMs = 59_000;
    t.match(ask(world, "web.service.consul"), { rcode: "NOERROR" });
    t.equal(world.resolver.counters.stale, 1);
    world.freshness.ageMs = 61_000;
    t.match(ask(world, "web.service.consul"), { rcode: "SERVFAIL", flag_aa: true });
    t.match(ask(world, "1.0.0.10.in-addr.arpa", "PTR"), { rcode: "SERVFAIL" });
    world.freshness.ageMs = 0;
    world.reload({ allowStale: false });
    t.match(ask(world, "web.service.consul"), { rcode: "SERVFAIL", authorities: [] });
    world.freshness.leader = true;
    t.match(ask(world, "web.service.consul"), { rcode: "NOERROR" });
  },
);

t.test("S32: what the DNS token may not read is not there", async (t) => {
  const rules = 'node "n1" { policy = "read" } service "web" { policy = "read" }';
  const world = createWorld({
    acl: {
      enabled: true,
      defaultPolicy: "deny",
      tokens: {
        initialManagement: "",
        agentRecovery: "",
        default: "",
        dns: "d0d0d0d0-0000-0000-0000-000000000000",
      },
    },
  });
  world.apply(register(node("n1", { address: "10.0.0.1" }), service("web")));
  world.apply(register(node("n2", { address: "10.0.0.2" }), service("web")));
  world.apply(register(node("n1", { address: "10.0.0.1" }), service("db")));
  t.match(
    ask(world, "web.service.consul"),
    { rcode: "NXDOMAIN" },
    "an unknown token reads nothing",
  );
  world.apply({
    type: "acl-policy-set",
    policy: {
      id: "aaaaaaaa-0000-0000-0000-000000000000",
      name: "dns",
      description: "",
      rules,
      datacenters: null,
    },
  });
  world.apply({
    type: "acl-token-set",
    token: {
      accessorId: "bbbbbbbb-0000-0000-0000-000000000000",
      secretId: "d0d0d0d0-0000-0000-0000-000000000000",
      description: "",
      policies: [{ id: "aaaaaaaa-0000-0000-0000-000000000000", name: "dns" }],
      local: false,
      createTimeMs: 0,
    },
  } as Parameters<World["apply"]>[0]);
  t.same(lines(ask(world, "web.service.consul").answers), ["web.service.consul. 0 A 10.0.0.1"]);
  t.match(ask(world, "db.service.consul"), { rcode: "NXDOMAIN" });
  t.match(ask(world, "n2.node.consul"), { rcode: "NXDOMAIN" });
  t.match(ask(world, "2.0.0.10.in-addr.arpa", "PTR"), { rcode: "NXDOMAIN" });
  t.match(ask(world, "1.0.0.10.in-addr.arpa", "PTR"), { rcode: "NOERROR" });
});

t.test("counters and timings move", async (t) => {
  const world = createWorld();
  world.apply(register(node("n1"), service("web")));
  ask(world, "web.service.consul");
  ask(world, "nope.service.consul", "AAAA");
  decode(world.compute(query("web.service.consul", "SRV"), tcp));
  ask(world, "example.com", "MX");
  ask(world, "9.9.9.9.in-addr.arpa", "PTR");
  world.compute(Uint8Array.of(1, 2, 3));
  const { counters } = world.resolver;
  t.same(counters.replies(), [
    { zone: "domain", transport: "udp", qtype: 1, rcode: 0, count: 1 },
    { zone: "domain", transport: "udp", qtype: 28, rcode: 3, count: 1 },
    { zone: "domain", transport: "tcp", qtype: 33, rcode: 0, count: 1 },
    { zone: "forward", transport: "udp", qtype: 15, rcode: 5, count: 1 },
    { zone: "reverse", transport: "udp", qtype: 12, rcode: 3, count: 1 },
  ]);
  t.same([...counters.malformed], [["short", 1]]);
  t.equal(counters.domainQuery.count, 3);
  t.equal(counters.ptrQuery.count, 1);
});

t.test("ask 25: a removed instance is gone from the next answer", async (t) => {
  const world = createWorld();
  world.apply(register(node("n1"), service("web")));
  t.match(ask(world, "web.service.consul"), { rcode: "NOERROR" });
  world.apply(deregister("n1", "web"));
  t.match(ask(world, "web.service.consul"), { rcode: "NXDOMAIN" });
});
