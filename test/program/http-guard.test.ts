/** Who may ask and write: Host, Origin, networks, blocked paths, answer headers; and script checks from afar. */
import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { query, udpClient } from "../dns-client.ts";
import { startProgram, type Program } from "../program.ts";

type Answer = { status: number; text: string; headers: Record<string, unknown> };

/** One request with exactly these headers, from this address of ours. */
function ask(
  { httpPort }: Program,
  method: string,
  path: string,
  {
    headers = {},
    body = "",
    from = "127.0.0.1",
  }: { headers?: Record<string, string>; body?: string; from?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const to = { host: "127.0.0.1", port: httpPort, localAddress: from, agent: false };
    request({ ...to, method, path, headers: { Host: "localhost", ...headers } }, (answer) => {
      let text = "";
      answer.on("data", (octets: Buffer) => (text += octets.toString()));
      answer.on("end", () =>
        resolve({ status: answer.statusCode ?? 0, text, headers: answer.headers }),
      );
    })
      .on("error", reject)
      .end(body);
  });
}

/** Every path of the API that changes something, with the method it takes. */
const mutating: [method: string, path: string][] = [
  ["PUT", "/v1/catalog/register"],
  ["PUT", "/v1/catalog/deregister"],
  ["PUT", "/v1/agent/service/register"],
  ["PUT", "/v1/agent/service/deregister/x"],
  ["PUT", "/v1/agent/service/maintenance/x"],
  ["PUT", "/v1/agent/check/register"],
  ["PUT", "/v1/agent/check/deregister/x"],
  ["PUT", "/v1/agent/check/pass/x"],
  ["PUT", "/v1/agent/check/warn/x"],
  ["PUT", "/v1/agent/check/fail/x"],
  ["PUT", "/v1/agent/check/update/x"],
  ["PUT", "/v1/agent/maintenance"],
  ["PUT", "/v1/agent/reload"],
  ["PUT", "/v1/agent/leave"],
  ["PUT", "/v1/agent/join/127.0.0.2"],
  ["PUT", "/v1/agent/force-leave/x"],
  ["PUT", "/v1/agent/token/default"],
  ["PUT", "/v1/kv/x"],
  ["DELETE", "/v1/kv/x"],
  ["PUT", "/v1/txn"],
  ["PUT", "/v1/session/create"],
  ["PUT", "/v1/session/destroy/x"],
  ["PUT", "/v1/session/renew/x"],
  ["PUT", "/v1/event/fire/x"],
  ["POST", "/v1/query"],
  ["PUT", "/v1/coordinate/update"],
  ["PUT", "/v1/snapshot"],
  ["PUT", "/v1/acl/bootstrap"],
  ["PUT", "/v1/acl/token"],
  ["PUT", "/v1/acl/policy"],
];

t.test("S26, S27: browsers", async (t) => {
  const program = await startProgram(t);
  for (const [method, path] of mutating) {
    for (const headers of [
      { Origin: "https://evil.example" },
      { "Sec-Fetch-Site": "cross-site" },
      { Host: "evil.example:8500" },
    ] as Record<string, string>[]) {
      const { status } = await ask(program, method, path, { headers });
      t.equal(status, 403, `${method} ${path} ${JSON.stringify(headers)}`);
    }
    // What a form or an image in a page can send without asking.
    const image = await ask(program, "GET", path);
    t.ok(
      ![200, 500].includes(image.status) ||
        path === "/v1/query" ||
        path === "/v1/snapshot" ||
        path.startsWith("/v1/kv"),
      `GET ${path}: ${image.status}`,
    );
    const form = { Origin: "https://evil.example", "Content-Type": "text/plain" };
    t.equal((await ask(program, "POST", path, { headers: form, body: "{}" })).status, 403);
  }
  const read = await ask(program, "GET", "/v1/status/leader", {
    headers: { Host: "evil.example:8500" },
  });
  t.equal(read.status, 403);
  t.equal(
    read.text,
    'Host "evil.example" is not a name of this agent; http_config.allowed_hosts can allow it',
  );
  t.match(read.headers["content-type"], "text/plain");
  for (const Host of ["consul.service.consul", "n1", "127.0.0.1", "[::1]:8500", "consul:8500"])
    t.equal(
      (await ask(program, "GET", "/v1/status/leader", { headers: { Host } })).status,
      200,
      Host,
    );
  t.equal(program.child.exitCode, null, "nobody made it leave");
  program.configure({
    http_config: { allowed_hosts: ["evil.example"], allowed_origins: ["https://evil.example"] },
  });
  t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
  const headers = { Host: "evil.example", Origin: "https://evil.example" };
  t.equal(
    (await ask(program, "PUT", "/v1/agent/reload", { headers })).status,
    200,
    "after a reload it is allowed",
  );
  program.configure({ http_config: { response_headers: { "access-control-allow-origin": "*" } } });
  t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
  const shared = { Origin: "https://other.example", "Sec-Fetch-Site": "cross-site" };
  t.equal(
    (await ask(program, "PUT", "/v1/agent/reload", { headers: shared })).status,
    200,
    "as is what answers invite",
  );
});

