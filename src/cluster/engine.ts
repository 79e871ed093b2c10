/**
 * The replicated log as everything else sees it: types only. Implementations (single durable voter
 * today, embedded Raft and etcd later) pass one conformance suite, test/cluster/engine-suite.ts.
 */

/**
 * What became of a proposal. `refused`: it never entered the log and never will; safe to retry.
 * `unknown`: it may or may not commit later (leader lost, store failed); the engine never retries.
 */
export type Outcome =
  | { outcome: "committed"; index: number; result: unknown }
  | { outcome: "refused"; reason: string }
  | { outcome: "unknown"; reason: string };

/** One committed entry. Indexes start at 1 and have no gaps, except that a restore may skip some. */
export type Entry = { index: number; term: number; command: Uint8Array };

/**
 * Applies one committed entry to the state machine and returns the result for its proposer.
 * Called in index order, exactly once per process life, never concurrently.
 */
export type Apply = (entry: Entry) => unknown;

/** Whether reads and leader-only commands are allowed here; epoch rises with every change of leader. */
export type Leadership = { leader: string | undefined; self: boolean; epoch: number };

/** A consistent image of the state machine at `index`, in octet chunks. */
export type Snapshot = {
  index: number;
  term: number;
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
};

/** What the engine needs of the state machine. */
export type StateMachine = {
  apply: Apply;
  /** Consistent as of the call, even if `apply` runs while the chunks are drawn. */
  snapshot(): Snapshot;
  /**
   * Builds the state of an image aside; the function it gives back puts that in the place of
   * everything and wakes everybody who waits. Throws on a damaged image; nothing has changed then.
   */
  prepare(snapshot: Snapshot): Promise<() => void>;
};

/**
 * `lease`: as fresh as the newest committed command this node acknowledged (Consul's default mode).
 * `index`: linearizable, leadership verified at the time of the call (Consul's `?consistent`).
 */
export type BarrierMode = "lease" | "index";

/** The replicated log as the rest of the program sees it. */
export type Engine = {
  /** Resolves after the entry is durable and applied here. Never rejects. */
  propose(command: Uint8Array): Promise<Outcome>;
  /**
   * "ok" when local state is at least as new as the mode asks for, "no leader" otherwise. At once
   * where that is known already: a promise per read would cost more than the question.
   */
  barrier(mode: BarrierMode): "ok" | "no leader" | Promise<"ok" | "no leader">;
  leadership(): Leadership;
  /** Calls back on every change of leadership; returns a cancel function. */
  onLeadership(listener: (now: Leadership) => void): () => void;
  /** Writes a snapshot now and drops the log below it (minus trailing entries). */
  compact(): Promise<void>;
  /**
   * Replaces state and log by a user's snapshot (restore), itself as one log entry. Its index is
   * above all that the log and the image have used, so that no index comes twice. Reads go on with
   * the old state until the new one is durable; proposals wait.
   */
  restore(snapshot: Snapshot): Promise<Outcome>;
  /** Gauges and counters for metrics: names as `log_entries`, `commit_total`, `fsync_seconds_sum`, `store_octets`. */
  stats(): Record<string, number>;
  /** Stops accepting proposals, waits for those under way, closes the store. */
  close(): Promise<void>;
};
