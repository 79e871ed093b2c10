/**
 * Notices when somebody else changes what the catalog says of this node, so that it is put right soon
 * and not with the next full comparison. Commands of our own are told apart by their index.
 */
import { holdsAtMs, newBucket, takeFrom, type Rate } from "./bucket.ts";
import type { Cancel, Clock, Timers } from "../ports.ts";

/** Changes come in groups: a script, a transaction, two requests in a row. */
const REPAIR_DELAY_MS = 500;
/**
 * Repairs that wrote something. Whoever goes on undoing them (a script in a loop, an agent of the same
 * name) meets one per 30 s, and the full comparisons.
 */
export const REPAIRS: Rate = { burst: 10, intervalMs: 30_000 };
/** Own commands between `apply` and their answer are fewer; beyond it a change counts as a stranger's. */
const MAX_INDEXES = 16_384;

/** Watches the commands that touch this node. */
export type Repair = {
  /** A command was applied at this index that touched this node. */
  touched(index: number): void;
  /** The command at this index was ours. */
  ours(index: number): void;
  /** A comparison found something to put right. */
  repaired(): void;
  close(): void;
};

/** `due` is called when somebody else has changed something: compare now. */
export function createRepair(deps: {
  clock: Pick<Clock, "monotonicMs">;
  timers: Timers;
  due(): void;
}): Repair {
  const { clock, timers } = deps;
  const indexes = new Set<number>();
  const bucket = newBucket();
  let timer: Cancel | undefined;
  let isClosed = false;

  function look(): void {
    timer = undefined;
    if (indexes.size === 0) return;
    const waitMs = holdsAtMs(bucket, REPAIRS, 1) - clock.monotonicMs();
    if (waitMs > 0) {
      timer = timers.after(Math.ceil(waitMs), look);
      return;
    }
    indexes.clear();
    deps.due();
  }

  return {
    touched(index) {
      if (isClosed) return;
      if (indexes.size < MAX_INDEXES) indexes.add(index);
      timer ??= timers.after(REPAIR_DELAY_MS, look);
    },
    ours: (index) => void indexes.delete(index),
    repaired: () => void takeFrom(bucket, REPAIRS, clock.monotonicMs()),
    close() {
      isClosed = true;
      timer?.();
    },
  };
}
