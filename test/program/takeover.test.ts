/** A new process takes over from the old one: nothing that was asked or registered is lost. */
import { readdirSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { framed, query, tcpExchange } from "../dns-client.ts";
import { eventually } from "../processes.ts";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a } from "../upstream.ts";
import { startLoad } from "./load.ts";
import { saying, startScene } from "./scene.ts";
import { endOf, instances, register, startSuccessor } from "./successor.ts";

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
      const [reply] = await tcpExchange(program.dnsPort, wire, 10_000).catch(() => []);
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
  /** So many more of everything, however busy the machine is. */
  const more = async (): Promise<void> => {
    const [asked, written] = [load.counts().asked, acknowledged.length];
    await eventually(
      () => load.counts().asked >= asked + 2500 && acknowledged.length >= written + 25,
    );
  };
  await more();
  const successor = startSuccessor(t, program);
  await successor.saysSoon(/ ready: /);
  t.equal(await endOf(program.child), 0, `the old one ends with 0: ${program.output()}`);
  await more();
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

t.test("what was healthy is so all through it", { timeout: 60_000 }, async (t) => {
  const starts = ["configured", "registered"];
  const check = (id: string, interval: string) => ({ id, args: ["true"], interval });
  const configured = (interval: string) => ({
    services: [{ name: "configured", port: 80, check: check("configured", interval) }],
  });
  const program = await startProgram(t, { enable_script_checks: true, ...configured("1s") });
  const { id, ...registered } = check("registered", "300s");
  const body = { Name: id, Check: { ...registered, CheckID: id, Status: "passing" } };
  t.equal((await program.http("PUT", "/v1/agent/service/register", body)).status, 200);
  for (const name of starts)
    t.ok(await eventually(async () => (await instances(program, name)) === 1), name);
  // In the successor its first run is somewhere in five minutes.
  program.configure(configured("300s"));
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
