/** The bound on the processor time of one case. */

/** What one case may cost; 50 to 1000 times the usual. */
export const CASE_LIMIT_MS = 100;
/** A case that took longer is run again: a pause of the machine, or of the collector, is not its fault. */
const TRIES = 4;

/**
 * Runs a case and gives its result. Throws when each of a few runs of it took more processor time
 * than it may.
 */
export async function bounded<T>(run: () => T | Promise<T>): Promise<T> {
  let least = Infinity;
  for (let left = TRIES; ; left--) {
    const before = performance.now();
    const used = process.cpuUsage();
    const result = run();
    // oxlint-disable-next-line no-await-in-loop -- one run after the other
    const value = result instanceof Promise ? await result : result;
    if (performance.now() - before <= CASE_LIMIT_MS) return value;
    const { user, system } = process.cpuUsage(used);
    least = Math.min(least, (user + system) / 1000);
    if (least <= CASE_LIMIT_MS) return value;
    if (left === 1) throw new Error(`${least.toFixed()} ms of processor time`);
  }
}
