/**
 * What HashiCorp's Go client does with keys, sessions, locks, semaphores and transactions, request by
 * request (its lock.go, semaphore.go, kv.go, txn.go), and what its tests expect.
 */
import t from "tap";
import { base64, idOf, listOf, startTestServer, type Ask } from "./go-server.ts";

/** Flags by which the client tells its own entries. */
const LOCK_FLAG = "3304740253564472344";
const SEMAPHORE_FLAG = "16210313421097356768";

const session = async (ask: Ask, more: object = {}): Promise<string> =>
  idOf(await ask("PUT", "session/create", { Name: "Consul API Lock", TTL: "15s", ...more }));

t.test("get, put, delete, lists and check-and-set", async (t) => {
  const { ask } = await startTestServer(t);
  const none = await ask("GET", "kv/k?stale=");
  t.match(none, { status: 404, text: "" });
  t.ok(none.index > 0, "a missing key has an index");
  t.equal((await ask("PUT", "kv/k?flags=42", "test")).text, "true");
  const got = await ask("GET", "kv/k?consistent=");
  t.match(got.json, [{ Key: "k", Flags: 42, Value: base64("test") }]);
  t.equal(got.index, listOf(got)[0]!["ModifyIndex"]);
  t.equal(got.headers.get("X-Consul-KnownLeader"), "true");
  t.match(got.headers.get("X-Consul-LastContact"), /^\d+$/);
  t.equal((await ask("PUT", "kv/k?cas=1", "foo")).text, "false");
  t.equal((await ask("PUT", `kv/k?cas=${got.index}`, "foo")).text, "true");
  t.equal((await ask("DELETE", "kv/k?cas=1")).text, "false");
  const again = await ask("GET", "kv/k");
  t.equal((await ask("DELETE", `kv/k?cas=${again.index}`)).text, "true");
  t.equal((await ask("GET", "kv/k")).status, 404);

  await Promise.all(Array.from({ length: 100 }, (_, i) => ask("PUT", `kv/tree/${i}`, "test")));
  t.equal(listOf(await ask("GET", "kv/tree?recurse=")).length, 100);
  t.equal(listOf(await ask("GET", "kv/tree?keys=")).length, 100);
  t.same((await ask("GET", "kv/tree?keys=&separator=/")).json, ["tree/"]);
  t.same((await ask("DELETE", "kv/tree?recurse=")).text, "true");
  t.equal((await ask("GET", "kv/tree?recurse=")).status, 404);
  t.equal((await ask("GET", "kv/tree?keys=")).status, 404);
});

t.test("watches on a key and on a prefix that are not there yet", async (t) => {
  const { ask } = await startTestServer(t);
  for (const [path, key] of [
    ["kv/w", "w"],
    ["kv/p?recurse=", "p/a"],
  ] as const) {
    const before = await ask("GET", path);
    const mark = path.includes("?") ? "&" : "?";
    const held = ask("GET", `${path}${mark}index=${before.index}&wait=60000ms`);
    await ask("PUT", `kv/other-${key}`, "x");
    await ask("PUT", `kv/${key}?flags=42`, "test");
    const after = await held;
    t.match(after.json, [{ Key: key, Flags: 42, Value: base64("test") }]);
    t.ok(after.index > before.index);
  }
});

