/**
 * The API as a shell script asks it: the recorded shapes of spec/http.md section 21 and the requests
 * of old tutorials (section 22), sent with curl.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasPeer } from "./peer.ts";

const skip = hasPeer("curl") ? false : "curl is not installed";
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

type Answer = { status: number; type: string; body: string };
type Curl = (path: string, ...args: string[]) => Answer;

async function start(t: Test, config: Record<string, unknown> = {}) {
  const program = await startProgram(t, config);
  const curl: Curl = (path, ...args) => {
    const url = `http://127.0.0.1:${program.httpPort}/v1/${path}`;
    const all = ["-sS", "--max-time", "20", "-w", "\n%{http_code} %{content_type}", ...args, url];
    const text = execFileSync("curl", all, { encoding: "utf8" });
    const end = text.lastIndexOf("\n");
    const [status, ...type] = text.slice(end + 1).split(" ");
    return { status: Number(status), type: type.join(" "), body: text.slice(0, end) };
  };
  const put = (path: string, body?: unknown): Answer =>
    curl(path, "-X", "PUT", ...(body === undefined ? [] : ["-d", asText(body)]));
  return { program, curl, put };
}

const asText = (body: unknown): string => (typeof body === "string" ? body : JSON.stringify(body));

/** What differs from run to run, as the specification writes it; 1.10's residue of Connect left out. */
function settled({ body }: Answer): unknown {
  const text = body
    .replace(/"(CreateIndex|ModifyIndex)":[1-9]\d*/g, '"$1":1')
    .replace(/"(Hash)":"[^"]+"/g, '"$1":"base64="')
    .replace(/"(CreateTime)":"[^"]+"/g, '"$1":"2026"')
    .replace(UUID, "...");
  return JSON.parse(text, (key, value: unknown) =>
    ["ServiceProxy", "ServiceConnect", "Proxy", "Connect"].includes(key) ? undefined : value,
  );
}

const idOf = ({ body }: Answer): string => (JSON.parse(body) as { ID: string }).ID;

t.test("shapes: keys, sessions, locks", { skip }, async (t) => {
  const { curl, put } = await start(t);
  t.match(put("kv/app/config", "hello"), { status: 200, type: "application/json", body: "true" });
  t.same(settled(curl("kv/app/config")), [
    {
      LockIndex: 0,
      Key: "app/config",
      Flags: 0,
      Value: "aGVsbG8=",
      CreateIndex: 1,
      ModifyIndex: 1,
    },
  ]);
  t.same(curl("kv/app/config?raw"), { status: 200, type: "text/plain", body: "hello" });
  t.same(curl("kv/none"), { status: 404, type: "", body: "" });
  const session = idOf(put("session/create"));
  const defaults = {
    ID: "...",
    Name: "",
    Node: "n1",
    LockDelay: 15000000000,
    Behavior: "release",
    TTL: "",
    NodeChecks: ["serfHealth"],
    ServiceChecks: null,
    CreateIndex: 1,
    ModifyIndex: 1,
  };
  t.same(settled(curl(`session/info/${session}`)), [defaults]);
  put("agent/check/register", { Name: "node-ttl", TTL: "10m", Status: "passing" });
  const bound = idOf(
    put("session/create", { Checks: ["serfHealth", "node-ttl"], LockDelay: "0s" }),
  );
  t.same(settled(curl(`session/info/${bound}`)), [
    { ...defaults, LockDelay: 0, Checks: ["serfHealth", "node-ttl"] },
  ]);
  t.equal(put(`kv/lock/leader?acquire=${session}`, "me").body, "true");
  t.same(settled(curl("kv/lock/leader")), [
    {
      LockIndex: 1,
      Key: "lock/leader",
      Flags: 0,
      Value: "bWU=",
      Session: "...",
      CreateIndex: 1,
      ModifyIndex: 1,
    },
  ]);
});

