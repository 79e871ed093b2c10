/** Forms of names against the catalog: TTLs, ids, dots, families (spec of the DNS interface, 2, 4, 6, 8, 9). */
import t from "tap";
import {
  check,
  node,
  query as preparedQuery,
  register,
  service,
} from "../cluster/state-fixtures.ts";
import { everywhere, sections } from "./everywhere.ts";
import { query } from "./prepared.ts";
import { createWorld, decode, lines, type World } from "./resolver-world.ts";

const answers = (world: World, name: string, type = "A"): string[] =>
  lines(decode(world.compute(query(name, type))).answers).sort();

t.test(
  "ask 23: service_ttl holds for every form that asks for the service, on every road",
  async (t) => {
    const world = createWorld({
      settings: {
        altDomain: "lab.example.",
        nodeTtlSeconds: 77,
        serviceTtlSeconds: new Map([
          ["*", 5],
          ["db*", 10.9],
          ["db-master", 3],
          ["WEB", 99],
          ["d*b", 88],
        ]),
      },
    });
    const instances: [name: string, ttl: number][] = [
      ["Web", 5],
      ["db", 10],
      ["DBX", 10],
      ["db-master", 3],
      ["db-master-2", 10],
      ["d9b", 5],
    ];
    const forms: [form: string, types: string[]][] = [
      ["NAME.service.", ["A", "ANY", "TXT", "SRV"]],
      ["v1.NAME.service.", ["A", "SRV"]],
      ["NAME.service.dc1.", ["A", "SRV"]],
      ["NAME.service.dc1.dc.", ["A", "SRV"]],
      ["_NAME._tcp.", ["SRV"]],
      ["_NAME._v1.", ["SRV"]],
      ["_NAME._tcp.service.", ["A", "SRV"]],
      ["_NAME._v1.service.dc1.", ["A", "SRV"]],
      ["of-NAME.query.", ["A", "SRV"]],
      ["_of-NAME._tcp.query.", ["A", "SRV"]],
    ];
    instances.forEach(([name], i) => {
      world.apply(
        register(
          node(`n${i}`, { address: `10.1.0.${i}`, meta: { rack: "r1" } }),
          service(name, { tags: ["v1"] }),
        ),
      );
      world.apply(
        preparedQuery(`${i}1111111-1111-1111-1111-111111111111`, `of-${name}`, {
          service: { service: name },
        }),
      );
    });
    for (const [name, ttl] of instances)
      for (const [form, types] of forms)
        for (const domain of ["consul", "lab.example"])
          for (const type of types)
            for (const spelling of [name, name.toUpperCase()]) {
              const asked = form.replace("NAME", spelling) + domain;
              for (const { road, reply } of everywhere(world, query(asked, type))) {
                const found = lines(reply.answers);
                t.equal(found.length, 1, `${asked} ${type} ${road}`);
                // Answers, glue and the metadata of the node beside them.
                for (const line of [...found, ...lines(reply.additionals)])
                  t.equal(line.split(" ")[1], String(ttl), `${asked} ${type} ${road}: ${line}`);
              }
            }
  },
);

t.test("node ids and their prefixes: two characters, unique, and names go first", async (t) => {
  const world = createWorld();
  const ids = [
    "aaaa1111-0000-4000-8000-000000000001",
    "aaaa2222-0000-4000-8000-000000000002",
    "bb000000-0000-4000-8000-000000000003",
  ];
  ids.forEach((id, i) => world.apply(register(node(`n${i}`, { id, address: `10.1.0.${i}` }))));
  world.apply(
    register(node("bb0", { id: "cc000000-0000-4000-8000-000000000004", address: "10.9.9.9" })),
  );
  const rows: [name: string, address: string | undefined][] = [
    [ids[0]!, "10.1.0.0"],
    [ids[0]!.toUpperCase(), "10.1.0.0"],
    ["aaaa1", "10.1.0.0"],
    ["aaaa2222-0000", "10.1.0.1"],
    ["aa", undefined],
    ["aaaa", undefined],
    ["bb", "10.1.0.2"],
    ["BB00", "10.1.0.2"],
    ["bb0", "10.9.9.9"],
    ["b", undefined],
    ["cc", "10.9.9.9"],
    ["dd", undefined],
  ];
  for (const [name, address] of rows)
    for (const { road, reply } of everywhere(world, query(`${name}.node.consul`))) {
      t.equal(reply.rcode, address === undefined ? "NXDOMAIN" : "NOERROR", `${name} ${road}`);
      t.equal(lines(reply.answers)[0]?.split(" ")[3], address, `${name} ${road}`);
    }
  // What one registration makes ambiguous, or names, is told at once.
  world.compute(query("bb.node.consul"));
  world.apply(register(node("other", { id: "bb111111-0000-4000-8000-000000000005" })));
  t.equal(world.fromTable(query("bb.node.consul")), null);
  t.same(answers(world, "bb.node.consul"), []);
  world.apply(register(node("BB", { address: "10.8.8.8" })));
  t.same(answers(world, "bb.node.consul"), ["bb.node.consul. 0 A 10.8.8.8"]);
});

