/** A reload, new log files or a successor may be asked for before the agent listens: a unit is "started" as soon as it is forked. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readlinkSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import t from "tap";
import { waypostPath } from "../program.ts";

t.test("SIGHUP, SIGUSR1 and SIGUSR2 while the program is being loaded do not end it", async (t) => {
  const args = ["agent", "-dev", "-dns-port", "0", "-http-port", "0"];
  const child = spawn(waypostPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  t.teardown(() => child.kill("SIGKILL"));
  let log = "";
  child.stderr.on("data", (octets: Buffer) => (log += octets.toString()));
  const runsBun = () => {
    try {
      return /\/bun(\.exe)?$/.test(readlinkSync(`/proc/${child.pid}/exe`));
    } catch {
      return false;
    }
  };
  const ended = once(child, "exit").then(() => true);
  while (child.exitCode === null && !runsBun()) await setImmediate();
  for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const) child.kill(signal);
  while (!/ ready: /.test(log) && !(await Promise.race([ended, setImmediate(false)])));
  t.match(log, / ready: /);
  child.kill("SIGHUP");
  while (!/reloaded/.test(log) && !(await Promise.race([ended, setImmediate(false)])));
  t.match(log, /configuration reloaded/, "and later it is heard");
});
