// HTTP checks through proxies of the environment, as Go's http.ProxyFromEnvironment chooses them.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import { connect, type AddressInfo, type Server, type Socket } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { createProbe } from "../../../src/cluster/checks/driver.ts";
import { proxyFor, type ProxyEnvironment } from "../../../src/cluster/checks/proxy/driver.ts";
import { parseCheck } from "../../../src/cluster/definition.ts";
import { makeCertificates, noCertificates } from "../../program/certificates.ts";
import { temporaryDirectory } from "../../temporary-directory.ts";

const through = { HTTP_PROXY: "p.test:3128", HTTPS_PROXY: "https://s.test" };
const rows: [url: string, env: ProxyEnvironment, proxy: string | null][] = [
  ["http://a.test/", {}, null],
  ["http://a.test/", through, "http://p.test:3128/"],
  ["https://a.test/", through, "https://s.test/"],
  ["https://a.test/", { HTTP_PROXY: "p.test" }, null],
  ["http://a.test/", { http_proxy: "http://u:p@p.test" }, "http://u:p@p.test/"],
  ["http://localhost/", through, null],
  ["http://127.9.8.7:81/", through, null],
  ["http://[::1]/", through, null],
  ["http://a.test/", { ...through, NO_PROXY: "*" }, null],
  ["http://a.test/", { ...through, no_proxy: "b.test, A.test" }, null],
  ["http://x.a.test/", { ...through, NO_PROXY: "a.test" }, null],
  ["http://xa.test/", { ...through, NO_PROXY: "a.test" }, "http://p.test:3128/"],
  ["http://a.test/", { ...through, NO_PROXY: ".a.test" }, "http://p.test:3128/"],
  ["http://x.a.test/", { ...through, NO_PROXY: ".a.test" }, null],
  ["http://x.a.test/", { ...through, NO_PROXY: "*.a.test" }, null],
  ["http://a.test:81/", { ...through, NO_PROXY: "a.test:81" }, null],
  ["http://a.test/", { ...through, NO_PROXY: "a.test:81" }, "http://p.test:3128/"],
  ["http://a.test/", { ...through, NO_PROXY: "a.test:80" }, null],
  ["http://10.1.2.3/", { ...through, NO_PROXY: "10.0.0.0/8" }, null],
  ["http://11.1.2.3/", { ...through, NO_PROXY: "10.0.0.0/8" }, "http://p.test:3128/"],
  ["http://10.1.2.3/", { ...through, NO_PROXY: "10.1.2.3" }, null],
  ["http://10.1.2.3:82/", { ...through, NO_PROXY: "10.1.2.3:81" }, "http://p.test:3128/"],
  ["http://[2001:db8::1]/", { ...through, NO_PROXY: "2001:db8::1" }, null],
  ["http://[2001:db8::1]/", { ...through, NO_PROXY: "[2001:db8::1]:80" }, null],
  ["http://[2001:db8::1]/", { ...through, NO_PROXY: "2001:db8::/32" }, null],
];
t.test("which proxy", async (t) => {
  for (const [url, env, proxy] of rows) {
    const found = proxyFor(new URL(url), env);
    t.equal(found.ok && (found.value?.href ?? null), proxy, `${url} ${JSON.stringify(env)}`);
  }
  for (const [env, error] of [
    [{ HTTP_PROXY: "p.test", REQUEST_METHOD: "GET" }, /CGI/],
    [{ HTTP_PROXY: "socks5://p.test" }, /proxies of the kind socks5:\/\/ are not supported/],
    [{ HTTP_PROXY: "http://" }, /invalid proxy address "http:\/\/"/],
  ] as const) {
    const found = proxyFor(new URL("http://a.test"), env);
    t.match(found.ok ? "" : found.error, error);
  }
});

async function listen(t: { teardown(run: () => void): void }, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

const run = async (body: Record<string, unknown>, environment: ProxyEnvironment) => {
  const parsed = parseCheck({ Name: "c", Interval: "10s", Timeout: "5s", ...body });
  if (!parsed.ok) throw new Error(parsed.error.text);
  const probe = createProbe({ denyLinkLocal: false, environment: () => environment });
  const { status, output } = await probe(parsed.value, 4096).result;
  return `${status} ${output}`;
};

t.test("a request in full for the proxy", async (t) => {
  const seen: IncomingMessage[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    seen.push(request);
    response.end("by proxy");
  });
  const port = await listen(t, server);
  const env = { HTTP_PROXY: `http://me:se%20cret@127.0.0.1:${port}` };
  t.equal(
    await run({ HTTP: "http://u:p@web.test:81/x?y=1", Header: { "X-A": ["1"] } }, env),
    "passing HTTP GET http://u:p@web.test:81/x?y=1: 200 OK Output: by proxy",
  );
  const { url, headers } = seen[0]!;
  t.equal(url, "http://web.test:81/x?y=1");
  t.match(headers, {
    host: "web.test:81",
    "x-a": "1",
    authorization: `Basic ${Buffer.from("u:p").toString("base64")}`,
    "proxy-authorization": `Basic ${Buffer.from("me:se cret").toString("base64")}`,
  });
  server.close();
  await once(server, "close");
  t.equal(
    await run({ HTTP: "http://web.test/" }, env),
    `critical Get "http://web.test/": proxyconnect tcp: dial tcp 127.0.0.1:${port}: connect: connection refused`,
  );
  t.match(
    await run({ HTTP: "http://web.test/" }, { HTTP_PROXY: "socks5://x" }),
    /^critical Get .*socks5:\/\/ are not supported/,
  );
});

t.test("a tunnel for what is secure", { skip: noCertificates }, async (t) => {
  const directory = temporaryDirectory(t);
  makeCertificates(directory, ["server"]);
  const read = (name: string) => readFileSync(join(directory, name));
  const web = createHttps(
    { cert: read("server.pem"), key: read("server.key") },
    (request, response) => void response.end(`secure ${request.url} at ${request.headers.host}`),
  );
  const to = await listen(t, web);
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  let status = "200 OK";
  const proxy = createServer();
  proxy.on("connect", (request: IncomingMessage, client: Socket) => {
    asked.push(request.url!);
    client.write(`HTTP/1.1 ${status}\r\n\r\n`);
    if (!status.startsWith("200")) return void client.end();
    const server = connect(to, "127.0.0.1");
    for (const socket of [client, server]) {
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
      sockets.add(socket);
    }
    client.pipe(server).pipe(client);
    client.on("close", () => server.destroy());
    server.on("close", () => client.resume());
  });
  const env = { HTTPS_PROXY: `127.0.0.1:${await listen(t, proxy)}` };
  const check = { HTTP: "https://web.test/x", TLSSkipVerify: true };
  t.equal(
    await run(check, env),
    "passing HTTP GET https://web.test/x: 200 OK Output: secure /x at web.test",
  );
  t.same(asked, ["web.test:443"]);
  t.match(await run({ HTTP: "https://web.test/x" }, env), /^critical Get .*(x509|certificate)/);
  status = "407 Proxy Authentication Required";
  t.equal(
    await run(check, env),
    'critical Get "https://web.test/x": Proxy Authentication Required',
  );
  for (const until = Date.now() + 5000; sockets.size > 0 && Date.now() < until;)
    await new Promise((resolve) => setImmediate(resolve)); // oxlint-disable-line no-await-in-loop -- until all are closed
  t.equal(sockets.size, 0, "nothing stays open");
});
