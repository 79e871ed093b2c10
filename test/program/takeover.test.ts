/** A new process takes over from the old one: nothing that was asked or registered is lost. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { decode, framed, query, tcpExchange, udpClient } from "../dns-client.ts";
import { startProgram, waypostPath, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a } from "../upstream.ts";
import { startLoad } from "./load.ts";
import { saying, startScene } from "./scene.ts";

type Successor = { child: ChildProcess; output(): string; saysSoon(what: RegExp): Promise<void> };

/** A second process on the configuration of the first. */
function startSuccessor(
  t: Test,
  { configFile }: Pick<Program, "configFile">,
  as: { uid?: number } = {},
): Successor {
  const child = spawn(waypostPath, ["agent", "-config-file", configFile, "-takeover"], {
    stdio: ["ignore", "pipe", "pipe"],
    ...as,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (octets: Buffer) => (output += octets.toString()));
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  return {
    child,
    output: () => output,
    async saysSoon(what) {
      for (const limit = Date.now() + 15_000; !what.test(output); await sleep(10)) {
        if (child.exitCode !== null) throw new Error(`ended (${child.exitCode}): ${output}`);
        if (Date.now() > limit) throw new Error(`not said: ${String(what)}\n${output}`);
      }
    },
  };
}

async function endOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode;
}

const register = (program: Program, name: string) =>
  program.http("PUT", "/v1/agent/service/register", { Name: name, Port: 80 });

async function instances(program: Program, name: string): Promise<number> {
  const { text } = await program.http("GET", `/v1/health/service/${name}?passing`);
  return (JSON.parse(text) as unknown[]).length;
}

t.test("ask 50: a successor takes over under load", { timeout: 90_000 }, async (t) => {
  const { program, upstream } = await startScene(
    t,
    saying(({ name }) => ({ answers: [a(name, "192.0.2.1", 300)] })),
  );
  t.equal((await register(program, "before")).status, 200);
  const load = await startLoad(t, {
    port: program.dnsPort,
    perSecond: 3000,
    names: (i) =>
      i % 10 === 0 ? `n${i}.example` : i % 2 === 0 ? "hot.example" : "before.service.consul",
  });
  /** Questions over TCP, a connection each, one after the other. */
  let isAsking = true;
  const overTcp = (async () => {
    const slow: number[] = [];
    let lost = 0;
    for (let id = 0; isAsking; id++) {
      const sentMs = performance.now();
      const wire = framed(query(id & 0xffff, "before.service.consul"));
      const [reply] = await tcpExchange(program.dnsPort, wire, 3000).catch(() => []);
      if (reply === undefined) lost++;
      slow.push(performance.now() - sentMs);
    }
    return { asked: slow.length, lost, slowestMs: Math.max(...slow) };
  })();
  /** Registrations all the time: one that is acknowledged must stay. */
  const acknowledged: string[] = [];
  const refused: number[] = [];
  const writing = (async () => {
    for (let i = 0; isAsking; i++) {
      const done = await register(program, `w${i}`).catch(() => ({ status: 0 }));
      if (done.status === 200) acknowledged.push(`w${i}`);
      else refused.push(done.status);
      await sleep(5);
    }
  })();
  await sleep(1000);
  const successor = startSuccessor(t, program);
  await successor.saysSoon(/ ready: /);
  t.equal(await endOf(program.child), 0, `the old one ends with 0: ${program.output()}`);
  await sleep(1000);
  isAsking = false;
  const [tcp] = await Promise.all([overTcp, writing]);
  const { asked, answered, slowestMs, rcodes } = await load.stop();
  t.ok(asked > 5000, `${asked} questions`);
  t.equal(asked - answered, 0, "not one is lost over UDP");
  t.same([...rcodes.keys()], [0], "and all are answered well");
  t.equal(tcp.lost, 0, `not one of ${tcp.asked} is lost over TCP`);
  t.comment(`slowest: UDP ${slowestMs.toFixed(1)} ms, TCP ${tcp.slowestMs.toFixed(1)} ms`);
  t.equal(upstream.count("hot.example"), 1, "the cache went with it");
  t.equal(await instances(program, "before"), 1);
  t.same(refused, [], "what waited at the old one is answered by the new one");
  t.ok(acknowledged.length > 50, `${acknowledged.length} registrations`);
  for (const name of acknowledged)
    if ((await instances(program, name)) !== 1) t.fail(`${name} was acknowledged and is lost`);
  t.match(successor.output(), /cache taken over/);
  t.notMatch(readdirSync(program.dataDir), ["handover-cache"]);

  const third = startSuccessor(t, program);
  await third.saysSoon(/ ready: /);
  t.equal(await endOf(successor.child), 0, "and once more");
  t.equal(await instances(program, "before"), 1);
  third.child.kill("SIGINT");
  t.equal(await endOf(third.child), 1);
});

