/** The listener under the application: what only real connections show. */
import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import t from "tap";
import { startProgram, type Program } from "../program.ts";

const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === "::1"),
);

let program: Program;
t.before(async () => {
  program = await startProgram(t);
});

/** Waits until `check` gives something other than undefined; undefined after ten seconds. */
async function eventually<T>(check: () => Promise<T | undefined>): Promise<T | undefined> {
  for (const until = Date.now() + 10_000; Date.now() < until;) {
    const found = await check();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return undefined;
}

async function blockedCount(): Promise<number> {
  const { text } = await program.http("GET", "/metrics");
  return Number(/^waypost_http_blocked_queries (\d+)$/m.exec(text)?.[1]);
}

const untilBlocked = (count: number) =>
  eventually(async () => ((await blockedCount()) === count ? count : undefined));

/** Sends `octets` on a connection of its own and gives all that comes back until it closes. */
async function raw(octets: string): Promise<string> {
  const socket = connect(program.httpPort, "127.0.0.1");
  // Bun gives up a request whose client has closed its half before the answer is there.
  if (octets.includes("Connection: close")) socket.write(octets);
  else socket.end(octets);
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk.toString()));
  await once(socket, "close");
  return answer;
}

const blocking = "/v1/catalog/nodes?index=999999999&wait=10m";

async function block(): Promise<Socket> {
  const socket = connect(program.httpPort, "127.0.0.1");
  await once(socket, "connect");
  socket.write(`GET ${blocking} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  return socket;
}

t.test("a client that hangs up frees its place", async (t) => {
  const sockets = await Promise.all(Array.from({ length: 20 }, block));
  t.equal(await untilBlocked(20), 20);
  for (const socket of sockets) socket.destroy();
  t.equal(await untilBlocked(0), 0);
});

t.test("raw requests", async (t) => {
  const table: [string, RegExp][] = [
    [
      "GET /v1//status/leader HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      /^HTTP\/1.1 301 .*\r\nLocation: \/v1\/status\/leader\r\n/s,
    ],
    [
      "GET /v1/agent/../status/./leader?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      /^HTTP\/1.1 301 .*\r\nLocation: \/v1\/status\/leader\?a=b\r\n/s,
    ],
    [
      "PUT /v1/x/../catalog/deregister HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
      /^HTTP\/1.1 301 .*\r\nLocation: \/v1\/catalog\/deregister\r\n/s,
    ],
    [
      "PUT /v1/kv/a/%2E/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
      /^HTTP\/1.1 301 .*\r\nLocation: \/v1\/kv\/a\/b\r\n/s,
    ],
    [
      "PUT /v1/kv/.%2e/agent/leave HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
      /^HTTP\/1.1 301 .*\r\nLocation: \/v1\/agent\/leave\r\n/s,
    ],
    ["GET /v1/..x/y. HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", /^HTTP\/1.1 404 /],
    ["GET /v1/status/leader HTTP/1.0\r\n\r\n", /^HTTP\/1.. 200 /],
    ["GET /v1/status/leader HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", /^HTTP\/1.1 400 /],
    ["GET /v1/status/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", /^HTTP\/1.1 400 /],
    [`GET / HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(70_000)}\r\n\r\n`, /^HTTP\/1.1 431 /],
    ["NONSENSE\r\n\r\n", /^HTTP\/1.1 400 /],
  ];
  for (const [octets, answer] of table) t.match(await raw(octets), answer, octets.slice(0, 50));
});

t.test("an empty body in chunks is no body", async (t) => {
  const { httpPort: port } = program;
  const headers = { "Transfer-Encoding": "chunked" };
  const chunked = request({ port, method: "PUT", path: "/v1/session/create", headers }).end();
  const [{ statusCode }] = (await once(chunked, "response")) as [{ statusCode: number }];
  t.equal(statusCode, 200);
});

t.test("a body above the limit is refused, announced or not", async (t) => {
  const limit = 64 * 1024 * 1024;
  const announced = await raw(
    `PUT /v1/catalog/register HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${limit + 1}\r\n\r\n`,
  );
  t.match(announced, /^HTTP\/1.1 413 /);
  const chunked = request({
    port: program.httpPort,
    host: "127.0.0.1",
    method: "PUT",
    path: "/v1/catalog/register",
  });
  const status = new Promise((resolve) => {
    chunked.on("response", ({ statusCode }) => resolve(statusCode));
    chunked.on("error", () => resolve("closed"));
  });
  const chunk = Buffer.alloc(1024 * 1024, " ");
  for (let i = 0; i <= limit / chunk.length; i++) {
    if (chunked.destroyed) break;
    if (!chunked.write(chunk)) await Promise.race([once(chunked, "drain"), status]);
  }
  chunked.end();
  t.ok([413, "closed"].includes((await status) as number | string), String(await status));
  t.equal((await program.http("GET", "/v1/status/leader")).status, 200, "and life goes on");
});

t.test("who is refused while still writing gets the answer, and may go on", async (t) => {
  const socket = connect(program.httpPort, "127.0.0.1");
  let answers = "";
  socket.on("data", (chunk) => (answers += chunk.toString()));
  socket.on("error", (error) => t.fail(error.message));
  const part = "a".repeat(400_000);
  socket.write(`PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: ${2 * part.length}\r\n\r\n`);
  await new Promise((resolve) => socket.write(part, resolve));
  // A server that does not wait for the rest has answered and closed by the time this one has.
  t.equal((await program.http("PUT", "/v1/kv/b", part)).status, 200);
  socket.write(part);
  socket.write("GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  await once(socket, "close");
  t.match(answers, /^HTTP\/1.1 413 .*HTTP\/1.1 200 /s);
});

t.test("IPv4 and IPv6 wildcards share the port", { skip: !hasIpv6 }, async (t) => {
  const other = await startProgram(t, { client_addr: "0.0.0.0 ::" });
  for (const host of ["127.0.0.1", "[::1]"]) {
    const answer = await fetch(`http://${host}:${other.httpPort}/v1/status/leader`);
    t.equal(answer.status, 200, host);
  }
});

t.test("stopping answers those who wait", async (t) => {
  const waiting = program.http("GET", blocking);
  t.equal(await untilBlocked(1), 1);
  const ended = program.end("SIGTERM");
  t.equal((await waiting).status, 200);
  t.not(await ended, null, "it ended by itself");
});
