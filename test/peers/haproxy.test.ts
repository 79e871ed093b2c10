/** HAProxy fills its backend from our SRV records, and the traffic through it follows the catalog. */
import t, { type Test } from "tap";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../free-port.mjs";
import { BUSY_MS, startProgram, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasPeer, startPeer } from "./peer.ts";

const skip = hasPeer("haproxy") ? false : "not installed: haproxy";
/** `hold valid` and `hold obsolete` of the resolvers; the next look comes with the next `inter`. */
const HOLD_MS = 1_000;
/** A change must be seen within the hold time and two looks. */
const FOLLOW_LIMIT_MS = HOLD_MS + 3_000 + BUSY_MS;

type Proxy = {
  /** Answers of the stats socket. */
  stats: (command: string) => Promise<string>;
  /** `address:port` of the servers that take traffic. */
  ready: () => Promise<string[]>;
  /** Who answers through the proxy: the text, or the status if it is none of ours. */
  get: () => Promise<string>;
};

async function startProxy(
  t: Test,
  dnsPort: number,
  {
    slots,
    options = "",
    transport = "",
  }: { slots: number; options?: string; transport?: "" | "tcp@" },
): Promise<Proxy> {
  const folder = temporaryDirectory(t);
  const socketPath = join(folder, "stats.sock");
  const port = await freePort();
  const file = join(folder, "haproxy.cfg");
  writeFileSync(
    file,
    `global
  stats socket ${socketPath} mode 600 level admin
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  retries 0
resolvers waypost
  nameserver local ${transport}127.0.0.1:${dnsPort}
  accepted_payload_size ${transport === "" ? 8192 : 65535}
  resolve_retries 3
  timeout resolve 200ms
  timeout retry 200ms
  hold valid ${HOLD_MS}ms
  hold obsolete ${HOLD_MS}ms
  hold nx ${HOLD_MS}ms
frontend in
  bind 127.0.0.1:${port}
  default_backend web
backend web
  balance roundrobin
  server-template web 1-${slots} _web._tcp.service.consul resolvers waypost init-addr none check inter 500ms ${options}
`,
  );
  startPeer(t, "haproxy", ["-db", "-f", file]);
  const stats = (command: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let text = "";
      const socket = connect(socketPath);
      socket.setEncoding("utf8");
      socket.on("connect", () => socket.write(`${command}\n`));
      socket.on("data", (chunk: string) => (text += chunk));
      socket.on("end", () => resolve(text));
      socket.on("error", reject);
    });
  return {
    stats,
    async ready() {
      const [head = "", ...rows] = (await stats("show stat")).trim().split("\n");
      const columns = head.replace(/^# /, "").split(",");
      return rows
        .map((row) => Object.fromEntries(row.split(",").map((cell, i) => [columns[i]!, cell])))
        .filter((row) => row["pxname"] === "web" && row["svname"]?.startsWith("web"))
        .filter((row) => row["status"]?.startsWith("UP") && row["addr"] !== "")
        .map((row) => row["addr"]!)
        .toSorted();
    },
    async get() {
      const reply = await fetch(`http://127.0.0.1:${port}/`, { headers: { Connection: "close" } });
      return reply.ok ? reply.text() : String(reply.status);
    },
  };
}

/** A web server that says its name. */
async function startWeb(t: Test, name: string, address: string): Promise<number> {
  const port = await freePort();
  const answer = (_: IncomingMessage, response: ServerResponse) => void response.end(name);
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return port;
}

/** Polls until the value is as wanted; gives how long it took. */
async function until<T>(t: Test, read: () => Promise<T>, wanted: T, what: string): Promise<number> {
  const startMs = performance.now();
  let last: T | undefined;
  for (;;) {
    last = await read().catch(() => undefined);
    const tookMs = performance.now() - startMs;
    if (JSON.stringify(last) === JSON.stringify(wanted) || tookMs > 20_000) {
      t.same(last, wanted, what);
      return tookMs;
    }
    await sleep(50);
  }
}

type Web = { id: string; address: string; port: number };

async function register(program: Program, { id, address, port }: Web, more: object = {}) {
  const body = { ID: id, Name: "web", Address: address, Port: port, ...more };
  const { status, text } = await program.http("PUT", "/v1/agent/service/register", body);
  if (status !== 200) throw new Error(text);
}

/** `a`, `b` and `c`, each on the address that is given for it. */
async function startThree(t: Test, addresses: readonly [string, string, string]) {
  const start = async (id: string, address: string): Promise<Web> => {
    return { id, address, port: await startWeb(t, id, address) };
  };
  const [a, b, c] = addresses;
  return { a: await start("a", a), b: await start("b", b), c: await start("c", c) };
}

