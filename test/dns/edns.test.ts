/** EDNS of our own replies, on every road (spec of the DNS interface, section 14; RFC 6891, RFC 7871). */
import t from "tap";
import { EDE, withErrors } from "../../src/dns/edns.ts";
import { TYPE } from "../../src/dns/rr.ts";
import { node, query as preparedQuery, register, service } from "../cluster/state-fixtures.ts";
import { everywhere } from "./everywhere.ts";
import { query } from "./prepared.ts";
import { createWorld, decode, good, lines, type World } from "./resolver-world.ts";

function populated(recursorsConfigured = false): World {
  const world = createWorld({
    settings: { recursorsConfigured },
    upstream: ({ qname }) =>
      qname[1] === 0x78
        ? { ok: false, reason: "failed" }
        : good({
            answers: [
              { owner: qname, type: TYPE.A, class: 1, ttl: 60, data: Uint8Array.of(9, 9, 9, 9) },
            ],
            cacheableSeconds: 60,
            fromCache: true,
          }),
  });
  for (let i = 0; i < 3; i++)
    world.apply(register(node(`n${i}`, { address: `10.1.0.${i}` }), service("web")));
  world.apply(preparedQuery("11111111-1111-1111-1111-111111111111", "q"));
  world.apply(
    preparedQuery("21111111-1111-1111-1111-111111111111", "empty", {
      service: { service: "nobody" },
    }),
  );
  world.apply(
    preparedQuery("31111111-1111-1111-1111-111111111111", "near", { service: { near: "_ip" } }),
  );
  return world;
}

/** The OPT as octets: from its owner on; empty if there is none. */
function optOf(wire: Uint8Array): number[] {
  const reply = decode(wire);
  const opts = (reply.additionals ?? []).filter(({ type }) => type === "OPT");
  if (opts.length === 0) return [];
  if (opts.length > 1) throw new Error("two OPT");
  // It is the last record of all our messages.
  for (let at = wire.length - 11; at > 0; at--)
    if (wire[at] === 0 && wire[at + 1] === 0 && wire[at + 2] === 41)
      if (at + 11 + wire[at + 9]! * 256 + wire[at + 10]! === wire.length)
        return Array.from(wire.subarray(at));
  throw new Error("no OPT at the end");
}

/** A query with a client subnet, as octets. */
function withSubnet(name: string, type: string, subnet: number[], payload = 1232): Uint8Array {
  const plain = query(name, type, { edns: payload });
  const option = [0, 8, 0, subnet.length, ...subnet];
  const wire = Uint8Array.of(...plain, ...option);
  wire[plain.length - 1] = option.length;
  return wire;
}

t.test("payload as asked, version 0, no flags, no options", async (t) => {
  const world = populated(true);
  for (const [name, type] of [
    ["web.service.consul", "A"],
    ["web.service.consul", "SRV"],
    ["web.service.consul", "MX"],
    ["nope.service.consul", "A"],
    ["n1.node.consul", "TXT"],
    ["q.query.consul", "A"],
    ["consul", "SOA"],
    ["consul", "NS"],
    ["0a010001.addr.consul", "A"],
    ["1.0.1.10.in-addr.arpa", "PTR"],
  ] as const) {
    for (const payload of [0, 1, 511, 512, 513, 1232, 4095, 4096, 65467, 65468, 65535])
      for (const dnssecOk of [false, true])
        for (const { road, wire } of everywhere(
          world,
          query(name, type, { edns: payload, dnssecOk }),
        ))
          t.same(
            optOf(wire),
            [0, 0, 41, payload >> 8, payload & 255, 0, 0, 0, 0, 0, 0],
            `${name} ${type} ${payload} DO ${dnssecOk} ${road}`,
          );
    for (const { road, wire } of everywhere(world, query(name, type)))
      t.same(optOf(wire), [], `${name} ${type} without EDNS ${road}`);
  }
});

t.test("cookies and other options are dropped, by workers as well", async (t) => {
  const world = populated();
  const options = [{ code: 10, data: Buffer.alloc(8, 7) }] as never;
  for (const { road, wire } of everywhere(
    world,
    query("web.service.consul", "A", { edns: 1232, options }),
  ))
    t.same(optOf(wire).length, 11, road);
});

