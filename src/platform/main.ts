import { readFileSync } from "node:fs";
import { main, type Terminal } from "../main.ts";
import { fileReason } from "../file-reason.ts";
import type { World } from "../cli/world.ts";
import type { Clock } from "../ports.ts";
import { timers } from "./timers.ts";

const clock: Clock = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };

const name = process.env["WAYPOST_NAME"] === "consul" ? "consul" : "waypost";
delete process.env["WAYPOST_NAME"]; // check scripts and children have no use for it

const programPath = process.env["WAYPOST_PATH"] ?? name;
delete process.env["WAYPOST_PATH"];

const terminal: Terminal = {
  name,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  clock,
  processId: process.pid,
  completionLine: completionLine(process.env),
  world,
};

/** `complete -C` of bash sets both; COMP_POINT counts from the start of the line. */
function completionLine({
  COMP_LINE: line,
  COMP_POINT: point,
}: NodeJS.ProcessEnv): string | undefined {
  if (line === undefined || point === undefined || !/^\d+$/.test(point)) return line;
  return line.slice(0, Number(point));
}

/** For commands: their output is awaited, and a reader that went away ends them: by SIGTERM those that listen to it. */
function world(): World {
  let isBroken = false;
  process.stdout.on("error", (error: Error & { code?: string }) => {
    if (isBroken) return;
    isBroken = true;
    const isReaderGone = error.code === "EPIPE";
    if (!isReaderGone)
      process.stderr.write(`${name}: the output cannot be written: ${fileReason(error)}\n`);
    // What holds a lock or runs a program gives it back first.
    if (!process.emit("SIGTERM")) process.exit(isReaderGone ? 0 : 1);
  });
  return {
    name,
    programPath,
    out: (text) => written(process.stdout, text),
    err: (text) => written(process.stderr, text),
    readInput: () => Bun.stdin.bytes(),
    env: process.env,
    isTerminal: process.stdout.isTTY && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb",
    showsProgress: process.stderr.isTTY,
    onSignal(signal, listener) {
      process.on(signal, listener);
      return () => process.off(signal, listener);
    },
    clock,
    timers,
  };
}

function written(stream: NodeJS.WriteStream, text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => stream.write(text, () => resolve()));
}

/** Whether the arguments are what was typed: the runtime has put U+FFFD in the place of other octets. */
function areWhole(argv: readonly string[]): boolean {
  if (!argv.some((text) => text.includes("\ufffd"))) return true;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(readFileSync("/proc/self/cmdline"));
    return true;
  } catch {
    return false;
  }
}

/** How long a thread or socket that was not closed may keep the process after its work is done. */
const LINGER_MS = 2000;

if (!areWhole(process.argv)) {
  process.stderr.write(
    `${name}: an argument is not UTF-8; data of other octets is given as "-" (standard input) or "@FILE"\n`,
  );
  process.exit(1);
}
// Loading the agent takes a fifth of a second, which `version` and `validate` need not wait for.
process.exitCode = await main(process.argv.slice(2), terminal, async (start) => {
  const { run } = await import("./run.ts");
  return run(start, clock, { programPath, args: process.argv.slice(2) });
});
setTimeout(() => process.exit(), LINGER_MS).unref();
