import fc from "fast-check";
import t from "tap";
import { createPublisher } from "../../src/dns/publish.ts";
import {
  check,
  deregister,
  node,
  query as preparedQuery,
  register,
  service,
} from "../cluster/state-fixtures.ts";
import { answerWith, createBench, query } from "./prepared.ts";
import { createWorld, decode, lines, type World } from "./resolver-world.ts";

/** Asked twice: what is short-lived is prepared for names that are asked again only. */
function warm(world: World, wire: Uint8Array): void {
  world.compute(wire);
  world.compute(wire);
}

function fleet(
  world: World,
  name: string,
  count: number,
  over: (i: number) => object = () => ({}),
): void {
  for (let i = 0; i < count; i++)
    world.apply(
      register(
        node(`${name}n${i}`, { address: `10.7.${i >> 8}.${i & 255}` }),
        service(name, { id: `${name}-${i}`, ...over(i) }),
      ),
    );
}

t.test("a change withdraws the answers that it can touch, and no other", async (t) => {
  const world = createWorld();
  world.apply(register(node("n1", { address: "10.0.0.1" }), service("web")));
  world.apply(register(node("n2", { address: "10.0.0.2" }), service("db")));
  world.apply(
    preparedQuery("11111111-1111-1111-1111-111111111111", "q", { service: { service: "web" } }),
  );
  const asked = {
    web: query("web.service.consul"),
    srv: query("web.service.consul", "SRV"),
    db: query("db.service.consul"),
    n1: query("n1.node.consul"),
    n2: query("n2.node.consul"),
    ptr: query("1.0.0.10.in-addr.arpa", "PTR"),
    q: query("q.query.consul"),
    addr: query("0a000001.addr.consul"),
  };
  type Name = keyof typeof asked;
  const rows: [change: string, run: (world: World) => void, gone: Name[]][] = [
    [
      "a check of web",
      (w) =>
        w.apply(
          register(node("n1", { address: "10.0.0.1" }), service("web"), [
            check("c", { serviceId: "web" }),
          ]),
        ),
      ["web", "srv", "n1", "q"],
    ],
    [
      "a node check on n2",
      (w) => w.apply(register(node("n2", { address: "10.0.0.2" }), null, [check("d")])),
      ["db", "n2"],
    ],
    [
      "another instance of db",
      (w) => w.apply(register(node("n3", { address: "10.0.0.3" }), service("db"))),
      ["db", "ptr"],
    ],
    [
      "n1 moves",
      (w) => w.apply(register(node("n1", { address: "10.0.0.11" }))),
      ["web", "srv", "n1", "q", "ptr"],
    ],
    [
      "the query goes",
      (w) => w.apply({ type: "query-delete", id: "11111111-1111-1111-1111-111111111111" }),
      ["q"],
    ],
    ["an unrelated node", (w) => w.apply(register(node("n9", { address: "10.0.0.99" }))), ["ptr"]],
    ["nothing at all", (w) => w.apply(register(node("n9", { address: "10.0.0.99" }))), []],
  ];
  for (const [change, run, gone] of rows) {
    for (const wire of Object.values(asked)) warm(world, wire);
    for (const [name, wire] of Object.entries(asked))
      t.ok(world.fromTable(wire), `${name} is served by workers before ${change}`);
    run(world);
    const missing = Object.entries(asked).filter(([, wire]) => world.fromTable(wire) === null);
    t.same(missing.map(([name]) => name).sort(), [...gone].sort(), change);
  }
});

