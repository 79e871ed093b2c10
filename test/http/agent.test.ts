import { createGunzip, gunzipSync } from "node:zlib";
import t from "tap";
import { startAgent } from "./agent-world.ts";
import { settle, type Server } from "./harness.ts";

async function put(server: Server, path: string, body?: unknown, token?: string) {
  const headers = token === undefined ? {} : { "X-Consul-Token": token };
  const { status, text } = await server.ask("PUT", `/v1/agent/${path}`, { body, headers });
  return `${status} ${text}`.trim();
}

t.test("hash blocking holds until the service changes, ends at the deadline", async (t) => {
  const { server } = await startAgent();
  await put(server, "service/register", { Name: "web", Port: 1 });
  const first = await server.ask("GET", "/v1/agent/service/web");
  const hash = first.headers.get("X-Consul-ContentHash")!;
  t.match(first.json, { ContentHash: hash, Port: 1, Tags: [], Meta: {} });
  t.match(hash, /^[0-9a-f]{16}$/);

  const path = `/v1/agent/service/web?hash=${hash}&wait=10s`;
  const held = server.start("GET", path);
  await put(server, "service/register", { Name: "other" });
  await put(server, "service/register", { Port: 1, Name: "web" });
  await settle();
  t.equal(held.isDone, false, "another service, and the same content again");
  await put(server, "service/register", { Name: "web", Port: 2 });
  t.match((await held.answer).json, { Port: 2 });

  await put(server, "service/register", { Name: "web", Port: 1 });
  const waited = server.start("GET", path);
  await settle();
  t.equal(waited.isDone, false, "equal definitions have equal hashes");
  server.world.advance(10_100);
  t.equal((await waited.answer).status, 200);

  const gone = server.start("GET", path);
  await settle();
  await put(server, "service/deregister/web");
  t.match(await gone.answer, { status: 404, text: "unknown service ID: web" });
  t.match(await server.ask("GET", "/v1/agent/service/web?wait=bad"), {
    status: 400,
    text: "Invalid wait time",
  });
});

t.test("filters on services and checks", async (t) => {
  const { server } = await startAgent();
  await put(server, "service/register", { Name: "web", Tags: ["a"], Check: { TTL: "9s" } });
  await put(server, "service/register", { Name: "db" });
  const keys = async (path: string) =>
    Object.keys((await server.ask("GET", `/v1/agent/${path}`)).json as object);
  t.same(await keys("services?filter=Service==web"), ["web"]);
  t.same(await keys("services?filter=a+in+Tags"), ["web"]);
  t.same(await keys("checks?filter=ServiceName==db"), []);
  t.same(await keys("checks?filter=Type==ttl"), ["service:web"]);
  const bad = await server.ask("GET", "/v1/agent/services?filter=Nope==1");
  t.equal(bad.status, 500);
  t.match(bad.text, /^Failed to create boolean expression evaluator: /);
});

t.test("while the disk is being read, local questions wait, others do not", async (t) => {
  const { server, local } = await startAgent({ starts: false });
  const services = server.start("GET", "/v1/agent/services");
  const register = server.start("PUT", "/v1/agent/service/register", { body: { Name: "web" } });
  t.equal((await server.ask("GET", "/v1/agent/members")).status, 200);
  await settle();
  t.same([services.isDone, register.isDone], [false, false]);
  await local.start({ services: [], checks: [] });
  t.equal((await services.answer).status, 200);
  t.equal((await register.answer).status, 200);
});

t.test("Connect blocks are kept and echoed", async (t) => {
  const { server } = await startAgent();
  const proxy = { DestinationServiceName: "web", LocalServicePort: 1 };
  await put(server, "service/register", {
    Name: "web-proxy",
    Kind: "connect-proxy",
    Port: 9,
    Proxy: proxy,
    Connect: { Native: true },
  });
  t.match((await server.ask("GET", "/v1/agent/service/web-proxy")).json, {
    Kind: "connect-proxy",
    Proxy: proxy,
    Connect: { Native: true },
  });
  t.match((await server.ask("GET", "/v1/catalog/service/web-proxy")).json, [
    { ServiceKind: "connect-proxy", ServiceProxy: proxy },
  ]);
});

t.test("metrics: JSON, text only with a retention time", async (t) => {
  const { server } = await startAgent();
  t.match((await server.ask("GET", "/v1/agent/metrics")).json, { Gauges: [] });
  const refused = {
    status: 415,
    text: "Prometheus is not enabled since its retention time is not positive",
  };
  const openMetrics = { Accept: "application/openmetrics-text; version=1.0.0,*/*;q=0.1" };
  t.match(await server.ask("GET", "/v1/agent/metrics?format=prometheus"), refused);
  t.match(await server.ask("GET", "/v1/agent/metrics", { headers: openMetrics }), refused);
  t.match(
    await server.ask("GET", "/v1/agent/metrics", {
      headers: { Accept: "text/plain;version=0.0.4" },
    }),
    refused,
  );
  t.equal(
    (await server.ask("GET", "/v1/agent/metrics", { headers: { Accept: "text/plain" } })).status,
    200,
  );
  const enabled = await startAgent({ retentionMs: 60_000 });
  const { text } = await enabled.server.ask("GET", "/v1/agent/metrics?format=prometheus");
  t.equal(text, "up 1\n");
});

