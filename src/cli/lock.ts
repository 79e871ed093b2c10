import { posix } from "node:path";
import {
  askToEnd,
  exitProblem,
  kill,
  shellArgs,
  startProgram,
  type Program,
} from "../cluster/program/driver.ts";
import { formatDuration } from "../duration.ts";
import { attempt, CommandFailure, httpCommand } from "./command.ts";
import { flag } from "./flags.ts";
import { cleanFolder } from "./kv/entries.ts";
import type { Contended } from "./lock/contended.ts";
import { createMutex } from "./lock/mutex.ts";
import { createSemaphore, LOCK_KEY } from "./lock/semaphore.ts";
import { createLockStore } from "./lock/store.ts";
import type { World } from "./world.ts";

/** Between SIGTERM and SIGKILL of a child whose lock is lost: below the lock delay of 15 s. Consul's. */
const GRACE_MS = 5_000;
/** Exit code with -child-exit-code when the child failed. */
const CHILD_FAILED = 2;

/** `lock`: runs a command while a lock is held. */
export const lock = httpCommand({
  doc: "Runs a command while it holds a lock.",
  usage: "[options] PREFIX COMMAND...",
  detail: `Waits until nobody else holds the lock below the prefix in the key/value store, runs the command
and gives the lock back. With -n more than one may hold it at a time. If the lock is lost, the
command and all that it started get SIGTERM, and SIGKILL five seconds later. Its exit code
is 0 even if the command fails, unless -child-exit-code is given.

    waypost lock service/backup ./backup.sh
    waypost lock -n=2 -timeout=10s service/restart systemctl restart web

With ACLs the token has to have session "write" on the agent's node, and key "write" for
PREFIX/.lock, or with -n for all keys below the prefix.`,
  runsProgram: true,
  flags: {
    "child-exit-code": flag.boolean("Exit with 2 if the command fails."),
    n: flag.integer(1, "How many may hold the lock at a time."),
    "monitor-retry": flag.integer(
      3,
      "How often in a row, a second apart, the watch over the lock may fail before it counts as lost.",
    ),
    name: flag.text("Name of the session. Default: it tells command and prefix."),
    "pass-stdin": flag.boolean("Give the command this standard input."),
    shell: flag.maybe("Run the command by $SHELL, or /bin/sh. Default: true."),
    timeout: flag.optionalDuration("Give up after this time. Default: never."),
    try: flag.optionalDuration("Older name of -timeout."),
    verbose: flag.boolean("Tell what is done."),
  },
  async run({ flags, args, http, world }) {
    const [path = "", ...command] = args;
    const tryMs = flags.timeout ?? flags.try ?? 0;
    if (flags.n <= 0) throw new CommandFailure("Lock holder limit must be positive");
    if (command.length === 0)
      throw new CommandFailure("Key prefix and child command must be specified");
    if (tryMs < 0) throw new CommandFailure("Timeout must be positive");
    if (flags["monitor-retry"] < 0)
      throw new CommandFailure("Number for 'monitor-retry' must be >= 0");
    const prefix = cleanFolder(path);
    if (prefix === undefined)
      throw new CommandFailure(`Lock setup failed: ${path} leads out of the key/value store`);
    await attempt("Error querying Consul agent", http.request("GET", "/v1/status/leader"));
    const tell = async (text: string) => (flags.verbose ? world.out(`${text}\n`) : undefined);
    const options = {
      http,
      store: createLockStore(http),
      clock: world.clock,
      sessionName: flags.name || `Consul lock for '${command.join(" ")}' at '${prefix}'`,
      tryMs,
      monitorRetries: flags["monitor-retry"],
    };
    let place: Contended;
    let about: string;
    if (flags.n === 1) {
      const key = posix.join(prefix, LOCK_KEY);
      about = `Setting up lock at path: ${key}`;
      place = createMutex(key, options);
    } else {
      about = `Setting up semaphore (limit ${flags.n}) at prefix: ${prefix}`;
      if (prefix === "") throw new CommandFailure("Lock setup failed: missing prefix");
      place = createSemaphore(prefix, flags.n, options);
    }
    const code = await runLocked(place, world, tell, {
      about,
      args: flags.shell === false ? command : shellArgs(command.join(" ")),
      passesInput: flags["pass-stdin"],
    });
    return flags["child-exit-code"] ? code : 0;
  },
});

