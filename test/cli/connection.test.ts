/** How commands reach an agent, and what they say when they do not. */
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t from "tap";
import { openClient } from "../../src/cli/client.ts";
import { freePort } from "../free-port.mjs";
import { makeCertificates, noCertificates } from "../program/certificates.ts";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { runCli, type Ended } from "./run.ts";

const directory = temporaryDirectory(t);
const path = (name: string) => join(directory, name);
const hasTls = noCertificates === false;
if (hasTls) makeCertificates(directory, ["server", "client"]);
const [dnsPort, httpPort, httpsPort] = [await freePort(), await freePort(), await freePort()];
const socket = path("http.sock");
const secret = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
const identity = {
  cert_file: path("server.pem"),
  key_file: path("server.key"),
  ca_file: path("ca.pem"),
  verify_incoming_https: true,
};
await startProgram(
  t,
  {
    addresses: { http: `127.0.0.1 unix://${socket}` },
    acl: { enabled: true, default_policy: "deny", tokens: { master: secret } },
    ports: {
      dns: dnsPort,
      http: httpPort,
      server: 1 + (httpPort % 65_000),
      serf_wan: -1,
      ...(hasTls ? { https: httpsPort } : {}),
    },
    ...(hasTls ? identity : {}),
  },
  { directory: temporaryDirectory(t), dnsPort, httpPort },
);
writeFileSync(path("token"), `${secret}\n`);
const plain = `127.0.0.1:${httpPort}`;

