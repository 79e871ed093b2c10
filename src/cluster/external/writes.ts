/** Results on their way into the catalog: the newest of each check, in transactions, at a bounded rate. */
import type { Result } from "../../base.ts";
import type { Cancel, Timers } from "../../ports.ts";
import type { Command } from "../command.ts";
import type { Outcome } from "../engine.ts";
import { TXN_OPERATIONS_MAX, type TxnOperation, type TxnOutcome } from "../txn.ts";

/** Longest wait of a result for others. consul-esm: defaultBatchFlushInterval. */
const FLUSH_MS = 500;
/**
 * Operations written per flush, so at most 1,024 per second however many checks flap; the others wait,
 * and a newer result of the same check takes the place of the one that waits.
 */
export const WRITES_PER_FLUSH = 8 * TXN_OPERATIONS_MAX;

/** One change, made when it is written; `done` when it has been. undefined: nothing is to be changed any more. */
export type Change = () => { operation: TxnOperation; done: () => void } | undefined;

/** Changes by key, the later one in place of the earlier. */
export type Writes = {
  put(key: string, change: Change): void;
  /** Changes waiting. */
  readonly waiting: number;
  stop: Cancel;
};

/** What became of the operations: written, or refused because the record had changed meanwhile. */
export type WriteCounts = { written: number; conflicts: number };

/**
 * Writes with check-and-set: what was removed, or registered anew, since the result is left alone.
 * A batch that the log refuses is forgotten; the next result of each check asks again.
 */
export function createWrites(deps: {
  propose: (command: Command) => Promise<Outcome>;
  timers: Timers;
  counts: WriteCounts;
}): Writes {
  const { propose, timers, counts } = deps;
  const waiting = new Map<string, Change>();
  let armed: Cancel | undefined;
  let flushing = false;
  let stopped = false;

  function arm(): void {
    if (stopped || flushing || waiting.size === 0) return;
    armed ??= timers.after(FLUSH_MS, () => void flush());
  }

  async function flush(): Promise<void> {
    armed = undefined;
    flushing = true;
    const batches: Map<string, Change>[] = [];
    let taken = 0;
    for (const [key, change] of waiting) {
      if (taken === WRITES_PER_FLUSH) break;
      if (taken % TXN_OPERATIONS_MAX === 0) batches.push(new Map());
      batches.at(-1)!.set(key, change);
      waiting.delete(key);
      taken++;
    }
    await Promise.all(batches.map(write));
    flushing = false;
    arm();
  }

  async function write(batch: Map<string, Change>): Promise<void> {
    const made = [...batch].flatMap(([key, change]) => {
      const one = change();
      return one === undefined ? [] : [{ key, ...one }];
    });
    if (made.length === 0) return;
    const outcome = await propose({
      type: "txn",
      operations: made.map(({ operation }) => operation),
    });
    if (outcome.outcome !== "committed") return;
    // The result of a `txn` command, see command.ts.
    const { value } = outcome.result as Extract<Result<TxnOutcome, string>, { ok: true }>;
    if ("results" in value) {
      counts.written += made.length;
      for (const { done } of made) done();
      return;
    }
    const refused = new Set(value.errors.map(({ opIndex }) => opIndex));
    counts.conflicts += refused.size;
    // One stale operation takes the others of its transaction with it: these are tried again.
    for (const [i, { key }] of made.entries())
      if (!refused.has(i) && !waiting.has(key)) waiting.set(key, batch.get(key)!);
  }

  return {
    put(key, change) {
      waiting.set(key, change);
      arm();
    },
    get waiting() {
      return waiting.size;
    },
    stop() {
      stopped = true;
      armed?.();
      waiting.clear();
    },
  };
}