t.test(
  "parser: the EDNS version is not checked in our own domain, and BADVERS elsewhere",
  async (t) => {
    const world = populated(true);
    const version1 = (name: string): Uint8Array => {
      const wire = query(name, "A", { edns: 1232 });
      wire[wire.length - 5] = 1;
      return wire;
    };
    const roads = everywhere(world, version1("web.service.consul"));
    for (const { road, wire, reply } of roads) {
      t.match(reply, { rcode: "NOERROR" }, road);
      t.same(optOf(wire).slice(5, 7), [0, 0], `${road}: no extended RCODE, version 0`);
    }
    const reply = world.compute(version1("www.example.com"))!;
    t.same(optOf(reply).slice(5, 7), [1, 0], "extended RCODE 1: BADVERS (RFC 6891 6.1.3)");
    t.equal(reply[3]! & 15, 0);
  },
);

t.test("client subnet: echoed; its scope is the source for prepared queries only", async (t) => {
  const world = populated(true);
  // [family, family, source, scope as asked, address...]: 192.0.2.0/24, 2001:db8::/32, /0 of each.
  const subnets = [
    [0, 1, 24, 0, 192, 0, 2],
    [0, 1, 32, 0, 192, 0, 2, 77],
    [0, 1, 0, 0],
    [0, 2, 32, 0, 0x20, 1, 0xd, 0xb8],
    [0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 1, 2],
    [0, 1, 20, 0, 192, 0, 0x20],
  ];
  for (const subnet of subnets)
    for (const [name, type, scope] of [
      ["web.service.consul", "A", 0],
      ["web.service.consul", "SRV", 0],
      ["nope.service.consul", "A", 0],
      ["n1.node.consul", "A", 0],
      ["consul", "SOA", 0],
      ["q.query.consul", "A", subnet[2]!],
      ["q.query.consul", "SRV", subnet[2]!],
      // NODATA of a query is an answer of that query.
      ["q.query.consul", "MX", subnet[2]!],
      ["near.query.consul", "A", subnet[2]!],
      ["empty.query.consul", "A", 0],
      ["nope.query.consul", "A", 0],
      ["1.0.1.10.in-addr.arpa", "PTR", 0],
      ["www.example.com", "A", 0],
      ["x.example.com", "A", 0],
    ] as const) {
      const roads = everywhere(world, withSubnet(name, type, subnet));
      t.same(
        roads.map(({ road }) => road),
        ["main", "tcp"],
        `${name}: subnets are not for workers`,
      );
      const echoed = [...subnet.slice(0, 3), scope, ...subnet.slice(4)];
      for (const { road, wire } of roads)
        t.same(
          optOf(wire).slice(11, 15 + echoed.length),
          [0, 8, 0, echoed.length, ...echoed],
          `${name} ${type} /${subnet[2]} ${road}`,
        );
    }
});

t.test(
  "client subnet: bits beyond the prefix are not echoed; what is broken is FORMERR",
  async (t) => {
    const world = populated();
    const rows: [subnet: number[], expected: number[] | "FORMERR" | "none"][] = [
      [
        [0, 1, 20, 9, 192, 0, 0x2f],
        [0, 1, 20, 0, 192, 0, 0x20],
      ],
      [[0, 1, 33, 0, 1, 2, 3, 4, 5], "FORMERR"],
      [[0, 1, 24, 0, 192, 0], "FORMERR"],
      [[0, 1, 24], "FORMERR"],
      [[], "FORMERR"],
      [[0, 2, 129, 0, ...Array.from({ length: 17 }, () => 1)], "FORMERR"],
      [[0, 9, 24, 0, 1, 2, 3], "none"],
    ];
    for (const [subnet, expected] of rows) {
      const reply = world.compute(withSubnet("web.service.consul", "A", subnet))!;
      const label = subnet.join(" ");
      if (expected === "FORMERR") t.equal(reply[3]! & 15, 1, label);
      else
        t.same(
          optOf(reply).slice(11),
          expected === "none" ? [] : [0, 8, 0, expected.length, ...expected],
          label,
        );
    }
  },
);

