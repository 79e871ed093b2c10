// A read that waits is answered with the rights its token has by then, as Consul resolves it anew at every look.
import t from "tap";
import { createGuarded } from "./guarded.ts";
import { settle } from "./harness.ts";

const SECRET = "bbbbbbbb-0000-4000-8000-00000000000b";
const ACCESSOR = "cccccccc-0000-4000-8000-00000000000c";
const WAIT_MS = 10_000;

const everything = ["key", "node", "service", "session", "event", "query", "agent"]
  .map((resource) => `${resource}_prefix "" { policy = "read" }`)
  .concat('acl = "read"', 'operator = "read"')
  .join("\n");

/** A server with one of each thing; the token SECRET may read all of them. */
async function world() {
  const guarded = createGuarded();
  const { server } = guarded;
  const admin = async (method: string, path: string, body?: unknown) => {
    const answer = await guarded.admin(method, path, body);
    if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.text}`);
    return answer.json as { ID: string };
  };
  const policy = await admin("PUT", "/v1/acl/policy", { Name: "p", Rules: everything });
  const role = await admin("PUT", "/v1/acl/role", { Name: "r", Policies: [{ Name: "p" }] });
  await admin("PUT", "/v1/acl/token", {
    AccessorID: ACCESSOR,
    SecretID: SECRET,
    Roles: [{ Name: "r" }],
  });
  await admin("PUT", "/v1/catalog/register", {
    Node: "node-a",
    Address: "10.0.0.1",
    Service: { Service: "web" },
    Checks: [{ Name: "alive", Status: "passing" }],
  });
  await admin("PUT", "/v1/kv/a/b", "1");
  const session = await admin("PUT", "/v1/session/create", { Node: "node-a", NodeChecks: [] });
  const query = await admin("POST", "/v1/query", { Name: "q", Service: { Service: "web" } });
  await admin("PUT", "/v1/event/fire/deploy", "x");
  const coordinate = { Vec: [0, 0, 0, 0, 0, 0, 0, 0], Error: 1, Adjustment: 0, Height: 0 };
  await admin("PUT", "/v1/coordinate/update", { Node: "node-a", Coord: coordinate });
  /** Begins a read that has to wait. */
  const block = async (path: string) => {
    const headers = { "X-Consul-Token": SECRET };
    const now = await server.ask("GET", path, { headers });
    if (now.status !== 200) throw new Error(`${path}: ${now.status} ${now.text}`);
    const mark = path.includes("?") ? "&" : "?";
    const index = now.headers.get("X-Consul-Index");
    const url = `${path}${mark}index=${index}&wait=${WAIT_MS}ms`;
    const pending = server.start("GET", url, { headers });
    await settle();
    return pending;
  };
  return { server, admin, block, policy, role, session, query };
}

const paths = (ids: { policy: string; role: string; session: string; query: string }) => [
  "/v1/catalog/nodes",
  "/v1/catalog/services",
  "/v1/catalog/service/web",
  "/v1/catalog/connect/web",
  "/v1/catalog/node/node-a",
  "/v1/catalog/node-services/node-a",
  "/v1/health/node/node-a",
  "/v1/health/checks/web",
  "/v1/health/state/any",
  "/v1/health/service/web",
  "/v1/kv/a/b",
  "/v1/kv/a/b?raw",
  "/v1/kv/a?recurse",
  "/v1/kv/a?keys",
  "/v1/session/list",
  "/v1/session/node/node-a",
  `/v1/session/info/${ids.session}`,
  "/v1/query",
  `/v1/query/${ids.query}`,
  "/v1/event/list",
  "/v1/coordinate/nodes",
  "/v1/coordinate/node/node-a",
  "/v1/acl/policies",
  `/v1/acl/policy/${ids.policy}`,
  "/v1/acl/roles",
  `/v1/acl/role/${ids.role}`,
  "/v1/acl/tokens",
  `/v1/acl/token/${ACCESSOR}`,
  "/v1/acl/token/self",
];

t.test("a token that is deleted meanwhile is none at the end of the wait", async (t) => {
  const { server, admin, block, policy, role, session, query } = await world();
  const ids = { policy: policy.ID, role: role.ID, session: session.ID, query: query.ID };
  const blocked = await Promise.all(
    paths(ids).map(async (path) => ({ path, read: await block(path) })),
  );
  for (const { path, read } of blocked) t.notOk(read.isDone, `${path} waits`);
  await admin("DELETE", `/v1/acl/token/${ACCESSOR}`);
  server.world.advance(2 * WAIT_MS);
  for (const { path, read } of blocked) {
    const { status, text } = await read.answer;
    t.same({ status, text }, { status: 403, text: "ACL not found" }, path);
  }
});

t.test("what a policy no longer grants is left out, or refused, at the next look", async (t) => {
  const { server, admin, block, policy, query } = await world();
  const list = await block("/v1/catalog/service/web");
  const one = await block("/v1/kv/a/b");
  const tree = await block("/v1/kv/a?recurse");
  const named = await block(`/v1/query/${query.ID}`);
  const rules = 'node_prefix "" { policy = "read" }';
  await admin("PUT", `/v1/acl/policy/${policy.ID}`, { Name: "p", Rules: rules });
  await settle();
  t.notOk(list.isDone || one.isDone, "the change of a policy is none of the data");
  await admin("PUT", "/v1/kv/a/b", "secret");
  await admin("PUT", "/v1/catalog/register", {
    Node: "node-a",
    Address: "10.0.0.1",
    Service: { Service: "web", Port: 1 },
  });
  server.world.advance(100);
  const filtered = await list.answer;
  t.match(filtered, { status: 200, json: [] });
  t.equal(filtered.headers.get("X-Consul-Results-Filtered-By-ACLs"), "true");
  t.match(await one.answer, { status: 403, text: "Permission denied" });
  t.match(await tree.answer, { status: 404, text: "" });
  server.world.advance(2 * WAIT_MS);
  t.match(await named.answer, { status: 403, text: "Permission denied" });
});

t.test("what is granted meanwhile is shown, and nothing is said to be left out", async (t) => {
  const { server, admin, block, policy } = await world();
  const rules = 'service_prefix "" { policy = "read" }';
  await admin("PUT", `/v1/acl/policy/${policy.ID}`, { Name: "p", Rules: rules });
  const list = await block("/v1/catalog/nodes");
  await admin("PUT", `/v1/acl/policy/${policy.ID}`, { Name: "p", Rules: everything });
  server.world.advance(2 * WAIT_MS);
  const shown = await list.answer;
  t.match(shown, { status: 200, json: [{ Node: "node-a" }] });
  t.equal(shown.headers.get("X-Consul-Results-Filtered-By-ACLs"), null);
});
