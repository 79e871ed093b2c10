/** Script checks: a program of this machine is run, its exit code is the status. Texts as Consul's. */
import type { CheckDefinition } from "../../definition.ts";
import {
  DRAIN_MS,
  KILL_WAIT_MS,
  startProgram,
  within,
  type Exit,
  type Program,
  type ProgramWorld,
} from "../../program/driver.ts";
import { PROGRAM_TIMEOUT_MS, timeoutOf, type ProbeResult } from "../check.ts";
import { createOutputEnd, programOutput, statusOfExit, timedOutResult } from "../output.ts";
import { critical, type Prober } from "../run/driver.ts";

/** What programs are run with. */
export type ProgramOptions = ProgramWorld;

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
    const program = startProgram(
      { args: check.args, output: (octets) => output.add(octets) },
      options,
    );
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
    program.signal("SIGKILL"); // at once: this process may be about to end
    interrupt("stopped");
  };
  signal.addEventListener("abort", stop);
  const timer = setTimeout(() => interrupt("timed out"), timeoutMs);
  const end = await Promise.race([program.exited, interrupted]);
  clearTimeout(timer);
  if (typeof end === "string") {
    program.signal("SIGKILL");
    await within(KILL_WAIT_MS, Promise.all([program.exited, program.outputEnded]));
  } else if (!(await within(DRAIN_MS, program.outputEnded))) {
    program.signal("SIGKILL");
  }
  signal.removeEventListener("abort", stop);
  program.close();
  return end;
}
