/** A machine with Debian's systemd, in namespaces that end with the test; needs root. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import { waypostPath } from "../program.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { hasFile } from "./peer.ts";

/** What it takes at most until it is ended. */
const LIMIT_MS = 160_000;
const SYSTEMD = "/lib/systemd/systemd";
const bootScript = fileURLToPath(new URL("./machine.sh", import.meta.url));

/** Why there is no machine, in words for a skipped test; undefined: there may be one. */
export function whyNoMachine(): string | undefined {
  if (process.platform !== "linux" || !hasFile(SYSTEMD)) return "it needs systemd";
  const namespaces = spawnSync("unshare", ["-mpfnuiC", "sh", "-c", "mount -t tmpfs none /tmp"]);
  return namespaces.status === 0 ? undefined : "it needs root to make namespaces";
}

/**
 * Runs a script of bash as a service of a machine with the program in /opt/waypost, and gives back what it
 * printed; undefined if the machine did not come up, as where control groups cannot be had. `files`: put
 * there, by path. `packages`: of Debian, unpacked there.
 */
export async function runInMachine(
  t: Test,
  {
    files = {},
    packages = [],
    script,
  }: { files?: Record<string, string>; packages?: readonly string[]; script: string },
): Promise<string | undefined> {
  const scratch = temporaryDirectory(t);
  for (const each of ["files", "packages", "files.mount"]) mkdirSync(join(scratch, each));
  writeFileSync(join(scratch, "script"), script);
  writeFileSync(join(scratch, "tree"), dirname(dirname(waypostPath)));
  for (const [path, text] of Object.entries(files)) {
    const target = join(scratch, "files", path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
  for (const each of packages) copyFileSync(each, join(scratch, "packages", basename(each)));
  const child = spawn("unshare", ["-m", "bash", bootScript, scratch], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (octets: Buffer) => (said += octets.toString()));
  const timer = setTimeout(() => process.kill(-child.pid!, "SIGTERM"), LIMIT_MS);
  await once(child, "exit");
  clearTimeout(timer);
  const output = join(scratch, "output");
  if (!existsSync(output)) {
    t.comment(`no machine: ${said.trim()}`);
    return undefined;
  }
  return readFileSync(output, "utf8");
}
