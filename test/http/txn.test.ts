import t from "tap";
import { check as checkFields, service as serviceFields } from "../cluster/state-fixtures.ts";
import { createGuarded, ROOT } from "./guarded.ts";
import { createServer, registerService, settle, type Server } from "./harness.ts";

const put = (server: Server, body: unknown, path = "/v1/txn", headers = {}) =>
  server.ask("PUT", path, { body, headers });
const kv = (Verb: string, Key: string, more = {}) => ({ KV: { Verb, Key, ...more } });
const many = (count: number, operation: unknown) => Array.from({ length: count }, () => operation);

const bad = "Failed to parse body: ";
const large = "x".repeat(400_000);
/** Body → status and text, or the beginning of the text. */
const refusals: [string, unknown, number, string][] = [
  ["no JSON", "[{", 400, bad],
  ["nothing", "", 400, `${bad}EOF`],
  ["an object", {}, 400, `${bad}json: cannot unmarshal object`],
  ["a text for an operation", ["KV"], 400, `${bad}json: cannot unmarshal string`],
  ["an unknown kind", [{ Intention: {} }], 400, `${bad}json: unknown field "Intention"`],
  ["an unknown member", [kv("set", "a", { Valu: "" })], 400, `${bad}json: unknown field "Valu"`],
  ["two kinds", [{ ...kv("get", "a"), Node: {} }], 400, `${bad}an operation is one of`],
  ["a number for a value", [kv("set", "a", { Value: 1 })], 400, `${bad}json: cannot unmarshal`],
  ["no base64", [kv("set", "a", { Value: "***" })], 400, `${bad}illegal base64 data`],
  ["base64 without padding", [kv("set", "a", { Value: "MQ" })], 400, `${bad}illegal base64`],
  ["base64 for URLs", [kv("set", "a", { Value: "-_-_" })], 400, `${bad}illegal base64 data`],
  ["negative flags", [kv("set", "a", { Flags: -1 })], 400, `${bad}json: cannot unmarshal -1`],
  ["flags with a fraction", [kv("set", "a", { Flags: 0.5 })], 400, `${bad}json: cannot unm`],
  ["flags of 65 bits", '[{"KV":{"Flags":18446744073709551616}}]', 400, `${bad}json: cannot`],
  ["flags as text", [kv("set", "a", { Flags: "5" })], 400, `${bad}json: cannot unmarshal "5"`],
  [
    "an index as text",
    '[{"KV":{"Index":"18446744073709551615","Flags":18446744073709551615}}]',
    400,
    `${bad}json: cannot unmarshal "18446744073709551615" into field KV.Index`,
  ],
  ["flags as a list", [kv("set", "a", { Flags: [] })], 400, `${bad}json: cannot unmarshal []`],
  ["a port as text", [{ Service: { Service: { Port: "80" } } }], 400, `${bad}json: cannot`],
  [
    "a definition with an unknown member",
    [{ Check: { Check: { Definition: { X: 1 } } } }],
    400,
    `${bad}json: unknown field "X"`,
  ],
  [
    "65 operations",
    many(65, kv("get", "a")),
    413,
    "Transaction contains too many operations (65 > 64)",
  ],
  ["65 empty operations", many(65, {}), 413, "Transaction contains too many operations (65 > 64)"],
  [
    "another datacenter",
    [{ Node: { Verb: "set", Node: { Node: "n", Datacenter: "dc2" } } }],
    500,
    "No path to datacenter",
  ],
  [
    "a body that is too large",
    [kv("set", "a", { Value: Buffer.from(large).toString("base64") })],
    413,
    "Request body",
  ],
];

t.test("bodies that cannot be read", async (t) => {
  const server = createServer();
  for (const [name, body, status, text] of refusals) {
    const answer = await put(server, body);
    t.equal(answer.status, status, name);
    t.ok(answer.text.startsWith(text), `${name}: ${answer.text}`);
  }
  t.equal(server.state.reader.index, 0, "nothing came to the log");
});

t.test("a nested value is as deep as in a registration", async (t) => {
  const server = createServer();
  const deep = (levels: number): unknown => (levels === 0 ? {} : { a: deep(levels - 1) });
  const service = (Proxy: unknown) => [
    { Service: { Verb: "set", Node: "n", Service: { Service: "s", Proxy } } },
  ];
  t.equal((await put(server, service(deep(63)))).status, 409, "the node is missing, no more");
  t.match((await put(server, service(deep(64)))).text, /nested deeper than 64 levels/);
});

t.test("limits come from the settings", async (t) => {
  const settings = { kvMaxValueOctets: 10, txnMaxRequestOctets: 1000 };
  const server = createServer({ settings });
  const value = (octets: number) => Buffer.alloc(octets).toString("base64");
  t.equal((await put(server, [kv("set", "a", { Value: value(10) })])).status, 200);
  const over = await put(server, [kv("set", "a", { Value: value(11) })]);
  t.equal(over.status, 413);
  t.equal(over.text, 'Value for key "a" is too large (11 > 10 bytes)');
  const body = JSON.stringify([kv("set", "k".repeat(1000))]);
  const length = { "Content-Length": String(body.length) };
  const announced = await put(server, body, "/v1/txn", length);
  t.equal(announced.status, 413);
  t.match(announced.text, /^Request body\(\d+ bytes\) too large, max size: 1000 bytes\. See /);
  t.match((await put(server, body)).text, /^Request body too large, max size: 1000 bytes\. See /);
});

