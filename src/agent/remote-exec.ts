/**
 * Orders of `exec`: a user event names a job in the KV store, this agent runs it and writes what
 * becomes of it beside the job. Key layout, sizes and times of Consul 1.10 agent/remote_exec.go.
 */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { decodeShape, type Decoded } from "../cluster/decode.ts";
import type { EventBus, UserEvent } from "../cluster/events.ts";
import {
  DRAIN_MS,
  endProgram,
  shellArgs,
  startProgram,
  within,
  type Exit,
  type Program,
  type ProgramWorld,
} from "../cluster/program/driver.ts";
import { isUuid } from "../cluster/uuid.ts";
import type { Log, Timers } from "../ports.ts";
import type { AskSelf } from "./own-requests.ts";
import { createChunks } from "./remote-exec-output.ts";

/** Jobs at a time; a further one is not acknowledged, which its sender sees. */
const MAX_JOBS = 16;
/** Bounds of the time without output after which a sign of life is written; the job says how long. */
const HEARTBEAT_MIN_MS = 500;
const HEARTBEAT_MAX_MS = 10_000;
/** A program that is still there so long after SIGTERM is killed. */
const GRACE_MS = 2_000;
/** Exit code of what could not be run. */
const NOT_RUN = 255;
/** Characters of a command that the log shows. */
const SHOWN_CHARACTERS = 200;

const orderShape = { struct: { Prefix: "string", Session: "string" } } as const;
const jobShape = {
  struct: { Command: "string", Args: { list: "string" }, Script: "string", Wait: "int" },
} as const;
const loosely = { unknown: undefined };

type Job = Decoded<typeof jobShape>;

/** What it needs of the agent. */
export type RemoteExecDeps = {
  nodeName: string;
  events: Pick<EventBus, "onRemoteExec">;
  ask: AskSelf;
  /** With whose rights jobs are read and results written; "" for the default token. */
  token: () => string;
  programs: ProgramWorld;
  timers: Timers;
  log: Log;
};

/** Follows orders from now on. `stop` ends what runs. */
export function startRemoteExec(deps: RemoteExecDeps): { stop: () => Promise<void> } {
  const { events, log } = deps;
  const running = new Map<Promise<void>, AbortController>();
  const cancel = events.onRemoteExec((event) => {
    if (running.size >= MAX_JOBS)
      return log("warn", "remote exec refused: too many run already", { id: event.id });
    const stopping = new AbortController();
    const job = follow(event, deps, stopping.signal).catch((error: unknown) =>
      log("error", "remote exec failed", { id: event.id, error: String(error) }),
    );
    running.set(job, stopping);
    void job.then(() => running.delete(job));
  });
  return {
    async stop() {
      cancel();
      for (const stopping of running.values()) stopping.abort();
      await Promise.all(running.keys());
    },
  };
}

async function follow(event: UserEvent, deps: RemoteExecDeps, signal: AbortSignal): Promise<void> {
  const { nodeName, ask, token, log } = deps;
  const order = decodeShape(orderShape, parsed(new TextDecoder().decode(event.payload)), loosely);
  if (!order.ok) return log("error", "failed to decode remote exec event", { error: order.error });
  const { Prefix, Session } = order.value;
  const folder = posix.join(Prefix, Session);
  // The key becomes a path of our own API.
  if (!isUuid(Session) || /^\/|(^|\/)\.{1,2}(\/|$)/.test(folder))
    return log("error", "remote exec refused: bad prefix or session", { id: event.id });
  const pathOf = (name: string) =>
    `/v1/kv/${posix.join(folder, name).split("/").map(encodeURIComponent).join("/")}`;

  const found = await ask({ path: pathOf("job"), query: { raw: "" }, token: token() });
  if (found.status === 404) return log("debug", "remote exec aborted, job spec missing");
  if (found.status !== 200)
    return log("error", "failed to get remote exec job", { error: found.text.trim() });
  const job = decodeShape(jobShape, parsed(found.text), loosely);
  if (!job.ok) return log("error", "failed to decode remote exec spec", { error: job.error });

  /** Whether it was written: not once the order's session is gone. */
  const write = async (name: string, value: string | Uint8Array<ArrayBuffer>) => {
    const { status, text } = await ask({
      method: "PUT",
      path: pathOf(posix.join(nodeName, name)),
      query: { acquire: Session },
      token: token(),
      body: value,
    });
    if (status === 200 && text.trim() === "true") return true;
    const error = status === 200 ? "write failed" : text.trim();
    log("error", "failed to write for remote exec job", { name, error });
    return false;
  };
  if (!(await write("ack", ""))) return;
  const code = await run(job.value, write, deps, signal);
  if (code !== undefined) await write("exit", String(code));
}

type Write = (name: string, value: string | Uint8Array<ArrayBuffer>) => Promise<boolean>;

/** Runs a job; resolves with its exit code, undefined if nobody wants to know it any more. */
async function run(
  job: Job,
  write: Write,
  { programs, timers, log }: RemoteExecDeps,
  signal: AbortSignal,
): Promise<number | undefined> {
  const place = job.Script === "" ? undefined : await mkdtemp(join(tmpdir(), "rexec"));
  const refusal = new AbortController();
  const chunks = createChunks({
    timers,
    heartbeatMs: Math.min(Math.max(job.Wait / 1e6, HEARTBEAT_MIN_MS), HEARTBEAT_MAX_MS),
    async write(name, octets) {
      const isWritten = !refusal.signal.aborted && (await write(name, octets));
      if (!isWritten) refusal.abort();
    },
  });
  try {
    const args = await argsOf(job, place);
    log("info", "remote exec", { command: shown(job) });
    const program = startProgram({ args, output: (octets) => chunks.add(octets) }, programs);
    if ("failed" in program) {
      log("debug", "failed to start remote exec", program);
      return NOT_RUN;
    }
    const exit = await endOf(program, AbortSignal.any([signal, refusal.signal]));
    await within(DRAIN_MS, program.outputEnded);
    program.close();
    await chunks.end();
    if (refusal.signal.aborted || exit === undefined) return undefined;
    if ("failed" in exit) return NOT_RUN;
    return exit.code ?? -1; // ended by a signal, as Go counts it
  } finally {
    chunks.stop();
    if (place !== undefined) await rm(place, { recursive: true, force: true });
  }
}

/** How it ended, of itself or because of the signal; undefined if it cannot be ended. */
async function endOf(program: Program, signal: AbortSignal): Promise<Exit | undefined> {
  const ending = new Promise<undefined>((resolve) => {
    const end = () => void endProgram(program, GRACE_MS).then(() => resolve(undefined));
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
  const exit = await Promise.race([program.exited, ending]);
  return exit === undefined && program.hasExited() ? program.exited : exit;
}

async function argsOf(job: Job, place: string | undefined): Promise<readonly string[]> {
  if (place !== undefined) {
    const file = join(place, "script");
    await writeFile(file, Buffer.from(job.Script, "base64"));
    await chmod(file, 0o750);
    return shellArgs(file);
  }
  return job.Args !== null && job.Args.length > 0 ? job.Args : shellArgs(job.Command);
}

function shown({ Script, Args, Command }: Job): string {
  const text = Script === "" ? Args?.join(" ") || Command : "(a script)";
  return text.slice(0, SHOWN_CHARACTERS);
}

/** undefined for what is no JSON, which no shape takes for a struct that it needs. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return "not JSON";
  }
}
