import t from "tap";
import { createServer, registerService, type Server } from "./harness.ts";

const header = (answer: { headers: Headers }, name: string) => answer.headers.get(name);

async function withWeb(options?: Parameters<typeof createServer>[0]): Promise<Server> {
  const server = createServer(options);
  await registerService(server, "n1", "web");
  return server;
}

// spec/http.md section 2; recorded in test/corpus/http/consistency-a.json.
const modes: { query: string; barrier: string[]; shown: string }[] = [
  { query: "", barrier: ["lease"], shown: "leader" },
  { query: "?leader", barrier: ["lease"], shown: "leader" },
  { query: "?stale", barrier: [], shown: "stale" },
  { query: "?stale=false", barrier: [], shown: "stale" },
  { query: "?consistent", barrier: ["index"], shown: "consistent" },
  { query: "?max_stale=5s", barrier: [], shown: "stale" },
  { query: "?max_stale=0s", barrier: ["lease"], shown: "leader" },
  { query: "?stale&max_stale=1h", barrier: [], shown: "stale" },
];
t.test("each mode passes its barrier and says so", async (t) => {
  const passed: string[] = [];
  const server = await withWeb({
    barrier: (mode) => {
      passed.push(mode);
      return Promise.resolve("ok");
    },
  });
  for (const path of ["/v1/catalog/nodes", "/v1/health/service/web", "/v1/query"])
    for (const { query, barrier, shown } of modes) {
      passed.length = 0;
      const answer = await server.ask("GET", path + query);
      t.equal(answer.status, 200);
      t.same(passed, barrier, path + query);
      t.equal(header(answer, "X-Consul-Effective-Consistency"), shown, path + query);
      t.equal(header(answer, "X-Consul-LastContact"), "0");
      t.equal(header(answer, "X-Consul-KnownLeader"), "true");
    }
  const sessions = await server.ask("GET", "/v1/session/list?stale");
  t.equal(header(sessions, "X-Consul-Effective-Consistency"), null, "sessions do not show it");
  t.ok(Number(header(sessions, "X-Consul-Index")) >= 1, "index is never below 1");
});

t.test("refused combinations, in Consul's order", async (t) => {
  const server = await withWeb();
  const table: [string, Record<string, string>, string][] = [
    ["?stale&consistent", {}, "Cannot specify ?stale with ?consistent, conflicting semantics."],
    ["?cached&consistent", {}, "Cannot specify ?cached with ?consistent, conflicting semantics."],
    ["?max_stale=abc", {}, 'Invalid max_stale value "abc"'],
    ["?max_stale=5&stale&consistent", {}, 'Invalid max_stale value "5"'],
    ["", { "Cache-Control": "max-age=abc" }, "Invalid Cache-Control header."],
    ["?wait=x", { "Cache-Control": "no-cache, max-age=" }, "Invalid Cache-Control header."],
    ["?wait=abc", {}, "Invalid wait time"],
    ["?wait=5&index=x", {}, "Invalid wait time"],
    ["?index=abc", {}, "Invalid index"],
    ["?index=-1", {}, "Invalid index"],
    ["?index=1.5", {}, "Invalid index"],
    ["?index=18446744073709551616", {}, "Invalid index"],
  ];
  for (const [query, headers, text] of table) {
    const answer = await server.ask("GET", `/v1/catalog/service/${query}`, { headers });
    t.equal(answer.status, 400, query);
    t.equal(answer.text, text, query);
  }
  t.equal((await server.ask("GET", "/v1/catalog/service/?dc=mars")).text, "Missing service name");
  const elsewhere = await server.ask("GET", "/v1/catalog/service/web?dc=mars");
  t.equal(elsewhere.status, 500);
  t.equal(elsewhere.text, "No path to datacenter");
  t.equal((await server.ask("GET", "/v1/catalog/service/web?dc=DC1")).status, 200);
});

t.test("without a leader only stale reads are answered", async (t) => {
  let leader: string | undefined = "127.0.0.1:8300";
  const server = await withWeb({
    barrier: () => Promise.resolve(leader === undefined ? "no leader" : "ok"),
    leader: () => leader,
  });
  leader = undefined;
  const refused = await server.ask("GET", "/v1/catalog/nodes");
  t.equal(refused.status, 500);
  t.equal(refused.text, "No cluster leader");
  const stale = await server.ask("GET", "/v1/catalog/nodes?stale");
  t.equal(stale.status, 200);
  t.equal(header(stale, "X-Consul-KnownLeader"), "false");
  t.equal((await server.ask("GET", "/v1/status/leader")).json, "");
});

t.test("discovery_max_stale makes catalog and health reads stale", async (t) => {
  const server = await withWeb({ settings: { discoveryMaxStaleMs: 1000 } });
  const shown = async (path: string) =>
    header(await server.ask("GET", path), "X-Consul-Effective-Consistency");
  t.equal(await shown("/v1/catalog/nodes"), "stale");
  t.equal(await shown("/v1/health/state/any?pretty"), "stale");
  t.equal(await shown("/v1/catalog/nodes?leader"), "leader");
  t.equal(await shown("/v1/catalog/nodes?consistent"), "consistent");
  t.equal(await shown("/v1/query"), "leader");
});

t.test("the list of datacenters blocks never and may come from the cache", async (t) => {
  const server = await withWeb();
  const ask = (query: string) => server.ask("GET", `/v1/catalog/datacenters${query}`);
  for (const query of ["?index=abc", "?wait=abc", "?index=999&wait=10m", "?dc=mars"]) {
    const answer = await ask(query);
    t.same(answer.json, ["dc1"], query);
    t.equal(header(answer, "X-Cache"), null, query);
    t.equal(header(answer, "X-Consul-Index"), null, query);
  }
  t.equal(header(await ask("?cached"), "X-Cache"), "MISS");
  t.equal(header(await ask("?cached"), "X-Cache"), "HIT");
  t.equal((await ask("?cached&consistent")).status, 400);
});

t.test("?cached: first a miss, then hits, always current data", async (t) => {
  const server = await withWeb();
  const path = "/v1/catalog/service/web?cached";
  t.equal(header(await server.ask("GET", path), "X-Cache"), "MISS");
  const hit = await server.ask("GET", path);
  t.equal(header(hit, "X-Cache"), "HIT");
  t.equal(header(hit, "Age"), "0");
  await registerService(server, "n2", "web");
  t.equal(((await server.ask("GET", path)).json as unknown[]).length, 2);
  t.equal(header(await server.ask("GET", `${path}&tag=x`), "X-Cache"), "MISS", "another question");
  // Consul 1.10 answers this one from its event stream, which knows no leader (recorded).
  const health = await server.ask("GET", "/v1/health/service/web?cached");
  t.equal(header(health, "X-Consul-KnownLeader"), "false");
  t.equal(header(await server.ask("GET", "/v1/catalog/nodes?cached"), "X-Cache"), null);
  const off = await withWeb({ settings: { useCache: false } });
  t.equal(header(await off.ask("GET", path), "X-Cache"), null, "http_config.use_cache");
});