t.test("dots: in node names, in tags, in query names; never two tags", async (t) => {
  const world = createWorld();
  world.apply(
    register(
      node("rack.7.Web", { address: "10.1.0.1" }),
      service("web", { tags: ["v1.2.3", "Blue"] }),
    ),
  );
  world.apply(register(node("service", { address: "10.1.0.2" })));
  world.apply(register(node("a.service.b", { address: "10.1.0.3" })));
  world.apply(preparedQuery("11111111-1111-1111-1111-111111111111", "geo.eu.Web"));
  const rows: [name: string, address: string | undefined][] = [
    ["rack.7.web.node.consul", "10.1.0.1"],
    ["RACK.7.WEB.node.dc1.consul", "10.1.0.1"],
    ["7.web.node.consul", undefined],
    ["service.node.consul", "10.1.0.2"],
    ["a.service.b.node.consul", "10.1.0.3"],
    ["v1.2.3.web.service.consul", "10.1.0.1"],
    ["V1.2.3.web.service.consul", "10.1.0.1"],
    ["blue.web.service.consul", "10.1.0.1"],
    ["blue.v1.2.3.web.service.consul", undefined],
    ["2.3.web.service.consul", undefined],
    ["_web._v1.2.3.service.consul", undefined],
    ["geo.eu.web.query.consul", "10.1.0.1"],
    ["_geo.eu.web._tcp.query.consul", "10.1.0.1"],
    ["eu.web.query.consul", undefined],
    ["a\\.b.web.service.consul", undefined],
  ];
  for (const [name, address] of rows)
    t.equal(answers(world, name)[0]?.split(" ")[3], address, name);
  // A name with dots is a name under "node" like any other.
  t.match(answers(world, "web.service.consul", "SRV"), [
    /SRV 1 1 80 rack\.7\.Web\.node\.dc1\.consul$/,
  ]);
});

t.test("an escaped dot inside a label is no separator", async (t) => {
  const world = createWorld();
  world.apply(register(node("a.b", { address: "10.1.0.1" })));
  const plain = query("a.b.node.consul");
  t.equal(lines(decode(world.compute(plain)).answers).length, 1);
  // The labels 1 "a" and 1 "b" become one of three octets with a dot in it.
  const oneLabel = plain.slice();
  oneLabel[12] = 3;
  oneLabel[14] = 0x2e;
  t.match(decode(world.compute(oneLabel)), { rcode: "NXDOMAIN", answers: [] });
});

t.test("IPv4-mapped IPv6 counts as IPv4, wherever it stands", async (t) => {
  const world = createWorld();
  world.apply(register(node("n1", { address: "::ffff:10.1.0.1" }), service("own")));
  world.apply(
    register(node("n2", { address: "10.1.0.2" }), service("svc", { address: "::FFFF:0a01:0009" })),
  );
  world.apply(
    register(
      node("n3", { address: "fd00::3", taggedAddresses: { lan_ipv4: "::ffff:10.1.0.3" } }),
      service("tagged"),
    ),
  );
  t.same(answers(world, "n1.node.consul"), ["n1.node.consul. 0 A 10.1.0.1"]);
  t.same(answers(world, "n1.node.consul", "AAAA"), []);
  t.same(answers(world, "own.service.consul", "ANY"), ["own.service.consul. 0 A 10.1.0.1"]);
  t.same(answers(world, "svc.service.consul"), ["svc.service.consul. 0 A 10.1.0.9"]);
  t.match(answers(world, "svc.service.consul", "SRV"), [/ 0a010009\.addr\.dc1\.consul$/]);
  t.same(answers(world, "tagged.service.consul"), ["tagged.service.consul. 0 A 10.1.0.3"]);
  t.same(answers(world, "tagged.service.consul", "AAAA"), [
    "tagged.service.consul. 0 AAAA fd00::3",
  ]);
  t.same(answers(world, "1.0.1.10.in-addr.arpa", "PTR"), [
    "1.0.1.10.in-addr.arpa. 0 PTR n1.node.dc1.consul",
  ]);
  t.same(answers(world, "9.0.1.10.in-addr.arpa", "PTR"), [
    "9.0.1.10.in-addr.arpa. 0 PTR svc.service.dc1.consul",
  ]);
});

