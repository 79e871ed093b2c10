import t from "tap";
import { createGuarded, ROOT } from "./guarded.ts";
import { createServer, registerService } from "./harness.ts";

// spec/http.md 17.10 and section 14: lists are filtered, tokens hidden, execution filtered by Token.
t.test("queries under ACLs", async (t) => {
  const { server, admin, tokenWith } = createGuarded();
  const as = (token: string) => ({ "X-Consul-Token": token });
  const writer = await tokenWith('query_prefix "q-" { policy = "write" }');
  const reader = await tokenWith('query_prefix "" { policy = "read" }');
  const viewer = await tokenWith(
    'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }',
  );
  const service = { Service: "web" };
  await admin("PUT", "/v1/catalog/register", { Node: "n1", Address: "10.0.0.1", Service: service });
  const create = (token: string, body: object) =>
    server.ask("POST", "/v1/query", { headers: as(token), body });
  const web = { Service: { Service: "web" } };
  t.equal((await create(reader, { Name: "q-a", ...web })).status, 403);
  t.equal((await create(writer, { Name: "other", ...web })).status, 403);
  const created = await create(writer, { Name: "q-a", Token: viewer, ...web });
  t.equal(created.status, 200);
  const id = (created.json as { ID: string }).ID;
  t.equal((await create(writer, { Name: "q-b", ...web })).status, 200);

  const list = async (token: string) =>
    (
      (await server.ask("GET", "/v1/query", { headers: as(token) })).json as { Token: string }[]
    ).map(({ Token }) => Token);
  t.same(await list(ROOT), [viewer, ""]);
  t.same(await list(reader), ["<hidden>", ""]);
  t.same(await list(viewer), []);
  t.equal((await server.ask("GET", `/v1/query/${id}`, { headers: as(viewer) })).status, 403);
  t.equal(
    (
      await server.ask("PUT", `/v1/query/${id}`, {
        headers: as(reader),
        body: { Name: "q-a", ...web },
      })
    ).status,
    403,
  );
  t.equal((await server.ask("DELETE", `/v1/query/${id}`, { headers: as(reader) })).status, 403);

  const found = async (name: string, token: string) => {
    const answer = await server.ask("GET", `/v1/query/${name}/execute`, { headers: as(token) });
    return (answer.json as { Nodes: unknown[] }).Nodes.length;
  };
  t.equal(await found("q-a", writer), 1, "rights of the query's Token");
  t.equal(await found("q-b", writer), 0, "rights of the caller");
  t.equal(await found("q-b", viewer), 1, "execution itself needs none");
  t.equal((await server.ask("GET", "/v1/query/q-a/explain", { headers: as(viewer) })).status, 403);
  t.equal((await server.ask("DELETE", `/v1/query/${id}`, { headers: as(writer) })).status, 200);
});

t.test("names with slashes and empty ids", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  const body = { Name: "a/b", Service: { Service: "web" } };
  t.equal((await server.ask("POST", "/v1/query", { body })).status, 200);
  t.match((await server.ask("GET", "/v1/query/a/b/execute")).json, { Service: "web", Nodes: [{}] });
  t.equal((await server.ask("GET", "/v1/query/")).status, 500);
});

t.test("renewing a session moves its deadline", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  const created = await server.ask("PUT", "/v1/session/create", {
    body: { Node: "n1", Checks: [], TTL: "10s" },
  });
  const { ID } = created.json as { ID: string };
  const renewed = await server.ask("PUT", `/v1/session/renew/${ID}`);
  t.match(renewed.json, [{ ID, TTL: "10s", LockDelay: 15_000_000_000 }]);
  t.equal(renewed.headers.get("X-Consul-Index"), null);
});

t.test("a query is found by its id in any case; a session too", async (t) => {
  const server = createServer();
  await registerService(server, "n1", "web");
  const made = await server.ask("PUT", "/v1/session/create", {
    body: { Node: "n1", NodeChecks: [] },
  });
  const Session = (made.json as { ID: string }).ID.toUpperCase();
  const body = { Session, Service: { Service: "web" } };
  const { ID } = (await server.ask("POST", "/v1/query", { body })).json as { ID: string };
  const upper = `/v1/query/${ID.toUpperCase()}`;
  t.match((await server.ask("GET", upper)).json, [{ ID, Session: Session.toLowerCase() }]);
  t.equal((await server.ask("GET", `${upper}/execute`)).status, 200);
  t.equal((await server.ask("PUT", upper, { body: { ...body, Name: "w" } })).status, 200);
  t.match((await server.ask("GET", "/v1/query")).json, [{ ID, Name: "w" }]);
  await server.ask("PUT", `/v1/session/destroy/${Session}`);
  t.equal((await server.ask("GET", upper)).status, 404, "gone with its session");
});

t.test("what cannot be read is told in Go's words", async (t) => {
  const server = createServer();
  const web = { Name: "w", Service: { Service: "web" } };
  await server.ask("POST", "/v1/query", { body: web });
  const problems: [string, string][] = [
    ["limit=x", 'Bad limit: strconv.Atoi: parsing "x": invalid syntax'],
    ["limit=1.5", 'Bad limit: strconv.Atoi: parsing "1.5": invalid syntax'],
    [
      "limit=9223372036854775808",
      'Bad limit: strconv.Atoi: parsing "9223372036854775808": value out of range',
    ],
    [
      "connect=maybe",
      `Error parsing 'connect' value: strconv.ParseBool: parsing "maybe": invalid syntax`,
    ],
  ];
  for (const [parameter, text] of problems)
    t.match(await server.ask("GET", `/v1/query/w/execute?${parameter}`), { status: 500, text });
  t.match(await server.ask("POST", "/v1/query", { body: { ...web, Name: "x", Session: "mine" } }), {
    status: 500,
    text: "raft apply failed: failed session lookup: index error: UUID must be 36 characters",
  });
});