t.test("shapes: catalog and agent", { skip }, async (t) => {
  const { curl, put } = await start(t);
  const external = {
    Node: "google",
    Address: "www.google.com",
    Service: { Service: "search", Port: 80 },
  };
  t.equal(put("catalog/register", external).body, "true");
  t.same(settled(curl("catalog/service/search")), [
    {
      ID: "",
      Node: "google",
      Address: "www.google.com",
      Datacenter: "dc1",
      TaggedAddresses: null,
      NodeMeta: null,
      ServiceKind: "",
      ServiceID: "search",
      ServiceName: "search",
      ServiceTags: [],
      ServiceAddress: "",
      ServiceWeights: { Passing: 1, Warning: 1 },
      ServiceMeta: {},
      ServicePort: 80,
      ServiceSocketPath: "",
      ServiceEnableTagOverride: false,
      CreateIndex: 1,
      ModifyIndex: 1,
    },
  ]);
  t.same(put("agent/service/register", { Name: "chk", Check: { TTL: "10s" } }), {
    status: 200,
    type: "",
    body: "",
  });
  t.same(settled(curl("agent/checks")), {
    "service:chk": {
      Node: "n1",
      CheckID: "service:chk",
      Name: "Service 'chk' check",
      Status: "critical",
      Notes: "",
      Output: "",
      ServiceID: "chk",
      ServiceName: "chk",
      ServiceTags: [],
      Type: "ttl",
      Interval: "",
      Timeout: "",
      ExposedPort: 0,
      Definition: {},
      CreateIndex: 0,
      ModifyIndex: 0,
    },
  });
  put("agent/service/deregister/chk");
  put("agent/service/register", {
    ID: "web1",
    Name: "web",
    Tags: ["master", "v1"],
    Address: "127.0.0.1",
    Port: 8000,
  });
  t.same(settled(curl("agent/services")), {
    web1: {
      ID: "web1",
      Service: "web",
      Tags: ["master", "v1"],
      Meta: {},
      Port: 8000,
      Address: "127.0.0.1",
      TaggedAddresses: {
        lan_ipv4: { Address: "127.0.0.1", Port: 8000 },
        wan_ipv4: { Address: "127.0.0.1", Port: 8000 },
      },
      Weights: { Passing: 1, Warning: 1 },
      EnableTagOverride: false,
      Datacenter: "dc1",
    },
  });
});

t.test("shapes: transactions, events, prepared queries", { skip }, async (t) => {
  const { curl, put } = await start(t);
  const set = (Key: string) => ({ KV: { Verb: "set", Key, Value: "YQ==" } });
  t.same(settled(put("txn", [set("t/a")])), {
    Results: [
      { KV: { LockIndex: 0, Key: "t/a", Flags: 0, Value: null, CreateIndex: 1, ModifyIndex: 1 } },
    ],
    Errors: null,
  });
  put("kv/r2", "x");
  const failing = put("txn", [
    set("r1"),
    { KV: { Verb: "cas", Key: "r2", Value: "YQ==", Index: 1 } },
    { KV: { Verb: "check-index", Key: "r3", Index: 1 } },
  ]);
  t.equal(failing.status, 409);
  t.match(JSON.parse(failing.body), {
    Results: null,
    Errors: [{ OpIndex: 1, What: 'failed to set key "r2", index is stale' }, { OpIndex: 2 }],
  });
  t.equal(curl("kv/r1").status, 404, "nothing of it was done");
  t.same(settled(put("event/fire/deploy", "1609030")), {
    ID: "...",
    Name: "deploy",
    Payload: "MTYwOTAzMA==",
    NodeFilter: "",
    ServiceFilter: "",
    TagFilter: "",
    Version: 1,
    LTime: 0,
  });
  const [event] = JSON.parse(curl("event/list?name=deploy").body) as { LTime: number }[];
  t.ok(event!.LTime >= 1);
  const query = { Name: "empty", Service: { Service: "nothing" } };
  curl("query", "-X", "POST", "-d", JSON.stringify(query));
  t.match(settled(curl("query/empty/execute")), {
    Service: "nothing",
    Nodes: [],
    DNS: { TTL: "" },
    Datacenter: "dc1",
    Failovers: 0,
  });
});

t.test("shapes: ACLs", { skip }, async (t) => {
  const { curl, put } = await start(t, { acl: { enabled: true, default_policy: "deny" } });
  const { body } = put("acl/bootstrap");
  const { SecretID: secret } = JSON.parse(body) as { SecretID: string };
  const token = ["-H", `X-Consul-Token: ${secret}`];
  const policy = { Name: "web-read2", Rules: 'service "web" { policy = "read" }' };
  t.equal(curl("acl/policy", ...token, "-X", "PUT", "-d", JSON.stringify(policy)).status, 200);
  const wanted = { Description: "tok", Policies: [{ Name: "web-read2" }] };
  const made = curl("acl/token", ...token, "-X", "PUT", "-d", JSON.stringify(wanted));
  t.same(settled(made), {
    AccessorID: "...",
    SecretID: "...",
    Description: "tok",
    Policies: [{ ID: "...", Name: "web-read2" }],
    Local: false,
    CreateTime: "2026",
    Hash: "base64=",
    CreateIndex: 1,
    ModifyIndex: 1,
  });
  t.same(settled(curl("acl/replication", ...token)), {
    Enabled: false,
    Running: false,
    SourceDatacenter: "",
    ReplicationType: "",
    ReplicatedIndex: 0,
    ReplicatedRoleIndex: 0,
    ReplicatedTokenIndex: 0,
    LastSuccess: "0001-01-01T00:00:00Z",
    LastError: "0001-01-01T00:00:00Z",
  });
  t.match(curl("kv/a"), { status: 403, body: "Permission denied" });
  t.match(curl("kv/a", "-H", `Authorization: Bearer ${secret}`), { status: 404, body: "" });
});