t.test(
  "reverse names of IPv6: all 32 nibbles, any case, any spelling in the catalog",
  async (t) => {
    const world = createWorld();
    world.apply(
      register(node("n6", { address: "FD00:0:0::00aB" }), service("x", { address: "fd00::CD" })),
    );
    const nibbles = (tail: string) =>
      `${tail.split("").reverse().join(".")}.${"0.".repeat(26)}0.0.d.f.ip6.arpa`;
    t.match(answers(world, nibbles("ab"), "PTR"), [/PTR n6\.node/]);
    t.match(answers(world, nibbles("AB").toUpperCase(), "PTR"), [/PTR n6\.node/]);
    t.match(answers(world, nibbles("cd"), "PTR"), [/PTR x\.service/]);
    for (const name of [
      nibbles("ab").slice(2),
      `0.${nibbles("ab")}`,
      "0.1.10.in-addr.arpa",
      "arpa",
    ])
      t.match(decode(world.compute(query(name, "PTR"))), { rcode: "NXDOMAIN" }, name);
  },
);

t.test("tagged addresses: the family asked for; SRV and ANY have IPv6 only", async (t) => {
  const world = createWorld();
  const both = { lan_ipv4: "10.2.0.1", lan_ipv6: "fd02::1" };
  const asService = Object.fromEntries(
    Object.entries(both).map(([tag, address]) => [tag, { address, port: 4444 }]),
  );
  world.apply(register(node("dual", { address: "10.1.0.1", taggedAddresses: both }), service("a")));
  world.apply(
    register(
      node("plain", { address: "10.1.0.2" }),
      service("b", { address: "10.1.0.3", taggedAddresses: asService }),
    ),
  );
  world.apply(
    register(
      node("host", { address: "host.example", taggedAddresses: { lan_ipv4: "10.2.0.4" } }),
      service("c"),
    ),
  );
  world.apply(
    register(
      node("wan", { address: "10.1.0.5", taggedAddresses: { wan: "198.51.100.5" } }),
      service("d", { taggedAddresses: { wan: { address: "198.51.100.6", port: 9 } } }),
    ),
  );
  const v6 = "fd020000000000000000000000000001";
  const rows: [name: string, type: string, data: string[]][] = [
    ["dual.node", "A", ["A 10.2.0.1"]],
    ["dual.node", "AAAA", ["AAAA fd02::1"]],
    ["dual.node", "ANY", ["AAAA fd02::1"]],
    ["a.service", "A", ["A 10.2.0.1"]],
    ["a.service", "AAAA", ["AAAA fd02::1"]],
    ["a.service", "ANY", ["AAAA fd02::1"]],
    ["a.service", "TXT", ["AAAA fd02::1"]],
    ["a.service", "SRV", [`SRV 1 1 80 ${v6}.addr.dc1.consul`]],
    ["b.service", "A", ["A 10.2.0.1"]],
    ["b.service", "AAAA", ["AAAA fd02::1"]],
    ["b.service", "SRV", [`SRV 1 1 80 ${v6}.addr.dc1.consul`]],
    ["host.node", "A", ["A 10.2.0.4"]],
    ["host.node", "AAAA", ["CNAME host.example"]],
    ["host.node", "ANY", ["A 10.2.0.4"]],
    ["c.service", "AAAA", ["CNAME host.example"]],
    ["c.service", "SRV", ["SRV 1 1 80 0a020004.addr.dc1.consul"]],
    ["d.service", "A", ["A 10.1.0.5"]],
    ["d.service", "SRV", ["SRV 1 1 80 wan.node.dc1.consul"]],
  ];
  for (const translateWanAddrs of [false, true]) {
    world.reload({ translateWanAddrs });
    for (const [name, type, data] of rows)
      t.same(
        answers(world, `${name}.consul`, type).map((line) => line.split(" ").slice(2).join(" ")),
        data,
        `${name} ${type}, translate_wan_addrs ${translateWanAddrs}`,
      );
  }
});

