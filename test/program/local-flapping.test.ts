/** A flapping check against the real program: what it costs the log, and where it ends. */
import { statSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { startProgram, type Program } from "../program.ts";

const FLIPS = 2000;
const AT_ONCE = 8;

async function index(program: Program): Promise<number> {
  const reply = await fetch(`http://127.0.0.1:${program.httpPort}/v1/health/state/any`);
  await reply.text();
  return Number(reply.headers.get("X-Consul-Index"));
}

async function statusOf(program: Program, path: string): Promise<string> {
  const { text } = await program.http("GET", path);
  return (Object.values(JSON.parse(text) as object) as { CheckID: string; Status: string }[]).find(
    ({ CheckID }) => CheckID === "flap",
  )!.Status;
}

async function metric(program: Program, name: string): Promise<number> {
  const { text } = await program.http("GET", "/metrics");
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
}

function octetsBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

t.test(`${FLIPS} changes of one TTL check write few entries of the log`, async (t) => {
  const program = await startProgram(t);
  const check = { CheckID: "flap", TTL: "10m" };
  const registered = await program.http("PUT", "/v1/agent/service/register", {
    Name: "web",
    Check: check,
  });
  t.equal(registered.status, 200, registered.text);
  const before = await index(program);
  const octetsBefore = octetsBelow(program.dataDir);
  const startedMs = performance.now();
  for (let i = 0; i < FLIPS; i += AT_ONCE)
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, k) => {
        const word = (i + k) % 2 === 0 ? "pass" : "fail";
        const { status } = await program.http("PUT", `/v1/agent/check/${word}/flap?note=${i}`);
        if (status !== 200) throw new Error(`${word}: ${status}`);
      }),
    );
  const elapsedMs = performance.now() - startedMs;
  const written = (await index(program)) - before;
  const bound = 3 * (16 + Math.ceil(elapsedMs / 10_000)) + 2;
  t.ok(written > 1 && written <= bound, `${written} entries in ${elapsedMs.toFixed()} ms`);
  t.ok(octetsBelow(program.dataDir) - octetsBefore < 4 * 1024 * 1024, "and little disk");
  t.equal(await metric(program, "waypost_agent_checks_flapping"), 1);
  t.ok((await metric(program, "waypost_agent_status_held_total")) > 0);
  t.equal((program.output().match(/check flaps/g) ?? []).length, 1, "one line in the log");

  await program.http("PUT", "/v1/agent/check/fail/flap");
  t.equal(await statusOf(program, "/v1/health/checks/web"), "critical", "worse at once");
  await program.http("PUT", "/v1/agent/check/pass/flap");
  t.equal(await statusOf(program, "/v1/agent/checks"), "passing", "the agent says what is");
  const health = await program.http("GET", "/v1/agent/health/service/id/web");
  t.equal(health.status, 200);
  const deadline = Date.now() + 15_000;
  while ((await statusOf(program, "/v1/health/checks/web")) !== "passing") {
    if (Date.now() > deadline) throw new Error("the last state did not get to the catalog");
    await sleep(200);
  }
});
