/**
 * What the tests of HashiCorp's Go client expect of agent, catalog, health, events, queries, ACLs,
 * operator and snapshots.
 */
import t from "tap";
import { idOf, listOf, startTestServer, type Ask } from "./go-server.ts";

const register = (ask: Ask, body: object) => ask("PUT", "agent/service/register", body);
const member = (value: unknown, ...keys: string[]): unknown =>
  keys.reduce((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);

t.test("agent: self, members, services, checks", async (t) => {
  const { ask, nodeName } = await startTestServer(t);
  const self = (await ask("GET", "agent/self")).json;
  t.equal(member(self, "Config", "NodeName"), nodeName);
  t.equal(typeof member(self, "DebugConfig"), "object");
  t.equal(listOf(await ask("GET", "agent/members?wan=1")).length, 1);
  t.match((await ask("GET", "agent/members")).json, [
    { Name: nodeName, Status: 1, Tags: { role: "consul", dc: "dc1" } },
  ]);
  t.match((await ask("GET", "agent/host")).json, { Memory: {}, CPU: [], Host: {}, Disk: {} });
  const { Gauges } = (await ask("GET", "agent/metrics")).json as { Gauges: { Name: string }[] };
  t.ok(Gauges.some(({ Name }) => /^consul\.(.*\.)?runtime\.alloc_bytes$/.test(Name)));

  const check = { TTL: "15s" };
  t.equal(
    (await register(ask, { Name: "foo", Tags: ["bar", "baz"], Port: 8000, Check: check })).status,
    200,
  );
  t.match((await ask("GET", "agent/services")).json, { foo: { Tags: ["bar", "baz"] } });
  t.match((await ask("GET", "agent/services?filter=foo+in+Tags")).json, {});
  t.match((await ask("GET", "agent/checks")).json, { "service:foo": { Status: "critical" } });
  const status = async (): Promise<unknown[]> => {
    const checks = (await ask("GET", "agent/checks")).json;
    return [member(checks, "service:foo", "Status"), member(checks, "service:foo", "Output")];
  };
  for (const [verb, word] of [
    ["warn", "warning"],
    ["pass", "passing"],
    ["fail", "critical"],
  ] as const) {
    t.equal((await ask("PUT", `agent/check/${verb}/service:foo?note=n`)).status, 200);
    t.same(await status(), [word, "n"]);
    await ask("PUT", "agent/check/update/service:foo", { Status: word, Output: `u ${word}` });
    t.same(await status(), [word, `u ${word}`]);
  }
  t.match(await register(ask, { Name: "x", Check: { TTL: "15s", Status: "fluffy" } }), {
    status: 400,
  });
  t.match(
    await ask("PUT", "agent/check/register", {
      Name: "redischeck",
      ServiceID: "foo",
      TTL: "15s",
      DeregisterCriticalServiceAfter: "nope",
    }),
    { status: 400, text: /invalid duration/ },
  );
  // With everything the client's structures have, as they are marshalled.
  t.match(
    await register(ask, {
      Kind: "",
      ID: "all",
      Name: "all",
      Tags: null,
      Port: 0,
      Address: "127.0.0.1",
      TaggedAddresses: { lan: { Address: "127.0.0.1", Port: 80 } },
      EnableTagOverride: true,
      Meta: { a: "b" },
      Weights: { Passing: 1, Warning: 2 },
      Check: null,
      Checks: [{ TTL: "15s", Header: {}, TLSSkipVerify: false, AliasNode: "" }],
      Proxy: null,
      Connect: null,
    }),
    { status: 200, text: "" },
  );
  t.match((await ask("GET", "agent/service/all")).json, {
    ContentHash: /^[0-9a-f]+$/,
    Weights: { Warning: 2 },
  });
});

t.test("agent: health by id and by name, maintenance, tokens, leaving", async (t) => {
  const { ask, nodeName } = await startTestServer(t);
  await register(ask, { ID: "w1", Name: "w", Check: { TTL: "10m" } });
  for (const [verb, code, word] of [
    ["pass", 200, "passing"],
    ["warn", 429, "warning"],
    ["fail", 503, "critical"],
  ] as const) {
    await ask("PUT", `agent/check/${verb}/service:w1`);
    const one = await ask("GET", "agent/health/service/id/w1?format=json");
    t.equal(one.status, code);
    t.match(one.json, { AggregatedStatus: word, Service: { ID: "w1" }, Checks: [{}] });
    const all = await ask("GET", "agent/health/service/name/w");
    t.equal(all.status, code);
    t.match(all.json, [{ AggregatedStatus: word }]);
  }
  t.equal((await ask("GET", "agent/health/service/id/none")).status, 404);
  t.equal((await ask("PUT", "agent/service/maintenance/w1?enable=true&reason=broken")).status, 200);
  const notes = async () =>
    Object.values((await ask("GET", "agent/checks")).json as object)
      .map((check) => member(check, "Notes"))
      .filter((text) => text !== "");
  t.same(await notes(), ["broken"]);
  await ask("PUT", "agent/service/maintenance/w1?enable=false");
  await ask("PUT", "agent/maintenance?enable=true&reason=node");
  t.same(await notes(), ["node"]);
  await ask("PUT", "agent/maintenance?enable=false");
  t.same(await notes(), []);
  t.equal((await ask("PUT", "agent/reload")).status, 200);
  t.equal((await ask("PUT", `agent/force-leave/${nodeName}`)).status, 200);
  t.match(await ask("PUT", "agent/token/default", { Token: "root" }), { status: 401 });
});

t.test("catalog and health", async (t) => {
  const { ask, nodeName } = await startTestServer(t);
  t.same((await ask("GET", "catalog/datacenters")).json, ["dc1"]);
  const body = {
    Datacenter: "dc1",
    Node: "foobar",
    ID: "e0155642-135d-4739-9853-a1ee6c9f945b",
    Address: "192.168.10.10",
    TaggedAddresses: { lan: "127.0.0.1", wan: "198.18.0.2" },
    NodeMeta: { somekey: "somevalue" },
    Service: {
      ID: "redis1",
      Service: "redis",
      Tags: ["master", "v1"],
      Port: 8000,
      TaggedAddresses: { lan: { Address: "10.1.1.1", Port: 1 } },
      Proxy: null,
      Connect: null,
    },
    Check: {
      Node: "foobar",
      CheckID: "service:redis1",
      Name: "Redis health check",
      Notes: "Script based health check",
      Status: "passing",
      ServiceID: "redis1",
      ServiceName: "",
      Output: "",
      Definition: { HTTP: "", IntervalDuration: 0 },
    },
    Checks: null,
    SkipNodeUpdate: false,
  };
  const { Definition: _, ...check } = body.Check;
  t.equal((await ask("PUT", "catalog/register", { ...body, Check: check })).text, "true");
  t.match((await ask("GET", "catalog/node/foobar")).json, {
    Node: { TaggedAddresses: { wan: "198.18.0.2" } },
    Services: { redis1: { Tags: ["master", "v1"] } },
  });
  t.match((await ask("GET", "catalog/node-services/foobar")).json, {
    Services: [{ ID: "redis1" }],
  });
  t.match((await ask("GET", "health/node/foobar")).json, [{ CheckID: "service:redis1" }]);
  t.match((await ask("GET", "catalog/services?node-meta=somekey:somevalue")).json, {
    redis: ["master", "v1"],
  });
  t.same((await ask("GET", "catalog/services?node-meta=invalid:")).json, {});
  t.equal(listOf(await ask("GET", "catalog/nodes?node-meta=somekey:somevalue")).length, 1);
  t.match((await ask("GET", "catalog/service/redis?tag=master&tag=v1")).json, [
    { ServiceID: "redis1" },
  ]);
  t.same((await ask("GET", "catalog/service/redis?tag=master&tag=v2")).json, []);
  t.match((await ask("GET", "health/service/redis?passing=1&tag=master")).json, [
    { Node: { Node: "foobar", Datacenter: "dc1" }, Checks: [{ ServiceTags: ["master", "v1"] }] },
  ]);
  t.ok((await ask("GET", "health/state/any")).index > 0);
  t.match((await ask("GET", "health/service/consul?passing=1")).json, [
    { Node: { Node: nodeName } },
  ]);
  t.match((await ask("GET", 'health/state/any?filter=Node+==+"foobar"')).json, [
    { Node: "foobar" },
  ]);
  t.match((await ask("GET", "catalog/service/redis?cached=")).headers.get("X-Cache"), "MISS");
  t.match((await ask("GET", "catalog/service/redis?cached=")).headers.get("X-Cache"), "HIT");
  for (const target of [{ ServiceID: "redis1" }, { CheckID: "service:redis1" }, {}])
    t.equal((await ask("PUT", "catalog/deregister", { Node: "foobar", ...target })).text, "true");
  t.match(await ask("GET", "catalog/node/foobar"), { status: 200, text: "null" });

  // Tags from elsewhere stay where the registration lets them.
  await register(ask, { Name: "web", EnableTagOverride: true, Tags: ["v1"] });
  await register(ask, { Name: "fixed", Tags: ["v1"] });
  const { Address } = listOf(await ask("GET", "catalog/nodes"))[0]!;
  for (const name of ["web", "fixed"])
    await ask("PUT", "catalog/register", {
      Node: nodeName,
      Address,
      Service: { ID: name, Service: name, Tags: ["v2"], EnableTagOverride: name === "web" },
      SkipNodeUpdate: true,
    });
  t.match((await ask("GET", "catalog/service/web")).json, [{ ServiceTags: ["v2"] }]);
});

t.test("events, queries, coordinates, status", async (t) => {
  const { ask, program } = await startTestServer(t);
  const event = idOf(await ask("PUT", "event/fire/foo", "payload"));
  const seen = await ask("GET", "event/list?name=foo");
  t.match(seen.json, [{ ID: event }]);
  t.ok(seen.index > 0);

  await ask("PUT", "catalog/register", {
    Node: "foobar",
    Address: "192.168.10.10",
    TaggedAddresses: { wan: "127.0.0.1" },
    NodeMeta: { somekey: "somevalue" },
    Service: { ID: "redis1", Service: "redis", Tags: ["primary", "v1"], Port: 8000 },
  });
  const definition = {
    Name: "test",
    Service: { Service: "redis", NodeMeta: { somekey: "somevalue" } },
  };
  const query = idOf(await ask("POST", "query", definition));
  t.match((await ask("GET", `query/${query}`)).json, [{ ID: query, ...definition }]);
  t.match((await ask("GET", "query")).json, [{ ID: query }]);
  const change = { ID: query, ...definition, Service: { ...definition.Service, Tags: ["v1"] } };
  t.equal((await ask("PUT", `query/${query}`, change)).status, 200);
  t.match((await ask("GET", `query/${query}/execute`)).json, {
    Datacenter: "dc1",
    Nodes: [{ Node: { Node: "foobar", Address: "192.168.10.10", Datacenter: "dc1" } }],
  });
  t.equal((await ask("DELETE", `query/${query}`)).status, 200);
  t.equal((await ask("GET", `query/${query}`)).status, 404);

  t.match((await ask("GET", "coordinate/datacenters")).json, [{ Datacenter: "dc1" }]);
  t.ok(Array.isArray((await ask("GET", "coordinate/nodes")).json));
  const coordinate = {
    Node: "foobar",
    Coord: { Vec: [1, 0, 0, 0, 0, 0, 0, 0], Error: 1.5, Height: 0.5, Adjustment: 0 },
  };
  t.equal((await ask("PUT", "coordinate/update", coordinate)).status, 200);
  // Updates are applied in batches.
  let found = await ask("GET", "coordinate/node/foobar");
  for (const until = Date.now() + 15_000; found.status === 404 && Date.now() < until;)
    found = await ask("GET", `coordinate/node/foobar?index=${found.index}&wait=2s`);
  t.match(found.json, [{ Node: "foobar", Coord: { Vec: [1, 0, 0, 0, 0, 0, 0, 0] } }]);

  t.match((await ask("GET", "status/leader")).json, /^127\.0\.0\.1:\d+$/);
  t.equal(listOf(await ask("GET", "status/peers")).length, 1);
  t.equal(program.child.exitCode, null);
});

t.test("operator and snapshots", async (t) => {
  const key = "d8wu8CSUrqgtjVsvcBPmhQ==";
  const { ask, nodeId, nodeName } = await startTestServer(t, { encrypt: key });
  t.match((await ask("GET", "operator/raft/configuration")).json, {
    Servers: [{ ID: nodeId, Node: nodeName, Leader: true, Voter: true }],
  });
  t.match(await ask("DELETE", "operator/raft/peer?address=nope"), {
    status: 500,
    text: /address "nope" was not found in the Raft configuration/,
  });
  const path = "operator/autopilot/configuration";
  const now = (await ask("GET", path)).json as { CleanupDeadServers: boolean; ModifyIndex: number };
  t.equal(now.CleanupDeadServers, true);
  const wrong = BigInt.asUintN(64, BigInt(now.ModifyIndex) - 1n);
  const wanted = { CleanupDeadServers: false, LastContactThreshold: "0s" };
  t.equal((await ask("PUT", `${path}?cas=${wrong}`, wanted)).text, "false");
  t.equal((await ask("PUT", `${path}?cas=${now.ModifyIndex}`, wanted)).text, "true");
  t.match((await ask("GET", path)).json, { CleanupDeadServers: false });
  const health = async () => await ask("GET", "operator/autopilot/health");
  let answer = await health();
  for (const until = Date.now() + 20_000; answer.status !== 200 && Date.now() < until;)
    answer = await health();
  t.match(answer.json, { Healthy: true, Servers: [{ Name: nodeName, Healthy: true }] });
  const state = (await ask("GET", "operator/autopilot/state")).json;
  t.match(member(state, "Servers", nodeId), { Name: nodeName, Healthy: true });

  const other = "qxycTi/SsePj/TZzCBmNXw==";
  const keys = async () =>
    listOf(await ask("GET", "operator/keyring")).map(({ Keys }) =>
      Object.keys(Keys as object).toSorted(),
    );
  t.same(await keys(), [[key], [key]], "WAN and LAN");
  t.equal((await ask("POST", "operator/keyring", { Key: other })).status, 200);
  t.same(await keys(), [[key, other].toSorted(), [key, other].toSorted()]);
  t.equal((await ask("PUT", "operator/keyring", { Key: other })).status, 200);
  t.equal((await ask("DELETE", "operator/keyring", { Key: key })).status, 200);
  t.same(await keys(), [[other], [other]]);
  t.equal((await ask("DELETE", "operator/keyring", { Key: other })).status, 500, "the primary one");

  t.equal((await ask("GET", "kv/?recurse=")).status, 404);
  await ask("PUT", "kv/b", "1");
  const { status, headers } = await ask("GET", "snapshot");
  t.equal(status, 200);
  t.match(headers.get("Content-Type"), "application/x-gzip");
  t.ok(Number(headers.get("X-Consul-Index")) > 0);
});

t.test("ACLs with the token of the test servers", async (t) => {
  const root = "root";
  const { ask } = await startTestServer(t, {
    primary_datacenter: "dc1",
    acl: { enabled: true, default_policy: "deny", tokens: { master: root, agent: root } },
  });
  const as = (method: string, path: string, body?: unknown) => ask(method, path, body, root);
  const self = (await as("GET", "acl/token/self")).json as {
    AccessorID: string;
    Policies: unknown;
  };
  t.match(self, { SecretID: root, Policies: [{ Name: "global-management" }] });
  t.match(await as("PUT", "acl/bootstrap"), { status: 403 });
  const cloned = (await as("PUT", `acl/token/${self.AccessorID}/clone`, { Description: "cloned" }))
    .json as { AccessorID: string; SecretID: string; Policies: unknown };
  t.match(cloned, { Description: "cloned" });
  t.same(cloned.Policies, self.Policies);
  t.not(cloned.SecretID, root);
  t.same((await as("GET", `acl/token/${cloned.AccessorID}`)).json, cloned);

  const rules = 'service "app" { policy = "write" }\nkey_prefix "app/" { policy = "write" }';
  const policy = await as("PUT", "acl/policy", {
    Name: "test-policy",
    Description: "d",
    Rules: rules,
    Datacenters: ["dc1"],
  });
  t.match(policy.json, { Name: "test-policy", Rules: rules, Datacenters: ["dc1"], Hash: /./ });
  t.same((await as("GET", `acl/policy/${idOf(policy)}`)).json, policy.json);
  t.same((await as("GET", "acl/policy/name/test-policy")).json, policy.json);
  const updated = await as("PUT", `acl/policy/${idOf(policy)}`, {
    ID: idOf(policy),
    Name: "test-policy",
    Rules: rules,
    Description: "new",
  });
  t.match(updated.json, { Description: "new" });
  const listed = listOf(await as("GET", "acl/policies")).map(({ Name }) => String(Name));
  t.same(listed.toSorted(), ["global-management", "test-policy"]);
  const role = await as("PUT", "acl/role", {
    Name: "role",
    Policies: [{ ID: idOf(policy) }],
    ServiceIdentities: [{ ServiceName: "web", Datacenters: ["dc1"] }],
  });
  t.match(role.json, {
    Policies: [{ Name: "test-policy" }],
    ServiceIdentities: [{ ServiceName: "web" }],
  });
  t.same((await as("GET", `acl/role/name/role`)).json, role.json);
  const token = (await as("PUT", "acl/token", { Roles: [{ ID: idOf(role) }], Description: "t" }))
    .json as { AccessorID: string; SecretID: string };
  t.match(await ask("PUT", "kv/app/a", "1", token.SecretID), { status: 200, text: "true" });
  t.match(await ask("PUT", "kv/other", "1", token.SecretID), { status: 403 });
  t.match(await ask("PUT", "agent/service/register", { Name: "web" }, token.SecretID), {
    status: 200,
  });
  t.match(await ask("PUT", "agent/service/register", { Name: "db" }, token.SecretID), {
    status: 403,
  });
  t.equal((await as("DELETE", `acl/token/${token.AccessorID}`)).text, "true");
  t.equal((await ask("GET", "kv/app/a", undefined, token.SecretID)).status, 403);
  t.equal((await as("DELETE", `acl/role/${idOf(role)}`)).text, "true");
  t.equal((await as("DELETE", `acl/policy/${idOf(policy)}`)).text, "true");
  t.match(
    (await as("POST", "acl/rules/translate", 'key "a" { policy = "read" }')).text,
    /key_prefix "a"/,
  );
  t.match((await as("GET", "acl/replication")).json, { Enabled: false, SourceDatacenter: "" });
  for (const name of ["default", "agent", "agent_master", "replication"])
    t.equal((await as("PUT", `agent/token/${name}`, { Token: root })).status, 200, name);
});
