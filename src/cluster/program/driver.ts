/** Programs that this one starts: each the leader of a group that is signalled as a whole, its output paced and bounded. */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { isatty } from "node:tty";
import type { OpenPipe } from "../../ports.ts";

/** How programs are started and signalled. */
export type ProgramWorld = {
  /**
   * One pipe for both outputs keeps what is written in order, and `/dev/stderr` can be opened. Without it
   * the runtime's own pair of sockets serves.
   */
  openPipe?: OpenPipe | null;
  /** Signals a process group; throws if it cannot. */
  killGroup?: (group: number, signal: NodeJS.Signals) => void;
};

/** One program. */
export type ProgramStart = {
  /** The file and its arguments; no shell. */
  args: readonly string[];
  /** Added to the environment of this process. */
  env?: Readonly<Record<string, string>>;
  /** Its standard input: a text, this process's own, or (the default) nothing. */
  input?: { text: string } | "inherit" | undefined;
  /** Takes what it writes; while the promise lasts nothing more is read. "inherit": this process's own outputs. */
  output: "inherit" | ((octets: Uint8Array) => void | Promise<void>);
};

/** How a program ended; `failed` is Go's sentence about why it could not be started. */
export type Exit = { code: number | null; signal: string | null } | { failed: string };

/** A program that was started. */
export type Program = {
  pid: number | undefined;
  exited: Promise<Exit>;
  hasExited(): boolean;
  /** Resolves when nobody can write any more, or after `close`. */
  outputEnded: Promise<unknown>;
  /** Sends the signal to the whole group; nothing happens when it is gone. */
  signal(signal: NodeJS.Signals): void;
  /** Is anybody of its group left? (Also ended ones that nobody has waited for.) */
  hasGroup(): boolean;
  close(): void;
};

/** Descendants that hold the output open after the program has ended are waited for this long. */
export const DRAIN_MS = 1_000;
/**
 * Output beyond this much is read one piece (64 KiB at most) per millisecond: a program that writes
 * without end waits for its pipe instead of taking this thread's time. Bun 1.4.5, `yes`: 40 % of a
 * core without, 3 % with it.
 */
const UNPACED_OCTETS = 262_144;

/** Starts it as the leader of a process group; the error is Go's sentence about why it cannot be. */
export function startProgram(
  { args, env, input, output }: ProgramStart,
  { openPipe, killGroup = killProcessGroup }: ProgramWorld,
): Program | { failed: string } {
  const [file = "", ...rest] = args;
  const pipe = output === "inherit" ? undefined : openPipe?.();
  if (pipe !== undefined && "error" in pipe) return { failed: `pipe: ${pipe.error}` };
  const outputs = output === "inherit" ? "inherit" : (pipe?.writer ?? "pipe");
  const inherits = input === "inherit";
  const stdio: StdioOptions = [
    inherits ? "inherit" : input === undefined ? "ignore" : "pipe",
    outputs,
    outputs,
  ];
  // In a session of its own it could not read from this one's terminal.
  const detached = !(inherits && isatty(0));
  let child: ChildProcess;
  try {
    child = spawn(file, rest, {
      stdio,
      detached,
      ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
    });
  } catch (error) {
    pipe?.closeWriter();
    pipe?.close();
    return { failed: startError(file, error) };
  }
  pipe?.closeWriter();
  child.stdin?.on("error", () => {}); // it may end without reading
  if (typeof input === "object") child.stdin?.end(input.text);

  let exit: Exit | undefined;
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => {
      child.stdin?.destroy();
      resolve((exit = { code, signal }));
    });
    // stays: an error of a later moment must not end this process
    child.on("error", (error) => resolve((exit ??= { failed: startError(file, error) })));
  });
  const streams = pipe === undefined ? [child.stdout, child.stderr] : [pipe.octets];
  return {
    pid: child.pid,
    exited,
    hasExited: () => exit !== undefined,
    outputEnded: Promise.all(
      output === "inherit"
        ? []
        : streams.flatMap((stream) => (stream === null ? [] : [drain(stream, output)])),
    ),
    signal(signal) {
      if (child.pid === undefined) return;
      try {
        if (detached) killGroup(child.pid, signal);
        else child.kill(signal);
      } catch {
        // ESRCH: all are gone. EPERM: they run for another user; whoever waits finds out.
      }
    },
    hasGroup() {
      if (child.pid === undefined) return false;
      if (!detached) return exit === undefined;
      try {
        process.kill(-child.pid, 0);
        return true;
      } catch (error) {
        return error instanceof Error && "code" in error && error.code !== "ESRCH";
      }
    },
    close() {
      pipe?.close();
      child.stdin?.destroy();
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
  };
}

