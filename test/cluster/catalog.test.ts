import { readFileSync } from "node:fs";
import t from "tap";
import { check, createLog, deregister, node, register, service } from "./state-fixtures.ts";
import type { Command } from "../../src/cluster/command.ts";

const ID1 = "11111111-1111-1111-1111-111111111111";
const ID2 = "22222222-2222-2222-2222-222222222222";
const error = (text: string) => ({ ok: false, error: text });

t.test("the texts of the recorded refusals (catalog-errors-a)", async (t) => {
  const corpus = JSON.parse(readFileSync("test/corpus/http/catalog-errors-a.json", "utf8"));
  const recorded = new Set(
    corpus.steps.map((step: { expect?: { text?: string } }) => step.expect?.text),
  );
  const missing = 'failed inserting check: Missing service registration on node "x"';
  const meta =
    "failed inserting service: Invalid Service Meta for node x and serviceID m: Couldn't load metadata pair ('bad key!', 'v'): Key contains invalid characters";
  const cases: [Command, string][] = [
    [register(node("x"), null, [check("c", { serviceId: "nosvc" })]), missing],
    [register(node("x"), service("m", { meta: { "bad key!": "v" } })), meta],
  ];
  for (const [command, text] of cases) {
    t.ok(recorded.has(text), `recorded: ${text}`);
    const { state, run } = createLog();
    t.same(run(command), { result: error(text), topics: [] });
    t.equal(state.reader.node("x"), undefined, "nothing of the transaction stays");
  }
});

t.test("register (HTTP spec section 6)", async (t) => {
  await t.test("replaces the node as a whole", async (t) => {
    const { state, run } = createLog();
    const meta = { rack: "r1" };
    run(register(node("db1", { id: ID1, meta, taggedAddresses: { lan: "10.1.1.1" } })));
    run(register(node("db1")));
    t.match(state.reader.node("db1"), { id: "", meta: null, taggedAddresses: null });
    t.match(state.reader.node("db1"), { createIndex: 1, modifyIndex: 2 });
    t.equal(state.reader.nodeById(ID1), undefined);
  });
  await t.test("SkipNodeUpdate keeps the stored node", async (t) => {
    const { state, run } = createLog();
    run(register(node("db1")));
    run(register(node("db1", { address: "10.9.9.9" }), service("extra"), [], true));
    t.match(state.reader.node("db1"), { address: "10.0.0.1", modifyIndex: 1 });
    t.equal(state.reader.service("db1", "extra")?.createIndex, 2);
  });
  await t.test("an empty status becomes critical, any other word is stored", async (t) => {
    const { state, run } = createLog();
    run(register(node("x"), null, [check("a", { status: "" }), check("b", { status: "weird" })]));
    t.equal(state.reader.check("x", "a")?.status, "critical");
    t.same(
      state.reader.checksInState("weird").map((c) => c.checkId),
      ["b"],
    );
  });
  await t.test("weights that cannot be are silently the default", async (t) => {
    const weights: [number, number, number, number][] = [
      [0, 0, 1, 1],
      [5, -1, 1, 1],
      [65536, 1, 1, 1],
      [10, 0, 10, 0],
    ];
    for (const [passing, warning, storedPassing, storedWarning] of weights) {
      const { state, run } = createLog();
      run(register(node("x"), service("w", { weights: { passing, warning } })));
      const stored = { passing: storedPassing, warning: storedWarning };
      t.same(state.reader.service("x", "w")?.weights, stored, `${passing}/${warning}`);
    }
  });
  await t.test("a check takes name and tags from its service, also when they change", async (t) => {
    const { state, run } = createLog();
    run(register(node("x"), service("web", { tags: ["a"] }), [check("c", { serviceId: "web" })]));
    t.match(state.reader.check("x", "c"), { serviceName: "web", serviceTags: ["a"] });
    run(register(node("x"), service("api", { id: "web", tags: ["b"] })));
    t.match(state.reader.check("x", "c"), { serviceName: "api", serviceTags: ["b"] });
    t.match(state.reader.check("x", "c"), { createIndex: 1, modifyIndex: 1 });
  });
  await t.test("a check without an id is refused", async (t) => {
    const { run } = createLog();
    const applied = run(register(node("x"), null, [check("")]));
    t.same(applied.result, error('failed inserting check: Missing CheckID on node "x"'));
  });
  await t.test("a check that changes its service leaves the old one", async (t) => {
    const { state, run } = createLog();
    run(register(node("x"), service("a"), [check("c", { serviceId: "a" })]));
    run(register(node("x"), service("b")));
    const { topics } = run(register(node("x"), null, [check("c", { serviceId: "b" })]));
    t.ok(topics.includes("service:a") && topics.includes("service:b"));
    t.same(state.reader.checksOfInstance("x", "a"), []);
    t.same(
      state.reader.checksOfNode("x").map((c) => c.serviceName),
      ["b"],
    );
  });
});

