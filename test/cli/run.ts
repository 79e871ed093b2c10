/**
 * A command line as a user types it, its output and exit code. The first of each command runs through
 * the real launcher; those that follow run in one process that stays, which takes a tenth of the time.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { waypostPath } from "../program.ts";
import type { Asked, Told } from "./worker.ts";

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

/** Commands with children on the same streams. */
const withChildren = ["lock", "watch"];
const launched = new Set<string>();

/** Runs `waypost ARGS` against the agent that listens on this HTTP port, to its end. */
export async function runCli(
  httpPort: number | undefined,
  args: readonly string[],
  { input = "", env = {}, cwd }: RunOptions = {},
): Promise<Ended> {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(WAYPOST|CONSUL)_/.test(name)),
  );
  const address = httpPort === undefined ? {} : { CONSUL_HTTP_ADDR: `127.0.0.1:${httpPort}` };
  const all = { ...clean, ...address, ...env };
  const command = args
    .filter((word) => /^[a-z-]+$/.test(word))
    .slice(0, 3)
    .join(" ");
  if (cwd !== undefined || withChildren.includes(args[0] ?? "") || !launched.has(command)) {
    launched.add(command);
    return launch(args, input, { env: all, ...(cwd === undefined ? {} : { cwd }) });
  }
  return ask({ args: [...args], env: all, input: Buffer.from(input).toString("base64") });
}

async function launch(
  args: readonly string[],
  input: string | Uint8Array,
  options: { env: Record<string, string | undefined>; cwd?: string },
): Promise<Ended> {
  const child = spawn(waypostPath, [...args], { ...options, stdio: ["pipe", "pipe", "pipe"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  child.stdin.on("error", () => {}); // it may end without reading
  child.stdin.end(input);
  await once(child, "close");
  clearTimeout(timer);
  return { code: child.exitCode, out, err };
}

type Worker = { child: ChildProcess; asked: Map<number, (told: Told | Error) => void> };
let worker: Worker | undefined;
let lastId = 0;

/** The process that stays; it ends with this one, and does not hold it. */
function startWorker(): Worker {
  const here = dirname(fileURLToPath(import.meta.url));
  const bun = join(here, "../../node_modules/.bin/bun");
  const config = `--config=${join(here, "../../bunfig.toml")}`;
  const child = spawn(
    bun,
    ["--no-install", "--no-env-file", config, join(here, "worker.ts"), waypostPath],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const asked: Worker["asked"] = new Map();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const told = JSON.parse(line) as Told; // worker.ts writes it
    asked.get(told.id)?.(told);
  });
  child.on("close", () => {
    for (const settle of asked.values()) settle(new Error("the worker has ended"));
    worker = undefined;
  });
  child.unref();
  for (const stream of [child.stdin, child.stdout])
    (stream as unknown as { unref(): void }).unref();
  process.once("exit", () => child.kill());
  return { child, asked };
}

async function ask(question: Omit<Asked, "id">): Promise<Ended> {
  const { child, asked } = (worker ??= startWorker());
  const id = ++lastId;
  const told = await new Promise<Told | Error>((resolve) => {
    const timer = setTimeout(
      () => resolve(new Error(`no end: ${question.args.join(" ")}`)),
      LIMIT_MS,
    );
    asked.set(id, (answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
    child.stdin?.write(`${JSON.stringify({ id, ...question } satisfies Asked)}\n`);
  });
  asked.delete(id);
  if (told instanceof Error) throw told;
  const text = (octets: string) => Buffer.from(octets, "base64").toString("utf8");
  return { code: told.code, out: text(told.out), err: text(told.err) };
}