t.test("near=_ip: the subnet's address before the client's; no such node: any order", async (t) => {
  const world = populated();
  const first = (wire: Uint8Array, address: string): string | undefined =>
    lines(decode(world.compute(wire, { address, port: 1, transport: "udp" })).answers)[0]?.split(
      " ",
    )[3];
  for (let round = 0; round < 20; round++) {
    const plain = query("near.query.consul");
    const subnet = withSubnet("near.query.consul", "A", [0, 1, 32, 0, 10, 1, 0, 1]);
    t.equal(first(plain, "10.1.0.2"), "10.1.0.2", "the client's own node");
    t.equal(first(subnet, "10.1.0.2"), "10.1.0.1", "the subnet's");
    t.equal(
      first(withSubnet("near.query.consul", "A", [0, 0, 0, 0]), "10.1.0.2"),
      "10.1.0.2",
      "family 0 names nobody (RFC 7871 7.1.2)",
    );
  }
  const seen = new Set<string | undefined>();
  for (let round = 0; round < 60; round++) seen.add(first(query("near.query.consul"), "192.0.2.1"));
  t.equal(seen.size, 3, "a client that is no node");
});

t.test("REFUSED has no OPT, SERVFAIL of the forwarder has one", async (t) => {
  const asked = withSubnet("x.example.com", "A", [0, 1, 24, 0, 192, 0, 2]);
  t.same(optOf(populated(false).compute(asked)!), []);
  const failed = populated(true).compute(asked)!;
  const noReachableAuthority = [0, 15, 0, 2, 0, 22];
  t.same(optOf(failed).slice(11), [0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2, ...noReachableAuthority]);
  t.match(decode(failed), { rcode: "SERVFAIL", flag_aa: false, flag_ra: true, flag_rd: true });
  t.equal(failed.length, asked.length + 6, "and nothing but the question and why (RFC 8914)");
});

t.test("extended errors: at most four, their texts ASCII and short (RFC 8914)", async (t) => {
  t.same([...withErrors(Uint8Array.of(0, 9, 0, 0), [])], [0, 9, 0, 0]);
  const text = "caf\u00e9\n";
  t.same(
    [...withErrors(new Uint8Array(0), [{ code: EDE.BLOCKED, text }])],
    [0, 15, 0, 7, 0, 15, ...Buffer.from("caf??")],
  );
  const many = Array.from({ length: 9 }, () => ({ code: 65535, text: "x".repeat(500) }));
  const wire = withErrors(new Uint8Array(0), many);
  t.equal(wire.length, 4 * (4 + 2 + 96));
  t.same([...wire.subarray(0, 7)], [0, 15, 0, 98, 255, 255, 120]);
});

t.test("an answer with an extended error carries it, and workers do not keep it", async (t) => {
  for (const ede of [undefined, [{ code: EDE.STALE_ANSWER, text: "old" }]]) {
    const world = createWorld({
      settings: { recursorsConfigured: true },
      upstream: () => ({ ...good({ cacheableSeconds: 60, fromCache: true }), ede }),
    });
    const [first] = everywhere(world, query("www.example.com", "A", { edns: 1232 }));
    const error = ede === undefined ? [] : [0, 15, 0, 5, 0, 3, ...Buffer.from("old")];
    t.same(optOf(first!.wire).slice(11), error);
    t.equal(world.resolver.counters.published > 0, ede === undefined);
    t.same(optOf(world.compute(query("www.example.com"))!), [], "nothing without EDNS");
  }
});

t.test("without EDNS nobody can read it, so workers keep the answer for those", async (t) => {
  const ede = [{ code: EDE.FILTERED, text: "" }];
  const world = createWorld({
    settings: { recursorsConfigured: true },
    upstream: () => ({ ...good({ cacheableSeconds: 60, fromCache: true }), ede }),
  });
  const roads = (edns?: number): string[] =>
    everywhere(world, query("www.example.com", "A", edns === undefined ? {} : { edns })).map(
      ({ road, wire }) => `${road} ${optOf(wire).slice(11).join(" ")}`.trimEnd(),
    );
  t.same(roads(), ["main", "table", "tcp"]);
  const { published } = world.resolver.counters;
  t.ok(published > 0);
  const told = "0 15 0 2 0 17";
  t.same(roads(1232), [`main ${told}`, `tcp ${told}`], "with EDNS no worker answers");
  t.equal(world.resolver.counters.published, published, "and nothing is replaced");
});
