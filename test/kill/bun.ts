/** Runs the scripts of this folder under Bun. */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bunProgram } from "../bun.ts";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");

/** The words that run `test/kill/<script>`. */
export const bunCommand = (script: string): string[] => [
  bunProgram(),
  "--no-install",
  join(here, script),
];

/** Starts `test/kill/<script>`; its standard error goes to ours. */
export function startBun(
  script: string,
  args: string[] = [],
  stdio: StdioOptions = ["pipe", "pipe", "inherit"],
): ChildProcess {
  const [program = "", ...words] = bunCommand(script);
  return spawn(program, [...words, ...args], { stdio, serialization: "json", cwd: root });
}