/** `operator raft list-peers`, which needs a token, without the variables of the shell. */
const peers = (flags: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
  runCli(undefined, ["operator", "raft", "list-peers", ...flags], { env });
const failed = (err: string): Ended => ({ code: 1, out: "", err: `${err}\n` });
const isThere = { code: 0, out: / leader /, err: "" };
const what = "Error getting peers: Failed to retrieve raft configuration";
const route = "/v1/operator/raft/configuration";

t.test("ways to an agent", async (t) => {
  const token = `-token=${secret}`;
  const ways: [string[], Record<string, string>?][] = [
    [["-http-addr", plain, token]],
    [[`-http-addr=http://${plain}`, token]],
    [[`-http-addr=unix://${socket}`, token]],
    [[token], { CONSUL_HTTP_ADDR: plain }],
    [[token], { WAYPOST_HTTP_ADDR: plain, CONSUL_HTTP_ADDR: "127.0.0.1:1" }],
    [["-http-addr", plain, token], { CONSUL_HTTP_ADDR: "127.0.0.1:1" }],
    [["-http-addr", plain, "-token-file", path("token")]],
    [["-http-addr", plain], { CONSUL_HTTP_TOKEN: secret }],
    [["-http-addr", plain], { CONSUL_HTTP_TOKEN_FILE: path("token") }],
    [["-http-addr", plain, token], { CONSUL_HTTP_TOKEN: "wrong" }],
    [["-http-addr", plain, token, "-datacenter", "dc1", "-stale"]],
  ];
  await Promise.all(
    ways.map(async ([flags, env]) => t.match(await peers(flags, env), isThere, flags.join(" "))),
  );
});

t.test("what is wrong is said", async (t) => {
  const address = (text: string) =>
    `-http-addr: expected HOST:PORT, http://…, https://… or unix://PATH, got "${text}"`;
  const get = (where: string) => `${what}: Get "http://${where}${route}"`;
  const free = `127.0.0.1:${await freePort()}`;
  const rows: [string[], string][] = [
    [["-http-addr=ht!tp://:::/"], address("ht!tp://:::/")],
    [["-http-addr=127.0.0.1:port"], address("127.0.0.1:port")],
    [[`-http-addr=${free}`], `${get(free)}: dial tcp ${free}: connect: connection refused`],
    [
      ["-http-addr=unix:///nowhere.sock"],
      `${get("localhost")}: dial unix /nowhere.sock: connect: no such file or directory`,
    ],
    [
      ["-http-addr=host.invalid:8500"],
      `${get("host.invalid:8500")}: dial tcp: lookup host.invalid: no such host`,
    ],
    [
      [`-http-addr=${plain}`, "-token-file=/nowhere"],
      "Error connecting to the agent: open /nowhere: no such file or directory",
    ],
    [[`-http-addr=${plain}`], `${what}: Unexpected response code: 403 (Permission denied)`],
    [
      [`-http-addr=${plain}`, "-token=unknown"],
      `${what}: Unexpected response code: 403 (ACL not found)`,
    ],
    [
      [`-http-addr=${plain}`, `-token=${secret}`, "-datacenter=elsewhere"],
      `${what}: Unexpected response code: 500 (No path to datacenter)`,
    ],
    [[`-http-addr=${plain}/below`], `${what}: Unexpected response code: 404 ()`],
  ];
  await Promise.all(
    rows.map(async ([flags, err]) => t.same(await peers(flags), failed(err), flags.join(" "))),
  );
});

t.test("HTTPS", { skip: noCertificates }, async (t) => {
  const where = `https://localhost:${httpsPort}`;
  const ca = `-ca-file=${path("ca.pem")}`;
  const pair = [`-client-cert=${path("client.pem")}`, `-client-key=${path("client.key")}`];
  const token = `-token=${secret}`;
  const good = [`-http-addr=${where}`, ca, ...pair, token];
  mkdirSync(path("authorities"));
  writeFileSync(path("authorities/README"), "no certificate");
  const variables = {
    CONSUL_HTTP_ADDR: `localhost:${httpsPort}`,
    CONSUL_HTTP_SSL: "true",
    CONSUL_CACERT: path("ca.pem"),
    CONSUL_CLIENT_CERT: path("client.pem"),
    CONSUL_CLIENT_KEY: path("client.key"),
  };
  await Promise.all(
    (
      [
        [good],
        [[token], variables],
        [[token], { ...variables, CONSUL_CACERT: "", CONSUL_HTTP_SSL_VERIFY: "false" }],
        [[...good, "-tls-server-name=server.dc1.consul"]],
      ] satisfies [string[], Record<string, string>?][]
    ).map(async ([flags, env]) => t.match(await peers(flags, env), isThere, flags.join(" "))),
  );
  const get = (port: number) => `${what}: Get "https://localhost:${port}${route}": `;
  const authority = `${get(httpsPort)}x509: certificate signed by unknown authority\n`;
  const rows: [string[], string | RegExp][] = [
    [[`-http-addr=${where}`, ...pair], authority],
    [[`-http-addr=${where}`, ...pair, `-ca-file=${path("stranger.pem")}`], authority],
    [
      [...good, "-tls-server-name=other"],
      /: x509: Hostname\/IP does not match certificate's altnames: /,
    ],
    [
      [...good, `-http-addr=https://localhost:${httpPort}`],
      `${get(httpPort)}http: server gave HTTP response to HTTPS client\n`,
    ],
    [[`-http-addr=${where}`, ca], /^Error getting peers: .*: Get "https:.*": .*\n$/],
    [[`-http-addr=${where}`, ca, pair[0]!], "both client cert and client key must be provided\n"],
    [
      [`-http-addr=${where}`, `-ca-file=${path("token")}`],
      `Error loading CA File: Couldn't parse PEM in: ${path("token")}\n`,
    ],
    [
      [`-http-addr=${where}`, `-ca-path=${path("authorities")}`],
      `Error loading CA File: Couldn't parse PEM in: ${path("authorities/README")}\n`,
    ],
    [
      [`-http-addr=${where}`, "-ca-file=/nowhere"],
      "Error connecting to the agent: open /nowhere: no such file or directory\n",
    ],
  ];
  await Promise.all(
    rows.map(async ([flags, err]) => {
      const result = await peers(flags);
      t.same({ code: result.code, out: result.out }, { code: 1, out: "" }, flags.join(" "));
      t.match(result.err, err, flags.join(" "));
    }),
  );
});

const moved = (response: ServerResponse, status: number, location: string): void =>
  void response.writeHead(status, { location }).end();

t.test("servers that are no agents", async (t) => {
  const server = createServer((request, response) => {
    if (request.url === "/slow") return;
    if (request.url === "/refused") return void response.writeHead(500).end("x".repeat(1e6));
    if (request.url === "/moved?dc=a%20b") return moved(response, 301, "/to/../token?x");
    if (request.url === "/away") return moved(response, 307, "http://127.0.0.2:1/token");
    if (request.url === "/round") return moved(response, 302, "round");
    if (request.url === "/token" || request.url === "/token?x")
      return void response.end(JSON.stringify(request.headers["x-consul-token"]));
    if (request.url === "/cut") {
      response.writeHead(200, { "Content-Length": "100" });
      response.write("half");
      setImmediate(() => response.destroy());
    } else if (request.url === "/below/ok") response.end("{}");
    else response.end("<html>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = (below: string, token = "") =>
    openClient({
      address: `http://127.0.0.1:${port}${below}`,
      token,
      basicAuth: "",
      datacenter: "",
      stale: false,
      tls: { servername: "", rejectUnauthorized: true },
    });
  const http = client("");
  await t.rejects(http.request("GET", "/slow", { timeoutMs: 50 }), {
    message: `Get "http://127.0.0.1:${port}/slow": request timed out`,
  });
  await t.rejects(http.request("GET", "/cut"), {
    message: "Get /cut: the answer broke off: unexpected EOF",
  });
  await t.rejects(http.request("GET", "/refused"), {
    message: `Unexpected response code: 500 (${"x".repeat(64 * 1024)})`,
  });
  const there = await client("", "t").request("GET", "/moved", { query: { dc: "a b" } });
  t.equal(there.json(), "t", "on the same agent, with the token");
  await t.rejects(http.request("PUT", "/moved", { query: { dc: "a b" } }), {
    message: "Unexpected response code: 301 (moved to /to/../token?x)",
  });
  await t.rejects(client("", "t").request("GET", "/away"), {
    message: "Unexpected response code: 307 (moved to http://127.0.0.2:1/token)",
  });
  await t.rejects(http.request("GET", "/round"), {
    message: 'Get "/round": stopped after 10 redirects',
  });
  t.equal(
    (await client("", "süß").request("GET", "/token")).json(),
    Buffer.from("süß").toString("latin1"),
  );
  t.throws(() => client("", "a\nb"), { message: /invalid header field value/ });
  const answer = await http.request("GET", "/page");
  t.throws(() => answer.json(), { message: "Get /page: the answer is not JSON" });
  t.same((await client("/below/").request("GET", "/ok")).json(), {}, "a path before all paths");
  t.match(await peers([`-http-addr=127.0.0.1:${port}`]), {
    code: 1,
    err: /: the answer is not JSON\n$/,
  });
});
