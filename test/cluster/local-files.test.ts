import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { loadNodeId } from "../../src/cluster/local/driver.ts";
import { decodeCheck, decodeService } from "../../src/cluster/local-store.ts";

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
