/** The real program as a test sees it: bin/waypost on free loopback ports, with its own data. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { freePort } from "./free-port.mjs";
import { temporaryDirectory } from "./temporary-directory.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 20_000;

/**
 * What a busy machine may add to a time that a test looks at: the program waits for its turn, and so does
 * the test. Times that are promised are measured by the bench.
 */
export const BUSY_MS = 3_000;

/** Path of the launcher. */
export const waypostPath = join(root, "bin/waypost");

export type Program = {
  pid: number;
  dnsPort: number;
  httpPort: number;
  dataDir: string;
  configFile: string;
  child: ChildProcess;
  /** What it wrote to standard output and error so far (the last 100,000 characters). */
  output(): string;
  /** One HTTP request; the body is sent as JSON unless it is a string. */
  http(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }>;
  /** Rewrites the configuration file with these keys on top. */
  configure(patch: Record<string, unknown>): void;
  /** Sends a signal and waits for the end; gives the exit code, null if a signal ended it. */
  end(signal: NodeJS.Signals): Promise<number | null>;
};

/**
 * Starts a single server and waits until it has a leader and lists itself. `at` reuses the ports
 * and the directory of an earlier one (restart). Rejects with an error that holds its output if it stops.
 * When the test ends the program is killed, and a directory of its own removed.
 */
export async function startProgram(
  t: Pick<Test, "teardown">,
  config: Record<string, unknown> = {},
  at?: { directory: string; dnsPort: number; httpPort: number },
): Promise<Program> {
  const directory = at?.directory ?? temporaryDirectory(t);
  const dnsPort = at?.dnsPort ?? (await freePort());
  const httpPort = at?.httpPort ?? (await freePort());
  const dataDir = join(directory, "data");
  const configFile = join(directory, "config.json");
  const base = {
    node_name: "n1",
    server: true,
    bootstrap: true,
    data_dir: dataDir,
    bind_addr: "127.0.0.1",
    log_level: "info",
    ports: { dns: dnsPort, http: httpPort, server: 1 + (httpPort % 65_000), serf_wan: -1 },
  };
  const ports = { ...base.ports, ...(config["ports"] as object | undefined) };
  let current: Record<string, unknown> = { ...base, ...config, ports };
  writeFileSync(configFile, JSON.stringify(current));
  const child = spawn(waypostPath, ["agent", "-config-file", configFile], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const keep = (octets: Buffer) => {
    output = (output + octets.toString()).slice(-100_000);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const http: Program["http"] = async (method, path, body) => {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const reply = await fetch(`http://127.0.0.1:${httpPort}${path}`, {
      method,
      ...(text === undefined ? {} : { body: text }),
    });
    return { status: reply.status, text: await reply.text() };
  };
  const end: Program["end"] = async (signal) => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
    await ended;
    clearTimeout(timer);
    return child.exitCode;
  };
  t.teardown(() => end("SIGKILL"));
  const acl = current["acl"] as { default_policy?: string } | undefined;
  const isClosed = acl?.default_policy === "deny";
  const deadline = Date.now() + START_LIMIT_MS;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`waypost ended at start (${child.exitCode}): ${output}`);
    // Where nobody may read the catalog without a token, the program's own word has to do.
    const path = isClosed ? "/v1/status/leader" : "/v1/health/service/consul?passing";
    const ready = await http("GET", path).catch(() => null);
    if (ready?.status === 200 && ready.text.length > 2 && (!isClosed || / ready: /.test(output)))
      break;
    if (Date.now() > deadline)
      throw new Error(`waypost is not ready after ${START_LIMIT_MS} ms: ${output}`);
    await sleep(20);
  }
  return {
    pid: child.pid!,
    dnsPort,
    httpPort,
    dataDir,
    configFile,
    child,
    output: () => output,
    http,
    end,
    configure: (patch) => {
      current = { ...current, ...patch };
      writeFileSync(configFile, JSON.stringify(current));
    },
  };
}