t.test("health: who is named, and every change of it is seen at once", async (t) => {
  const world = createWorld();
  const steps: [what: string, change: () => void, strict: boolean, lax: boolean][] = [
    ["no checks", () => {}, true, true],
    ["node check warns", () => put(check("serf", { status: "warning" })), false, true],
    ["node check is critical", () => put(check("serf", { status: "critical" })), false, false],
    ["a word that is no state", () => put(check("serf", { status: "odd" })), false, true],
    ["node check passes", () => put(check("serf")), true, true],
    [
      "own check is critical",
      () => put(check("own", { serviceId: "web", status: "critical" })),
      false,
      false,
    ],
    ["own check passes", () => put(check("own", { serviceId: "web" })), true, true],
    [
      "another service's check",
      () => put(check("db", { serviceId: "db", status: "critical" })),
      true,
      true,
    ],
    [
      "service maintenance",
      () => put(check("_service_maintenance:web", { serviceId: "web", status: "critical" })),
      false,
      false,
    ],
    ["ended", () => drop("_service_maintenance:web"), true, true],
    [
      "node maintenance",
      () => put(check("_node_maintenance", { status: "critical" })),
      false,
      false,
    ],
    ["ended", () => drop("_node_maintenance"), true, true],
  ];
  const at = node("n1", { address: "10.1.0.1" });
  const put = (one: ReturnType<typeof check>): void => world.apply(register(at, null, [one], true));
  const drop = (checkId: string): void =>
    world.apply({ type: "deregister", node: "n1", serviceId: "", checkId });
  world.apply(register(at, service("web")));
  world.apply(register(at, service("db")));
  world.apply(preparedQuery("11111111-1111-1111-1111-111111111111", "q"));
  for (const onlyPassing of [false, true]) {
    world.reload({ onlyPassing });
    for (const [what, change, strict, lax] of steps) {
      change();
      const usable = onlyPassing ? strict : lax;
      for (const [name, there] of [
        ["web.service.consul", usable],
        // The agent's only_passing is not for prepared queries.
        ["q.query.consul", lax],
      ] as const)
        for (const { road, reply } of everywhere(world, query(name)))
          t.equal(
            reply.rcode,
            there ? "NOERROR" : "NXDOMAIN",
            `${what}, only_passing ${onlyPassing}: ${name} ${road}`,
          );
    }
    drop("serf");
    drop("own");
    drop("db");
  }
});

t.test("a_record_limit comes before the limits of size, and never touches SRV", async (t) => {
  const world = createWorld({ settings: { aRecordLimit: 2 } });
  for (let i = 0; i < 6; i++)
    world.apply(register(node(`n${i}`, { address: `10.1.0.${i}` }), service("web")));
  for (const { road, reply } of everywhere(
    world,
    query("web.service.consul", "A", { edns: 1232 }),
  )) {
    t.equal(reply.answers?.length, 2, road);
    t.equal(reply.flag_tc, false, road);
  }
  for (const { road, reply } of everywhere(
    world,
    query("web.service.consul", "SRV", { edns: 1232 }),
  ))
    t.equal(reply.answers?.length, 6, road);
});

t.test("one address on several ports or nodes is one record, but as many SRV", async (t) => {
  const world = createWorld();
  for (const [name, id, port] of [
    ["n1", "a", 1],
    ["n1", "b", 2],
    ["n2", "c", 1],
  ] as const)
    world.apply(
      register(
        node(name, { address: name === "n1" ? "10.1.0.1" : "10.1.0.2" }),
        service("web", { id, port, address: "10.5.5.5" }),
      ),
    );
  for (const { road, reply } of everywhere(world, query("web.service.consul")))
    t.same(lines(reply.answers), ["web.service.consul. 0 A 10.5.5.5"], road);
  for (const { road, reply } of everywhere(world, query("web.service.consul", "SRV"))) {
    const [srv, , glue] = sections(reply);
    t.equal(srv!.length, 3, road);
    t.same(
      glue,
      Array.from({ length: 3 }, () => "0a050505.addr.dc1.consul. 0 A 10.5.5.5"),
      road,
    );
  }
});
