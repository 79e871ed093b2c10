/** The agent as existing installations start it: their flags, their signals, its exit codes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { freePort } from "../free-port.mjs";
import { startProgram, waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const START_LIMIT_MS = 20_000;

/** `consul agent FLAGS` until it answers, or its end. */
async function startConsul(t: Test, flags: string[], httpPort: number) {
  const link = join(temporaryDirectory(t), "consul");
  symlinkSync(waypostPath, link);
  const child = spawn(link, ["agent", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  t.teardown(() => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const http = (path: string) =>
    fetch(`http://127.0.0.1:${httpPort}${path}`).then((reply) => reply.text());
  for (const until = Date.now() + START_LIMIT_MS; ;) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${output}`);
    const leader = await http("/v1/status/leader").catch(() => '""');
    if (leader !== '""') break;
    if (Date.now() > until) throw new Error(`no leader: ${output}`);
    await sleep(20);
  }
  const end = async (signal: NodeJS.Signals) => {
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
    return child.exitCode;
  };
  return { http, end, output: () => output };
}

t.test("each flag that is in use is taken, and what it asks for is done", async (t) => {
  const directory = temporaryDirectory(t);
  const path = (name: string) => join(directory, name);
  mkdirSync(path("conf.d"));
  writeFileSync(path("one.json"), '{"service": {"name": "from-file"}}');
  writeFileSync(path("two.json"), '{"node_meta": {"from": "file"}}');
  writeFileSync(path("conf.d/three.json"), '{"service": {"name": "from-dir"}}');
  writeFileSync(path("conf.d/four.txt"), "not read");
  const [dns, http] = [await freePort(), await freePort()];
  const nodeId = "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e";
  const flags = [
    ["-config-file", path("one.json"), `-config-file=${path("two.json")}`],
    [`-config-dir=${path("conf.d")}`, "-config-format", "json"],
    ["-server", "-bootstrap", "-node=web-1", "-node-id", nodeId, "-datacenter=East"],
    ["-domain", "example.", "-bind=127.0.0.1", "-advertise", "127.0.0.1", "-client=127.0.0.1"],
    ["-data-dir", path("data"), `-pid-file=${path("pid")}`],
    ["-encrypt", Buffer.alloc(32, 1).toString("base64")],
    ["-join", "127.0.0.1", "-retry-join=127.0.0.1", "-retry-join", "provider=aws tag_key=x"],
    ["-join-wan", "127.0.0.1", "-retry-join-wan=127.0.0.1", "-rejoin"],
    ["-node-meta", "a:1", "-node-meta=b:2:3", "-recursor", "127.0.0.1:1"],
    [`-dns-port=${dns}`, "-http-port", String(http), "-https-port=-1", "-serf-lan-port=8311"],
    ["-serf-wan-port", "8312", `-server-port=${1 + (http % 65_000)}`],
    ["-log-level=debug", "-log-json", "-syslog=false", "-log-file", path("agent.log"), "-ui"],
    ["-enable-script-checks=false", "-enable-local-script-checks", "-disable-host-node-id"],
    ["-hcl", 'service { name = "from-hcl" }', "-raft-protocol", "3", "-protocol=2"],
  ].flat();
  const consul = await startConsul(t, flags, http);
  const self = JSON.parse(await consul.http("/v1/agent/self")) as object;
  t.match(self, {
    Config: { Datacenter: "east", NodeName: "web-1", NodeID: nodeId, Server: true },
    Member: { Addr: "127.0.0.1", Port: 8311 },
    Meta: { a: "1", b: "2:3", from: "file" },
  });
  const services = JSON.parse(await consul.http("/v1/agent/services")) as object;
  t.same(Object.keys(services).toSorted(), ["from-dir", "from-file", "from-hcl"]);
  t.match(readFileSync(path("pid"), "utf8"), /^\d+$/);
  const [line] = readFileSync(path("agent.log"), "utf8").split("\n");
  t.type(JSON.parse(line!), "object", "-log-json");
  t.notMatch(consul.output(), "[ERROR]");
  t.equal(await consul.end("SIGINT"), 1, "a server that is interrupted");
  t.notOk(existsSync(path("pid")));
});

t.test("-dev, -bootstrap-expect, and -syslog where there is none", async (t) => {
  const [dns, http] = [await freePort(), await freePort()];
  const ports = [`-dns-port=${dns}`, `-http-port=${http}`, `-server-port=${1 + (http % 65_000)}`];
  const consul = await startConsul(t, ["-dev", "-syslog", ...ports], http);
  t.match(JSON.parse(await consul.http("/v1/catalog/nodes")), [{ Address: "127.0.0.1" }]);
  t.match(consul.output(), /syslog/, "that nothing goes there is said");
  t.equal(await consul.end("SIGTERM"), 1);
  const data = ["-data-dir", temporaryDirectory(t), "-bind=127.0.0.1"];
  const server = await startConsul(t, ["-server", "-bootstrap-expect=1", ...data, ...ports], http);
  t.equal(await server.end("SIGTERM"), 1);
});

t.test("exit codes of signals", async (t) => {
  const client = { server: false, bootstrap: false };
  const rows: [Record<string, unknown>, NodeJS.Signals, number][] = [
    [{ server: true, leave_on_terminate: true }, "SIGTERM", 0],
    [{ server: true, skip_leave_on_interrupt: false }, "SIGINT", 0],
    [{ ...client }, "SIGTERM", 0],
    [{ ...client }, "SIGINT", 0],
    [{ ...client, leave_on_terminate: false }, "SIGTERM", 1],
    [{ ...client, skip_leave_on_interrupt: true }, "SIGINT", 1],
  ];
  for (const [config, signal, code] of rows) {
    const program = await startProgram(t, config);
    t.equal(await program.end(signal), code, `${JSON.stringify(config)} ${signal}`);
  }
});