type Tell = (text: string) => Promise<void>;
type Child = { about: string; args: readonly string[]; passesInput: boolean };

/** Resolves with 0, or CHILD_FAILED; a lock that is lost or a signal is no failure, as with Consul. */
async function runLocked(
  place: Contended,
  world: World,
  tell: Tell,
  child: Child,
): Promise<number> {
  const stop = new AbortController();
  const running: { program?: Program } = {};
  const cancels = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((signal) =>
    world.onSignal(signal, () => {
      running.program?.signal(signal);
      stop.abort();
    }),
  );
  try {
    await tell(child.about);
    await tell("Attempting lock acquisition");
    const held = await prefixed("Lock acquisition failed", place.acquire(stop.signal));
    if (held === undefined)
      throw new CommandFailure("Shutdown triggered or timeout during lock acquisition");
    let code = 0;
    if (stop.signal.aborted) await world.err("Shutdown triggered during lock acquisition\n");
    else code = await runChild(child, { stop: stop.signal, lost: held.lost }, running, world, tell);
    await prefixed("Lock release failed", place.release());
    const left = await prefixed("Lock cleanup failed", place.destroy());
    await tell(left === "removed" ? "Cleanup succeeded" : "Cleanup aborted, lock in use");
    return code;
  } finally {
    cancels.forEach((cancel) => cancel());
  }
}

async function runChild(
  { args, passesInput }: Child,
  over: { stop: AbortSignal; lost: Promise<void> },
  running: { program?: Program },
  world: World,
  tell: Tell,
): Promise<number> {
  await tell("Starting handler");
  if (passesInput) await tell("Stdin passed to handler process");
  const program = startProgram(
    {
      args,
      env: { CONSUL_LOCK_HELD: "true" },
      input: passesInput ? "inherit" : undefined,
      output: "inherit",
    },
    {},
  );
  if ("failed" in program) {
    await world.err(`Error starting handler: ${program.failed}\n`);
    await tell("Child terminated, releasing lock");
    return CHILD_FAILED;
  }
  running.program = program;
  const stopped = new Promise<"stopped">((resolve) => {
    over.stop.addEventListener("abort", () => resolve("stopped"));
    if (over.stop.aborted) resolve("stopped");
  });
  const first = await Promise.race([
    program.exited,
    stopped,
    over.lost.then(() => "lost" as const),
  ]);
  if (typeof first === "object") {
    const problem = exitProblem(first);
    if (problem !== undefined)
      await world.err(`Error ${"failed" in first ? "starting" : "running"} handler: ${problem}\n`);
    await tell("Child terminated, releasing lock");
    return problem === undefined ? 0 : CHILD_FAILED;
  }
  await tell(first === "lost" ? "Lock lost, killing child" : "Shutdown triggered, killing child");
  await endChild(program, tell);
  return 0;
}

async function endChild(program: Program, tell: Tell): Promise<void> {
  await tell(`Terminating child pid ${program.pid}`);
  if (await askToEnd(program, GRACE_MS)) {
    await tell("Child terminated");
  } else {
    await tell(`Child did not exit after grace period of ${formatDuration(GRACE_MS)}`);
    await tell(`Killing child pid ${program.pid}`);
  }
  await kill(program); // what it started may be there still, without the lock
}

async function prefixed<T>(what: string, done: Promise<T>): Promise<T> {
  try {
    return await done;
  } catch (error) {
    if (error instanceof CommandFailure) throw new CommandFailure(`${what}: ${error.message}`);
    throw error;
  }
}
