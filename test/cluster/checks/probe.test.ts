import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Server } from "node:net";
import t from "tap";
import { createProbe } from "../../../src/cluster/checks/driver.ts";
import { parseCheck } from "../../../src/cluster/definition.ts";

const probe = createProbe({ denyLinkLocal: false });

function run(body: Record<string, unknown>, outputMaxOctets = 4096) {
  const parsed = parseCheck({ Name: "c", Interval: "10s", Timeout: "5s", ...body });
  if (!parsed.ok) throw new Error(parsed.error.text);
  return probe(parsed.value, outputMaxOctets);
}

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

type Seen = { method: string; url: string; headers: IncomingMessage["headers"]; body: string };

/** A web server that answers as the path says and remembers what it was asked. */
async function startWeb(t: { teardown(run: () => void): void }) {
  const seen: Seen[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      seen.push({ method, url, headers, body });
      const [, word, code] = url.split("/");
      if (word === "code") response.writeHead(Number(code)).end("because");
      else if (word === "to") response.writeHead(Number(code), { location: "/code/200" }).end();
      else if (word === "loop") response.writeHead(302, { location: "/loop" }).end();
      else if (word === "long") response.end(`start${"x".repeat(100_000)}end`);
      else if (word === "cut") response.writeHead(200, { "content-length": "99" }).write("part");
      else if (word !== "silent") response.end("ok");
    });
  });
  const port = await listen(server);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, base: `http://127.0.0.1:${port}` };
}

t.test("HTTP: status by code, Consul's output text", async (t) => {
  const { base } = await startWeb(t);
  const rows: [number, string, string][] = [
    [200, "passing", "200 OK"],
    [204, "passing", "204 No Content"],
    [299, "passing", "299 unknown"],
    [429, "warning", "429 Too Many Requests"],
    [404, "critical", "404 Not Found"],
    [500, "critical", "500 Internal Server Error"],
  ];
  for (const [code, status, line] of rows) {
    const found = await run({ HTTP: `${base}/code/${code}` }).result;
    const body = code === 204 ? "" : "because";
    t.equal(found.status, status, String(code));
    t.equal(found.output, `HTTP GET ${base}/code/${code}: ${line} Output: ${body}`);
  }
});

t.test("HTTP: method, headers, body", async (t) => {
  const { base, seen } = await startWeb(t);
  const found = await run({
    HTTP: `${base}/x`,
    Method: "POST",
    Header: { "X-One": ["1"], "X-Many": ["a", "b"], Host: ["other.example"] },
    Body: "hello",
  }).result;
  t.equal(found.output, `HTTP POST ${base}/x: 200 OK Output: ok`);
  t.match(seen[0], {
    method: "POST",
    body: "hello",
    headers: {
      "x-one": "1",
      "x-many": "a, b",
      host: "other.example",
      "user-agent": "Consul Health Check",
      accept: "text/plain, text/*, */*",
    },
  });
});

t.test("HTTP: redirects are followed, at most ten, or shown if they are disabled", async (t) => {
  const { base, seen } = await startWeb(t);
  t.match(await run({ HTTP: `${base}/to/302` }).result, {
    status: "passing",
    output: `HTTP GET ${base}/to/302: 200 OK Output: because`,
  });
  t.match(await run({ HTTP: `${base}/to/302`, DisableRedirects: true }).result, {
    status: "critical",
    output: `HTTP GET ${base}/to/302: 302 Found Output: `,
  });
  seen.length = 0;
  await run({ HTTP: `${base}/to/307`, Method: "PUT", Body: "b" }).result;
  t.match(seen[1], { method: "PUT", body: "b" }, "307 keeps method and body");
  seen.length = 0;
  await run({ HTTP: `${base}/to/303`, Method: "PUT", Body: "b" }).result;
  t.match(seen[1], { method: "GET", body: "" }, "303 does not");
  seen.length = 0;
  t.match(await run({ HTTP: `${base}/loop` }).result, {
    status: "critical",
    output: `Get "${base}/loop": stopped after 10 redirects`,
  });
  t.equal(seen.length, 10);
});

t.test("HTTP: the end of a long body is kept", async (t) => {
  const { base } = await startWeb(t);
  const { output } = await run({ HTTP: `${base}/long` }, 10).result;
  t.equal(output, `HTTP GET ${base}/long: 200 OK Output: xxxxxxxend`);
});