t.test("sessions", async (t) => {
  const { ask, nodeName } = await startTestServer(t);
  const bare = idOf(await ask("PUT", "session/create", { NodeChecks: [] }));
  t.match((await ask("GET", `session/info/${bare}`)).json, [
    { ID: bare, Node: nodeName, Behavior: "release", TTL: "", LockDelay: 15e9 },
  ]);
  t.equal((await ask("PUT", `session/destroy/${bare}`)).text, "true");
  t.same((await ask("GET", `session/info/${bare}`)).json, []);
  await ask("PUT", "agent/check/register", { Name: "ttl", TTL: "10m", Status: "passing" });
  const checked = idOf(
    await ask("PUT", "session/create", {
      Behavior: "delete",
      LockDelay: "1500ms",
      NodeChecks: ["serfHealth", "ttl"],
      TTL: "10s",
    }),
  );
  t.match((await ask("GET", "session/list")).json, [
    { ID: checked, NodeChecks: ["serfHealth", "ttl"], LockDelay: 15e8, TTL: "10s" },
  ]);
  t.match((await ask("GET", `session/node/${nodeName}`)).json, [{ ID: checked }]);
  t.match((await ask("PUT", `session/renew/${checked}`)).json, [{ ID: checked, TTL: "10s" }]);
  t.equal((await ask("PUT", `kv/held?acquire=${checked}`, "x")).text, "true");
  await ask("PUT", "agent/check/fail/ttl");
  t.equal((await ask("GET", "kv/held")).status, 404, "its check is critical");
  t.equal((await ask("PUT", `session/renew/${checked}`)).status, 404);
  t.match(await ask("PUT", "session/create", { TTL: "1s" }), {
    status: 500,
    text: /Invalid Session TTL '1000000000', must be between \[10s=24h0m0s\]/,
  });
});

t.test("a lock: contention, loss, deletion, destruction", async (t) => {
  const { ask } = await startTestServer(t);
  const acquire = (id: string) =>
    ask("PUT", `kv/test/lock?acquire=${id}&flags=${LOCK_FLAG}`, "value");
  const first = await session(ask);
  const second = await session(ask);
  t.equal((await acquire(first)).text, "true");
  t.equal((await acquire(second)).text, "false");
  const seen = await ask("GET", "kv/test/lock?wait=15000ms");
  t.match(seen.json, [{ Session: first, LockIndex: 1 }]);
  t.match(seen.text, `"Flags":${LOCK_FLAG}`, "all digits of the number");
  // The monitor of the holder, and the wait of the other one.
  const monitor = ask("GET", `kv/test/lock?consistent=&index=${seen.index}&wait=60000ms`);
  const waiting = ask("GET", `kv/test/lock?index=${seen.index}&wait=60000ms`);
  await ask("PUT", `session/destroy/${first}`);
  t.notOk("Session" in listOf(await monitor)[0]!, "the holder hears of its loss");
  t.notOk("Session" in listOf(await waiting)[0]!);
  t.equal((await acquire(second)).text, "false", "15 s of lock delay");
  t.match(await ask("PUT", "kv/test/none?acquire="), { status: 500, text: /missing session/ });

  const third = await session(ask, { LockDelay: "0s" });
  const path = "kv/test/other";
  t.equal((await ask("PUT", `${path}?acquire=${third}`, "")).text, "true");
  const held = await ask("GET", path);
  const deleted = ask("GET", `${path}?consistent=&index=${held.index}`);
  await ask("DELETE", path);
  t.equal((await deleted).status, 404, "deleting the key is a loss");
  t.equal((await ask("PUT", `${path}?release=${third}`, "")).text, "false");
});

t.test("a semaphore of two: contenders, holders in a locked entry, conflict", async (t) => {
  const { ask } = await startTestServer(t);
  const lock = "kv/test/sema/.lock";
  const enter = async (): Promise<string> => {
    const id = await session(ask);
    const path = `kv/test/sema/${id}?acquire=${id}&flags=${SEMAPHORE_FLAG}`;
    t.equal((await ask("PUT", path, "contender")).text, "true");
    return id;
  };
  const put = async (holders: string[], cas: unknown): Promise<string> => {
    const value = { Limit: 2, Holders: Object.fromEntries(holders.map((id) => [id, true])) };
    return (await ask("PUT", `${lock}?cas=${String(cas)}&flags=${SEMAPHORE_FLAG}`, value)).text;
  };
  const [a, b, c] = [await enter(), await enter(), await enter()];
  t.equal(await put([a], 0), "true", "the first one creates it");
  t.equal(await put([b], 0), "false", "nobody else does");
  const pairs = await ask("GET", "kv/test/sema/?recurse=&wait=15000ms");
  t.equal(listOf(pairs).length, 4);
  const entry = listOf(pairs).find(({ Key }) => Key === "test/sema/.lock")!;
  t.equal(await put([a, b], entry["ModifyIndex"]), "true");
  t.equal(await put([a, c], entry["ModifyIndex"]), "false", "a stale view changes nothing");
  const full = await ask("GET", "kv/test/sema/?recurse=");
  const waiting = ask("GET", `kv/test/sema/?recurse=&index=${full.index}&wait=60000ms`);
  await ask("PUT", `session/destroy/${a}`);
  const left = listOf(await waiting).find(({ Key }) => Key === `test/sema/${a}`);
  t.notOk("Session" in left!, "a holder without session is pruned by the next contender");
  const now = listOf(await ask("GET", "kv/test/sema/.lock"))[0]!["ModifyIndex"];
  t.equal(await put([b, c], now), "true");
  t.equal((await ask("DELETE", `${lock}?cas=1`)).text, "false", "destroyed only as it was seen");
});