t.test("ask 18: a name that does not exist yet appears with its registration", async (t) => {
  const world = createWorld();
  for (const [name, type] of [
    ["new.service.consul", "A"],
    ["tag.new.service.consul", "SRV"],
    ["fresh.node.consul", "A"],
    ["ab12.node.consul", "A"],
    ["7.0.0.10.in-addr.arpa", "PTR"],
    ["late.query.consul", "A"],
  ] as const) {
    const wire = query(name, type);
    warm(world, wire);
    t.match(decode(world.fromTable(wire)), { rcode: "NXDOMAIN" }, `${name} is denied by workers`);
  }
  world.apply(
    register(
      node("fresh", { address: "10.0.0.7", id: "ab12cd34-0000-0000-0000-000000000000" }),
      service("new", { tags: ["Tag"] }),
    ),
  );
  world.apply(
    preparedQuery("11111111-1111-1111-1111-111111111111", "late", { service: { service: "new" } }),
  );
  for (const [name, type] of [
    ["new.service.consul", "A"],
    ["tag.new.service.consul", "SRV"],
    ["fresh.node.consul", "A"],
    ["ab12.node.consul", "A"],
    ["7.0.0.10.in-addr.arpa", "PTR"],
    ["late.query.consul", "A"],
  ] as const) {
    t.equal(world.fromTable(query(name, type)), null, `${name}: the denial is gone`);
    t.match(decode(world.compute(query(name, type))), { rcode: "NOERROR" }, name);
  }
});

t.test(
  "denials carry the second as serial and end with it; once-asked names are not kept",
  async (t) => {
    const world = createWorld();
    world.advance(400);
    const wire = query("no.service.consul");
    world.compute(wire);
    t.equal(world.fromTable(wire), null, "asked once");
    world.compute(wire);
    t.match(lines(decode(world.fromTable(wire)).authorities), [/1700000000 3600/]);
    world.advance(599);
    t.ok(world.fromTable(wire));
    world.advance(1);
    t.equal(world.fromTable(wire), null, "the next second has another serial");
    for (let i = 0; i < 5000; i++) world.compute(query(`random-${i}.service.consul`));
    t.ok(world.table.stats().entries <= 2, "random names do not fill the table");
  },
);

t.test("what workers cannot serve is not given to them", async (t) => {
  const near = createWorld();
  near.apply(register(node("n1"), service("web")));
  near.apply(
    preparedQuery("11111111-1111-1111-1111-111111111111", "near", { service: { near: "_ip" } }),
  );
  const rows: [why: string, world: World, wire: Uint8Array][] = [
    ["order depends on the client", near, query("near.query.consul")],
    ["SOA", near, query("consul", "SOA")],
    ["NS", near, query("consul", "NS")],
    ["AXFR", near, query("web.service.consul", "AXFR")],
  ];
  const plain = createWorld({ settings: { disableCompression: true } });
  plain.apply(register(node("n1"), service("web")));
  rows.push([
    "without compression the owner cannot follow the question",
    plain,
    query("web.service.consul"),
  ]);
  const choice = createWorld();
  choice.apply(register(node("e1", { address: "one.example" }), service("ext")));
  choice.apply(register(node("e2", { address: "two.example" }), service("ext")));
  rows.push(["one of two names", choice, query("ext.service.consul")]);
  for (const [why, world, wire] of rows) {
    warm(world, wire);
    t.equal(world.fromTable(wire), null, why);
  }
});

