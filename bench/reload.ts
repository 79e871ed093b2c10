/** Rows on a change of configuration, and of the process itself, while questions come. */
import { setTimeout as pause } from "node:timers/promises";
import { startLoad, type LoadCounts } from "../test/program/load.ts";
import { absolute, type Row } from "./rows.ts";
import { startUnbound, startWaypost, takeOver, type Waypost } from "./servers.ts";

const PER_SECOND = 3_000;
const SECONDS = 6;
const RELOADS = 5;
const WARM_SECONDS = 2;

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
  await Promise.all([second.stop(), upstream.stop()]);
  const without = { "without one": quiet.slowestMs };
  return [
    absolute(`${RELOADS} reloads, lost of ${reloaded.asked}`, "", lost(reloaded), 0),
    absolute(`${RELOADS} reloads, slowest answer`, "ms", reloaded.slowestMs, 20, without),
    absolute(`a new process takes over, lost of ${taken.asked}`, "", lost(taken), 0),
    absolute("a new process takes over, slowest answer", "ms", taken.slowestMs, 1_000, without),
  ];
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