t.test("ask 50: a successor that fails changes nothing", { timeout: 90_000 }, async (t) => {
  const program = await startProgram(t);
  const answers = async () => {
    const client = await udpClient(program.dnsPort);
    const reply = await client.ask(query(1, "n1.node.consul"), 2000);
    client.close();
    return reply === undefined ? null : decode(reply).answers?.length;
  };
  // It gets the store, and then it cannot listen: the port of HTTP belongs to somebody else.
  const other = await startProgram(t);
  program.configure({ ports: { dns: program.dnsPort, http: other.httpPort } });
  const failing = startSuccessor(t, program);
  const waiting = (async () => {
    await failing.saysSoon(/has given the store/);
    return register(program, "meanwhile");
  })();
  t.equal(await endOf(failing.child), 1, failing.output());
  t.match(failing.output(), /HTTP cannot listen/);
  t.equal((await waiting).status, 200, "what was to be written waited");
  t.equal(await instances(program, "meanwhile"), 1);
  t.equal(await answers(), 1);
  t.match(program.output(), /this agent goes on/);

  // Killed in the middle.
  program.configure({ ports: { dns: program.dnsPort, http: program.httpPort } });
  const killed = startSuccessor(t, program);
  await killed.saysSoon(/has given the store/);
  killed.child.kill("SIGKILL");
  await endOf(killed.child);
  t.equal((await register(program, "afterwards")).status, 200);
  t.equal(await answers(), 1);

  // The old one is killed in the middle: the new one goes on.
  const last = startSuccessor(t, program);
  await last.saysSoon(/has given the store/);
  program.child.kill("SIGKILL");
  await last.saysSoon(/ ready: /);
  t.equal(await instances(program, "meanwhile"), 1);
  t.equal(await instances(program, "afterwards"), 1);
  t.equal(await answers(), 1);
  t.equal((await register(program, "last")).status, 200);

  const stranger = await startProgram(
    t,
    { data_dir: `${program.dataDir}-other` },
    {
      directory: program.dataDir,
      dnsPort: program.dnsPort,
      httpPort: 1 + program.httpPort,
    },
  ).catch((error: Error) => error.message);
  t.match(stranger, /another program uses it/, "others are kept out as before");
});

t.test("who does not take over leaves no trace", { timeout: 90_000 }, async (t) => {
  const directory = temporaryDirectory(t);
  const pidFile = join(directory, "pid");
  const unix = join(directory, "http.sock");
  const program = await startProgram(t, {
    pid_file: pidFile,
    addresses: { http: `127.0.0.1 unix://${unix}` },
  });
  const hasGiven = /has given the store/;
  const isAsBefore = async (how: string) => {
    t.equal((await register(program, "web")).status, 200, `${how}: the store is back`);
    t.equal(readFileSync(pidFile, "utf8"), String(program.pid), `${how}: pid_file`);
    const names = readdirSync(program.dataDir).filter((name) => name.startsWith("handover-cache"));
    t.same(names, [], `${how}: no cache is left`);
  };
  const [first, second] = [startSuccessor(t, program), startSuccessor(t, program)];
  const ended = await Promise.race([endOf(first.child), endOf(second.child)]);
  t.equal(ended, 1, "one of two at a time is refused");
  const [refused, last] = first.child.exitCode === 1 ? [first, second] : [second, first];
  t.match(refused.output(), /stays: another successor is starting/);
  t.equal(await endOf(program.child), 0, "the other one takes over");
  await last.saysSoon(/ ready: /);
  t.equal(readFileSync(pidFile, "utf8"), String(last.child.pid), "and then writes its pid");
  program.pid = last.child.pid!;

  const stopped = startSuccessor(t, program);
  await stopped.saysSoon(hasGiven);
  stopped.child.kill("SIGTERM");
  t.equal(await endOf(stopped.child), 1);
  t.match(stopped.output(), /not taking over: told to stop/);
  await isAsBefore("SIGTERM");

  const killed = startSuccessor(t, program);
  await killed.saysSoon(hasGiven);
  killed.child.kill("SIGKILL");
  await isAsBefore("SIGKILL");

  if (process.getuid?.() === 0) {
    const stranger = startSuccessor(t, program, { uid: 65_534 });
    t.equal(await endOf(stranger.child), 1);
    t.match(stranger.output(), /EACCES|permission denied|configuration/i);
    chownSync(join(program.dataDir, "handover.sock"), 65_534, 65_534);
    const other = startSuccessor(t, program);
    t.equal(await endOf(other.child), 1);
    t.match(other.output(), /of user 65534, who has to start its successor/);
    await isAsBefore("another user's");
  }
  last.child.kill("SIGKILL");
  await endOf(last.child);
  writeFileSync(join(program.dataDir, "handover-cache.1"), "");
  const alone = startSuccessor(t, program);
  await alone.saysSoon(/ ready: /);
  program.pid = alone.child.pid!;
  const sockets = readdirSync(directory).filter((name) => name.startsWith("http.sock"));
  t.same(sockets, ["http.sock"], "the next one clears up");
  await isAsBefore("after all were killed");
});

