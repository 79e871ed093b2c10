/** A command line as a user types it: the real launcher, its output and exit code. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { waypostPath } from "../program.ts";

const LIMIT_MS = 60_000;

export type Ended = { code: number | null; out: string; err: string };

/** Options of one run. */
export type RunOptions = {
  /** Standard input; nothing if it is not given. */
  input?: string | Uint8Array;
  /** On top of an environment without WAYPOST_* and CONSUL_* variables. */
  env?: Record<string, string>;
  cwd?: string;
};

/** Runs `waypost ARGS` against the agent that listens on this HTTP port, to its end. */
export async function runCli(
  httpPort: number | undefined,
  args: readonly string[],
  { input, env = {}, cwd }: RunOptions = {},
): Promise<Ended> {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(WAYPOST|CONSUL)_/.test(name)),
  );
  const address = httpPort === undefined ? {} : { CONSUL_HTTP_ADDR: `127.0.0.1:${httpPort}` };
  const child = spawn(waypostPath, [...args], {
    env: { ...clean, ...address, ...env },
    stdio: ["pipe", "pipe", "pipe"],
    ...(cwd === undefined ? {} : { cwd }),
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  child.stdin.on("error", () => {}); // it may end without reading
  child.stdin.end(input ?? "");
  await once(child, "close");
  clearTimeout(timer);
  return { code: child.exitCode, out, err };
}
