import t from "tap";
import type { Outcome } from "../../src/cluster/engine.ts";
import { createGuarded, ROOT } from "./guarded.ts";
import { createServer, registerService, type Server } from "./harness.ts";

const node = { Node: "n1", Address: "10.0.0.1" };

// Texts recorded in test/corpus/http/catalog-errors-a.json.
const refused: { when: string; body: unknown; status: number; text: string | RegExp }[] = [
  { when: "empty body", body: "", status: 400, text: "Request decode failed: EOF" },
  { when: "a list", body: [], status: 400, text: /^Request decode failed: json: cannot unmarshal/ },
  { when: "null", body: "null", status: 500, text: "Must provide node" },
  {
    when: "unknown member inside",
    body: { ...node, Service: { Service: "s", Nope: 1 } },
    status: 400,
    text: 'Request decode failed: json: unknown field "Nope"',
  },
  { when: "bad id", body: { ...node, ID: "nope" }, status: 500, text: /^Bad node ID: / },
  {
    when: "no address",
    body: { Node: "a" },
    status: 500,
    text: "Must provide address if SkipNodeUpdate is not set",
  },
  {
    when: "service id without name",
    body: { ...node, Service: { ID: "x" } },
    status: 500,
    text: "Must provide service name with ID",
  },
  {
    when: "any address",
    body: { ...node, Service: { Service: "s", Address: "[::]" } },
    status: 500,
    text: "Invalid service address",
  },
  {
    when: "check of another node",
    body: { ...node, Check: { Name: "c", Node: "other" } },
    status: 500,
    text: 'check node "other" does not match node "n1"',
  },
  {
    when: "metadata",
    body: { ...node, Service: { Service: "m", Meta: { "bad key!": "v" } } },
    status: 500,
    text: "failed inserting service: Invalid Service Meta for node n1 and serviceID m: Couldn't load metadata pair ('bad key!', 'v'): Key contains invalid characters",
  },
  {
    when: "other datacenter first",
    body: { Datacenter: "mars" },
    status: 500,
    text: "No path to datacenter",
  },
  {
    when: "bad duration in a definition",
    body: { ...node, Check: { Name: "c", Definition: { Interval: "5" } } },
    status: 400,
    text: /^Request decode failed: time: missing unit/,
  },
];
t.test("what register refuses", async (t) => {
  const server = createServer();
  for (const { when, body, status, text } of refused) {
    const answer = await server.ask("PUT", "/v1/catalog/register", { body });
    t.equal(answer.status, status, when);
    if (typeof text === "string") t.equal(answer.text, text, when);
    else t.match(answer.text, text, when);
  }
  t.same((await server.ask("GET", "/v1/catalog/nodes")).json, [], "nothing was stored");
});

t.test("check definitions: type, durations and given members only", async (t) => {
  const server = createServer();
  const define = async (Definition: object) => {
    const body = { ...node, Check: { Name: "c", Status: "passing", Definition } };
    await server.ask("PUT", "/v1/catalog/register", { body });
    const [check] = (await server.ask("GET", "/v1/health/node/n1")).json as [
      { Type: string; Definition: unknown },
    ];
    return [check.Type, check.Definition];
  };
  t.same(await define({}), ["", {}]);
  t.same(await define({ HTTP: "http://x/", Interval: "60s", Timeout: 1e9 }), [
    "http",
    { Interval: "1m0s", Timeout: "1s", HTTP: "http://x/" },
  ]);
  t.same(await define({ TCP: "x:1" }), ["", { TCP: "x:1" }], "no interval: never runs");
  t.same(await define({ TCP: "x:1", IntervalDuration: 5e9 }), [
    "tcp",
    { Interval: "5s", TCP: "x:1" },
  ]);
});

