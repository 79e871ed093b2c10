/**
 * `npm run bench [-- GROUP...]`: compares waypost with its peers on this machine in one run, prints
 * a table and writes bench/results/<time>.json. Groups: hits, forwarded, outages, flood, connections,
 * memory, reload, afresh, large, registrations, http, waiters, kv-million, checks; long-outage only if
 * it is named.
 * BENCH_SECONDS (default 5) is the length of one load. Exit 1 when a row misses its bar.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { checks } from "./checks.ts";
import { connections } from "./connections.ts";
import { catalogHits, computedAfresh, forwarded, large } from "./dns.ts";
import { flood } from "./flood.ts";
import { http } from "./http.ts";
import { kvMillion } from "./kv-million.ts";
import { memory } from "./memory.ts";
import { longOutage, outages } from "./outages.ts";
import { registrations } from "./registrations.ts";
import { reload } from "./reload.ts";
import { holds, table, type Row } from "./rows.ts";
import { waiters } from "./waiters.ts";

/** `onDemand`: left out unless it is named. */
type Group = { needs: string[]; run: () => Promise<Row[]>; onDemand?: boolean };

const groups: Record<string, Group> = {
  hits: { needs: ["dnsperf", "unbound", "dnsmasq", "cc"], run: catalogHits },
  forwarded: { needs: ["dnsperf", "unbound", "dnsmasq"], run: forwarded },
  outages: { needs: ["unbound", "dnsmasq"], run: outages },
  "long-outage": { needs: ["unbound", "dnsmasq"], run: longOutage, onDemand: true },
  flood: { needs: ["dnsperf", "unbound", "dnsmasq", "cc"], run: flood },
  connections: { needs: ["unbound", "dnsmasq"], run: connections },
  memory: { needs: ["dnsperf", "unbound", "dnsmasq"], run: memory },
  reload: { needs: ["unbound", "dnsmasq"], run: reload },
  afresh: { needs: ["dnsperf"], run: computedAfresh },
  large: { needs: ["dnsperf"], run: large },
  registrations: { needs: ["wrk", "etcd"], run: registrations },
  http: { needs: ["wrk", "etcd"], run: http },
  "kv-million": { needs: [], run: kvMillion },
  waiters: { needs: ["dnsperf"], run: waiters },
  checks: { needs: ["dnsperf"], run: checks },
};

const isInstalled = (program: string): boolean => {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

const asked = process.argv.slice(2);
const rows: Row[] = [];
for (const [name, group] of Object.entries(groups)) {
  if (asked.length > 0 ? !asked.includes(name) : group.onDemand) continue;
  const missing = group.needs.filter((program) => !isInstalled(program));
  if (missing.length > 0) {
    console.log(`${name}: left out, not installed: ${missing.join(", ")}`);
    continue;
  }
  console.log(`${name} ...`);
  rows.push(...(await group.run()));
}
console.log("\n" + table(rows));
const results = join(dirname(fileURLToPath(import.meta.url)), "results");
mkdirSync(results, { recursive: true });
const time = new Date().toISOString();
const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length };
const file = join(results, `${time.replaceAll(":", "-")}.json`);
writeFileSync(file, JSON.stringify({ time, machine, rows }, null, 2) + "\n");
console.log(`\nwritten to ${file}`);
process.exit(rows.every(holds) ? 0 : 1);
