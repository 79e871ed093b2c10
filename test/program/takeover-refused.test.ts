/** A successor that does not take over changes nothing, and what comes in between reaches who goes on. */
import { chownSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { decode, query, udpClient } from "../dns-client.ts";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { endOf, instances, register, says, startSuccessor } from "./successor.ts";

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
  writeFileSync(join(program.dataDir, "handover-cache.1.partial"), "");
  const alone = startSuccessor(t, program);
  await alone.saysSoon(/ ready: /);
  program.pid = alone.child.pid!;
  const sockets = readdirSync(directory).filter((name) => name.startsWith("http.sock"));
  t.same(sockets, ["http.sock"], "the next one clears up");
  await isAsBefore("after all were killed");
});

t.test("a reload that comes in between reaches who goes on", { timeout: 60_000 }, async (t) => {
  const program = await startProgram(t);
  const addresses = { dns: "127.0.0.1 127.0.0.2" };
  const failing = startSuccessor(t, program);
  await failing.saysSoon(/has given the store/);
  program.configure({ addresses });
  program.child.kill("SIGHUP");
  failing.child.kill("SIGKILL");
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
