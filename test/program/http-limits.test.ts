/** Connections per client, slow clients, running out of descriptors: what the listener bears. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { freePort } from "../free-port.mjs";
import { BUSY_MS, startProgram, waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const LEADER = "GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BLOCKED = "GET /v1/catalog/nodes?index=999999999&wait=10m HTTP/1.1\r\nHost: x\r\n\r\n";
const TOO_MANY = `HTTP/1.1 429 Too Many Requests\r
Content-Type: text/plain\r
Content-Length: 81\r
Connection: close\r
\r
Your IP is issuing too many concurrent connections, please rate limit your calls
`;

/** A connection that keeps all it receives. */
type Client = { socket: Socket; received: () => string; closed: Promise<number> };

async function open(port: number, from = "127.0.0.1"): Promise<Client> {
  const socket = connect({ port, host: "127.0.0.1", localAddress: from });
  await once(socket, "connect");
  let text = "";
  socket.on("data", (octets: Buffer) => (text += octets.toString("latin1")));
  socket.on("error", () => {});
  const since = Date.now();
  const closed = once(socket, "close").then(() => Date.now() - since);
  return { socket, received: () => text, closed };
}

async function answered(client: Client): Promise<string> {
  while (!client.received().includes("\r\n\r\n") && !client.socket.destroyed)
    await Promise.race([once(client.socket, "data"), client.closed]);
  return client.received();
}

t.test("S28: http_max_conns_per_client", async (t) => {
  const program = await startProgram(t, {
    limits: { http_max_conns_per_client: 20 },
    client_addr: "127.0.0.1",
  });
  const clients: Client[] = [];
  t.teardown(() => clients.forEach(({ socket }) => socket.destroy()));
  const own = await open(program.httpPort, "127.0.0.9");
  clients.push(own);
  // fetch keeps connections of its own from 127.0.0.1; these come from elsewhere.
  for (let i = 0; i < 20; i++) clients.push(await open(program.httpPort, "127.0.0.2"));
  for (const { socket } of clients.slice(1, 11)) socket.write(BLOCKED);
  for (const client of clients.slice(11)) {
    client.socket.write(LEADER);
    t.match(await answered(client), /^HTTP\/1\.1 200 /, "up to the limit");
  }
  const quick = await open(program.httpPort, "127.0.0.2");
  quick.socket.write(LEADER);
  t.equal(await answered(quick), TOO_MANY, "the 21st, at its first request");
  await quick.closed;
  const silent = await open(program.httpPort, "127.0.0.2");
  t.ok((await silent.closed) < 2_000 + BUSY_MS, "one that says nothing is found out");
  t.equal(silent.received(), TOO_MANY);
  const writer = await open(program.httpPort, "127.0.0.2");
  writer.socket.write(
    'PUT /v1/catalog/register HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n{"Node":"forbidden","Address":"1.1.1.1"}',
  );
  t.match(await answered(writer), /^HTTP\/1\.1 429 /);
  t.notMatch((await program.http("GET", "/v1/catalog/nodes")).text, /forbidden/, "nothing is done");
  own.socket.write(LEADER);
  t.match(await answered(own), /^HTTP\/1\.1 200 /, "another client is served");
  t.notOk(
    clients.some(({ socket }) => socket.destroyed),
    "those that were there first stay",
  );
  clients[1]!.socket.destroy();
  clients[2]!.socket.destroy();
  for (let i = 0; ; i++) {
    const next = await open(program.httpPort, "127.0.0.2");
    next.socket.write(LEADER);
    const answer = await answered(next);
    next.socket.destroy();
    if (answer.startsWith("HTTP/1.1 200 ")) break;
    if (i > 100) return void t.fail("no place becomes free");
    await sleep(20);
  }
  t.pass("a place that became free is given away");
  program.configure({ limits: { http_max_conns_per_client: 0 } });
  t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
  for (let i = 0; i < 10; i++) {
    const more = await open(program.httpPort, "127.0.0.2");
    clients.push(more);
    more.socket.write(LEADER);
    t.match(await answered(more), /^HTTP\/1\.1 200 /, "0: no limit, after a reload");
  }
});

t.test("S28: slow clients are cut", { timeout: 60_000 }, async (t) => {
  const program = await startProgram(t);
  const trickle = async (first: string, then: string): Promise<number> => {
    const client = await open(program.httpPort);
    client.socket.write(first);
    const timer = setInterval(() => client.socket.write(then), 500);
    const ms = await client.closed;
    clearInterval(timer);
    return ms;
  };
  const [silent, half, header, line] = await Promise.all([
    trickle("", ""),
    trickle("GET / HTTP/1.1\r\nHost: localhost\r\n", ""),
    trickle("GET / HTTP/1.1\r\nHost: localhost\r\nX: ", "x"),
    trickle("GET /", "x"),
  ]);
  for (const [name, ms] of Object.entries({ silent, half, header, line }))
    t.ok(ms > 5_000 && ms < 13_000 + BUSY_MS, `${name}: ${ms} ms`);
});

t.test("S28: a crowd that takes every descriptor does not make the processor busy", async (t) => {
  const DESCRIPTORS = 200;
  const directory = temporaryDirectory(t);
  const [dnsPort, httpPort] = [await freePort(), await freePort()];
  const flags = ["-server", "-bootstrap", "-bind", "127.0.0.1", "-data-dir", join(directory, "d")];
  const ports = ["-dns-port", String(dnsPort), "-http-port", String(httpPort)];
  const line = `ulimit -n ${DESCRIPTORS}; exec "$0" "$@"`;
  const child = spawn("sh", ["-c", line, waypostPath, "agent", ...flags, ...ports], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  let log = "";
  child.stderr.on("data", (octets: Buffer) => (log += octets.toString()));
  while (!/ ready: /.test(log)) {
    await Promise.race([once(child.stderr, "data"), once(child, "exit")]);
    if (child.exitCode !== null) return void t.fail(log);
  }
  const crowd: Socket[] = [];
  t.teardown(() => crowd.forEach((socket) => socket.destroy()));
  // Several addresses, so that no limit per client helps.
  for (let i = 0; i < 2 * DESCRIPTORS; i++)
    crowd.push(
      connect({ port: httpPort, host: "127.0.0.1", localAddress: `127.0.1.${1 + (i % 4)}` }).on(
        "error",
        () => {},
      ),
    );
  for (let i = 0; i < 200 && !/too few descriptors are left/.test(log); i++) await sleep(50);
  t.match(log, /too few descriptors are left/);
  const before = cpuMs(child.pid!);
  await sleep(2000);
  const busyMs = cpuMs(child.pid!) - before;
  t.ok(busyMs < 1000, `${busyMs} ms of processor time in 2 s`);
  for (const socket of crowd) socket.destroy();
  for (let i = 0; ; i++) {
    const status = await fetch(`http://127.0.0.1:${httpPort}/v1/status/leader`)
      .then((answer) => answer.status)
      .catch(() => 0);
    if (status === 200 && /new connections are taken again/.test(log)) break;
    if (i > 100) return void t.fail(log);
    await sleep(100);
  }
  t.pass("and afterwards it serves as before");
});

/** User and system time of a process, in clock ticks of 10 ms. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
  return 10 * (Number(fields[11]) + Number(fields[12]));
}
