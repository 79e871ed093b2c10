/** Child processes under measurement: start, CPU time and memory from /proc, stop. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const CLOCK_TICKS_PER_SECOND = 100;
const STOP_GRACE_MS = 5_000;

export type Server = {
  name: string;
  pid: number;
  port: number;
  isRunning(): boolean;
  stop(): Promise<void>;
};

/** CPU seconds (user + system, all threads) of a process so far; proc(5) fields 14 and 15. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

/** Resident megabytes of a process (VmRSS). */
export function rssMegabytes(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? 0) / 1024;
}

/** Starts a program and waits until `ready` says so; throws with its last output if it ends before. */
export async function startServer(
  name: string,
  command: string[],
  port: number,
  ready: () => Promise<boolean>,
): Promise<Server> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const keepTail = (octets: Buffer) => {
    output = (output + octets.toString()).slice(-2_000);
  };
  child.stdout.on("data", keepTail);
  child.stderr.on("data", keepTail);
  const deadline = Date.now() + 30_000;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${name} ended at start: ${output}`);
    if (await ready().catch(() => false)) break;
    if (Date.now() > deadline) {
      await stop(child);
      throw new Error(`${name} is not ready after 30 s: ${output}`);
    }
    await sleep(20);
  }
  return {
    name,
    pid: child.pid!,
    port,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    stop: () => stop(child),
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
  await ended;
  clearTimeout(timer);
}
