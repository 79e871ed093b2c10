/** The client that npm has for Consul, against the real program. */
import { once } from "node:events";
import Consul from "consul";
import createOldClient from "consul-0";
import t, { type Test } from "tap";
import { startProgram } from "../program.ts";

/** The types of its version 2 tell less than its answers hold. */
type Record_ = Record<string, unknown>;

async function start(t: Test, config: Record<string, unknown> = {}) {
  const program = await startProgram(t, config);
  const client = new Consul({ host: "127.0.0.1", port: program.httpPort });
  t.teardown(() => client.destroy());
  return { program, client };
}

const record = (value: unknown): Record_ => value as Record_;
const records = (value: unknown): Record_[] => value as Record_[];

/** The error of a call that has to fail. */
async function failure(call: Promise<unknown>): Promise<{ message: string; statusCode: number }> {
  const error: unknown = await call.then(
    () => ({ message: "it did not fail", statusCode: 200 }),
    (reason: unknown) => reason,
  );
  return error as { message: string; statusCode: number };
}

// A body of `false` reaches its callers as undefined.
t.test("kv", async (t) => {
  const { client } = await start(t);
  t.equal(await client.kv.get("none"), undefined);
  t.equal(await client.kv.set("hello", "world"), true);
  const got = record(await client.kv.get("hello"));
  t.match(got, { Key: "hello", Value: "world", Flags: 0, LockIndex: 0 });
  t.equal(got["CreateIndex"], got["ModifyIndex"]);
  t.notOk("Session" in got);
  const cas = Number(got["ModifyIndex"]);
  t.notOk(await client.kv.set({ key: "hello", value: "new", cas: 0 }));
  t.equal(await client.kv.set({ key: "hello", value: "new", cas }), true);
  t.notOk(await client.kv.set({ key: "hello", value: "newer", cas }));
  await client.kv.set({ key: "dir/a", value: "1", flags: 42 } as never);
  await client.kv.set("dir/b/c", "2");
  await client.kv.set("dir/b/d", Buffer.from([0, 255, 10]));
  t.match(await client.kv.get("dir/a"), { Flags: 42 });
  const all = records(await client.kv.get({ key: "dir", recurse: true }));
  t.same(
    all.map(({ Key }) => Key),
    ["dir/a", "dir/b/c", "dir/b/d"],
  );
  t.same(await client.kv.keys("dir/"), ["dir/a", "dir/b/c", "dir/b/d"]);
  t.same(await client.kv.keys({ key: "dir/", separator: "/" }), ["dir/a", "dir/b/"]);
  t.same(await client.kv.get({ key: "dir/b/d", raw: true }), Buffer.from([0, 255, 10]));
  t.notOk(await client.kv.del({ key: "dir/a", cas: 1 } as never));
  t.equal(await client.kv.del("dir/a"), true);
  t.equal(await client.kv.del({ key: "dir", recurse: true }), true);
  t.match(await failure(client.kv.keys("dir")), { statusCode: 404 });
});

t.test("sessions, and keys they hold", async (t) => {
  const { client } = await start(t);
  const options = { name: "s", ttl: "15s", behavior: "delete", lockdelay: "1s" } as const;
  const { ID: id } = await client.session.create(options);
  const { ID: other } = await client.session.create({ lockdelay: "0s" });
  t.match(await client.session.get(id), {
    ID: id,
    Name: "s",
    Node: "n1",
    TTL: "15s",
    Behavior: "delete",
    LockDelay: 1e9,
  });
  t.equal(records(await client.session.list()).length, 2);
  t.equal(records(await client.session.node("n1")).length, 2);
  t.match(await client.session.renew(id), [{ ID: id }]);
  t.match(await failure(client.session.renew("00000000-0000-4000-8000-000000000000")), {
    statusCode: 404,
  });
  t.equal(await client.kv.set({ key: "lock", value: "me", acquire: id }), true);
  t.notOk(await client.kv.set({ key: "lock", value: "you", acquire: other }));
  t.match(await client.kv.get("lock"), { Session: id, LockIndex: 1, Value: "me" });
  t.notOk(await client.kv.set({ key: "lock", value: "", release: other }));
  t.equal(await client.kv.set({ key: "lock", value: "free", release: id }), true);
  t.equal(await client.kv.set({ key: "lock", value: "you", acquire: other }), true);
  t.match(await client.kv.get("lock"), { Session: other, LockIndex: 2 });
  t.equal(await client.kv.set({ key: "gone", value: "", acquire: id }), true);
  await client.session.destroy(id);
  t.equal(await client.kv.get("gone"), undefined, "behavior delete");
  t.equal(await client.session.get(id), undefined);
  t.notOk(await client.kv.set({ key: "gone", value: "", acquire: other }), "lock delay");
  await client.session.destroy(other);
  t.notOk("Session" in record(await client.kv.get("lock")), "behavior release");
});

