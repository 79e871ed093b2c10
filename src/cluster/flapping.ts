/**
 * A check that flaps cannot flood the catalog: how often what one check says may be written there. A
 * status that is worse than the catalog's is not asked about here, it is written at once; all else
 * (better, or another output) takes one from the check's bucket, or waits for it. After a better
 * status at most two worse ones can follow (warning, critical), so in any `w` seconds the catalog gets
 * at most 3 * (16 + w / 10) + 2 writes of one check, and shows it worse than it is for 10 s at most.
 */
import { holdsAtMs, newBucket, takeFrom, type Bucket, type Rate } from "./bucket.ts";
import type { Cancel, Clock, Log, Timers } from "../ports.ts";

/** Deployments, failovers and tests change a status a few times in a row: that is not held back. */
export const CHECK_WRITES: Rate = { burst: 16, intervalMs: 10_000 };
/** A check has stopped flapping when its bucket holds this many again. */
const CALM_WRITES = 8;

/** The limit of all checks of this agent; one bucket per check. */
export type FlapLimit = {
  /** Takes one write of this check. False: it has to wait; `due` is called when it has one again. */
  take(id: string): boolean;
  /** To be called when a check goes. */
  forget(id: string): void;
  /** Checks that flap, checks of which a write waits, and how often one had to since the start. */
  readonly counts: { flapping: number; held: number; heldTotal: number };
  close(): void;
};

type Entry = { bucket: Bucket; isHeld: boolean; cancel: Cancel | undefined };

/** `due` is called outside of `take`, once per write that waits. */
export function createFlapLimit(deps: {
  clock: Pick<Clock, "monotonicMs">;
  timers: Timers;
  log: Log;
  due(id: string): void;
}): FlapLimit {
  const { clock, timers, log } = deps;
  const entries = new Map<string, Entry>();
  /** Entries whose `cancel` ends a timer. */
  let flapping = 0;
  let held = 0;
  let heldTotal = 0;

  function holdBack(id: string, entry: Entry): void {
    heldTotal++;
    if (entry.isHeld) return;
    entry.isHeld = true;
    held++;
    if (entry.cancel === undefined) {
      flapping++;
      log("warn", "check flaps: better states and new outputs are written to the catalog later", {
        check: id,
      });
    }
    entry.cancel?.();
    arm(id, entry);
  }

  /** Wakes for the write that waits, else when the check may have calmed down. */
  function arm(id: string, entry: Entry): void {
    const atMs = holdsAtMs(entry.bucket, CHECK_WRITES, entry.isHeld ? 1 : CALM_WRITES);
    const delayMs = Math.max(1, atMs - clock.monotonicMs());
    entry.cancel = timers.after(delayMs, () => wake(id, entry));
  }

  function wake(id: string, entry: Entry): void {
    const holds = (count: number) =>
      clock.monotonicMs() >= holdsAtMs(entry.bucket, CHECK_WRITES, count);
    if (entry.isHeld && holds(1)) {
      entry.isHeld = false;
      held--;
      arm(id, entry);
      deps.due(id);
    } else if (!entry.isHeld && holds(CALM_WRITES)) {
      entry.cancel = undefined;
      flapping--;
      log("info", "check has stopped flapping", { check: id });
    } else arm(id, entry);
  }

  return {
    take(id) {
      let entry = entries.get(id);
      if (entry === undefined)
        entries.set(id, (entry = { bucket: newBucket(), isHeld: false, cancel: undefined }));
      if (takeFrom(entry.bucket, CHECK_WRITES, clock.monotonicMs())) return true;
      holdBack(id, entry);
      return false;
    },
    forget(id) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      entries.delete(id);
      if (entry.isHeld) held--;
      if (entry.cancel === undefined) return;
      flapping--;
      entry.cancel();
    },
    get counts() {
      return { flapping, held, heldTotal };
    },
    close() {
      for (const { cancel } of entries.values()) cancel?.();
    },
  };
}
