/** Debian's python3-consul, against the real program. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { startProgram } from "../program.ts";
import { hasPythonModule } from "./peer.ts";

const script = fileURLToPath(new URL("python-consul.py", import.meta.url));
const skip = hasPythonModule("consul") ? false : "python3-consul is not installed";
const LIMIT_MS = 180_000;

function play(t: Test, args: string[]): void {
  const run = spawnSync("/usr/bin/python3", [script, ...args], {
    encoding: "utf8",
    timeout: LIMIT_MS,
  });
  for (const line of run.stdout.split("\n")) if (line.startsWith("ok ")) t.pass(line.slice(3));
  t.equal(run.status, 0, run.stderr);
}

t.test("without ACLs", { skip }, async (t) => {
  const { httpPort } = await startProgram(t);
  play(t, [String(httpPort)]);
});

t.test("with ACLs", { skip }, async (t) => {
  const token = "6a1253d2-1785-24fd-91c2-f8e78c745511";
  const acl = { enabled: true, default_policy: "deny", tokens: { initial_management: token } };
  const { httpPort } = await startProgram(t, { acl });
  play(t, [String(httpPort), token]);
});
