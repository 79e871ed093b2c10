/** Runs scripts with the Bun that npm installed: what lives in src/platform needs it. */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");

/** As bin/waypost looks for it. */
function findBun(): string {
  const packages = join(root, "node_modules/@oven");
  const own = readdirSync(packages).map((name) => join(packages, name, "bin/bun"));
  const found = [...own, join(root, "node_modules/bun/bin/bun.exe")].find((path) =>
    existsSync(path),
  );
  if (found === undefined) throw new Error("Bun is not installed; run npm install");
  return found;
}

/** The words that run `test/kill/<script>`. */
export const bunCommand = (script: string): string[] => [
  findBun(),
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