t.test("what was healthy is so all through it", { timeout: 60_000 }, async (t) => {
  const directory = temporaryDirectory(t);
  const sign = join(directory, "sign");
  const check = (id: string) => ({
    id,
    args: ["sh", "-c", `echo ${id} >>${sign}`],
    interval: "300s",
  });
  const starts = ["configured", "registered"];
  const program = await startProgram(t, {
    enable_script_checks: true,
    services: [{ name: "configured", port: 80, check: check("configured") }],
  });
  const { id, ...registered } = check("registered");
  const body = { Name: id, Check: { ...registered, CheckID: id, Status: "passing" } };
  t.equal((await program.http("PUT", "/v1/agent/service/register", body)).status, 200);
  // Its first run is somewhere in the interval; until then an operator says what is so.
  const catalog = { Node: "n1", Address: "127.0.0.1", SkipNodeUpdate: true };
  const passing = { Name: "configured", CheckID: "configured", ServiceID: "configured" };
  const said = { ...catalog, Check: { ...passing, Status: "passing" } };
  t.equal((await program.http("PUT", "/v1/catalog/register", said)).status, 200);
  const load = await startLoad(t, {
    port: program.dnsPort,
    perSecond: 500,
    names: (i) => `${starts[i % 2]}.service.consul`,
  });
  const successor = startSuccessor(t, program);
  t.equal(await endOf(program.child), 0);
  await successor.saysSoon(/ ready: /);
  for (const name of starts) t.equal(await instances(program, name), 1, name);
  const { asked, answered, rcodes } = await load.stop();
  t.equal(answered, asked);
  t.same([...rcodes.keys()], [0], "a check that has not run yet in the successor says nothing new");
});

t.test("a Unix socket is there all the time", { timeout: 60_000 }, async (t) => {
  const directory = temporaryDirectory(t);
  const unix = join(directory, "http.sock");
  const program = await startProgram(t, { addresses: { http: `127.0.0.1 unix://${unix}` } });
  const outcomes = new Map<string, number>();
  let isAsking = true;
  const asking = (async () => {
    while (isAsking) {
      const outcome = await new Promise<string>((resolve) => {
        const options = { socketPath: unix, path: "/v1/status/leader", agent: false };
        const got = get(options, (answer) => {
          answer.resume();
          answer.on("end", () => resolve(String(answer.statusCode)));
        });
        got.on("error", (error) => resolve(error.message));
      });
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  })();
  let child = program.child;
  for (let i = 0; i < 3; i++) {
    const next = startSuccessor(t, program);
    t.equal(await endOf(child), 0);
    await next.saysSoon(/ ready: /);
    child = next.child;
  }
  isAsking = false;
  await asking;
  t.same([...outcomes.keys()], ["200"], "every request of three takeovers in a row is answered");
  t.same(
    readdirSync(directory).filter((name) => name.startsWith("http.sock")),
    ["http.sock"],
  );
  child.kill("SIGINT");
  await endOf(child);
  t.same(
    readdirSync(directory).filter((name) => name.startsWith("http.sock")),
    [],
  );
});

t.test("SIGUSR1 starts the successor", { timeout: 60_000 }, async (t) => {
  const program = await startProgram(t);
  t.equal((await register(program, "web")).status, 200);
  program.child.kill("SIGUSR1");
  t.equal(await endOf(program.child), 0, program.output());
  const pid = Number(
    /taken over.*pid=|successor is started:.*pid=(\d+)/.exec(program.output())?.[1],
  );
  t.teardown(() => process.kill(pid, "SIGKILL"));
  t.equal(await instances(program, "web"), 1);
});

t.test("a reload that comes in between reaches who goes on", { timeout: 60_000 }, async (t) => {
  const program = await startProgram(t);
  const addresses = { dns: "127.0.0.1 127.0.0.2" };
  const failing = startSuccessor(t, program);
  await failing.saysSoon(/has given the store/);
  program.configure({ addresses });
  program.child.kill("SIGHUP");
  failing.child.kill("SIGKILL");
  const says = async (output: () => string, what: RegExp): Promise<void> => {
    for (const limit = Date.now() + 15_000; !what.test(output()); await sleep(10))
      if (Date.now() > limit) throw new Error(`not said: ${String(what)}\n${output()}`);
  };
  await says(() => program.output(), /configuration reloaded/);
  t.match(
    program.output(),
    /this agent goes on[^]*listening: address=127\.0\.0\.2/,
    "not before it is known that no successor listens there",
  );

  const next = startSuccessor(t, program);
  await next.saysSoon(/has given the store/);
  program.configure({ addresses: { dns: "127.0.0.1" } });
  program.child.kill("SIGHUP");
  await says(() => program.output(), /the successor is told to reload/);
  await next.saysSoon(/no longer listening: address=127\.0\.0\.2/);
  t.equal(await endOf(program.child), 0);
  t.equal(program.output().split("configuration reloaded").length, 2, "the old one has not");
  t.equal((await register(program, "web")).status, 200);
});

t.test("-takeover where nobody runs is a start like any other", { timeout: 60_000 }, async (t) => {
  const program = await startProgram(t);
  await program.end("SIGKILL");
  const alone = startSuccessor(t, program);
  await alone.saysSoon(/ ready: /);
  t.match(alone.output(), /no agent runs on the data directory/);
});