// spec/http.md sections 2 and 15: nodes without coordinates are the farthest, those of unknown ones change nothing.
t.test("?near sorts by distance", async (t) => {
  const near: [string, string[]][] = [
    ["a-far", ["a-far", "b-far", "node-a"]],
    ["unknown", ["a-far", "b-far", "node-a"]],
    ["", ["a-far", "b-far", "node-a"]],
    ["_ip", ["a-far", "b-far", "node-a"]],
    ["_agent", ["node-a", "b-far", "a-far"]],
    ["NODE-A", ["node-a", "b-far", "a-far"]],
    ["b-far", ["b-far", "node-a", "a-far"]],
  ];
  const fill = async (server: Server) => {
    for (const name of ["b-far", "node-a", "a-far"])
      await server.ask("PUT", "/v1/catalog/register", {
        body: {
          Node: name,
          Address: "10.0.0.1",
          Service: { Service: "web" },
          Check: { Name: "c", ServiceID: "web" },
        },
      });
    for (const [Node, distance] of [
      ["node-a", 0],
      ["b-far", 1],
    ] as const)
      await server.ask("PUT", "/v1/coordinate/update", {
        body: { Node, Coord: { Vec: [distance, 0, 0, 0, 0, 0, 0, 0] } },
      });
    return server;
  };
  const nodesOf = async (server: Server, path: string) => {
    const { json } = await server.ask("GET", path);
    return (json as { Node: string | { Node: string } }[]).map(({ Node }) =>
      typeof Node === "string" ? Node : Node.Node,
    );
  };
  const server = await fill(createServer());
  const paths = ["/v1/catalog/nodes", "/v1/catalog/service/web", "/v1/health/service/web"];
  for (const path of [...paths, "/v1/health/checks/web", "/v1/health/state/critical"])
    for (const [node, order] of near)
      t.same(await nodesOf(server, `${path}?near=${node}`), order, `${path} near ${node}`);
  const off = await fill(createServer({ settings: { disableCoordinates: true } }));
  t.same(await nodesOf(off, "/v1/catalog/nodes?near=_agent"), ["a-far", "b-far", "node-a"]);
});