t.test("self, members, host, reload, leave, join, force-leave", async (t) => {
  const { server, done } = await startAgent();
  await put(server, "check/register", { Name: "c", TTL: "9s" });
  t.match((await server.ask("GET", "/v1/agent/self")).json, {
    Config: { NodeName: "node-a", Server: true, NodeID: /^aaaaaaaa-/ },
    Coord: { Error: 1.5, Height: 1e-5 },
    Member: { Name: "node-a" },
    Stats: { agent: { checks: "1", check_ttls: "1", services: "0" }, raft: { state: "Leader" } },
    Meta: { role: "front", "consul-network-segment": "" },
  });
  t.match((await server.ask("GET", "/v1/agent/members?wan=1")).json, [{ Name: "node-a.dc1" }]);
  t.match(await server.ask("GET", "/v1/agent/members?segment=x"), { status: 500 });
  const host = (await server.ask("GET", "/v1/agent/host")).json as {
    Memory: { total: number; used: number };
    Disk: { total: number };
    CPU: unknown[];
    Errors: null;
  };
  t.ok(host.Memory.total > host.Memory.used && host.Memory.used > 0);
  t.ok(host.Disk.total > 0 && host.CPU.length > 0);
  t.equal(host.Errors, null);
  t.equal(await put(server, "reload"), "200");
  t.equal(await put(server, "leave"), "200");
  t.same(done, ["reload", "leave"]);
  t.match(await put(server, "join/10.0.0.1"), /^500 cannot join 10.0.0.1: .* not there yet$/);
  t.equal(await put(server, "join/127.0.0.1"), "200", "itself");
  t.equal(await put(server, "join/127.0.0.1:8301?wan=1"), "200");
  t.match(await put(server, "join/127.0.0.1:8300"), /^500 cannot join/);
  t.equal(await put(server, "force-leave/node-a.dc1?wan=1"), "200");
  t.equal(await put(server, "force-leave/ghost"), "500 agent: No node found with name 'ghost'");
  t.equal(await put(server, "force-leave/node-a"), "200");
  t.equal(await put(server, "token/default", { Token: "x" }), "401 ACL support disabled");
});

t.test("monitor streams lines, bounds its queue, ends with its reader", async (t) => {
  const { server, monitors, log } = await startAgent();
  const response = await server.app.request(
    "/v1/agent/monitor?loglevel=debug",
    {},
    {
      client: { address: "127.0.0.1", port: 1 },
      keepOpen() {},
      letIdle() {},
    },
  );
  t.equal(response.status, 200);
  const reader = response.body!.getReader();
  const next = async () => new TextDecoder().decode((await reader.read()).value);
  t.match(await next(), /\[INFO\] {2}the log follows: level=debug\n$/, "answers at once");
  log("debug", "one");
  t.match(await next(), /\[DEBUG\] one\n$/);
  for (let i = 0; i < 600; i++) {
    if (i % 100 === 0) server.world.advance(1000); // so that the log lets all of them through
    log("debug", `line ${i}`);
  }
  while (!(await next()).endsWith("line 511\n"));
  server.world.advance(1000);
  log("debug", "later");
  t.match(await next(), "log lines left out: count=88\n");
  t.match(await next(), "later\n");
  await reader.cancel();
  t.equal(monitors.count, 0);
  for (const word of ["bogus", "constructor"])
    t.match(await server.ask("GET", `/v1/agent/monitor?loglevel=${word}`), {
      status: 400,
      text: `Bad request: Unknown log level: ${word}`,
    });
});

t.test("a monitor ends when the agent stops", async (t) => {
  const { server, monitors } = await startAgent();
  const client = { address: "127.0.0.1", port: 1 };
  const env = { client, keepOpen() {}, letIdle() {} };
  const gzip = { headers: { "Accept-Encoding": "gzip" } };
  const plain = await server.app.request("/v1/agent/monitor", {}, env);
  const compressed = await server.app.request("/v1/agent/monitor", gzip, env);
  const bodies = Promise.all([plain.text(), compressed.arrayBuffer()]);
  server.waiters.close();
  const [text, octets] = await bodies;
  t.match(text, /the log follows: level=info\n$/);
  t.match(gunzipSync(octets).toString(), /the log follows: level=info\n$/);
  t.equal(monitors.count, 0);
});

t.test("monitor for clients that take gzip: each line at once", async (t) => {
  const { server, monitors, log } = await startAgent();
  const response = await server.app.request("/v1/agent/monitor", {
    headers: { "Accept-Encoding": "gzip" },
  });
  t.equal(response.headers.get("Content-Encoding"), "gzip");
  const reader = response.body!.getReader();
  const gunzip = createGunzip();
  const lines = gunzip[Symbol.asyncIterator]();
  const next = async () => {
    gunzip.write((await reader.read()).value);
    return String((await lines.next()).value);
  };
  t.match(await next(), "the log follows");
  for (const line of ["one", "two"]) {
    log("info", line);
    t.match(await next(), `${line}\n`);
  }
  await reader.cancel();
  t.equal(monitors.count, 0);
});

