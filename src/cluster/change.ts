import type { Topic } from "./model.ts";

/**
 * What one command does while it is applied: the index it runs at, the topics it touched, and what
 * the other state machines must hear of afterwards.
 */
export type Change = {
  readonly index: number;
  /** Log time of the command: milliseconds since 1970, never less than that of one before. */
  readonly timeMs: number;
  /** In the order of the first touch. */
  readonly topics: Set<Topic>;
  /** Checks that were removed or are critical now: sessions bound to them end. */
  brokenChecks: { node: string; checkId: string }[];
  /** Lower-case names of nodes that were removed: their sessions end. */
  removedNodes: string[];
  /**
   * What takes back each step done so far, in the order of the steps; null while nobody means to take
   * anything back. Filled by the functions that change a table.
   */
  undo: Undo;
};

/** Steps back, oldest first; null: nobody records. */
export type Undo = (() => void)[] | null;

/** A change with nothing in it yet. */
export function createChange(index: number, timeMs: number): Change {
  return { index, timeMs, topics: new Set(), brokenChecks: [], removedNodes: [], undo: null };
}