t.test("S33: by default metrics are for this machine, and name nobody who asks", async (t) => {
  const program = await startProgram(t, { enable_debug: false });
  const hex = program.httpPort.toString(16).toUpperCase().padStart(4, "0");
  const listening = ["tcp", "tcp6"]
    .flatMap((table) => readFileSync(`/proc/net/${table}`, "utf8").split("\n"))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(`:${hex}`) && state === "0A");
  t.same(new Set(listening.map(([, local]) => local)), new Set([`0100007F:${hex}`]));
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  for (const name of [
    "secret-name.example",
    'quote"back\\slash.example',
    "secret-name.service.consul",
  ])
    t.ok(await client.ask(query(1, name), 5_000));
  for (const path of ["/v1/kv/secret-name", "/v1/health/service/secret-name", "/secret-name"])
    await ask(program, "GET", path, { from: "127.0.7.7" });
  const { text } = await program.http("GET", "/metrics");
  t.match(text, /^waypost_dns_requests_total/m);
  t.notMatch(text, /secret-name|quote|127\.0\.7\.7/);
  for (const path of ["/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"])
    t.not((await ask(program, "GET", path)).status, 200, path);
});

t.test("http_config", async (t) => {
  const program = await startProgram(t, {
    http_config: {
      allow_write_http_from: ["127.0.0.1/32", "127.0.3.0/24"],
      block_endpoints: ["/v1/agent/self", "/v1/coordinate"],
      response_headers: { "X-Site": "edge", "Access-Control-Max-Age": "7" },
    },
  });
  const put = (from: string) => ask(program, "PUT", "/v1/agent/reload", { from });
  t.equal((await put("127.0.0.1")).status, 200);
  t.equal((await put("127.0.3.9")).status, 200);
  const restricted = await put("127.0.2.1");
  t.same([restricted.status, restricted.text], [403, "Access is restricted"]);
  t.equal((await ask(program, "GET", "/v1/status/leader", { from: "127.0.2.1" })).status, 200);
  t.equal(
    (await ask(program, "DELETE", "/v1/status/leader", { from: "127.0.2.1" })).status,
    405,
    "the method comes first",
  );
  const blocked = await ask(program, "GET", "/v1/agent/self");
  t.same([blocked.status, blocked.text], [403, "Endpoint is blocked by agent configuration"]);
  t.equal((await ask(program, "GET", "/v1/coordinate/nodes")).status, 403, "a prefix");
  const rows: [method: string, path: string, status: number][] = [
    ["GET", "/v1/status/leader", 200],
    ["GET", "/v1/agent/self", 403],
    ["GET", "/v1/nothing", 404],
    ["DELETE", "/v1/status/leader", 405],
    ["OPTIONS", "/v1/status/leader", 200],
    ["GET", "/v1//status/leader", 301],
    ["GET", "/v1/kv", 301],
    ["GET", "/v1/status/%07", 400],
    ["GET", "/v1/status/leader?%zz", 500],
    ["GET", "/", 200],
  ];
  for (const [method, path, status] of rows) {
    const answer = await ask(program, method, path);
    t.equal(answer.status, status, `${method} ${path}`);
    t.equal(answer.headers["x-site"], "edge", `${method} ${path}`);
    t.equal(answer.headers["access-control-max-age"], "7");
  }
});

t.test("disable_http_unprintable_char_filter", async (t) => {
  const program = await startProgram(t, { disable_http_unprintable_char_filter: true });
  t.equal((await ask(program, "GET", "/v1/catalog/service/a%07b")).status, 200);
});

t.test("max_header_bytes", async (t) => {
  const program = await startProgram(t, { http_config: { max_header_bytes: 4096 } });
  const headers = (octets: number) => ({ headers: { "X-Long": "a".repeat(octets) } });
  t.equal((await ask(program, "GET", "/v1/status/leader", headers(3000))).status, 200);
  t.equal((await ask(program, "GET", "/v1/status/leader", headers(5000))).status, 431);
});

const remote =
  "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true";