t.test("workers and the main thread say the same (any size, family, limit, payload)", async (t) => {
  const arbitrary = fc.record({
    count: fc.integer({ min: 1, max: 60 }),
    v6: fc.boolean(),
    meta: fc.boolean(),
    type: fc.constantFrom("A", "AAAA", "SRV", "ANY", "TXT", "MX"),
    edns: fc.constantFrom(undefined, 0, 512, 513, 700, 1232, 4096, 65535),
    settings: fc.record({
      udpAnswerLimit: fc.constantFrom(0, 1, 3, 8, 20),
      aRecordLimit: fc.constantFrom(0, 0, 1, 5),
      enableTruncate: fc.boolean(),
      additionalNodeMetaTxt: fc.boolean(),
    }),
    longName: fc.boolean(),
  });
  let served = 0;
  fc.assert(
    fc.property(arbitrary, ({ count, v6, meta, type, edns, settings, longName }) => {
      const world = createWorld({ settings });
      const name = longName ? `web-${"y".repeat(55)}` : "web";
      fleet(world, name, count, (i) => (v6 ? { address: `fd00::${(i + 1).toString(16)}` } : {}));
      if (meta)
        world.apply(register(node(`${name}n0`, { address: "10.7.0.0", meta: { rack: "r7" } })));
      const wire = query(`${name}.service.consul`, type, edns === undefined ? {} : { edns });
      warm(world, wire);
      const fromTable = world.fromTable(wire);
      if (fromTable === null) return;
      served++;
      const cold = decode(world.compute(wire));
      const hot = decode(fromTable);
      const payload = Math.max(512, edns ?? 512);
      if ((hot.answers?.length ?? 0) > 1 && fromTable.length > payload)
        throw new Error(`${fromTable.length} octets for ${payload}`);
      same(hot.answers?.length, cold.answers?.length, "number of answers");
      for (const member of ["rcode", "flag_tc", "flag_aa", "flag_ra"] as const)
        same(
          (hot as unknown as Record<string, unknown>)[member],
          (cold as unknown as Record<string, unknown>)[member],
          member,
        );
      same(lines(hot.authorities), lines(cold.authorities), "authority");
      same(lines(hot.additionals).length, lines(cold.additionals).length, "additional");
      const all = decode(world.compute(wire, { address: "127.0.0.1", port: 1, transport: "tcp" }));
      if (settings.aRecordLimit === 0) {
        const known = new Set(lines(all.answers));
        for (const line of lines(hot.answers))
          if (!known.has(line)) throw new Error(`made up: ${line}`);
      }
      same(new Set(lines(hot.answers)).size, hot.answers?.length, "no answer twice");
    }),
    { numRuns: 400 },
  );
  t.ok(served > 150, `${served} of 400 served from the table`);

  function same(actual: unknown, expected: unknown, what: string): void {
    if (JSON.stringify(actual) !== JSON.stringify(expected))
      throw new Error(
        `${what}: worker ${JSON.stringify(actual)}, main ${JSON.stringify(expected)}`,
      );
  }
});

t.test("every instance leads about as often as any other, from either side", async (t) => {
  const rows: [type: string, options: object, limit: number][] = [
    ["A", {}, 0],
    ["A", { edns: 1232 }, 0],
    ["SRV", {}, 0],
    ["A", {}, 2],
  ];
  for (const [type, options, aRecordLimit] of rows) {
    const world = createWorld({ settings: { aRecordLimit } });
    fleet(world, "web", 5);
    const wire = query("web.service.consul", type, options);
    const firsts = new Map<string, number>();
    let misses = 0;
    for (let i = 0; i < 4000; i++) {
      world.advance(5);
      let reply = world.fromTable(wire);
      if (reply === null) {
        misses++;
        reply = world.compute(wire);
      }
      const first = lines(decode(reply).answers)[0]!;
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
    }
    t.equal(firsts.size, 5);
    for (const count of firsts.values())
      t.ok(count > 650 && count < 950, `${type} ${count} of 4000`);
    t.ok(misses < 60, `${misses} of 4000 were computed`);
  }
});

t.test("a handle is forgotten when the table lets go of its answer", async (t) => {
  const { table } = createBench();
  const publisher = createPublisher(table);
  const publish = (name: string) =>
    publisher.publish(answerWith(name, ["10.0.0.1"]), ["service:a", "service:a", "nodes"]);
  publish("x.consul");
  publish("x.consul");
  t.match(publisher.stats(), { watched: 1, topics: 2 }, "the second replaced the first");
  for (let i = 0; i < 30_000; i++) publish(`n${i}.consul`);
  const { entries } = table.stats();
  t.equal(publisher.stats().watched, entries, "as many as the table holds");
  t.ok(entries < 30_000, "some were evicted");
  publisher.touch(["service:b"]);
  t.equal(table.stats().entries, entries);
  publisher.touch(["service:a"]);
  t.match(publisher.stats(), { watched: 0, topics: 0 });
  t.equal(table.stats().entries, 0);
  publisher.publish(answerWith("z.consul", ["10.0.0.1"]), []);
  publisher.withdrawAll();
  t.equal(table.stats().entries, 0);
});

t.test("deregistering the last instance denies it to those who ask the workers", async (t) => {
  const world = createWorld();
  world.apply(register(node("n1"), service("web")));
  const wire = query("web.service.consul");
  world.compute(wire);
  t.match(decode(world.fromTable(wire)), { rcode: "NOERROR" });
  world.apply(deregister("n1"));
  t.equal(world.fromTable(wire), null);
});