t.test("names that JavaScript treats as special are names", async (t) => {
  const server = createServer();
  await registerService(server, "__proto__", "__proto__", {
    Meta: { constructor: "x" },
    Tags: ["a"],
  });
  const services = await server.ask("GET", "/v1/catalog/services");
  t.equal(services.text, '{"__proto__":["a"]}');
  const found = await server.ask("GET", "/v1/catalog/node/__proto__");
  t.match(found.text, /"Services":\{"__proto__":\{"ID":"__proto__"/);
  t.equal((await server.ask("GET", "/v1/catalog/service/constructor")).text, "[]");
});

/** A server that denies by default, with a token that has these rules. */
async function withToken(rules: string): Promise<{ server: Server; secret: string }> {
  const { server, admin, tokenWith } = createGuarded();
  await admin("PUT", "/v1/catalog/register", {
    ...node,
    Service: { Service: "web" },
    Checks: [
      { Name: "wc", ServiceID: "web", Status: "passing" },
      { Name: "nc", Status: "passing" },
    ],
  });
  await admin("PUT", "/v1/catalog/register", { ...node, Service: { Service: "hidden" } });
  return { server, secret: await tokenWith(rules) };
}

// spec/http.md 17.3 and 17.10.
t.test("reads show what the token may see", async (t) => {
  const { server, secret } = await withToken(
    'service "web" { policy = "read" } node_prefix "" { policy = "read" }',
  );
  const seen = async (path: string, token: string | undefined) => {
    const answer = await server.ask("GET", path, {
      headers: token ? { "X-Consul-Token": token } : {},
    });
    t.equal(answer.status, 200, path);
    return answer.text.match(/web|hidden|"nc"/g)?.filter((w, i, all) => all.indexOf(w) === i) ?? [];
  };
  const table: [string, string[], string[]][] = [
    ["/v1/catalog/services", ["web"], ["hidden", "web"]],
    ["/v1/catalog/service/hidden", [], ["hidden"]],
    ["/v1/catalog/node/n1", ["web"], ["hidden", "web"]],
    ["/v1/catalog/node-services/n1", ["web"], ["hidden", "web"]],
    ["/v1/health/node/n1", ['"nc"', "web"], ['"nc"', "web"]],
    ["/v1/health/state/any", ['"nc"', "web"], ['"nc"', "web"]],
    ["/v1/health/checks/web", ["web"], ["web"]],
    ["/v1/health/service/hidden", [], ["hidden", '"nc"']],
  ];
  for (const [path, some, all] of table) {
    t.same(new Set(await seen(path, secret)), new Set(some), path);
    t.same(new Set(await seen(path, ROOT)), new Set(all), `${path} as manager`);
    t.same(await seen(path, undefined), [], `${path} as nobody`);
  }
  t.equal((await server.ask("GET", "/v1/catalog/node/n1")).json, null);
  const unknown = await server.ask("GET", "/v1/catalog/nodes?token=nope");
  t.equal(unknown.status, 403);
  t.equal(unknown.text, "ACL not found");
});

t.test("writes need the rights for all they touch", async (t) => {
  const { server, secret } = await withToken(
    'service "web" { policy = "write" } service "api" { policy = "write" }',
  );
  const table: [string, object, number, string][] = [
    ["register", { ...node, Service: { Service: "web", Port: 1 } }, 200, "same node, own service"],
    [
      "register",
      { ...node, Address: "10.9.9.9", Service: { Service: "web" } },
      403,
      "changes the node",
    ],
    [
      "register",
      { Node: "n1", SkipNodeUpdate: true, Service: { Service: "web", Port: 2 } },
      200,
      "leaves it",
    ],
    ["register", { Node: "n2", Address: "1.1.1.1", Service: { Service: "web" } }, 403, "new node"],
    ["register", { ...node, Service: { ID: "hidden", Service: "web" } }, 403, "replaces another"],
    ["register", { ...node, Check: { Name: "x" } }, 403, "node-level check"],
    ["register", { ...node, Check: { Name: "x", ServiceID: "web" } }, 200, "check of own service"],
    ["register", { ...node, Check: { Name: "x", ServiceID: "none" } }, 500, "unknown service"],
    ["deregister", { Node: "n1", ServiceID: "hidden" }, 403, "another's service"],
    ["deregister", { Node: "n1", CheckID: "nc" }, 403, "node-level check"],
    ["deregister", { Node: "n1" }, 403, "the node"],
    ["deregister", { Node: "n1", ServiceID: "none" }, 500, "unknown service"],
    ["deregister", { Node: "n1", ServiceID: "web" }, 200, "own service"],
  ];
  for (const [action, body, status, when] of table) {
    const headers = { "X-Consul-Token": secret };
    const answer = await server.ask("PUT", `/v1/catalog/${action}`, { headers, body });
    t.equal(answer.status, status, `${action}: ${when}`);
    if (status === 403) t.equal(answer.text, "Permission denied");
  }
});

t.test("a proposal that fails is a 500 with the reason", async (t) => {
  const outcomes: [Outcome, string][] = [
    [{ outcome: "refused", reason: "no leader" }, "No cluster leader"],
    [{ outcome: "refused", reason: "disk is full" }, "disk is full"],
    [{ outcome: "unknown", reason: "leadership lost" }, "leadership lost"],
  ];
  for (const [outcome, text] of outcomes) {
    const server = createServer({ outcome: () => outcome });
    const answer = await server.ask("PUT", "/v1/catalog/register", { body: node });
    t.equal(answer.status, 500);
    t.equal(answer.text, text);
  }
  const server = createServer();
  const body = { ...node, Check: { Name: "c", ServiceID: "none" } };
  const answer = await server.ask("PUT", "/v1/catalog/register", { body });
  t.equal(answer.status, 500);
  t.equal(
    answer.text,
    'failed inserting check: Missing service registration on node "n1"',
    "the state machine's words unchanged",
  );
});
