/** Rows on a change of configuration, and of the process itself, while questions come. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { startLoad, type LoadCounts } from "../test/program/load.ts";
import { rssMegabytes } from "./process.ts";
import { absolute, type Row } from "./rows.ts";
import { startDnsmasq, startUnbound, startWaypost, takeOver, type Waypost } from "./servers.ts";

const PER_SECOND = 3_000;
const SECONDS = 6;
const RELOADS = 5;
const WARM_SECONDS = 2;
const LINES = 500_000;
const LONG_RELOADS = 3;
/** Before memory is read: what a reload leaves behind is collected within a second or two. */
const SETTLE_MS = 3_000;

/** All rows of the group. */
export async function reload(): Promise<Row[]> {
  const upstream = await startUnbound({
    localData: [
      'local-zone: "bench.example." redirect',
      'local-data: "bench.example. 3600 A 192.0.2.7"',
    ],
  });
  const first = await startWaypost({ recursors: [`127.0.0.1:${upstream.port}`] });
  await underLoad(first, "w", WARM_SECONDS, () => Promise.resolve());
  const quiet = await underLoad(first, "q", SECONDS, () => Promise.resolve());
  const reloaded = await underLoad(first, "r", SECONDS, async () => {
    for (let i = 0; i < RELOADS; i++) {
      await pause((SECONDS * 1000) / (RELOADS + 1));
      process.kill(first.pid, "SIGHUP");
    }
  });
  let second = first;
  const taken = await underLoad(first, "t", SECONDS, async () => {
    await pause(1_000);
    second = await takeOver(first);
  });
  await second.stop();
  const large = await longLists(upstream.port);
  await upstream.stop();
  const without = { "without one": quiet.slowestMs };
  return [
    absolute(`${RELOADS} reloads, lost of ${reloaded.asked}`, "", lost(reloaded), 0),
    absolute(`${RELOADS} reloads, slowest answer`, "ms", reloaded.slowestMs, 20, without),
    absolute(`a new process takes over, lost of ${taken.asked}`, "", lost(taken), 0),
    absolute("a new process takes over, slowest answer", "ms", taken.slowestMs, 1_000, without),
    ...large,
  ];
}

/** With a dnsmasq.conf of LINES names: clients ask for these, for names in use, and for new ones. */
async function longLists(upstreamPort: number): Promise<Row[]> {
  const lists = Array.from({ length: LINES }, (_, i) => {
    const value = ["0.0.0.0", "", `127.0.0.1#${upstreamPort}`][i % 3]!;
    return `${["address", "local", "server"][i % 3]!}=/${listed(i)}/${value}`;
  });
  const directory = mkdtempSync(join(tmpdir(), "waypost-bench-"));
  const file = join(directory, "dnsmasq.conf");
  writeFileSync(file, ["no-resolv", "no-hosts", "local-ttl=60", ...lists].join("\n"));
  const ours = await startWaypost({
    recursors: [`127.0.0.1:${upstreamPort}`],
    forwarder: { dnsmasq_conf: file },
  });
  const kinds: [string, (i: number, tag: string) => string][] = [
    ["local names", (i) => listed(3 * ((i * 7919) % Math.floor(LINES / 3)))],
    ["cached names", (i) => `hot${i % 7}.bench.example`],
    ["forwarded names", (i, tag) => `${tag}${i}.bench.example`],
  ];
  const ask = async (tag: string, reloads: number): Promise<LoadCounts[]> => {
    const loads = await Promise.all(
      kinds.map(([, names]) =>
        startLoad(
          { teardown: () => undefined },
          { port: ours.port, perSecond: PER_SECOND / 3, names: (i) => names(i, tag) },
        ),
      ),
    );
    for (let i = 0; i <= reloads; i++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await pause((SECONDS * 1000) / (reloads + 1));
      if (i < reloads) process.kill(ours.pid, "SIGHUP");
    }
    return Promise.all(loads.map((load) => load.stop()));
  };
  await ask("lw", 0);
  const startMegabytes = rssMegabytes(ours.pid);
  const quiet = await ask("lq", 0);
  const reloaded = await ask("lr", LONG_RELOADS);
  await pause(SETTLE_MS);
  const megabytes = rssMegabytes(ours.pid);
  await ours.stop();
  rmSync(directory, { recursive: true });
  // It reads its configuration at its start alone.
  const beganMs = performance.now();
  const dnsmasq = await startDnsmasq({ upstreamPort, extra: lists });
  const outageMs = performance.now() - beganMs;
  const dnsmasqMegabytes = rssMegabytes(dnsmasq.pid);
  await dnsmasq.stop();
  const what = `${LINES} lines of dnsmasq.conf`;
  const asked = reloaded.reduce((sum, each) => sum + each.asked, 0);
  const missing = reloaded.reduce((sum, each) => sum + lost(each), 0);
  return [
    absolute(`${what}, ${LONG_RELOADS} reloads, lost of ${asked}`, "", missing, 0),
    ...kinds.map(([kind], i) =>
      absolute(`${what}, reloads, slowest of ${kind}`, "ms", reloaded[i]!.slowestMs, 20, {
        "without one": quiet[i]!.slowestMs,
        "dnsmasq, restarted": outageMs,
      }),
    ),
    absolute(`${what}, memory`, "MB", startMegabytes, 250, { dnsmasq: dnsmasqMegabytes }),
    absolute(`${what}, memory ${SETTLE_MS / 1000} s after reloads`, "MB", megabytes, 400),
  ];
}

function listed(i: number): string {
  return `host-${i}.ads${i % 977}.example${i % 31}.com`;
}

/** Every tenth name is new; the others are a few in use. */
async function underLoad(
  { port }: Waypost,
  tag: string,
  seconds: number,
  meanwhile: () => Promise<void>,
): Promise<LoadCounts> {
  const names = (i: number): string =>
    i % 10 === 0 ? `${tag}${i}.bench.example` : `hot${i % 7}.bench.example`;
  const load = await startLoad(
    { teardown: () => undefined },
    { port, perSecond: PER_SECOND, names },
  );
  await Promise.all([pause(seconds * 1000), meanwhile()]);
  return load.stop();
}

/** Not answered, or not with what was asked for. */
function lost({ asked, rcodes }: LoadCounts): number {
  return asked - (rcodes.get(0) ?? 0);
}
