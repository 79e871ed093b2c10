/** A file system without space, for real: a small tmpfs in a mount namespace of its own. */
import { execFileSync, spawnSync } from "node:child_process";
import t from "tap";
import { temporaryDirectory } from "../temporary-directory.ts";
import { bunCommand } from "./bun.ts";

const namespace = ["unshare", process.getuid?.() === 0 ? "-m" : "-Urm"];
const canMount = spawnSync(namespace[0]!, [namespace[1]!, "mount", "-t", "tmpfs", "none", "/mnt"]);

t.test(
  "a full disk",
  { skip: canMount.status === 0 ? false : "mounting is not allowed here", timeout: 60_000 },
  (t) => {
    const directory = temporaryDirectory(t);
    const script = `
      mount -t tmpfs -o size=8m none "$1" && head -c 3000000 /dev/zero > "$1/ballast" || exit 9
      shift; exec "$@"`;
    const command = [...bunCommand("full-child.ts"), directory];
    const output = execFileSync(
      namespace[0]!,
      [namespace[1]!, "sh", "-c", script, "sh", directory, ...command],
      { encoding: "utf8" },
    );
    const report = JSON.parse(output) as Record<string, unknown>;
    t.match(report, {
      filled: ["refused: disk is full"],
      readable: "ok",
      failedSnapshots: 1,
      atStart: { whole: true, leads: false, refused: [/^refused: no leader/] },
      withSpace: [],
      whole: true,
    });
    t.ok(Number(report["count"]) > 100, `${String(report["count"])} acknowledged`);
    t.end();
  },
);
