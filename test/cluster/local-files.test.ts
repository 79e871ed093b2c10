import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { createLocalFiles, loadNodeId } from "../../src/cluster/local/driver.ts";
import { decodeCheck, decodeService } from "../../src/cluster/local-store.ts";
import { createWriteBehind } from "../../src/cluster/write-behind.ts";

t.test("entries are written, listed, replaced and removed", async (t) => {
  const dataDir = t.testdir();
  const files = createLocalFiles(dataDir);
  t.same(await files.list("services"), []);
  await files.write("services", "web/../1", "one", true);
  await files.write("services", "web/../1", "two", true);
  await files.write("checks/state", "c", "state", false);
  const [entry] = await files.list("services");
  t.same(entry?.content, { ok: true, value: "two" });
  t.match(entry?.name, /services\/[0-9a-f]{64}$/, "named by the hash of the id");
  t.equal(statSync(entry!.name).mode & 0o777, 0o600, "tokens are for the owner alone");
  t.same(await files.list("checks"), [], "the folder of states is no check");
  t.equal((await files.list("checks/state")).length, 1);
  await files.remove("services", "web/../1");
  await files.remove("services", "web/../1");
  t.same(await files.list("services"), []);
});

t.test("what a kill left half-written is cleared away", async (t) => {
  const dataDir = t.testdir({ services: { "abc.tmp": "{" } });
  t.same(await createLocalFiles(dataDir).list("services"), []);
  t.same(readdirSync(join(dataDir, "services")), []);
});

t.test("errors name the path", async (t) => {
  const dataDir = t.testdir({ services: "a file, not a folder" });
  const files = createLocalFiles(dataDir);
  await t.rejects(files.write("services", "a", "x", true), {
    message: /services\/[0-9a-f]+: ENOTDIR/,
  });
  mkdirSync(join(dataDir, "checks"));
  writeFileSync(join(dataDir, "checks", "x"), "");
  t.match(await files.list("checks"), [{ content: { ok: true, value: "" } }]);
});

t.test("node id: configured, kept, made once, never guessed", async (t) => {
  const dataDir = join(t.testdir(), "data");
  const uuid = "0a1b2c3d-0000-4000-8000-123456789abc";
  const random = { uuid: () => uuid };
  const configured = "AAAAAAAA-0000-1111-2222-BBBBBBBBBBBB";
  t.equal(await loadNodeId(dataDir, configured, random), configured.toLowerCase());
  t.notOk(existsSync(dataDir));
  t.equal(await loadNodeId(dataDir, "", random), uuid);
  t.equal(readFileSync(join(dataDir, "node-id"), "utf8"), uuid);
  t.equal(await loadNodeId(dataDir, "", { uuid: () => "another" }), uuid);
  t.equal(await loadNodeId(undefined, "", random), uuid);
  writeFileSync(join(dataDir, "node-id"), "garbage");
  await t.rejects(loadNodeId(dataDir, "", random), {
    message: /node-id does not hold a UUID; restore it/,
  });
  await t.rejects(loadNodeId(dataDir, "node-1", random), {
    message: "node_id is not a UUID: node-1",
  });
});

t.test("files that a Consul agent left are understood", async (t) => {
  const service = decodeService(
    '{"Token":"","Service":{"Kind":"","ID":"web1","Service":"web","Tags":["v1"],"Address":"10.0.0.1","TaggedAddresses":{"lan_ipv4":{"Address":"10.0.0.1","Port":80}},"Meta":{"a":"b"},"Port":80,"Weights":{"Passing":1,"Warning":1},"EnableTagOverride":false,"Proxy":{"MeshGateway":{},"Expose":{}},"Connect":{},"LocallyRegisteredAsSidecar":false,"CreateIndex":0,"ModifyIndex":0},"Source":"remote"}',
  );
  t.match(service, {
    ok: true,
    value: { fields: { id: "web1", service: "web", tags: ["v1"], port: 80, meta: { a: "b" } } },
  });
  const check = decodeCheck(
    '{"Check":{"Node":"n","CheckID":"mem","Name":"mem","Status":"critical","Notes":"","Output":"","ServiceID":"","ServiceName":"","ServiceTags":null,"Type":"ttl","Interval":"0s","Timeout":"0s","ExposedPort":0,"Definition":{},"CreateIndex":0,"ModifyIndex":0},"ChkType":{"CheckID":"","Name":"","Status":"","Notes":"","TTL":"30s","ProxyHTTP":""},"Token":"","Source":"remote"}',
  );
  t.match(check, {
    ok: true,
    value: { fields: { checkId: "mem", interval: "0s" }, definition: { ttlMs: 30_000 } },
  });
  for (const text of ["", "{", "[]", "null", "7", "{}", '{"Service":{"ID":5}}'])
    t.match(decodeService(text), { ok: false }, JSON.stringify(text));
});

t.test("writes of one entry follow each other, only the newest waits", async (t) => {
  const writes = createWriteBehind();
  const done: string[] = [];
  const open: (() => void)[] = [];
  const work = (name: string) => () =>
    new Promise<void>((resolve) =>
      open.push(() => {
        done.push(name);
        resolve();
      }),
    );
  const all = ["1", "2", "3"].map((name) => writes.put("a", work(name)));
  const other = writes.put("b", work("other"));
  t.equal(open.length, 2, "one per name");
  open[1]!();
  await other;
  open[0]!();
  await all[0];
  await new Promise((resolve) => setImmediate(resolve));
  open[2]!();
  await Promise.all(all);
  t.same(done, ["other", "1", "3"], "the second was overtaken");

  const failing = writes.put("c", () => Promise.reject(new Error("disk full")));
  const after = writes.put("c", () => Promise.resolve());
  await t.rejects(failing, { message: "disk full" });
  await after;
  await writes.settled();
});
