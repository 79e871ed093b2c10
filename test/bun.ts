import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const modules = fileURLToPath(new URL("../node_modules", import.meta.url));

/** The Bun that npm installed, found as bin/waypost finds it: what lives in src/platform needs it. */
export function bunProgram(): string {
  const packages = join(modules, "@oven");
  const own = readdirSync(packages).map((name) => join(packages, name, "bin/bun"));
  const found = [...own, join(modules, "bun/bin/bun.exe")].find((path) => existsSync(path));
  if (found === undefined) throw new Error("Bun is not installed; run npm install");
  return found;
}