// Rights of spec/http.md 17.10, with the texts recorded in acl-deny-agent-a.json.
t.test("rights", async (t) => {
  const secrets = {
    web: "11111111-0000-4000-8000-000000000001",
    node: "11111111-0000-4000-8000-000000000002",
  };
  const { server } = await startAgent({ acl: { enabled: true, defaultPolicy: "deny" } });
  const rules = {
    web: 'service "web" { policy = "write" } node_prefix "" { policy = "read" }',
    node: 'node "node-a" { policy = "write" } agent "node-a" { policy = "write" }',
  };
  for (const [i, name] of (["web", "node"] as const).entries()) {
    const id = `22222222-0000-4000-8000-00000000000${i}`;
    const common = { description: "", datacenters: null };
    await server.propose({
      type: "acl-policy-set",
      policy: { ...common, id, name, rules: rules[name] },
    });
    await server.propose({
      type: "acl-token-set",
      token: {
        accessorId: `33333333-0000-4000-8000-00000000000${i}`,
        secretId: secrets[name],
        description: "",
        policies: [{ id, name }],
        local: false,
        createTimeMs: 0,
      },
    });
  }
  const body = { Name: "web", Port: 1, Check: { TTL: "60s" } };
  t.equal(await put(server, "service/register", body, secrets.web), "200");
  const rows: [string, string, unknown, string | undefined, string][] = [
    [
      "PUT",
      "service/register",
      body,
      undefined,
      "403 Permission denied: Missing service:write on web",
    ],
    [
      "PUT",
      "service/register",
      { Name: "db" },
      secrets.web,
      "403 Permission denied: Missing service:write on db",
    ],
    [
      "PUT",
      "service/register",
      { Name: "web" },
      "44444444-0000-4000-8000-000000000000",
      "403 ACL not found",
    ],
    [
      "PUT",
      "service/deregister/web",
      undefined,
      secrets.node,
      "403 Permission denied: Missing service:write on web",
    ],
    ["PUT", "service/deregister/nope", undefined, secrets.web, '500 Unknown service "nope"'],
    [
      "PUT",
      "service/maintenance/web?enable=true",
      undefined,
      secrets.node,
      "403 Permission denied: Missing service:write on web",
    ],
    [
      "PUT",
      "check/register",
      { Name: "c", TTL: "5s" },
      secrets.web,
      "403 Permission denied: Missing node:write on node-a",
    ],
    ["PUT", "check/register", { Name: "c", TTL: "5s" }, secrets.node, "200"],
    [
      "PUT",
      "check/pass/service:web",
      undefined,
      secrets.node,
      "403 Permission denied: Missing service:write on web",
    ],
    ["PUT", "check/pass/service:web", undefined, secrets.web, "200"],
    ["PUT", "check/pass/nope", undefined, secrets.web, '500 Unknown check "nope"'],
    [
      "PUT",
      "check/deregister/c",
      undefined,
      secrets.web,
      "403 Permission denied: Missing node:write on node-a",
    ],
    ["PUT", "maintenance?enable=true", undefined, secrets.web, "403 Permission denied"],
    ["GET", "service/web", undefined, secrets.node, "403 Permission denied"],
    ["GET", "health/service/name/web", undefined, secrets.node, "403 Permission denied"],
    ["GET", "health/service/id/web", undefined, secrets.node, "403 Permission denied"],
    ["GET", "services", undefined, secrets.node, "200 {}"],
    ["GET", "members", undefined, undefined, "200 []"],
    ["GET", "self", undefined, secrets.web, "403 Permission denied"],
    ["GET", "metrics", undefined, secrets.web, "403 Permission denied"],
    ["GET", "host", undefined, secrets.node, "403 Permission denied"],
    ["GET", "monitor", undefined, secrets.web, "403 Permission denied"],
    ["PUT", "reload", undefined, secrets.web, "403 Permission denied"],
    ["PUT", "reload", undefined, secrets.node, "200"],
    ["PUT", "leave", undefined, secrets.web, "403 Permission denied"],
    ["PUT", "join/x", undefined, secrets.web, "403 Permission denied"],
    ["PUT", "force-leave/x", undefined, secrets.node, "403 Permission denied"],
    ["PUT", "token/default", { Token: "x" }, secrets.web, "403 Permission denied"],
  ];
  for (const [method, path, sent, token, wanted] of rows) {
    const headers = token === undefined ? {} : { "X-Consul-Token": token };
    const { status, text } = await server.ask(method, `/v1/agent/${path}`, { body: sent, headers });
    t.equal(`${status} ${text}`.trim(), wanted, `${method} ${path}`);
  }
  const web = (path: string) =>
    server.ask("GET", path, { headers: { "X-Consul-Token": secrets.web } });
  t.same(Object.keys((await web("/v1/agent/checks")).json as object), ["service:web", "c"]);
});