t.test("HTTP: nobody there, nobody answers, stopped meanwhile", async (t) => {
  const { base } = await startWeb(t);
  const closed = createTcpServer();
  const port = await listen(closed);
  closed.close();
  await once(closed, "close");
  t.same(await run({ HTTP: `http://127.0.0.1:${port}/` }).result, {
    status: "critical",
    output: `Get "http://127.0.0.1:${port}/": dial tcp 127.0.0.1:${port}: connect: connection refused`,
  });
  t.same(await run({ HTTP: `${base}/silent`, Timeout: "50ms" }).result, {
    status: "critical",
    output: `Get "${base}/silent": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
  });
  t.same(
    await run({ HTTP: `${base}/cut`, Timeout: "50ms" }).result,
    { status: "passing", output: `HTTP GET ${base}/cut: 200 OK Output: part` },
    "once the head is there, it counts",
  );
  const stopped = run({ HTTP: `${base}/silent` });
  stopped.cancel();
  t.match(await stopped.result, { status: "critical" }, "settles at once");
  t.match(await run({ HTTP: "http://127.0.0.1:99999/" }).result, { status: "critical" });
});

t.test("HTTP: an address that is none is taken, and the check says why it fails", async (t) => {
  for (const [address, scheme] of [
    ["nonsense", ""],
    ["localhost:8080/health", "localhost"],
    ["ftp://h/", "ftp"],
  ])
    t.same(await run({ HTTP: address }).result, {
      status: "critical",
      output: `Get "${address}": unsupported protocol scheme "${scheme}"`,
    });
  t.match(await run({ HTTP: "http://127.0.0.1:99999/" }).result, {
    output: 'Get "http://127.0.0.1:99999/": invalid URL',
  });
});

t.test("TCP: accepted, refused, unusable address", async (t) => {
  const server = createTcpServer();
  const port = await listen(server);
  t.same(await run({ TCP: `127.0.0.1:${port}` }).result, {
    status: "passing",
    output: `TCP connect 127.0.0.1:${port}: Success`,
  });
  server.close();
  await once(server, "close");
  t.same(await run({ TCP: `127.0.0.1:${port}` }).result, {
    status: "critical",
    output: `dial tcp 127.0.0.1:${port}: connect: connection refused`,
  });
  t.same(await run({ TCP: "127.0.0.1" }).result, {
    status: "critical",
    output: "dial tcp: address 127.0.0.1: missing port in address",
  });
  t.match(await run({ TCP: "127.0.0.1:99999" }).result, { status: "critical" });
});

t.test("S25: deny_link_local_checks", async (t) => {
  const denying = createProbe({ denyLinkLocal: true });
  const ask = async (body: Record<string, unknown>) => {
    const parsed = parseCheck({ Name: "c", Interval: "10s", Timeout: "5s", ...body });
    if (!parsed.ok) throw new Error(parsed.error.text);
    return (await denying(parsed.value, 4096).result).output;
  };
  const denied = /link-local addresses are denied/;
  for (const HTTP of [
    "http://169.254.169.254/latest/meta-data",
    "http://2852039166/", // the same as one number
    "http://0xa9.0xfe.169.254/",
    "http://[::ffff:169.254.169.254]/",
    "http://0251.0376.0251.0376/",
    "http://169.254.169.254./",
    "http://[fe80::1]:8500/",
    "http://[fd00:0ec2:0::0254]/latest/meta-data",
    "https://169.254.0.1/",
  ])
    t.match(await ask({ HTTP }), denied, HTTP);
  const addresses = [
    "169.254.169.254:80",
    "2852039166:80",
    "0251.0376.0251.0376:80",
    "[fe80::1]:80",
    "[fe80::1%lo]:80",
    "[fd00:ec2::254]:80",
  ];
  for (const kind of ["TCP", "UDP", "GRPC", "H2PING"])
    for (const address of addresses)
      t.match(await ask({ [kind]: address }), denied, `${kind} ${address}`);
  const server = createServer((request, response) => {
    if (request.url === "/away") response.writeHead(302, { location: "http://169.254.169.254/" });
    response.end();
  });
  t.teardown(() => server.close());
  const port = await listen(server);
  t.match(await ask({ HTTP: `http://127.0.0.1:${port}/away` }), denied, "after a redirect");
  t.match(
    await ask({ HTTP: `http://localhost:${port}/` }),
    /200 OK/,
    "others are reached, by name",
  );
  t.match(await ask({ TCP: `127.0.0.1:${port}` }), /Success/, "and by address");
});