t.test("node ids and names (Consul 1.10 ensureNodeTxn)", async (t) => {
  await t.test("the same id under a new name renames: the old name is gone", async (t) => {
    const { state, run } = createLog();
    run(register(node("one", { id: ID1 }), service("web"), [check("c")]));
    const { topics } = run(register(node("two", { id: ID1, address: "10.0.0.2" })));
    t.equal(state.reader.node("one"), undefined);
    t.same(state.reader.servicesOfNode("two"), []);
    t.match(state.reader.node("two"), { createIndex: 1, modifyIndex: 2 });
    for (const topic of ["node:one", "node:two", "service:web", "checks", "addresses"])
      t.ok(topics.includes(topic), topic);
  });
  const alive = check("serfHealth");
  const dead = check("serfHealth", { status: "critical" });
  const reserved = (id: string) =>
    `Node name two is reserved by node ${id} with name two (10.0.0.1)`;
  const cases = [
    { when: "held by an alive node with another id", id: ID2, health: alive, by: reserved(ID2) },
    { when: "held by a dead node with another id", id: ID2, health: dead, by: null },
    { when: "held by an alive node without an id", id: "", health: alive, by: null },
    { when: "held by a node without health", id: ID2, health: check("other"), by: null },
  ];
  for (const { when, id, health, by } of cases) {
    const { state, run } = createLog();
    run(register(node("two", { id }), null, [health]));
    const { result } = run(register(node("two", { id: ID1 })));
    const text = `failed inserting node: Error while renaming Node ID: "${ID1}": ${by}`;
    t.same(result, by === null ? { ok: true, value: true } : error(text), when);
    t.equal(state.reader.node("two")?.id, by === null ? ID1 : id, when);
  }
  await t.test("a rename onto the name of an alive node is refused", async (t) => {
    const { state, run } = createLog();
    run(register(node("one", { id: ID1 })));
    run(register(node("two"), null, [alive]));
    const { result, topics } = run(register(node("two", { id: ID1, address: "10.0.0.9" })));
    const text = `failed inserting node: Error while renaming Node ID: "${ID1}" (10.0.0.9): ${reserved("")}`;
    t.same(result, error(text));
    t.same(topics, []);
    t.ok(state.reader.node("one"));
  });
  await t.test("found by full id and by a unique prefix of two characters", async (t) => {
    const { state, run } = createLog();
    run(register(node("one", { id: "5b016a4f-8a4d-4c62-9c3d-2b1f4c1a0001" })));
    run(register(node("two", { id: "5b016a4f-8a4d-4c62-9c3d-2b1f4c1a0002" })));
    run(register(node("three", { id: "6b016a4f-8a4d-4c62-9c3d-2b1f4c1a0003" })));
    const rows: [string, string | undefined][] = [
      ["5b016a4f-8a4d-4c62-9c3d-2b1f4c1a0002", "two"],
      ["5B016A4F-8A4D-4C62-9C3D-2B1F4C1A0001", "one"],
      ["5b", undefined],
      ["6b", "three"],
      ["6", undefined],
      ["7b", undefined],
    ];
    for (const [id, name] of rows) t.equal(state.reader.nodeById(id)?.node, name, id);
  });
  await t.test("names are kept as spelled first and found in any case", async (t) => {
    const { state, run } = createLog();
    run(register(node("Web1"), service("API")));
    run(register(node("WEB1", { address: "10.0.0.2" }), service("api", { id: "2" })));
    t.match(state.reader.node("web1"), { node: "Web1", address: "10.0.0.2" });
    t.same(
      state.reader.instancesOf("aPi").map((s) => s.node),
      ["Web1", "Web1"],
    );
    t.same(
      [...state.reader.serviceNames()],
      [
        ["api", []],
        ["API", []],
      ],
    );
  });
});

t.test("addresses are found in any spelling (RFC 4291 section 2.2)", async (t) => {
  const { state, run } = createLog();
  run(register(node("b", { address: "2001:DB8:0:0::1" })));
  run(register(node("a", { address: "2001:db8::0001" })));
  run(register(node("v4", { address: "10.0.0.4" }), service("s", { address: "::ffff:10.0.0.5" })));
  run(register(node("host", { address: "db.example.com" })));
  const { reader } = state;
  t.equal(reader.nodeByAddress("2001:db8:0:0:0:0:0:1")?.node, "a", "first by name");
  t.equal(reader.nodeByAddress("::FFFF:a00:4")?.node, "v4");
  t.equal(reader.serviceByAddress("10.0.0.5")?.id, "s");
  t.equal(reader.nodeByAddress("db.example.com"), undefined);
  run(deregister("a"));
  t.equal(reader.nodeByAddress("2001:db8::1")?.node, "b");
  run(deregister("b"));
  t.equal(reader.nodeByAddress("2001:db8::1"), undefined);
});