t.test("locks of the helper that watches: one holder, handed over in turn", async (t) => {
  const { program, client } = await start(t);
  const old = createOldClient({
    host: "127.0.0.1",
    port: String(program.httpPort),
    promisify: true,
  });
  const session = { lockdelay: "0s", ttl: "30s" };
  const lock = (value: string) =>
    old.lock({ key: "service/leader", value, session, lockretrytime: "100ms" });
  const first = lock("first");
  const taken = once(first, "acquire");
  first.acquire();
  await taken;
  t.match(await client.kv.get("service/leader"), {
    Value: "first",
    Flags: Number("3304740253564472344"), // the flag that marks a lock
    LockIndex: 1,
  });

  const second = lock("second");
  const waits = once(second, "retry");
  const gets = once(second, "acquire");
  second.acquire();
  await waits;
  t.match(await client.kv.get("service/leader"), { Value: "first" }, "the second one waits");
  const released = once(first, "end");
  first.release();
  await released;
  await gets;
  t.match(await client.kv.get("service/leader"), { Value: "second", LockIndex: 2 });

  // Who loses the session hears of it from the watch on the key.
  const lost = once(second, "end");
  const [holder] = records(await client.session.list());
  await client.session.destroy(String(holder!["ID"]));
  await lost;
  t.notOk("Session" in record(await client.kv.get("service/leader")));
});

t.test("watches", async (t) => {
  const { client } = await start(t);
  await client.kv.set("watched", "1");
  const changes: unknown[] = [];
  const watch = client.watch({
    method: ((options: never) => client.kv.get(options)) as never,
    options: { key: "watched", wait: "5s" } as never,
  });
  t.teardown(() => watch.end());
  watch.on("error", (error: Error) => t.fail(error.message));
  const next = async () => {
    const [data] = (await once(watch, "change")) as [Record_ | undefined];
    changes.push(data?.["Value"]);
  };
  await next();
  for (const value of ["2", "3"]) {
    const seen = next();
    await client.kv.set("other", value);
    await client.kv.set("watched", value);
    await seen;
  }
  const gone = next();
  await client.kv.del("watched");
  await gone;
  t.same(changes, ["1", "2", "3", undefined]);

  const services = client.watch({
    method: ((options: never) => client.health.service(options)) as never,
    options: { service: "web", passing: true, wait: "5s" } as never,
  });
  t.teardown(() => services.end());
  const [none] = (await once(services, "change")) as [unknown[]];
  t.same(none, []);
  const came = once(services, "change");
  await client.agent.service.register({ name: "web", port: 80 });
  const [[one]] = (await came) as [Record_[]];
  t.match(one, { Service: { Service: "web", Port: 80 } });
});

t.test("agent, catalog, health, status", async (t) => {
  const { client } = await start(t);
  t.match(await client.agent.self(), { Config: { NodeName: "n1", Datacenter: "dc1" } });
  t.match(await client.agent.members(), [{ Name: "n1", Status: 1 }]);
  await client.agent.service.register({
    id: "web-1",
    name: "web",
    tags: ["a", "b"],
    address: "10.0.0.1",
    port: 8080,
    meta: { version: "1" },
    checks: [{ ttl: "10m", notes: "n" }, { ttl: "20m" }],
  } as never);
  const services = record(await client.agent.service.list());
  t.match(services["web-1"], { ID: "web-1", Service: "web", Tags: ["a", "b"], Port: 8080 });
  t.same(Object.keys(record(await client.agent.check.list())).toSorted(), [
    "service:web-1:1",
    "service:web-1:2",
  ]);
  t.same(await client.health.service({ service: "web", passing: true }), []);
  await client.agent.check.pass("service:web-1:1");
  await client.agent.check.warn({ id: "service:web-1:2", note: "hm" });
  t.match(await client.health.checks("web"), [
    { Status: "passing" },
    { Status: "warning", Output: "hm" },
  ]);
  await client.agent.check.pass({ id: "service:web-1:2" });
  t.equal(records(await client.health.service({ service: "web", passing: true })).length, 1);
  await client.agent.check.fail("service:web-1:1");
  t.match(await client.health.state("critical"), [{ CheckID: "service:web-1:1" }]);
  await client.agent.check.register({ name: "node", ttl: "1m" } as never);
  t.match(await client.health.node({ node: "n1", filter: "CheckID == node" } as never), [
    { Type: "ttl" },
  ]);
  await client.agent.check.deregister("node");
  await client.agent.service.maintenance({ id: "web-1", enable: true, reason: "why" });
  t.match(await client.agent.check.list(), { "_service_maintenance:web-1": { Notes: "why" } });
  await client.agent.service.maintenance({ id: "web-1", enable: false });
  await client.agent.maintenance({ enable: true });
  t.match(await client.agent.check.list(), { _node_maintenance: { Status: "critical" } });
  await client.agent.maintenance({ enable: false });
  await client.agent.reload();

  t.same(await client.catalog.datacenters(), ["dc1"]);
  t.match(await client.catalog.node.list(), [{ Node: "n1" }]);
  t.match(await client.catalog.node.services("n1"), { Services: { "web-1": { Port: 8080 } } });
  t.match(await client.catalog.service.list(), { web: ["a", "b"], consul: [] });
  t.match(await client.catalog.service.nodes("web"), [{ ServiceID: "web-1", ServicePort: 8080 }]);
  t.same(await client.catalog.service.nodes({ service: "web", filter: "ServicePort == 1" }), []);
  await client.catalog.register({
    node: "ext",
    address: "10.9.9.9",
    service: { service: "db", port: 5432 },
    check: { checkid: "c", status: "passing" },
  } as never);
  t.match(await client.health.service("db"), [{ Node: { Node: "ext" }, Checks: [{}] }]);
  await client.catalog.deregister({ node: "ext", id: "db" } as never);
  await client.catalog.deregister("ext");
  t.same(await client.catalog.service.nodes("db"), []);
  await client.agent.service.deregister("web-1");
  t.same(await client.agent.service.list(), {});
  t.match(await client.status.leader(), /^127\.0\.0\.1:\d+$/);
  t.match(await client.status.peers(), [/^127\.0\.0\.1:\d+$/]);
  t.match(await failure(client.agent.forceLeave("nobody")), {
    statusCode: 500,
    message: "agent: No node found with name 'nobody'",
  });
});

