/** dnsperf asks 18,000 questions at 3,000 per second through reloads, and through successors. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { eventually } from "../processes.ts";
import { startProgram, type Program } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { a, startUpstream } from "../upstream.ts";
import { saying } from "../program/scene.ts";
import { hasPeer } from "./peer.ts";

const skip = hasPeer("dnsperf") ? false : "dnsperf is not installed";

async function scene(t: Test): Promise<Program> {
  const upstream = await startUpstream(
    t,
    saying(({ name }) => ({ answers: [a(name, "192.0.2.1", 300)] })),
  );
  const program = await startProgram(t, { workers: 2, recursors: [upstream.address] });
  await program.http("PUT", "/v1/agent/service/register", { Name: "web", Port: 80 });
  return program;
}

/** Hits, catalog names, and one name in twenty that was not asked before. */
function startDnsperf(t: Test, { dnsPort }: Program, seconds: number) {
  const file = join(temporaryDirectory(t), "names");
  const names = Array.from({ length: 20_000 }, (_, i) =>
    i % 20 === 0 ? `n${i}.example A` : i % 2 === 0 ? "hot.example A" : "web.service.consul A",
  );
  writeFileSync(file, `${names.join("\n")}\n`);
  const child = spawn(
    "dnsperf",
    ["-s", "127.0.0.1", "-p", String(dnsPort), "-d", file, "-Q", "3000", "-l", String(seconds)],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  let output = "";
  child.stdout.on("data", (octets: Buffer) => (output += octets.toString()));
  return new Promise<{ sent: number; lost: number; codes: string; slowestMs: number }>((resolve) =>
    child.on("close", () => {
      const figure = (what: string) =>
        Number(new RegExp(`${what}:\\s+([\\d.]+)`).exec(output)?.[1]);
      resolve({
        sent: figure("Queries sent"),
        lost: figure("Queries lost"),
        codes: /Response codes:\s+(.*)/.exec(output)?.[1]?.trim() ?? "",
        slowestMs: Number(/max ([\d.]+)\)/.exec(output)?.[1]) * 1000,
      });
    }),
  );
}

t.test("reloads: none lost", { skip, timeout: 60_000 }, async (t) => {
  const program = await scene(t);
  const load = startDnsperf(t, program, 6);
  const reloads = () => program.output().split("configuration reloaded").length - 1;
  for (let i = 0; i < 10; i++) {
    program.configure({ dns_config: { service_ttl: { web: `${10 + i}s` } } });
    program.child.kill("SIGHUP");
    await Promise.all([sleep(500), eventually(() => reloads() > i)]);
  }
  const { sent, lost, codes, slowestMs } = await load;
  t.ok(sent > 6_000, `${sent} questions`);
  t.equal(lost, 0);
  t.equal(codes, `NOERROR ${sent} (100.00%)`);
  t.comment(`slowest ${slowestMs} ms`);
  t.equal(reloads(), 10);
});

t.test("successors: none lost", { skip, timeout: 60_000 }, async (t) => {
  const program = await scene(t);
  const load = startDnsperf(t, program, 6);
  const pids: number[] = [];
  t.teardown(() => {
    for (const pid of pids)
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended.
      }
  });
  await sleep(1500);
  program.child.kill("SIGUSR1");
  const { sent, lost, codes, slowestMs } = await load;
  await eventually(() => /taken over/.test(program.output()));
  const pid = Number(/a successor is started: .*pid=(\d+)/.exec(program.output())?.[1]);
  pids.push(pid);
  t.match(program.output(), /taken over/);
  t.ok(sent > 6_000, `${sent} questions`);
  t.equal(lost, 0);
  t.equal(codes, `NOERROR ${sent} (100.00%)`);
  t.comment(`slowest ${slowestMs} ms`);
});
