// /v1/kv where the recorded scenarios are silent: exact octets, order, limits, rights, holds.
import { gunzipSync } from "node:zlib";
import t from "tap";
import { createGuarded, ROOT } from "./guarded.ts";
import { createServer, settle, type Server } from "./harness.ts";

const put = (server: Server, path: string, body = "x", headers = {}) =>
  server.ask("PUT", `/v1/kv/${path}`, { body, headers });
const get = (server: Server, path: string) => server.ask("GET", `/v1/kv/${path}`);

t.test("an entry is printed as Go prints it", async (t) => {
  const server = createServer();
  t.equal((await put(server, "a%3C%26%3E%22%5C/é?flags=18446744073709551615")).text, "true");
  const one = await get(server, "a%3C%26%3E%22%5C/é");
  t.equal(
    one.text,
    '[{"LockIndex":0,"Key":"a\\u003c\\u0026\\u003e\\"\\\\/é","Flags":18446744073709551615,' +
      '"Value":"eA==","CreateIndex":1,"ModifyIndex":1}]',
  );
  await put(server, "b,c:d");
  const pretty = await get(server, "b,c:d?pretty");
  t.equal(
    pretty.text,
    '[\n    {\n        "LockIndex": 0,\n        "Key": "b,c:d",\n        "Flags": 0,\n' +
      '        "Value": "eA==",\n        "CreateIndex": 2,\n        "ModifyIndex": 2\n    }\n]\n',
  );
  t.equal((await get(server, "?keys&pretty")).text.split("\n").length, 5);
});

t.test("a long raw value is compressed for those who ask", async (t) => {
  const server = createServer();
  const value = "\u0000\u00ff".repeat(700);
  await put(server, "long", value);
  const answer = await server.app.request("/v1/kv/long?raw", {
    headers: { "Accept-Encoding": "gzip" },
  });
  t.match(Object.fromEntries(answer.headers), {
    "content-encoding": "gzip",
    "content-type": /^text\/plain$/,
  });
  t.equal(gunzipSync(Buffer.from(await answer.arrayBuffer())).toString(), value);
});

t.test("every octet comes back raw; keys come in the order of their octets", async (t) => {
  const server = createServer();
  const octets = Uint8Array.from({ length: 256 }, (_, i) => i);
  const request = new Request("http://localhost/v1/kv/bin", { method: "PUT", body: octets });
  const client = { address: "127.0.0.1", port: 1 };
  await server.app.fetch(request, { client, keepOpen() {} });
  const raw = await server.app.fetch(new Request("http://localhost/v1/kv/bin?raw"), {
    client,
    keepOpen() {},
  });
  t.same(new Uint8Array(await raw.arrayBuffer()), octets);
  for (const key of ["o/😀", "o/ﬀ", "o/é", "o/z"]) await put(server, encodeURI(key));
  t.same((await get(server, "o/?keys")).json, ["o/z", "o/é", "o/ﬀ", "o/😀"]);
});

t.test("mistakes are told as Consul tells them, and change nothing", async (t) => {
  const server = createServer();
  const cases: [string, string, number, string][] = [
    ["PUT", "k?flags=", 500, 'strconv.ParseUint: parsing "": invalid syntax'],
    ["PUT", "k?flags=1_0", 500, 'strconv.ParseUint: parsing "1_0": invalid syntax'],
    [
      "PUT",
      "k?cas=18446744073709551616",
      500,
      'strconv.ParseUint: parsing "18446744073709551616": value out of range',
    ],
    ["PUT", "k?release=b+c&acquire=a%26", 400, "Conflicting flags: acquire=a%26&release=b+c"],
    ["DELETE", "k?cas=1&recurse&x=(", 400, "Conflicting flags: cas=1&recurse=&x=%28"],
    ["PUT", "k?acquire=", 500, "raft apply failed: missing session"],
    [
      "PUT",
      "k?acquire=x",
      500,
      "raft apply failed: failed session lookup: index error: UUID must be 36 characters",
    ],
    ["PUT", "k?index=x", 400, "Invalid index"],
    ["PUT", "k?dc=other", 500, "No path to datacenter"],
    ["GET", "k?dc=other", 500, "No path to datacenter"],
    ["GET", "?raw", 400, "Missing key name"],
    ["DELETE", "?cas=1", 400, "Missing key name"],
  ];
  for (const [method, path, status, text] of cases) {
    const how = method === "PUT" ? { body: "x" } : {};
    const answer = await server.ask(method, `/v1/kv/${path}`, how);
    t.match({ status: answer.status, text: answer.text }, { status, text }, `${method} ${path}`);
  }
  t.same((await get(server, "?keys")).json, []);
  t.equal(server.state.reader.kv.size, 0);
});

