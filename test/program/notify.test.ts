/** What a service manager hears (sd_notify(3)): of the start, of a successor, of the end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { bunProgram } from "../bun.ts";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const limit = { timeout: 60_000, skip: process.platform !== "linux" };

t.test("READY, MAINPID and STOPPING are said in time", limit, async (t) => {
  const path = join(temporaryDirectory(t), "notify");
  const script = fileURLToPath(new URL("./notify-script.ts", import.meta.url));
  const ear = spawn(bunProgram(), [script, path], { stdio: ["ignore", "pipe", "inherit"] });
  let heard = "";
  ear.stdout.on("data", (octets: Buffer) => (heard += octets.toString()));
  t.teardown(async () => {
    ear.kill("SIGKILL");
    await once(ear, "exit");
  });
  const hears = async (lines: number): Promise<string[]> => {
    const said = () => heard.split("\n").slice(1, -1);
    for (const until = Date.now() + 15_000; said().length < lines; await sleep(10))
      if (Date.now() > until) throw new Error(`${lines} lines are not heard: ${heard}`);
    return said();
  };
  while (!heard.includes("listening")) await sleep(10);

  process.env["NOTIFY_SOCKET"] = path;
  const program = await startProgram(t);
  const says = async (what: RegExp): Promise<void> => {
    for (const until = Date.now() + 15_000; !what.test(program.output()); await sleep(10))
      if (Date.now() > until) throw new Error(`not said: ${String(what)}: ${program.output()}`);
  };
  t.same(await hears(1), ["READY=1"]);

  // One that cannot be ready says nothing of itself, and nothing ends.
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.teardown(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  program.configure({ ports: { dns: port, http: program.httpPort } });
  program.child.kill("SIGUSR1");
  await says(/the successor ended/);
  t.same(await hears(1), ["READY=1"]);

  program.configure({ ports: { dns: program.dnsPort, http: program.httpPort } });
  program.child.kill("SIGUSR1");
  await says(/leaving: /);
  t.equal(await program.end("SIGCONT"), 0);
  const pid = /a successor is started: .*pid=(\d+)\s[^]*a successor is started: .*pid=(\d+)\s/.exec(
    program.output(),
  )?.[2];
  t.teardown(() => {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has ended.
    }
  });
  t.same(await hears(3), ["READY=1", `MAINPID=${pid}`, "READY=1"], "the successor is the service");

  process.kill(Number(pid), "SIGINT");
  t.equal((await hears(4)).at(-1), "STOPPING=1");
  t.notMatch(program.output(), / stopped$/, "when the stop begins, not when it is over");
  await says(/stopping; a second[^]* stopped\n/);
  t.equal((await hears(4)).length, 4, "and once");
});