t.test("flags have 64 bits, in what is stored and in what is shown", async (t) => {
  const server = createServer();
  const flags = "18446744073709551615";
  const set = `[{"KV":{"Verb":"set","Key":"a","Value":"e30=","flags" : ${flags}}}]`;
  t.match((await put(server, set)).text, `"Flags":${flags},`);
  t.match((await server.ask("GET", "/v1/kv/a")).text, `"Flags":${flags},`);
  const pretty = await put(server, [kv("get", "a")], "/v1/txn?pretty");
  t.match(pretty.text, `\n                "Flags": ${flags},\n`);
  const quoted = String.raw`[{"KV":{"Verb":"set","Key":"\"flags\":18446744073709551615"}},{"KV":{"Verb":"cas","Key":"a","Index":18446744073709551615}}]`;
  t.match((await put(server, quoted)).json, {
    Errors: [{ OpIndex: 1, What: 'failed to set key "a", index is stale' }],
  });
});

t.test("what only reads never comes to the log", async (t) => {
  const server = createServer();
  await put(server, [kv("set", "a", { Value: "MQ==" })]);
  const before = server.state.reader.index;
  for (const body of [[], [{}], null, [kv("get", "a")], [kv("nope", "a")], [null]]) {
    const answer = await put(server, body);
    t.equal(answer.headers.get("X-Consul-KnownLeader"), "true");
    t.equal(answer.headers.get("X-Consul-LastContact"), "0");
    t.notOk(answer.headers.has("X-Consul-Index"));
  }
  t.equal(server.state.reader.index, before);
  const written = await put(server, [kv("set", "a")]);
  t.notOk(written.headers.has("X-Consul-KnownLeader"), "a write has no headers of a read");
});

t.test("operations that lack something are told without running any", async (t) => {
  const server = createServer();
  const lacking: [unknown, string][] = [
    [kv("set", ""), "Must provide key"],
    [{ Node: { Verb: "delete", Node: {} } }, "Must provide node"],
    [
      { Node: { Verb: "set", Node: { Node: "n", ID: "x" } } },
      "Bad node ID: uuid string is wrong length",
    ],
    [
      { Service: { Verb: "delete", Node: "n", Service: { ID: "s" } } },
      "Must provide service name with ID",
    ],
    [{ Service: { Verb: "delete", Node: "n" } }, "Must provide service name with ID"],
    [
      { Service: { Verb: "set", Node: "n", Service: { Service: "s", Address: "::" } } },
      "Invalid service address",
    ],
    [{ Check: { Verb: "delete", Check: { Node: "n" } } }, "Must provide check name or ID"],
  ];
  const body = [kv("cas", "a", { Index: 7 }), ...lacking.map(([operation]) => operation)];
  const answer = await put(server, body);
  t.equal(answer.status, 409);
  t.same(answer.json, {
    Results: null,
    Errors: lacking.map(([, What], i) => ({ OpIndex: i + 1, What })),
  });
});

t.test("a delete without an id takes nothing with it", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  for (const operation of [
    { type: "service", verb: "delete", node: "n1", index: 0 },
    { type: "check", verb: "delete", node: "n1", index: 0 },
  ]) {
    // Past the checks of a request: a log may hold anything.
    const parts = { service: serviceFields("web", { id: "" }), check: checkFields("") };
    const command = { type: "txn", operations: [{ ...operation, ...parts }] };
    await server.propose(command as unknown as Parameters<Server["propose"]>[0]);
  }
  t.equal(server.state.reader.servicesOfNode("n1").length, 1);
});

t.test("readers wake after a success and sleep through a failure", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  await put(server, [kv("set", "a", { Value: "MQ==" })]);
  const index = server.state.reader.index;
  const paths = ["/v1/kv/a", "/v1/catalog/service/web", "/v1/health/node/n1"];
  const waiting = paths.map((path) => server.start("GET", `${path}?index=${index}&wait=1m`));
  const changes = [
    kv("set", "a", { Value: "Mg==" }),
    { Service: { Verb: "set", Node: "n1", Service: { Service: "web", Port: 81 } } },
    { Check: { Verb: "set", Check: { Node: "n1", CheckID: "c", Status: "warning" } } },
  ];
  t.equal((await put(server, [...changes, kv("get", "nothing")])).status, 409);
  await settle();
  t.same(
    waiting.map(({ isDone }) => isDone),
    [false, false, false],
  );
  t.equal((await put(server, changes)).status, 200);
  await settle();
  t.same(
    waiting.map(({ isDone }) => isDone),
    [true, true, true],
  );
});

