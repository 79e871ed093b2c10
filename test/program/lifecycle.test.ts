/** Start, reload, stop and crash of the real program, as an operator sees them. */
import t from "tap";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { decode, query, udpClient } from "../dns-client.ts";
import { freePort } from "../free-port.mjs";
import { startProgram, waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

t.test("runs through a symlink, under the name consul, from anywhere", async (t) => {
  const path = temporaryDirectory(t);
  const link = join(path, "consul");
  symlinkSync(waypostPath, link);
  const version = execFileSync(link, ["version"], { cwd: "/", encoding: "utf8" });
  t.match(version, /waypost v?\d+\.\d+\.\d+/);
  t.equal(spawnSync(link, ["no-such-command"], { cwd: "/" }).status, 127, "unknown command");
});

t.test("a wrong configuration is refused with file, key and nearest key", async (t) => {
  const error = await startProgram(t, { node_nmae: "x" }).catch((e: Error) => e);
  t.ok(error instanceof Error);
  t.match((error as Error).message, /invalid config key node_nmae/);
  t.match((error as Error).message, /config\.json/);
  t.match((error as Error).message, /node_name/);
});

t.test("ask 50: reload changes answers and drops no question", async (t) => {
  const program = await startProgram(t, { dns_config: { node_ttl: "7s" } });
  const client = await udpClient(program.dnsPort);
  t.teardown(() => client.close());
  await program.http("PUT", "/v1/catalog/register", { Node: "a", Address: "10.1.0.1" });

  let id = 0;
  let lost = 0;
  let done = false;
  const asking = (async () => {
    while (!done) {
      id = (id + 1) % 60_000;
      if ((await client.ask(query(id, "a.node.consul"), 1_000)) === undefined) lost++;
    }
  })();
  const ttl = async () => {
    const reply = await client.ask(query(65_000, "a.node.consul"));
    const answer = decode(reply!).answers![0]!;
    return answer.type === "A" ? answer.ttl : undefined;
  };
  t.equal(await ttl(), 7, "before");
  program.configure({ dns_config: { node_ttl: "8s" } });
  t.equal((await program.http("PUT", "/v1/agent/reload")).status, 200);
  t.equal(await ttl(), 8, "after PUT /v1/agent/reload");
  program.configure({ dns_config: { node_ttl: "9s" } });
  program.child.kill("SIGHUP");
  for (const until = Date.now() + 5_000; Date.now() < until && (await ttl()) !== 9;);
  t.equal(await ttl(), 9, "after SIGHUP");
  program.configure({ dns_config: { node_ttl: "nonsense" } });
  const refused = await program.http("PUT", "/v1/agent/reload");
  t.equal(refused.status, 500, "a wrong configuration is refused");
  t.match(refused.text, /node_ttl/);
  t.equal(await ttl(), 9, "and the old one stays");
  done = true;
  await asking;
  t.equal(lost, 0, `${id} questions asked meanwhile`);
});

t.test("what was acknowledged is there after a kill and after a stop", async (t) => {
  let program = await startProgram(t);
  const at = { directory: dirname(program.dataDir), ...ports(program) };
  const check = async (what: string) => {
    const reply = await program.http("GET", "/v1/catalog/service/keep");
    t.match(reply.text, /"ServicePort":4711/, what);
  };
  await program.http("PUT", "/v1/agent/service/register", { Name: "keep", Port: 4711 });
  await program.end("SIGKILL");
  program = await startProgram(t, {}, at);
  await check("after SIGKILL");
  t.equal(await program.end("SIGTERM"), 1, "a server ends with 1, as Consul's");
  program = await startProgram(t, {}, at);
  await check("after SIGTERM");
  program.child.kill("SIGTERM");
  program.child.kill("SIGTERM");
  if (program.child.exitCode === null) await once(program.child, "exit");
  t.not(program.child.exitCode ?? program.child.signalCode, null, "a second signal ends it");
});

t.test("a port in use is named", async (t) => {
  const program = await startProgram(t);
  const path = temporaryDirectory(t);
  const at = { directory: path, dnsPort: program.dnsPort, httpPort: await freePort() };
  const error = await startProgram(t, {}, at).catch((e: Error) => e);
  t.ok(error instanceof Error, "the second one does not start");
  t.match((error as Error).message, /in use|EADDRINUSE/);
  t.match((error as Error).message, new RegExp(`127\\.0\\.0\\.1.*${program.dnsPort}`));
  t.match((error as Error).message, /ended at start \(1\)/);
  t.match(
    (error as Error).message,
    `waypost (pid ${program.pid}), on 127.0.0.1`,
    "ask 39: with its process",
  );
});

t.test("a TCP port in use is named", async (t) => {
  const port = await freePort();
  const taken = createServer().listen(port, "127.0.0.1");
  await once(taken, "listening");
  t.teardown(() => taken.close());
  const path = temporaryDirectory(t);
  const at = { directory: path, dnsPort: port, httpPort: await freePort() };
  const error = await startProgram(t, {}, at).catch((e: Error) => e);
  t.match(
    (error as Error).message,
    new RegExp(`DNS over TCP cannot listen on 127\\.0\\.0\\.1 port ${port}: .*EADDRINUSE`),
  );
});

t.test("a data directory that cannot be used ends the start at once and is named", async (t) => {
  const path = temporaryDirectory(t);
  const file = join(path, "a-file");
  writeFileSync(file, "");
  for (const data_dir of [file, join(file, "below")]) {
    const error = await startProgram(t, { data_dir }).catch((e: Error) => e);
    t.match((error as Error).message, /ended at start \(1\)/);
    t.match((error as Error).message, `data_dir ${data_dir} cannot be used: `);
  }
});

t.test("without a DNS port no thread is started for it", async (t) => {
  const path = temporaryDirectory(t);
  const program = await startProgram(
    t,
    {},
    { directory: path, dnsPort: -1, httpPort: await freePort() },
  );
  t.equal(await program.end("SIGTERM"), 1);
  t.notMatch(program.output(), /ended unexpectedly/);
});

const ports = ({ dnsPort, httpPort }: { dnsPort: number; httpPort: number }) => ({
  dnsPort,
  httpPort,
});
