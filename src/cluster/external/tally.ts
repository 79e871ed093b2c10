/** When results of probes change a status: consul-esm's counting, which tolerates single strays. */
import type { CheckStatus } from "../checks/check.ts";
import type { Thresholds } from "./targets.ts";

/** Results against the status that the catalog holds, less those for it. */
export type Tally = { held: string; against: number };

/** Nothing counted yet. */
export function createTally(): Tally {
  return { held: "", against: 0 };
}

/**
 * Counts one result: up when it says another status than the catalog holds, down when it says the
 * same, never below 0. True when the catalog is to be changed. The count begins anew with another
 * held status only, so that a write that was refused is asked for again by the next result.
 */
export function weigh(
  tally: Tally,
  held: string,
  found: CheckStatus,
  thresholds: Thresholds,
): boolean {
  if (tally.held !== held) {
    tally.held = held;
    tally.against = 0;
  }
  if (found === held) {
    tally.against = Math.max(0, tally.against - 1);
    return false;
  }
  const limit = found === "critical" ? thresholds.critical : thresholds.passing;
  tally.against = Math.min(tally.against + 1, limit + 1);
  return tally.against > limit;
}
