/** Load generators: dnsperf for DNS, wrk for HTTP. Each call is bounded in time. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { cpuSeconds, type Server } from "./process.ts";

const run = promisify(execFile);

export type DnsLoad = {
  names: readonly string[];
  seconds: number;
  outstanding?: number;
  clients?: number;
  /** At most this many questions per second; 0: as fast as it goes. */
  rate?: number;
  /** Go through the names once instead of for `seconds`. */
  once?: boolean;
  percentiles?: boolean;
};

export type DnsResult = {
  completed: number;
  lost: number;
  perSecond: number;
  cpuMicrosPerQuery: number;
  rcodes: string;
  p99Ms: number | null;
};

/** dnsperf against one server; CPU is that of the server's whole process. */
export async function dnsLoad(server: Server, load: DnsLoad): Promise<DnsResult> {
  const file = join(tmpdir(), `waypost-bench-${randomUUID()}.txt`);
  writeFileSync(file, load.names.map((name) => `${name} A`).join("\n") + "\n");
  const args = ["-s", "127.0.0.1", "-p", String(server.port), "-d", file, "-T", "1", "-S", "0"];
  args.push("-c", String(load.clients ?? 8), "-q", String(load.outstanding ?? 500), "-t", "3");
  if (load.once) args.push("-n", "1");
  else args.push("-l", String(load.seconds));
  if (load.rate) args.push("-Q", String(Math.round(load.rate)));
  if (load.percentiles) args.push("-v");
  const before = cpuSeconds(server.pid);
  const { stdout } = await run("dnsperf", args, { maxBuffer: 1 << 30 }).finally(() => rmSync(file));
  const cpu = cpuSeconds(server.pid) - before;
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1] ?? 0);
  const completed = number(/Queries completed:\s+(\d+)/);
  return {
    completed,
    lost: number(/Queries lost:\s+(\d+)/),
    perSecond: number(/Queries per second:\s+([\d.]+)/),
    cpuMicrosPerQuery: (cpu * 1e6) / Math.max(1, completed),
    rcodes: /Response codes:\s+(.*)/.exec(stdout)?.[1] ?? "",
    p99Ms: load.percentiles ? percentile(stdout, 0.99) : null,
  };
}

function percentile(verboseOutput: string, share: number): number {
  const latencies: number[] = [];
  for (const match of verboseOutput.matchAll(/^> \S+ \S+ \S+ ([\d.]+)$/gm))
    latencies.push(Number(match[1]) * 1000);
  latencies.sort((a, b) => a - b);
  return latencies[Math.floor(latencies.length * share)] ?? NaN;
}

export type HttpResult = { completed: number; perSecond: number; cpuMicrosPerRequest: number };

/** wrk with a Lua script that makes each request unique; one thread. */
export async function httpLoad(
  server: Server,
  load: { lua: string; connections: number; seconds: number },
): Promise<HttpResult> {
  const file = join(tmpdir(), `waypost-bench-${randomUUID()}.lua`);
  writeFileSync(file, load.lua);
  const before = cpuSeconds(server.pid);
  const url = `http://127.0.0.1:${server.port}`;
  const args = ["-t", "1", "-c", String(load.connections), "-d", `${load.seconds}s`, "-s", file];
  const { stdout } = await run("wrk", [...args, url]).finally(() => rmSync(file));
  const cpu = cpuSeconds(server.pid) - before;
  const completed = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
  const failures = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1];
  if (failures) throw new Error(`${server.name}: ${failures} of ${completed} requests failed`);
  return {
    completed,
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1] ?? 0),
    cpuMicrosPerRequest: (cpu * 1e6) / Math.max(1, completed),
  };
}

const SECONDS = Number(process.env["BENCH_SECONDS"] ?? 5);

/** Who is asked for what. */
export type Asked = { server: Server; lua: string };

/** Medians of rate and CPU, each over all rounds. */
export type Medians = { perSecond: number; cpuMicrosPerRequest: number };

/**
 * Each is asked once to let it compile itself, then all in turns, BENCH_SECONDS at a time, so that
 * whatever else goes on here hits all alike. In the order given.
 */
export async function inTurns(
  asked: readonly Asked[],
  connections: number,
  rounds = 3,
): Promise<Medians[]> {
  const results: HttpResult[][] = asked.map(() => []);
  for (let round = 0; round <= rounds; round++)
    for (const [i, { server, lua }] of asked.entries()) {
      const result = await httpLoad(server, { lua, connections, seconds: SECONDS });
      if (round > 0) results[i]!.push(result);
    }
  const median = (list: number[]) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]!;
  return results.map((list) => ({
    perSecond: median(list.map(({ perSecond }) => perSecond)),
    cpuMicrosPerRequest: median(list.map(({ cpuMicrosPerRequest }) => cpuMicrosPerRequest)),
  }));
}