t.test("a value has its limit, which a reload changes", async (t) => {
  const server = createServer({ settings: { kvMaxValueOctets: 3 } });
  const length = (n: number) => ({ "Content-Length": String(n) });
  const large = await put(server, "k", "four", length(4));
  t.equal(large.status, 413);
  t.equal(
    large.text,
    "Request body(4 bytes) too large, max size: 3 bytes. " +
      "See https://www.consul.io/docs/agent/options.html#kv_max_value_size.",
  );
  t.equal((await put(server, "k", "abc", length(3))).status, 200);
  server.reload({ kvMaxValueOctets: 4 });
  t.equal((await put(server, "k", "four", length(4))).status, 200);
});

t.test("a list needs the list policy where that is enabled", async (t) => {
  const { server, tokenWith } = createGuarded({ acl: { enableKeyListPolicy: true } });
  const root = { "X-Consul-Token": ROOT };
  const makeToken = async (rules: string): Promise<Record<string, string>> => ({
    "X-Consul-Token": await tokenWith(rules),
  });
  const reader = await makeToken('key_prefix "a/" { policy = "read" }');
  const lister = await makeToken(
    'key_prefix "a/" { policy = "list" } key "a/2" { policy = "deny" }',
  );
  for (const key of ["a/1", "a/2", "b"]) await put(server, key, "x", root);
  const status = async (path: string, headers: Record<string, string>) =>
    (await server.ask("GET", `/v1/kv/${path}`, { headers })).status;
  t.equal(await status("a/1", reader), 200);
  t.equal(await status("a/?recurse", reader), 403);
  t.equal(await status("a/?keys", reader), 403);
  t.equal(await status("?keys", lister), 403);
  t.equal(await status("none?recurse", {}), 403);
  const listed = await server.ask("GET", "/v1/kv/a/?keys", { headers: lister });
  t.same(listed.json, ["a/1"], "what may not be read is left out");
});

t.test("reads are held for their key or prefix alone", async (t) => {
  const server = createServer();
  await put(server, "p/a");
  await put(server, "q");
  const key = server.start("GET", "/v1/kv/p/a?index=1&wait=60s");
  const absent = server.start("GET", "/v1/kv/p?index=2&wait=60s");
  const tree = server.start("GET", "/v1/kv/p/?recurse&index=1&wait=60s");
  const keys = server.start("GET", "/v1/kv/?keys&index=2&wait=60s");
  await settle();
  await put(server, "q", "x"); // the same again
  await settle();
  t.same(
    [key, absent, tree, keys].map(({ isDone }) => isDone),
    [false, false, false, false],
  );
  await put(server, "q", "y");
  await settle();
  t.same(
    [key, absent, tree, keys].map(({ isDone }) => isDone),
    [false, false, false, true],
  );
  await server.ask("DELETE", "/v1/kv/p/?recurse");
  await settle();
  t.same(
    [key, absent, tree].map(({ isDone }) => isDone),
    [true, false, true],
  );
  t.equal((await key.answer).status, 404);
  t.equal((await tree.answer).headers.get("X-Consul-Index"), "5");
  await put(server, "p");
  t.equal((await absent.answer).headers.get("X-Consul-Index"), "6");
});

t.test("a lock goes from hand to hand, with the delay between them", async (t) => {
  const server = createServer();
  await server.ask("PUT", "/v1/catalog/register", {
    body: {
      Node: "node-a",
      Address: "10.0.0.1",
      Check: { CheckID: "serfHealth", Status: "passing" },
    },
  });
  const create = async (body: unknown) =>
    ((await server.ask("PUT", "/v1/session/create", { body })).json as { ID: string }).ID;
  const first = await create({ LockDelay: "5s" });
  const second = await create({ LockDelay: "0s" });
  const acquire = async (id: string) => (await put(server, `lock?acquire=${id}`, id)).json;
  t.equal(await acquire(first.toUpperCase()), true, "ids are found in any case");
  t.equal(await acquire(second), false);
  await server.ask("PUT", `/v1/session/destroy/${first}`);
  t.equal(await acquire(second), false, "the delay runs");
  server.world.advance(4999);
  t.equal(await acquire(second), false);
  server.world.advance(1);
  t.equal(await acquire(second), true);
  t.match((await get(server, "lock")).json, [{ LockIndex: 2, Session: second }]);
  t.equal((await put(server, `lock?release=${first}`)).json, false);
  t.equal((await put(server, `lock?release=${second}`)).json, true);
  t.equal(await acquire(await create({})), true, "no delay after an orderly release");
});