t.test("deregister (HTTP spec section 6)", async (t) => {
  const build = () => {
    const log = createLog();
    log.run(register(node("n"), service("web"), [check("w", { serviceId: "web" }), check("n")]));
    log.run(register(node("n"), service("db")));
    return log;
  };
  await t.test("unknown targets are fine and wake nobody", async (t) => {
    const { state, run } = build();
    for (const command of [deregister("ghost"), deregister("n", "x"), deregister("n", "", "x")])
      t.same(run(command), { result: { ok: true, value: true }, topics: [] });
    t.equal(state.reader.indexOf("nodes"), 1);
  });
  await t.test("a service goes with its checks; with both ids the service goes", async (t) => {
    const { state, run } = build();
    run(deregister("n", "web", "n"));
    t.same(
      state.reader.checksOfNode("n").map((c) => c.checkId),
      ["n"],
    );
    t.same(
      state.reader.servicesOfNode("n").map((s) => s.id),
      ["db"],
    );
  });
  await t.test("a node goes with everything", async (t) => {
    const { state, run } = build();
    const { topics } = run(deregister("N"));
    t.same([...topics].sort(), [
      "addresses",
      "checks",
      "node:n",
      "nodes",
      "service:db",
      "service:web",
      "services",
    ]);
    t.same(state.counts(), { nodes: 0, services: 0, checks: 0, queries: 0, sessions: 0 });
  });
});

t.test("indexes (HTTP spec sections 3.6 and 3.7)", async (t) => {
  await t.test("the same registration changes no index and wakes nobody", async (t) => {
    const { state, run } = createLog();
    const command = register(
      node("n", { meta: { b: "2", a: "1" }, taggedAddresses: { lan: "10.0.0.1" } }),
      service("web", {
        tags: ["a"],
        meta: { k: "v" },
        weights: { passing: 0, warning: 0 },
        taggedAddresses: { lan: { address: "10.0.0.1", port: 1 } },
        proxy: { a: [1, { b: null }] },
      }),
      [check("c", { serviceId: "web", status: "", definition: { HTTP: "x" } })],
    );
    run(command);
    const again = structuredClone({
      ...command,
      node: { ...command.node, meta: { a: "1", b: "2" } },
    });
    t.same(run(again), { result: { ok: true, value: true }, topics: [] });
    for (const topic of ["nodes", "services", "checks", "node:n", "service:web"])
      t.equal(state.reader.indexOf(topic), 1, topic);
    t.equal(state.reader.index, 2);
  });
  await t.test("other services do not move a service's index, its own node does", async (t) => {
    const { state, run } = createLog();
    const index = () => state.reader.indexOf("service:web");
    run(register(node("n1"), service("web")));
    run(register(node("n2"), service("other")));
    t.equal(index(), 1, "another service on another node");
    run(register(node("n1"), service("third")));
    t.equal(index(), 1, "another service on its node");
    run(register(node("n1"), null, [check("t", { serviceId: "third" })]));
    t.equal(index(), 1, "a check of another service on its node");
    run(register(node("n1"), null, [check("disk")]));
    t.equal(index(), 5, "a node-level check");
    run(register(node("n1", { address: "10.0.0.9" })));
    t.equal(index(), 6, "the node's address");
    run(deregister("n1", "", "disk"));
    t.equal(index(), 7, "a node-level check goes");
  });
  await t.test("what is missing has the index of the last removal of any", async (t) => {
    const { state, run } = createLog();
    run(register(node("n1"), service("web")));
    t.equal(state.reader.indexOf("service:unborn"), 1, "no removal yet: the services table");
    t.equal(state.reader.indexOf("node:unborn"), 1, "no removal yet: the nodes table");
    run(register(node("n1"), service("b")));
    run(deregister("n1", "b"));
    run(register(node("n1"), service("c")));
    t.equal(state.reader.indexOf("service:b"), 3);
    t.equal(state.reader.indexOf("service:unborn"), 3);
    run(register(node("n2"), service("web")));
    run(deregister("n2", "web"));
    t.equal(state.reader.indexOf("service:unborn"), 3, "web has an instance left");
    run(deregister("n2"));
    t.equal(state.reader.indexOf("node:n2"), 7);
  });
});

t.test("lists are in storage order", async (t) => {
  const { state, run } = createLog();
  for (const name of ["b", "C", "a"])
    for (const id of ["2", "1"])
      run(register(node(name), service("web", { id }), [check(`c${id}`, { serviceId: id })]));
  run(register(node("a"), null, [check("z")]));
  const { reader } = state;
  t.same(
    [...reader.nodes()].map((n) => n.node),
    ["a", "b", "C"],
  );
  t.same(
    reader.instancesOf("web").map((s) => s.node + s.id),
    ["a1", "a2", "b1", "b2", "C1", "C2"],
  );
  t.same(
    reader.checksOfNode("a").map((c) => c.checkId),
    ["z", "c1", "c2"],
  );
  t.same(
    reader.checksOfInstance("a", "2").map((c) => c.checkId),
    ["z", "c2"],
  );
  t.equal(reader.checksInState("passing").length, 7);
  t.equal(reader.checksInState("any").length, 7);
});
