import { gunzipSync } from "node:zlib";
import t from "tap";
import { route } from "../../src/http/call.ts";
import { createServer, registerService } from "./harness.ts";

const echo = [
  route(["GET", "PUT", "DELETE"], "/v1/kv/", (call) => call.json({ argument: call.argument })),
  route(["GET"], "/v1/kv/deep/", (call) => call.json({ deep: call.argument })),
  route(["GET"], "/v1/kv/deep/exact", (call) => call.text(200, "exact")),
  route(["GET"], "/v1/echo", (call) => call.json({ s: "<a&b>", list: [], q: call.parameters })),
  route(["GET"], "/v1/long", (call) => call.json("x".repeat(2000))),
  route(["GET"], "/v1/who", (call) => call.json(call.token() ?? null)),
];

// spec/http.md section 1; recorded in test/corpus/http/http-general-a.json.
const routing: { ask: string; status: number; text?: string | RegExp; headers?: object }[] = [
  { ask: "GET /", status: 200, headers: { "content-type": "text/plain; charset=utf-8" } },
  { ask: "GET /v1/nope", status: 404, text: "", headers: { "content-type": null } },
  { ask: "GET /v1/status/leader/", status: 404, text: "" },
  { ask: "GET /v1/catalog", status: 404, text: "" },
  { ask: "GET /v1/kv", status: 301, headers: { location: "/v1/kv/" } },
  { ask: "GET /v1/kv?a=b", status: 301, headers: { location: "/v1/kv/?a=b" } },
  { ask: "GET /v1//status/leader", status: 301, headers: { location: "/v1/status/leader" } },
  { ask: "PUT /v1/kv//a", status: 301, headers: { location: "/v1/kv/a" } },
  { ask: "GET /v1/nope//x/", status: 301, headers: { location: "/v1/nope/x/" } },
  { ask: "GET /v1/kv/far%2F%2Fer", status: 200, text: '{"argument":"far//er"}' },
  { ask: "GET /v1/kv/a%20b+c/d", status: 200, text: '{"argument":"a b+c/d"}' },
  { ask: "GET /v1/kv/%C3%A9", status: 200, text: '{"argument":"é"}' },
  { ask: "GET /v1/kv/", status: 200, text: '{"argument":""}' },
  { ask: "GET /v1/k%76/a", status: 200, text: '{"argument":"a"}' },
  { ask: "GET /v1/kv/deep/x", status: 200, text: '{"deep":"x"}' },
  { ask: "GET /v1/kv/deep/exact", status: 200, text: "exact" },
  { ask: "GET /v1/kv/x%00y", status: 400, text: "", headers: { "content-type": null } },
  { ask: "GET /v1/nope/%07", status: 400, text: "" },
  { ask: "GET /v1/kv/%C2%A0", status: 400, text: "" },
  { ask: "GET /v1/kv/%ff", status: 400, text: "" },
  { ask: "GET /v1/status/leader?%zz", status: 500, text: "", headers: { "content-type": null } },
  { ask: "POST /v1/status/leader?a=%", status: 500, text: "" },
  {
    ask: "POST /v1/status/leader",
    status: 405,
    text: "method POST not allowed",
    headers: { allow: "OPTIONS,GET", "content-type": "text/plain; charset=utf-8" },
  },
  { ask: "HEAD /v1/status/leader", status: 405, text: "", headers: { allow: "OPTIONS,GET" } },
  {
    ask: "PATCH /v1/kv/x",
    status: 405,
    text: "method PATCH not allowed",
    headers: { allow: "OPTIONS,GET,PUT,DELETE" },
  },
  {
    ask: "OPTIONS /v1/session/create",
    status: 200,
    text: "",
    headers: { allow: "OPTIONS,PUT", "content-type": null },
  },
  { ask: "POST /v1/query/abc/execute", status: 405, headers: { allow: "GET" } },
  { ask: "PATCH /v1/query/abc", status: 405, headers: { allow: "GET,PUT,DELETE" } },
  { ask: "OPTIONS /v1/query/abc", status: 200, headers: { allow: "OPTIONS,GET,PUT,DELETE" } },
  { ask: "OPTIONS /v1/query/a/explain", status: 200, headers: { allow: "OPTIONS,GET" } },
  { ask: "PUT /v1/query", status: 405, headers: { allow: "OPTIONS,GET,POST" } },
  { ask: "GET /v1/echo?pretty", status: 200, text: /^\{\n {4}"s": "\\u003ca\\u0026b\\u003e",\n/ },
  {
    ask: "GET /v1/echo?b=%20+&a&=x&b=2",
    status: 200,
    text: /\[\["b"," {2}"\],\["a",""\],\["","x"\],\["b","2"\]\]/,
  },
  { ask: "GET /v1/echo?b=caf%e9+%C3%A9%80", status: 200, text: /\["b","caf� é�"\]/ },
  { ask: "GET /v1/echo?b=%e9%4", status: 500, text: "" },
  { ask: "GET /v1/coordinate/nodes", status: 200, text: "[]" },
  { ask: "PUT /v1/acl/bootstrap", status: 401, text: "ACL support disabled" },
  { ask: "POST /v1/acl/bootstrap", status: 405 },
  { ask: "GET /metrics", status: 200, text: "up 1\n" },
];
t.test("routing", async (t) => {
  const server = createServer({ more: echo });
  for (const { ask, status, text, headers = {} } of routing) {
    const [method, path] = ask.split(" ") as [string, string];
    const answer = await server.ask(method, path);
    t.equal(answer.status, status, ask);
    if (typeof text === "string") t.equal(answer.text, text, ask);
    else if (text) t.match(answer.text, text, ask);
    for (const [name, value] of Object.entries(headers))
      t.equal(answer.headers.get(name), value, `${ask} ${name}`);
  }
  t.ok(server.answers.includes("GET /v1/kv/ 200"), "answers are told by route, not by path");
});

t.test("settings that apply to every route, also after a reload", async (t) => {
  const server = createServer({
    more: echo,
    settings: {
      translateWanAddrs: true,
      responseHeaders: { "Access-Control-Allow-Origin": "*" },
      blockEndpoints: ["/v1/echo"],
      allowWriteHttpFrom: ["10.9.8.0/24", "2001:db8::/33"],
      disableCoordinates: true,
    },
  });
  const blocked = await server.ask("GET", "/v1/echo");
  t.equal(blocked.status, 403);
  t.equal(blocked.text, "Endpoint is blocked by agent configuration");
  t.equal(blocked.headers.get("X-Consul-Translate-Addresses"), "true");
  for (const path of ["/", "/v1/none", "/v1/status/leader", "/v1/kv", "/v1//kv", "/v1/%07"])
    t.equal((await server.ask("GET", path)).headers.get("Access-Control-Allow-Origin"), "*", path);
  t.equal((await server.ask("GET", "/v1/none")).headers.get("X-Consul-Translate-Addresses"), null);

  const writes: [string, string, number][] = [
    ["PUT", "127.0.0.1", 403],
    ["DELETE", "127.0.0.1", 403],
    ["POST", "127.0.0.1", 405],
    ["GET", "127.0.0.1", 200],
    ["PUT", "10.9.8.7", 200],
    ["PUT", "10.9.9.7", 403],
    ["PUT", "::ffff:10.9.8.7", 200],
    ["PUT", "2001:db8:7fff::1", 200],
    ["PUT", "2001:db8:8000::1", 403],
    ["PUT", "", 403],
  ];
  for (const [method, from, status] of writes) {
    const answer = await server.ask(method, "/v1/kv/a", { from });
    t.equal(answer.status, status, `${method} from ${from || "nobody"}`);
    if (status === 403) t.equal(answer.text, "Access is restricted");
  }
  const refused = await server.ask("PUT", "/v1/coordinate/update");
  t.equal(refused.status, 403, "before the endpoint itself");
  t.equal((await server.ask("GET", "/v1/coordinate/nodes")).text, "Coordinate support disabled");

  server.reload({ blockEndpoints: [], allowWriteHttpFrom: [], responseHeaders: { "X-New": "1" } });
  t.equal((await server.ask("PUT", "/v1/kv/a")).status, 200);
  const open = await server.ask("GET", "/v1/echo");
  t.equal(open.status, 200);
  t.equal(open.headers.get("X-New"), "1");
  t.equal(open.headers.get("Access-Control-Allow-Origin"), null);
});

t.test("long bodies are compressed for those who ask", async (t) => {
  const server = createServer({ more: echo });
  const ask = (encoding: string, path = "/v1/long") =>
    server.app.request(path, { headers: { "Accept-Encoding": encoding } });
  for (const encoding of ["gzip", "deflate, gzip;q=0.5", "br,gzip"]) {
    const answer = await ask(encoding);
    t.equal(answer.headers.get("Content-Encoding"), "gzip", encoding);
    const text = gunzipSync(Buffer.from(await answer.arrayBuffer())).toString();
    t.equal(text, JSON.stringify("x".repeat(2000)));
  }
  for (const encoding of ["", "br", "gzip;q=0", "xgzip"])
    t.equal((await ask(encoding)).headers.get("Content-Encoding"), null, encoding);
  t.equal((await ask("gzip", "/v1/echo")).headers.get("Content-Encoding"), null, "short body");
});

// spec/http.md section 2: ?token=, X-Consul-Token, Authorization.
t.test("where the token comes from", async (t) => {
  const server = createServer({ more: echo });
  const table: [string, Record<string, string>, string | null][] = [
    ["", {}, null],
    ["?token=a", { "X-Consul-Token": "b" }, "a"],
    ["?token=", { "X-Consul-Token": "b" }, "b"],
    ["", { "X-Consul-Token": "b", Authorization: "Bearer c" }, "b"],
    ["", { Authorization: "Bearer c" }, "c"],
    ["", { Authorization: "bEARER c extra" }, "c"],
    ["", { Authorization: "Basic c" }, null],
    ["", { Authorization: "Bearer" }, null],
  ];
  for (const [query, headers, token] of table)
    t.equal(
      (await server.ask("GET", `/v1/who${query}`, { headers })).json,
      token,
      `${query} ${JSON.stringify(headers)}`,
    );
});

t.test("a handler's own mistake is a 500 and a log line, not a crash", async (t) => {
  const server = createServer({
    more: [
      route(["GET"], "/v1/broken", () => {
        throw new TypeError("mine");
      }),
    ],
  });
  // The harness turns error lines into exceptions.
  await t.rejects(server.ask("GET", "/v1/broken"), /request failed.*mine/);
  await registerService(server, "n1", "web");
});
