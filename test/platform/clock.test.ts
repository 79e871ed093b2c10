import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";
import { bunProgram } from "../bun.ts";

const script = fileURLToPath(new URL("./clock-script.ts", import.meta.url));

t.test("the clock of answers goes on while the machine sleeps", async (t) => {
  // A namespace that has slept for an hour more than it was awake.
  const slept = ["--time", "--boottime", "3600", "--fork"];
  if (spawnSync("unshare", [...slept, "true"]).status !== 0) {
    t.pass("this system gives us no time namespace");
    return;
  }
  const { status, stdout, stderr } = spawnSync("unshare", [...slept, bunProgram(), script], {
    encoding: "utf8",
  });
  t.equal(status, 0, stderr);
  const offMs = Number(stdout);
  t.ok(Math.abs(offMs) < 1000, `${offMs} ms off the time since boot`);
});