t.test("transactions", async (t) => {
  const { ask, nodeId, nodeName } = await startTestServer(t);
  const id = await session(ask, { NodeChecks: [], TTL: "" });
  const operations = (Session: string) => [
    { KV: { Verb: "lock", Key: "k", Value: base64("test"), Session, Flags: 0, Index: 0 } },
    { KV: { Verb: "get", Key: "k", Value: null, Flags: 0, Index: 0, Session: "" } },
  ];
  const refused = await ask("PUT", "txn", operations(""));
  t.equal(refused.status, 409);
  t.match(refused.json, {
    Results: null,
    Errors: [
      { OpIndex: 0, What: /missing session/ },
      { OpIndex: 1, What: /doesn't exist/ },
    ],
  });
  const done = await ask("PUT", "txn", operations(id));
  t.match(done, { status: 200 });
  t.match(done.json, {
    Results: [
      { KV: { Key: "k", Value: null, Session: id, LockIndex: 1 } },
      { KV: { Key: "k", Value: base64("test"), Session: id, LockIndex: 1 } },
    ],
    Errors: null,
  });

  const node = { ID: "67e86150-5a57-44ab-aba9-6ebaa1a1bbd3", Node: "foo", Address: "2.2.2.2" };
  const check = {
    Node: "foo",
    CheckID: "bar",
    Name: "redis",
    Status: "critical",
    Definition: {
      TCP: "1.1.1.1:80",
      Interval: "5s",
      Timeout: "10s",
      DeregisterCriticalServiceAfter: "20s",
    },
  };
  const created = await ask("PUT", "txn", [
    { Node: { Verb: "set", Node: node } },
    { Service: { Verb: "set", Node: "foo", Service: { ID: "foo1", Service: "foo", Port: 80 } } },
    { Check: { Verb: "set", Check: check } },
    { Check: { Verb: "set", Check: { ...check, CheckID: "baz", Status: "passing" } } },
  ]);
  t.match(created, { status: 200 });
  t.match(created.json, {
    Results: [
      { Node: { Node: "foo", ID: node.ID, Datacenter: "dc1" } },
      { Service: { ID: "foo1", Port: 80 } },
      { Check: { CheckID: "bar", Definition: { TCP: "1.1.1.1:80", Interval: "5s" } } },
      { Check: { CheckID: "baz", Status: "passing" } },
    ],
  });
  const [, , bar] = (created.json as { Results: { Check: { ModifyIndex: number } }[] }).Results;
  const removed = await ask("PUT", "txn", [
    {
      Check: {
        Verb: "delete-cas",
        Check: { Node: "foo", CheckID: "bar", ModifyIndex: bar!.Check.ModifyIndex },
      },
    },
    { Check: { Verb: "delete", Check: { Node: "foo", CheckID: "baz" } } },
  ]);
  t.match(removed, { status: 200, json: { Results: [], Errors: null } });
  t.match((await ask("GET", "health/node/foo")).json, []);
  t.match((await ask("PUT", "txn", [{ Node: { Verb: "get", Node: { Node: nodeName } } }])).json, {
    Results: [{ Node: { ID: nodeId, Node: nodeName } }],
  });
});