const placesOf = (...webs: Web[]): string[] =>
  webs.map(({ address, port }) => `${address}:${port}`).toSorted();

t.test("backends follow the catalog", { skip }, async (t) => {
  const program = await startProgram(t);
  const { a, b, c } = await startThree(t, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
  await register(program, a);
  await register(program, b, { Check: { CheckID: "b", TTL: "1h", Status: "passing" } });
  const proxy = await startProxy(t, program.dnsPort, { slots: 10 });
  await until(t, proxy.ready, placesOf(a, b), "both at the start");
  const answering = async (): Promise<string[]> => {
    const names = await Promise.all(Array.from({ length: 12 }, () => proxy.get()));
    return [...new Set(names)].toSorted();
  };
  t.same(await answering(), ["a", "b"], "both get traffic");

  const took: Record<string, number> = {};
  await register(program, c);
  took["register"] = await until(t, proxy.ready, placesOf(a, b, c), "a third one");
  await program.http("PUT", "/v1/agent/check/fail/b");
  took["critical"] = await until(t, proxy.ready, placesOf(a, c), "one is critical");
  t.same(await answering(), ["a", "c"], "no request goes to it");
  await program.http("PUT", "/v1/agent/check/pass/b");
  took["passing"] = await until(t, proxy.ready, placesOf(a, b, c), "it is back");
  await program.http("PUT", "/v1/agent/service/deregister/c");
  took["deregister"] = await until(t, proxy.ready, placesOf(a, b), "the third one is gone");
  for (const [what, ms] of Object.entries(took))
    t.ok(ms < FOLLOW_LIMIT_MS, `${what}: after ${Math.round(ms)} ms`);

  t.match(await proxy.stats("show servers state web"), / web\d+ 127\.0\.0\.2 /);
  const resolvers = await proxy.stats("show resolvers waypost");
  t.match(resolvers, /valid:\s+[1-9]/);
  for (const problem of ["invalid", "too_big", "truncated", "timeout", "refused", "other"])
    t.match(resolvers, new RegExp(`${problem}:\\s+0\\n`), problem);

  // While the agent is away the proxy goes on with what it knows; afterwards it follows again.
  const { dataDir, dnsPort, httpPort } = program;
  await program.end("SIGKILL");
  t.match(await proxy.get(), /^[ab]$/);
  const again = await startProgram(t, {}, { directory: join(dataDir, ".."), dnsPort, httpPort });
  await until(t, proxy.ready, placesOf(a, b), "both after the restart");
  await again.http("PUT", "/v1/agent/service/deregister/a");
  await until(t, proxy.ready, placesOf(b), "and it follows the new agent");
});

t.test("three ports of one address", { skip }, async (t) => {
  const program = await startProgram(t);
  const { a, b, c } = await startThree(t, ["127.0.0.1", "127.0.0.1", "127.0.0.1"]);
  for (const web of [a, b, c]) await register(program, web);
  // Without this option HAProxy wants another address for each server of a backend.
  const options = "resolve-opts allow-dup-ip";
  const proxy = await startProxy(t, program.dnsPort, { slots: 10, options });
  await until(t, proxy.ready, placesOf(a, b, c), "all of them");
  await program.http("PUT", "/v1/agent/service/deregister/b");
  await until(t, proxy.ready, placesOf(a, c), "one is gone");
});

t.test("300 instances", { skip }, async (t) => {
  const program = await startProgram(t);
  const port = await freePort();
  const addressOf = (i: number) => `127.0.${1 + Math.floor(i / 200)}.${1 + (i % 200)}`;
  for (let i = 0; i < 300; i += 20)
    await Promise.all(
      Array.from({ length: 20 }, (_, j) =>
        register(program, { id: `m${i + j}`, address: addressOf(i + j), port }),
      ),
    );
  for (const [transport, least] of [
    // Over UDP an answer names as many as fit into 8192 octets, others each time.
    ["", 60],
    ["tcp@", 300],
  ] as const) {
    const proxy = await startProxy(t, program.dnsPort, { slots: 300, transport });
    const known = async (): Promise<boolean> => {
      const rows = (await proxy.stats("show servers state web")).split("\n");
      return rows.filter((row) => / web\d+ 127\.0\.[12]\.\d+ /.test(row)).length >= least;
    };
    await until(t, known, true, `${transport || "udp"}: ${least} servers are known`);
    const resolvers = await proxy.stats("show resolvers waypost");
    for (const problem of ["invalid", "too_big", "timeout", "refused", "other"])
      t.match(resolvers, new RegExp(`${problem}:\\s+0\\n`), problem);
  }
});