t.test("prepared queries", async (t) => {
  const { client } = await start(t);
  await client.agent.service.register({ name: "web", port: 80, tags: ["v1"] });
  const { ID: query } = await client.query.create({
    name: "q",
    service: { service: "web", onlypassing: true, tags: ["v1"] },
    dns: { ttl: "10s" },
  } as never);
  t.match(await client.query.list(), [{ ID: query, Name: "q" }]);
  t.match(await client.query.get(query), { Service: { Service: "web", Tags: ["v1"] } });
  t.match(await client.query.execute({ query: "q" }), {
    Service: "web",
    DNS: { TTL: "10s" },
    Nodes: [{ Service: { Port: 80 } }],
  });
  await client.query.update({ query, name: "q2", service: { service: "none" } } as never);
  t.match(await client.query.execute({ query: "q2" }), { Nodes: [] });
  const queries = client.query as unknown as { destroy(id: string): Promise<void> };
  await queries.destroy(query); // not in its types
  t.match(await failure(client.query.get(query)), { statusCode: 404, message: "Query not found" });
});

t.test("events and transactions", async (t) => {
  const { client } = await start(t);
  const fired = record(await client.event.fire("deploy", "1609030"));
  t.match(fired, { Name: "deploy", Payload: "1609030", Version: 1 });
  await client.event.fire({ name: "other", payload: Buffer.from([1]) });
  t.match(await client.event.list("deploy"), [
    { ID: fired["ID"], Payload: "1609030", LTime: /\d/ },
  ]);
  t.equal(records(await client.event.list()).length, 2);

  const set = (key: string, value: string) => ({
    KV: { Verb: "set", Key: key, Value: Buffer.from(value).toString("base64") },
  });
  t.match(await client.transaction.create([set("t/a", "1"), set("t/b", "2")] as never), {
    Results: [{ KV: { Key: "t/a", Value: null } }, { KV: { Key: "t/b" } }],
    Errors: null,
  });
  const refused = await failure(
    client.transaction.create([
      set("t/a", "3"),
      { KV: { Verb: "check-not-exists", Key: "t/b" } },
    ] as never),
  );
  t.equal(refused.statusCode, 409);
  t.match(await client.kv.get("t/a"), { Value: "1" }, "nothing of it was done");
  t.match(await client.transaction.create([{ KV: { Verb: "get-tree", Key: "t/" } }] as never), {
    Results: [{ KV: { Value: "MQ==" } }, { KV: { Value: "Mg==" } }],
  });
});

t.test("ACLs", async (t) => {
  const off = await start(t);
  t.match(await failure(off.client.acl.bootstrap()), {
    statusCode: 401,
    message: "ACL support disabled",
  });
  const { program, client } = await start(t, { acl: { enabled: true, default_policy: "deny" } });
  const created = record(await client.acl.bootstrap());
  const token = String(created["SecretID"]);
  t.match(token, /^[0-9a-f-]{36}$/);
  t.equal(created["ID"], token);
  t.match(await failure(client.acl.bootstrap()), { statusCode: 403 });
  t.match(await failure(client.kv.set("a", "1")), {
    statusCode: 403,
    message: /Permission denied/,
  });
  const manager = new Consul({
    host: "127.0.0.1",
    port: program.httpPort,
    defaults: { token } as never,
  });
  t.teardown(() => manager.destroy());
  t.equal(await manager.kv.set("a", "1"), true);
  t.match(await failure(client.kv.get("a")), { statusCode: 403 });
  t.match(await manager.kv.get("a"), { Value: "1" });
  t.match(await manager.acl.replication(), { Enabled: false, Running: false });
});