t.test("requests of old tutorials", { skip }, async (t) => {
  const { curl, put } = await start(t);
  t.match(put("agent/service/register", { service: { name: "web" } }), {
    status: 400,
    body: 'Request decode failed: json: unknown field "service"',
  });
  t.equal(curl("agent/services").body, "{}");
  for (const key of ["script", "Script"])
    t.match(put("agent/check/register", { Name: "mem", [key]: "/bin/true", Interval: "10s" }), {
      status: 400,
      body: `Request decode failed: json: unknown field "${key}"`,
    });
  t.match(
    put("agent/check/register", {
      Name: "both",
      HTTP: "http://127.0.0.1/",
      Interval: "10s",
      TTL: "15s",
    }),
    { status: 400, body: "Invalid check: Interval and TTL cannot both be specified" },
  );
  for (const path of ["agent/check/pass/x", "agent/service/deregister/x", "agent/join/127.0.0.1"])
    t.match(curl(path), { status: 405, body: "method GET not allowed" }, path);
  t.equal(put("kv/form", "a=b&c=d%20e").body, "true");
  t.equal(curl("kv/form?raw").body, "a=b&c=d%20e", "a form is kept as it was sent");
  const asked = { Checks: ["serfHealth"], TTL: "15s", Behavior: "delete", LockDelay: "15s" };
  const first = idOf(put("session/create", asked));
  t.match(JSON.parse(curl(`session/info/${first}`).body), [
    { NodeChecks: ["serfHealth"], TTL: "15s", Behavior: "delete", LockDelay: 15e9 },
  ]);
  const second = idOf(put("session/create", { "lock-delay": "1s" }));
  t.match(JSON.parse(curl(`session/info/${second}`).body), [{ LockDelay: 15e9 }]);
  t.equal(put(`kv/lead?acquire=${first}`, "1").body, "true");
  t.equal(put(`kv/lead?acquire=${second}`, "2").body, "false");
  t.equal(put(`kv/lead?release=${first}`).body, "true");
  t.equal(put(`kv/lead?acquire=${first}`, "1").body, "true", "no delay after a release");
  t.equal(put(`session/destroy/${first}`).body, "true");
  t.equal(curl("kv/lead").status, 404, "behavior delete");
  const external = { Node: "ext", Address: "example.com", Service: { Service: "out", Port: 80 } };
  t.equal(put("catalog/register", { Datacenter: "dc1", ...external }).body, "true");
  t.match(JSON.parse(curl("health/service/out?passing").body), [{ Checks: [] }]);
  t.equal(put("catalog/deregister", { Datacenter: "dc1", Node: "ext" }).body, "true");
  t.equal(curl("catalog/node/ext").body, "null");
});

t.test("what curl makes of bodies, headers and snapshots", { skip }, async (t) => {
  const { program, curl, put } = await start(t);
  const folder = temporaryDirectory(t);
  const large = join(folder, "large");
  // Curl asks with "Expect: 100-continue" before it sends so much.
  writeFileSync(large, Buffer.alloc(524_288, 7));
  t.equal(curl("kv/large", "-T", large).body, "true");
  writeFileSync(large, Buffer.alloc(524_289, 7));
  t.match(curl("kv/large", "-T", large), {
    status: 413,
    body: /^Request body\(524289 bytes\) too large, max size: 524288 bytes\. See /,
  });
  const inChunks = ["-X", "PUT", "-H", "Transfer-Encoding: chunked", "-d", "chunked"];
  t.equal(curl("kv/chunked", ...inChunks).body, "true");
  t.equal(curl("kv/chunked?raw").body, "chunked");
  t.match(curl("kv/?keys", "--compressed", "--http1.0"), {
    status: 200,
    body: '["chunked","large"]',
  });
  const many = Array.from({ length: 60 }, (_, i) => `many/${i}`);
  for (const key of many) put(`kv/${key}`, key.repeat(10));
  const plain = curl("kv/many?recurse").body;
  t.equal(curl("kv/many?recurse", "--compressed").body, plain, "gzip changes nothing");
  const head = curl("kv/many?recurse", "-o", "/dev/null", "-D", "-", "-H", "Accept-Encoding: gzip");
  t.match(head.body, /^Content-Encoding: gzip/im);
  t.match(curl("kv/many/1", "-I"), { status: 405 });
  const file = join(folder, "backup.snap");
  t.equal(curl("snapshot", "-o", file).status, 200);
  curl("kv/?recurse", "-X", "DELETE");
  t.equal(curl("kv/?keys").body, "[]");
  t.match(curl("snapshot", "-T", file), { status: 200, body: "" });
  t.equal(curl("kv/many?recurse").body, plain, "with the indexes of then");
  writeFileSync(file, "no archive");
  t.equal(curl("snapshot", "-T", file).status, 500);
  t.equal(curl("kv/many?recurse").body, plain);
  t.equal(program.child.exitCode, null);
});