t.test("S25, ask 55: script checks from afar", async (t) => {
  for (const flags of [{}, { enable_local_script_checks: true }]) {
    const program = await startProgram(t, flags);
    const marker = join(program.dataDir, "touched");
    const script = touches(marker);
    const refused = async (path: string, body: object, text: string) => {
      const answer = await program.http("PUT", path, body);
      t.same(
        [answer.status, answer.text],
        text === remote ? [500, `${text}`] : [400, text],
        `${path} ${JSON.stringify(flags)}`,
      );
    };
    await refused("/v1/agent/check/register", script, remote);
    await refused(
      "/v1/agent/check/register",
      { ...script, Args: undefined, ScriptArgs: ["/bin/true"] },
      remote,
    );
    await refused("/v1/agent/check/register", { ...script, DockerContainerID: "c" }, remote);
    await refused("/v1/agent/service/register", { Name: "a", Check: script }, remote);
    await refused(
      "/v1/agent/service/register",
      { Name: "a", Checks: [{ TTL: "5s" }, script] },
      remote,
    );
    await refused(
      "/v1/agent/check/register",
      { Name: "s", Script: "/bin/true", Interval: "10s" },
      'Request decode failed: json: unknown field "Script"',
    );
    t.equal((await program.http("GET", "/v1/agent/services")).text, "{}", "nothing came of it");
    t.equal((await program.http("GET", "/v1/agent/checks")).text, "{}");
    t.equal(existsSync(marker), false);
    await storedOnly(program, marker);
    const before = await program.http("GET", "/v1/agent/checks");
    program.configure({ checks: [{ ...touches(marker), id: "of-the-file" }] });
    const reloaded = await program.http("PUT", "/v1/agent/reload");
    if (!("enable_local_script_checks" in flags)) {
      t.match(reloaded, { status: 500, text: /Scripts are disabled on this agent/ });
      t.same(await program.http("GET", "/v1/agent/checks"), before);
      continue;
    }
    t.equal(reloaded.status, 200);
    for (let i = 0; i < 200 && !existsSync(marker); i++) await sleep(50);
    t.ok(existsSync(marker), "what the file says runs");
  }
});

const touches = (marker: string) => ({
  Name: "touches",
  Args: ["/bin/sh", "-c", `touch ${marker}`],
  Interval: "1s",
});

/** What the catalog stores, and no agent runs: our own node, an external one, the command of `consul exec`. */
async function storedOnly(program: Program, marker: string): Promise<void> {
  const { Name, Args: ScriptArgs } = touches(marker);
  const Definition = { ScriptArgs, IntervalDuration: "1s" };
  const external = { "external-node": "true", "external-probe": "true" };
  const writes: [path: string, body: unknown][] = [
    ["/v1/catalog/register", { Node: "n1", Address: "127.0.0.1", Check: { Name, Definition } }],
    [
      "/v1/catalog/register",
      { Node: "x", Address: "127.0.0.1", NodeMeta: external, Check: { Name, Definition } },
    ],
    [
      "/v1/txn",
      [{ Check: { Verb: "set", Check: { Node: "n1", CheckID: "t", Name, Definition } } }],
    ],
    ["/v1/kv/_rexec/0/job", { Command: `touch ${marker}`, Wait: 1e9 }],
    ["/v1/event/fire/_rexec", { Prefix: "_rexec", Session: "0" }],
  ];
  for (const [path, body] of writes)
    t.equal((await program.http("PUT", path, body)).status, 200, path);
  const { httpPort } = program;
  // Two of its intervals are two of theirs.
  await program.http("PUT", "/v1/agent/check/register", {
    Name: "beside",
    HTTP: `http://127.0.0.1:${httpPort}/v1/status/leader`,
    Interval: "2s",
    Status: "critical",
  });
  for (let i = 0; i < 200; i++) {
    if ((await program.http("GET", "/v1/agent/checks")).text.includes('"passing"')) break;
    await sleep(50);
  }
  t.equal(existsSync(marker), false, "nothing of it ran");
  await program.http("PUT", "/v1/agent/check/deregister/beside");
}

t.test("S25, ask 55: script checks for everybody need more than one word", async (t) => {
  const start = (config: Record<string, unknown>) =>
    startProgram(t, { enable_script_checks: true, client_addr: "0.0.0.0", ...config });
  await t.rejects(
    start({}),
    /enable_script_checks: whoever reaches the HTTP API could run programs here/,
  );
  t.match(
    (await start({ allow_unprotected_script_checks: true })).output(),
    /whoever reaches the HTTP API can run programs/,
  );
  await start({ client_addr: "127.0.0.1" });
});
