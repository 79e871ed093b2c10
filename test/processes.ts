/** Processes of this machine as a test sees them in /proc. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const LIMIT_MS = 10_000;

/** Ids of the processes whose command line holds this word. */
export function processesNamed(word: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(word);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Waits for what `check` gives once it is no longer undefined or false; gives that after ten seconds. */
export async function eventually<T>(
  check: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T | undefined | false> {
  const untilMs = performance.now() + LIMIT_MS;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- each look waits for the one before
    const found = await check();
    if ((found !== undefined && found !== false) || performance.now() > untilMs) return found;
    // oxlint-disable-next-line no-await-in-loop -- the same
    await sleep(20);
  }
}

/** Waits until a process of that name runs, or none does. */
export async function whetherRuns(word: string, runs: boolean): Promise<boolean> {
  await eventually(() => processesNamed(word).length > 0 === runs);
  return processesNamed(word).length > 0;
}

let times = 0;
/** A number of seconds that nobody else sleeps for: the word to find the sleeper by. */
export function longTime(): string {
  return `${400_000 + process.pid}.${++times}`;
}
