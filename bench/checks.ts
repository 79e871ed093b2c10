/** Rows on 2,000 HTTP checks of one agent: processor, punctuality, and DNS while all of them hang. */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as pause } from "node:timers/promises";
import { dnsLoad } from "./load.ts";
import { cpuSeconds, rssMegabytes, startServer, type Server } from "./process.ts";
import { absolute, ratio, type Row } from "./rows.ts";
import { startWaypost, type Waypost } from "./servers.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const CHECKS = 2_000;
const INTERVAL_MS = 10_000;
/** Checks that hang are given up shortly before the next run. */
const TIMEOUT_MS = 9_000;
/** Until every check has run and the program has compiled itself. */
const WARM_MS = 1.5 * INTERVAL_MS;
const MEASURED_MS = 2 * INTERVAL_MS;
const PROBES_PER_SECOND = 500;

/** All rows of the group. */
export async function checks(): Promise<Row[]> {
  const target = await startTarget();
  const loop = await measure(await startLoop(target.port), target);
  const waypost = await startChecking(target.port);
  const answered = await measure(waypost, target);
  const quiet = await dnsP99(waypost);
  target.hang();
  await pause(WARM_MS);
  const hanging = await measure(waypost, target);
  const busy = await dnsP99(waypost);
  const rss = rssMegabytes(waypost.pid);
  await waypost.stop();
  target.close();
  const what = `${CHECKS} HTTP checks at ${INTERVAL_MS / 1000} s`;
  const late = (worstMs: number) => (100 * worstMs) / INTERVAL_MS;
  return [
    absolute(`${what}, share of a core`, "%", answered.cpuShare, 15),
    ratio(
      "the same, CPU of each",
      "us",
      answered.cpuMicros,
      "bare loop",
      loop.cpuMicros,
      "at most",
      2,
    ),
    absolute("the same, latest run in its interval", "%", late(answered.worstMs), 10),
    absolute("all of them hang, share of a core", "%", hanging.cpuShare, 20),
    absolute("all of them hang, latest run in its interval", "%", late(hanging.worstMs), 10),
    absolute("all of them hang, memory", "MB", rss, 250),
    ratio("all of them hang, DNS p99", "ms", busy, "while they are answered", quiet, "at most", 2),
  ];
}

type Target = {
  port: number;
  /** Runs since the last call, and how much later than an interval after the one before the latest came. */
  take(): { runs: number; worstMs: number };
  /** From now on nothing is answered. */
  hang(): void;
  close(): void;
};

async function startTarget(): Promise<Target> {
  const lastMs = new Map<string, number>();
  const held = new Set<ServerResponse>();
  let isHanging = false;
  let runs = 0;
  let worstMs = 0;
  const server = createServer(({ url = "" }, response) => {
    const nowMs = performance.now();
    const before = lastMs.get(url);
    lastMs.set(url, nowMs);
    runs++;
    if (before !== undefined) worstMs = Math.max(worstMs, nowMs - before - INTERVAL_MS);
    if (!isHanging) return void response.end("ok");
    held.add(response);
    response.on("close", () => held.delete(response));
  });
  server.listen(0, "127.0.0.1", 4_096);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    take() {
      const taken = { runs, worstMs };
      runs = 0;
      worstMs = 0;
      return taken;
    },
    hang: () => void (isHanging = true),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function measure(server: Server, target: Target) {
  await pause(WARM_MS);
  target.take();
  const before = cpuSeconds(server.pid);
  await pause(MEASURED_MS);
  const { runs, worstMs } = target.take();
  const seconds = cpuSeconds(server.pid) - before;
  if (server.name !== "waypost") await server.stop();
  return {
    cpuShare: (seconds / (MEASURED_MS / 1000)) * 100,
    cpuMicros: (seconds * 1e6) / runs,
    worstMs,
  };
}

function startLoop(port: number): Promise<Server> {
  const command = [
    join(root, "node_modules/.bin/bun"),
    join(root, "bench/peers/request-loop.ts"),
    ...[port, CHECKS, INTERVAL_MS].map(String),
  ];
  return startServer("bare loop", command, 0, () => Promise.resolve(true));
}

function startChecking(port: number): Promise<Waypost> {
  const services = Array.from({ length: CHECKS }, (_, i) => ({
    name: `checked-${i}`,
    port: 80,
    check: {
      http: `http://127.0.0.1:${port}/${i}`,
      interval: `${INTERVAL_MS}ms`,
      timeout: `${TIMEOUT_MS}ms`,
    },
  }));
  return startWaypost({ services });
}

async function dnsP99(waypost: Waypost): Promise<number> {
  const load = { names: ["consul.service.consul"], outstanding: 1, clients: 1, percentiles: true };
  const { p99Ms } = await dnsLoad(waypost, {
    ...load,
    seconds: INTERVAL_MS / 1000,
    rate: PROBES_PER_SECOND,
  });
  return p99Ms!;
}
