/** Script checks: a program of this machine is run, its exit code is the status. Texts as Consul's. */
import { spawn, type ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { OpenPipe } from "../../../ports.ts";
import type { CheckDefinition } from "../../definition.ts";
import { PROGRAM_TIMEOUT_MS, timeoutOf, type ProbeResult } from "../check.ts";
import { createOutputEnd, programOutput, statusOfExit, timedOutResult } from "../output.ts";
import { critical, type Prober } from "../run/driver.ts";

/** What programs are run with. */
export type ProgramOptions = {
  /**
   * One pipe for both outputs keeps what is written in order, and `/dev/stderr` can be opened. Without it
   * the runtime's own pair of sockets serves.
   */
  openPipe?: OpenPipe | null;
  /** Sends SIGKILL to a process group; throws if it cannot. */
  killGroup?: (group: number) => void;
};

/** Descendants that hold the output open after the program has ended are waited for this long, then killed. */
const DRAIN_MS = 1_000;
/** A killed program is waited for this long; one that stays is not started again until it has gone. */
const KILL_WAIT_MS = 2_000;
/**
 * Output beyond this much is read one piece (64 KiB at most) per millisecond: a program that writes
 * without end waits for its pipe instead of taking this thread's time. Bun 1.4.5, `yes`: 40 % of a
 * core without, 3 % with it.
 */
const UNPACED_OCTETS = 262_144;

/**
 * Runs checks with `args`, without a shell. The program gets this agent's environment and working
 * directory, an empty input, and a session of its own that is killed as a whole when the time is over
 * or the check is stopped.
 */
export function createScriptProbe(options: ProgramOptions): Prober {
  /** Programs that outlived SIGKILL, because they run for another user or hang in the kernel. */
  const lasting = new WeakMap<CheckDefinition, Program>();
  return async (check, { outputMaxOctets }, signal) => {
    const earlier = lasting.get(check);
    if (earlier !== undefined)
      return critical(`the program of an earlier run cannot be ended (process ${earlier.pid})`);
    const output = createOutputEnd(outputMaxOctets);
    const program = startProgram(check.args, options, (octets) => output.add(octets));
    if ("failed" in program) return critical(program.failed);
    const timeoutMs = timeoutOf(check, PROGRAM_TIMEOUT_MS);
    const end = await endOf(program, timeoutMs, signal);
    if (!program.hasExited()) {
      lasting.set(check, program);
      void program.exited.then(() => lasting.delete(check));
    }
    return resultOf(end, programOutput(output, outputMaxOctets), timeoutMs);
  };
}

type Exit = { code: number | null } | { failed: string };
type End = Exit | "timed out" | "stopped";

function resultOf(end: End, output: string, timeoutMs: number): ProbeResult {
  if (end === "stopped") return critical("check was stopped");
  if (end === "timed out") return timedOutResult(timeoutMs, output);
  return "failed" in end ? critical(end.failed) : { status: statusOfExit(end.code), output };
}

/** Resolves when the program is gone with all that it wrote, or nothing more can be done about it. */
async function endOf(program: Program, timeoutMs: number, signal: AbortSignal): Promise<End> {
  let interrupt: (why: "timed out" | "stopped") => void = () => {};
  const interrupted = new Promise<"timed out" | "stopped">((resolve) => (interrupt = resolve));
  const stop = () => {
    program.kill(); // at once: this process may be about to end
    interrupt("stopped");
  };
  signal.addEventListener("abort", stop);
  const timer = setTimeout(() => interrupt("timed out"), timeoutMs);
  const end = await Promise.race([program.exited, interrupted]);
  clearTimeout(timer);
  if (typeof end === "string") {
    program.kill();
    await within(KILL_WAIT_MS, Promise.all([program.exited, program.outputEnded]));
  } else if (!(await within(DRAIN_MS, program.outputEnded))) {
    program.kill();
  }
  signal.removeEventListener("abort", stop);
  program.close();
  return end;
}

/** Whether it settles in time. */
async function within(limitMs: number, settled: Promise<unknown>): Promise<boolean> {
  const late = new AbortController();
  const timer = sleep(limitMs, false, { signal: late.signal }).catch(() => false);
  const isInTime = await Promise.race([settled.then(() => true), timer]);
  late.abort();
  return isInTime;
}

type Program = {
  pid: number | undefined;
  exited: Promise<Exit>;
  hasExited(): boolean;
  /** Resolves when nobody can write any more, or after `close`. */
  outputEnded: Promise<unknown>;
  kill(): void;
  close(): void;
};

/** Starts it as the leader of a process group; the error is Go's sentence about why it cannot be. */
function startProgram(
  args: readonly string[],
  { openPipe, killGroup = killProcessGroup }: ProgramOptions,
  onOutput: (octets: Uint8Array) => void,
): Program | { failed: string } {
  const [file = "", ...rest] = args;
  const pipe = openPipe?.();
  if (pipe !== undefined && "error" in pipe) return { failed: `pipe: ${pipe.error}` };
  let child: ChildProcess;
  try {
    const outputs = pipe === undefined ? "pipe" : pipe.writer;
    child = spawn(file, rest, { stdio: ["ignore", outputs, outputs], detached: true });
  } catch (error) {
    pipe?.closeWriter();
    pipe?.close();
    return { failed: startError(file, error) };
  }
  pipe?.closeWriter();

  let exit: Exit | undefined;
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code) => resolve((exit = { code })));
    // stays: an error of a later moment must not end this process
    child.on("error", (error) => resolve((exit ??= { failed: startError(file, error) })));
  });
  const streams = pipe === undefined ? [child.stdout!, child.stderr!] : [pipe.octets];
  return {
    pid: child.pid,
    exited,
    hasExited: () => exit !== undefined,
    outputEnded: Promise.all(streams.map((stream) => drain(stream, onOutput))),
    kill() {
      if (child.pid === undefined) return;
      try {
        killGroup(child.pid);
      } catch {
        // ESRCH: all are gone. EPERM: they run for another user; whoever waits finds out.
      }
    },
    close() {
      pipe?.close();
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
  };
}

function killProcessGroup(group: number): void {
  process.kill(-group, "SIGKILL");
}

async function drain(
  stream: AsyncIterable<Uint8Array>,
  onOutput: (octets: Uint8Array) => void,
): Promise<void> {
  let total = 0;
  try {
    for await (const octets of stream) {
      onOutput(octets);
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