t.test(
  "a session ends with its check before the next operation, unless the transaction fails",
  async (t) => {
    const server = createServer();
    const check = (Status: string) => ({
      Check: { Verb: "set", Check: { Node: "n1", CheckID: "c", Status } },
    });
    await put(server, [
      { Node: { Verb: "set", Node: { Node: "n1", Address: "10.0.0.1" } } },
      check("passing"),
    ]);
    const body = { Node: "n1", NodeChecks: ["c"], LockDelay: "5s" };
    const { ID } = (await server.ask("PUT", "/v1/session/create", { body })).json as { ID: string };
    await put(server, [kv("lock", "k", { Session: ID })]);
    t.equal((await put(server, [check("critical"), kv("get", "nothing")])).status, 409);
    t.equal(server.state.reader.kv.get("k")?.session, ID, "taken back");
    t.ok(server.state.reader.session(ID));
    const ended = await put(server, [check("critical"), kv("check-session", "k", { Session: "" })]);
    t.equal(ended.status, 200, ended.text);
    t.notOk(server.state.reader.session(ID));
    const other = (
      await server.ask("PUT", "/v1/session/create", { body: { Node: "n1", NodeChecks: [] } })
    ).json as { ID: string };
    const lock = [kv("lock", "k", { Session: other.ID }), kv("get", "nothing")];
    t.same((await put(server, lock)).json, {
      Results: null,
      Errors: [{ OpIndex: 0, What: 'failed to lock key "k" due to lock delay' }],
    });
    server.world.advance(5000);
    t.equal((await put(server, lock.slice(0, 1))).status, 200);
  },
);

/** A server that denies by default, and a way to ask with these rules. */
function guarded() {
  const { server, tokenWith } = createGuarded();
  const asking = async (rules: string) => {
    const headers = { "X-Consul-Token": await tokenWith(rules) };
    return (operations: unknown[]) => put(server, operations, "/v1/txn", headers);
  };
  const all = (body: unknown[]) => put(server, body, "/v1/txn", { "X-Consul-Token": ROOT });
  return { server, asking, all };
}

const service = (Verb: string, ID: string, Service: string) => ({
  Service: { Verb, Node: "n1", Service: { ID, Service } },
});
const check = (Verb: string, CheckID: string, ServiceID = "") => ({
  Check: { Verb, Check: { Node: "n1", CheckID, ServiceID, Status: "passing" } },
});

t.test("rights are those on what stands in the catalog", async (t) => {
  const { asking, all } = guarded();
  const made = await all([
    { Node: { Verb: "set", Node: { Node: "n1", Address: "10.0.0.1" } } },
    service("set", "web1", "web"),
    service("set", "db1", "db"),
    check("set", "of-db", "db1"),
    check("set", "of-web", "web1"),
    check("set", "of-node"),
    kv("set", "app/a", { Value: "MQ==" }),
    kv("set", "other", { Value: "MQ==" }),
  ]);
  t.equal(made.status, 200, made.text);
  const ask = await asking(
    'service "web" { policy = "write" } key_prefix "app/" { policy = "write" } key "seen" { policy = "read" } node "n2" { policy = "write" }',
  );
  const allowed: [string, unknown[]][] = [
    ["its own service", [service("set", "web1", "web")]],
    [
      "a new instance of it with a check",
      [service("set", "web2", "web"), check("set", "new", "web2")],
    ],
    ["a check of it", [check("set", "of-web", "web1")]],
    ["that check's end", [check("delete", "of-web")]],
    ["its keys", [kv("set", "app/b"), kv("delete-tree", "app/")]],
    ["a comparison of what it may read", [kv("check-index", "seen", { Index: 1 })]],
    ["what it may not read, which is left out", [kv("get", "other"), check("get", "of-node")]],
  ];
  for (const [name, operations] of allowed) {
    const { json } = await ask(operations);
    t.notMatch(json, { Errors: [{ What: "Permission denied" }] }, name);
  }
  t.same((await ask([kv("get", "other")])).json, { Results: [], Errors: null });
  const refused: [string, unknown][] = [
    ["another's service by its own name", service("set", "db1", "web")],
    ["the end of another's service by its own name", service("delete", "db1", "web")],
    ["another's service", service("set", "db2", "db")],
    ["another's check as its own", check("set", "of-db", "web1")],
    ["the end of another's check as its own", check("delete", "of-db", "web1")],
    ["a check of another's service", check("set", "mine", "db1")],
    ["a check of the node", check("set", "of-node")],
    ["a check of a service that is not there", check("set", "mine", "nothing")],
    ["a node", { Node: { Verb: "set", Node: { Node: "n1", Address: "10.0.0.2" } } }],
    ["another's key", kv("set", "other")],
    ["a key that it may read", kv("set", "seen")],
    ["whether another's key exists", kv("check-not-exists", "other")],
    ["another's key in a comparison", kv("check-session", "other")],
    ["all keys", kv("delete-tree", "")],
  ];
  for (const [name, operation] of refused)
    t.same(
      (await ask([kv("get-tree", "app/"), operation])).json,
      { Results: null, Errors: [{ OpIndex: 1, What: "Permission denied" }] },
      name,
    );
  const unknown = await put(guarded().server, [], "/v1/txn", { "X-Consul-Token": "x" });
  t.same([unknown.status, unknown.text], [403, "ACL not found"]);
});
