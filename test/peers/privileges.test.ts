/** S35: as the shipped unit runs it: no user of its own, one capability, nothing else that can be written. */
import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";
import { temporaryDirectory } from "../temporary-directory.ts";
import { waypostPath } from "../program.ts";

const NOBODY = "65534";

function canIsolate(): boolean {
  try {
    execFileSync("unshare", ["-mn", "setpriv", "--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
const skip = canIsolate() ? false : "needs the right to make namespaces, and setpriv";

/** Starts the program in namespaces of its own, asks it, ends it; what it wrote and was asked. */
const script = (path: string): string => `
set -e
ip link set lo up
for held in /etc ${dirname(dirname(waypostPath))}; do
  mount --bind $held $held
  mount -o remount,bind,ro $held
done
setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups --no-new-privs \\
  --inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service \\
  --bounding-set=-all,+net_bind_service \\
  ${waypostPath} agent -config-file ${path}/config.json > ${path}/log 2>&1 &
for i in $(seq 1 200); do grep -q ready: ${path}/log && break; sleep 0.1; done
cat ${path}/log
grep -E '^(Uid|NoNewPrivs|CapEff):' /proc/$!/status
dig +short @127.0.0.1 n1.node.consul
dig +short +tcp @127.0.0.1 n1.node.consul
kill -TERM $!
wait $! || true
`;

t.test(
  "S35: port 53 as nobody, with /etc and the program read-only",
  { skip, timeout: 60_000 },
  async (t) => {
    const path = temporaryDirectory(t);
    chmodSync(path, 0o777);
    const config = {
      server: true,
      bootstrap: true,
      node_name: "n1",
      bind_addr: "127.0.0.1",
      data_dir: join(path, "data"),
      ports: { dns: 53, http: 8500, serf_wan: -1 },
    };
    writeFileSync(join(path, "config.json"), JSON.stringify(config), { mode: 0o644 });
    const output = execFileSync("unshare", ["-mn", "bash", "-c", script(path)], {
      encoding: "utf8",
    });
    t.match(output, /ready: dns=127\.0\.0\.1:53 /);
    t.match(output, /Uid:\s+65534\s+65534\s+65534\s+65534/);
    t.match(output, /NoNewPrivs:\s+1/);
    t.match(output, /CapEff:\s+0000000000000400\n/, "to bind ports below 1024, nothing else");
    t.equal(output.split("\n").filter((line) => line === "127.0.0.1").length, 2, "UDP and TCP");
    t.notMatch(output, /ERROR|EACCES|EPERM|EROFS/);
  },
);
