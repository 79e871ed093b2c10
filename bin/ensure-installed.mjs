#!/usr/bin/env node
// Installs what package-lock.json names, unless that has been done since it last changed.
//   node bin/ensure-installed.mjs          what is needed to run
//   node bin/ensure-installed.mjs --dev    also what is needed to check and test
// Plain Node 20 without dependencies: it runs before there are any.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const forTests = process.argv.includes("--dev");
const changedMs = (path) => statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const run = (command, args) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (status === 0) return;
  console.error(`${command} ${args.join(" ")} failed${error ? `: ${error.message}` : ""}`);
  process.exit(1);
};

if (Number(process.versions.node.split(".")[0]) < 20) {
  console.error(`Node 20 or later is needed, this is ${process.versions.node}`);
  process.exit(1);
}
const installed = "node_modules/.package-lock.json"; // npm writes it last
const marker = forTests ? "node_modules/tap/package.json" : "node_modules/bun/package.json";
if (changedMs(installed) < changedMs("package-lock.json") || !existsSync(join(root, marker)))
  run("npm", ["ci", "--no-audit", "--no-fund", ...(forTests ? [] : ["--omit=dev"])]);

// tap generates its own runner, inside node_modules, from the plugins that .taprc names.
const built = "node_modules/@tapjs/test/test-built";
if (forTests && changedMs(built) < changedMs(".taprc"))
  run(process.execPath, [join(root, "node_modules/tap/dist/esm/run.mjs"), "build"]);
