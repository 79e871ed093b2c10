/** Durations beyond what a timer of the runtime holds (24.8 days), with the real program. */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { startProgram } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

t.test("a TTL, an interval and a timeout of six weeks", async (t) => {
  const runs = join(temporaryDirectory(t), "runs");
  appendFileSync(runs, "");
  const every = { interval: "1000h", timeout: "1000h" };
  const program = await startProgram(t, {
    enable_local_script_checks: true,
    service: {
      name: "s",
      checks: [
        { id: "ttl", ttl: "1000h" },
        { id: "long", args: ["/bin/sh", "-c", `echo >>${runs}`], ...every },
      ],
    },
  });
  t.equal((await program.http("PUT", "/v1/agent/check/pass/ttl")).status, 200);
  await sleep(500); // nothing can be waited for: nothing is to happen
  const { text } = await program.http("GET", "/v1/agent/checks");
  t.match(JSON.parse(text), { ttl: { Status: "passing" } });
  t.ok(readFileSync(runs, "utf8").length <= 1, "at most one run, wherever its place is");
});