/** A line for the user's shell ($SHELL, else /bin/sh), as Consul runs it. */
export function shellArgs(line: string): readonly string[] {
  return [process.env["SHELL"] || "/bin/sh", "-c", line];
}

/** SIGTERM, and SIGKILL to what is left after `graceMs`. Resolves when the program is gone, or cannot be ended. */
export async function endProgram(program: Program, graceMs: number): Promise<void> {
  await askToEnd(program, graceMs);
  await kill(program);
}

/**
 * SIGTERM to the group; whether the program has ended in time. Descendants that outlive it have a
 * moment more, and are there still if they need longer.
 */
export async function askToEnd(program: Program, graceMs: number): Promise<boolean> {
  program.signal("SIGTERM");
  if (!(await within(graceMs, program.exited))) return false;
  for (let leftMs = DESCENDANTS_MS; leftMs > 0 && program.hasGroup(); leftMs -= LOOK_MS)
    await sleep(LOOK_MS);
  return true;
}

/** SIGKILL to all that is left of the group. Resolves when the program is gone, or cannot be ended. */
export async function kill(program: Program): Promise<void> {
  program.signal("SIGKILL");
  await within(KILL_WAIT_MS, program.exited);
}

/** Descendants that outlive a program which was asked to end. */
const DESCENDANTS_MS = 500;
/** Between two looks for them. */
const LOOK_MS = 20;

/** A killed program is waited for this long; one that stays hangs in the kernel or runs for another user. */
export const KILL_WAIT_MS = 2_000;

/** Whether it settles in time. */
export async function within(limitMs: number, settled: Promise<unknown>): Promise<boolean> {
  const late = new AbortController();
  const timer = sleep(limitMs, false, { signal: late.signal }).catch(() => false);
  const isInTime = await Promise.race([settled.then(() => true), timer]);
  late.abort();
  return isInTime;
}

/** What Go says of a program's end that is no success (`exit status 3`, `signal: killed`); undefined for a success. */
export function exitProblem(exit: Exit): string | undefined {
  if ("failed" in exit) return exit.failed;
  if (exit.signal !== null) return `signal: ${SIGNAL_WORDS[exit.signal] ?? exit.signal}`;
  return exit.code === 0 ? undefined : `exit status ${exit.code ?? -1}`;
}

const SIGNAL_WORDS: Readonly<Record<string, string>> = {
  SIGABRT: "aborted",
  SIGHUP: "hangup",
  SIGINT: "interrupt",
  SIGKILL: "killed",
  SIGPIPE: "broken pipe",
  SIGQUIT: "quit",
  SIGSEGV: "segmentation fault",
  SIGTERM: "terminated",
};

function killProcessGroup(group: number, signal: NodeJS.Signals): void {
  process.kill(-group, signal);
}

/** Reads all of a program's output, beyond UNPACED_OCTETS slowly; resolves at its end, however it comes. */
export async function drain(
  stream: AsyncIterable<Uint8Array>,
  onOutput: (octets: Uint8Array) => void | Promise<void>,
): Promise<void> {
  let total = 0;
  try {
    for await (const octets of stream) {
      await onOutput(octets);
      total += octets.length;
      if (total > UNPACED_OCTETS) await sleep(1);
    }
  } catch {
    // closed before its end
  }
}

/** What Go says of a program that cannot be started. */
function startError(file: string, error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (file === "" || (!file.includes("/") && (code === "ENOENT" || code === "EACCES")))
    return `exec: ${JSON.stringify(file)}: executable file not found in $PATH`;
  const words = START_ERRORS[code] ?? (error instanceof Error ? error.message : String(error));
  return `fork/exec ${file}: ${words}`;
}

const START_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  ENOEXEC: "exec format error",
  E2BIG: "argument list too long",
  EMFILE: "too many open files",
  EAGAIN: "resource temporarily unavailable",
  ENOMEM: "cannot allocate memory",
};
