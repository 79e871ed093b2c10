import type { Topic } from "./model.ts";

/**
 * What one command does while it is applied: the index it runs at, the topics it touched, and what
 * the other state machines must hear of afterwards.
 */
export type Change = {
  readonly index: number;
  /** In the order of the first touch. */
  readonly topics: Set<Topic>;
  /** Checks that were removed or are critical now: sessions bound to them end. */
  brokenChecks: { node: string; checkId: string }[];
  /** Lower-case names of nodes that were removed: their sessions end. */
  removedNodes: string[];
};

/** A change with nothing in it yet. */
export function createChange(index: number): Change {
  return { index, topics: new Set(), brokenChecks: [], removedNodes: [] };
}
