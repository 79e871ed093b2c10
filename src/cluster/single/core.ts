/**
 * The durable log of a single voter as a state machine: what may be proposed, what goes to the
 * store, what is applied and in which order. No clock, no store, no promise: `driver.ts` feeds
 * inputs and carries out outputs. A `ref` is whatever the driver needs to answer one proposer.
 */
import { assert, unreachable } from "../../base.ts";
import type { DiskSpace, LogRow } from "../../ports.ts";

/** Bounds of the engine; a proposal beyond one is refused and never enters the log. */
export type CoreLimits = {
  /** Rows and octets of one transaction. Measured: 64 rows cost 4.2 us each, 256 no less. */
  batchEntries: number;
  batchOctets: number;
  /** Octets queued or under way (raft.md R9). */
  uncommittedOctets: number;
  /** One command (raft.md R10). */
  entryOctets: number;
  /** Entries since the last snapshot that make the next tick take one (Consul: raft_snapshot_threshold). */
  snapshotEntries: number;
  /** Octets since then that start one at once, or the size of the last snapshot if that is larger. */
  snapshotOctets: number;
  /** Entries kept below a snapshot (Consul: raft_trailing_logs). */
  trailingEntries: number;
  /** Below this (or below a tenth of the disk) space counts as low: a warning. */
  diskLowOctets: number;
  /** Below this nothing is accepted any more; what is left belongs to compaction. */
  diskFullOctets: number;
};

const MIB = 1024 * 1024;

/** Defaults of spec: Consul's for snapshots, 256 KiB batches, 16 MiB uncommitted. */
export const defaultLimits: CoreLimits = {
  batchEntries: 64,
  batchOctets: 256 * 1024,
  uncommittedOctets: 16 * MIB,
  entryOctets: 1.5 * MIB,
  snapshotEntries: 16384,
  snapshotOctets: 64 * MIB,
  trailingEntries: 10240,
  diskLowOctets: 256 * MIB,
  diskFullOctets: 64 * MIB,
};

/** What a queued command costs beyond its octets; keeps a flood of tiny ones bounded too. */
const ENTRY_OVERHEAD_OCTETS = 64;

type Queued<R> = { ref: R | null; command: Uint8Array };

/** Rows of one transaction; `refs[i]` waits for `rows[i]`, null if nobody does. */
export type Batch<R> = { rows: LogRow[]; refs: (R | null)[] };

/** State of the engine: what is under way and what waits. */
export type Core<R> = {
  readonly limits: CoreLimits;
  state: "open" | "closing" | "failed";
  /** Raft's currentTerm: one per process life. */
  readonly term: number;
  /** Last index given out; everything up to `appliedIndex` is durable and applied. */
  lastIndex: number;
  appliedIndex: number;
  /** The entry that opens the term: nothing else enters the log before it. */
  epoch: "none" | "proposed" | "committed";
  queue: Queued<R>[];
  /** Octets of the queue and of the batch under way. */
  uncommittedOctets: number;
  batch: Batch<R> | null;
  space: "ok" | "low" | "full";
  snapshotting: boolean;
  snapshot: { index: number; octets: number };
  octetsSinceSnapshot: number;
  restore: { ref: R; imageIndex: number; index: number; indexBefore: number } | null;
};

/** What happens to the engine. `ref` identifies the asker for the driver. */
export type Input<R> =
  | { type: "propose"; ref: R; command: Uint8Array }
  /** Opens the term; answers "want-epoch". */
  | { type: "epoch"; command: Uint8Array }
  /** The batch under way is durable / was rolled back / nobody knows. */
  | { type: "stored" }
  | { type: "rolled-back"; reason: string }
  | { type: "failed"; reason: string }
  | { type: "space"; space: DiskSpace }
  /** About every snapshot interval. */
  | { type: "tick" }
  | { type: "compact" }
  | { type: "snapshot-saved"; index: number; octets: number }
  | { type: "snapshot-failed" }
  | { type: "restore"; ref: R; imageIndex: number }
  /** State machine and store hold the user's snapshot at the index that "restore" named. */
  | { type: "restored"; octets: number }
  | { type: "restore-dropped"; reason: string }
  | { type: "close" };

/** In the order given. `apply` of a batch ends with its proposers being told. */
export type Output<R> =
  | { type: "persist"; rows: LogRow[] }
  | { type: "apply"; batch: Batch<R> }
  | { type: "settle"; ref: R; outcome: "refused" | "unknown"; reason: string }
  | { type: "leadership" }
  | { type: "want-epoch" }
  | { type: "snapshot" }
  | { type: "restore"; ref: R; index: number; term: number }
  | { type: "space"; space: "ok" | "low" | "full"; freeOctets: number }
  | { type: "stop"; reason: string }
  /** After "close": nothing is queued or under way any more. */
  | { type: "drained" };

/** State after everything in the store was applied. `term` is the highest ever used there. */
export function createCore<R>(
  limits: CoreLimits,
  loaded: { term: number; lastIndex: number; snapshot: { index: number; octets: number } | null },
  octetsSinceSnapshot: number,
): Core<R> {
  return {
    limits,
    state: "open",
    term: loaded.term + 1,
    lastIndex: loaded.lastIndex,
    appliedIndex: loaded.lastIndex,
    epoch: "none",
    queue: [],
    uncommittedOctets: 0,
    batch: null,
    space: "ok",
    snapshotting: false,
    snapshot: loaded.snapshot ?? { index: 0, octets: 0 },
    octetsSinceSnapshot,
    restore: null,
  };
}

/** Advances `core`. A failure is final: every later proposal is refused. */
export function step<R>(core: Core<R>, input: Input<R>): Output<R>[] {
  if (core.state === "failed") return afterFailure(input);
  switch (input.type) {
    case "propose":
      return stepPropose(core, input.ref, input.command);
    case "epoch":
      if (core.epoch !== "none" || core.state !== "open") return [];
      core.epoch = "proposed";
      return enqueue(core, null, input.command);
    case "stored":
      return stepStored(core);
    case "rolled-back":
      return stepRolledBack(core, input.reason);
    case "failed":
      return stepFailed(core, input.reason);
    case "space":
      return stepSpace(core, input.space);
    case "tick":
      return core.appliedIndex - core.snapshot.index >= core.limits.snapshotEntries
        ? startSnapshot(core)
        : [];
    case "compact":
      return startSnapshot(core);
    case "snapshot-saved":
      core.snapshotting = false;
      core.snapshot = { index: input.index, octets: input.octets };
      return advance(core);
    case "snapshot-failed":
      core.snapshotting = false;
      return advance(core);
    case "restore":
      return stepRestore(core, input.ref, input.imageIndex);
    case "restored":
      return stepRestored(core, input.octets);
    case "restore-dropped":
      return stepRestoreDropped(core, input.reason);
    case "close":
      if (core.state === "open") core.state = "closing";
      return advance(core);
    default:
      return unreachable(input);
  }
}

/** Where the next "trim" may cut after a snapshot: rows below this are no longer needed. */
export function keepFrom<R>(core: Core<R>): number {
  return Math.max(1, core.snapshot.index - core.limits.trailingEntries + 1);
}

function stepPropose<R>(core: Core<R>, ref: R, command: Uint8Array): Output<R>[] {
  const reason = whyNot(core, command.length);
  if (reason !== null) return [{ type: "settle", ref, outcome: "refused", reason }];
  return enqueue(core, ref, command);
}

function whyNot<R>(core: Core<R>, octets: number): string | null {
  if (core.state === "closing") return "server is shutting down";
  if (core.space === "full") return "disk is full";
  if (core.epoch === "none") return "no leader: the log could not be opened for writing yet";
  if (octets > core.limits.entryOctets)
    return `command of ${octets} octets is larger than ${core.limits.entryOctets}`;
  if (core.uncommittedOctets + octets + ENTRY_OVERHEAD_OCTETS > core.limits.uncommittedOctets)
    return `too many writes under way: ${core.uncommittedOctets} octets are not durable yet`;
  return null;
}

function enqueue<R>(core: Core<R>, ref: R | null, command: Uint8Array): Output<R>[] {
  core.queue.push({ ref, command });
  core.uncommittedOctets += command.length + ENTRY_OVERHEAD_OCTETS;
  return core.batch === null ? advance(core) : [];
}

/** Starts whatever may start now: a restore goes first, so that it cannot starve. */
function advance<R>(core: Core<R>): Output<R>[] {
  if (core.batch !== null) return [];
  const { restore } = core;
  if (restore !== null) {
    if (restore.index > 0 || core.snapshotting) return [];
    restore.indexBefore = core.lastIndex;
    // Above what the image's records carry: their indexes never come again.
    core.lastIndex = Math.max(core.lastIndex, restore.imageIndex) + 1;
    restore.index = core.lastIndex;
    return [{ type: "restore", ref: restore.ref, index: restore.index, term: core.term }];
  }
  if (core.queue.length > 0) return [{ type: "persist", rows: takeBatch(core).rows }];
  return core.state === "closing" && !core.snapshotting ? [{ type: "drained" }] : [];
}

/** Everything queued while the last one was under way, up to the limits. Group commit, no timer. */
function takeBatch<R>(core: Core<R>): Batch<R> {
  const { batchEntries, batchOctets } = core.limits;
  const batch: Batch<R> = { rows: [], refs: [] };
  let octets = 0;
  for (const { ref, command } of core.queue) {
    octets += command.length;
    const full = batch.rows.length === batchEntries || octets > batchOctets;
    if (full && batch.rows.length > 0) break;
    const index = ++core.lastIndex;
    batch.rows.push({ index, term: core.term, kind: "command", data: command });
    batch.refs.push(ref);
  }
  core.queue.splice(0, batch.rows.length);
  core.batch = batch;
  return batch;
}

/** The next batch goes to the store before this one is applied, so that both threads work. */
function stepStored<R>(core: Core<R>): Output<R>[] {
  const batch = endBatch(core);
  core.appliedIndex += batch.rows.length;
  assert(batch.rows.at(-1)?.index === core.appliedIndex, "batches are applied in order");
  for (const { data } of batch.rows) core.octetsSinceSnapshot += data.length;
  const opened = core.epoch === "proposed";
  if (opened) core.epoch = "committed";
  const next = advance(core);
  const apply: Output<R> = { type: "apply", batch };
  const outputs = next[0]?.type === "persist" ? [...next, apply] : [apply, ...next];
  if (opened) outputs.push({ type: "leadership" });
  const bound = Math.max(core.limits.snapshotOctets, core.snapshot.octets);
  if (core.octetsSinceSnapshot >= bound) outputs.push(...startSnapshot(core));
  return outputs;
}

function endBatch<R>(core: Core<R>): Batch<R> {
  const { batch } = core;
  assert(batch !== null, "the store answers what it was asked");
  core.batch = null;
  for (const { data } of batch.rows) core.uncommittedOctets -= data.length + ENTRY_OVERHEAD_OCTETS;
  return batch;
}

/** Nothing of the batch is in the log: its indexes are free again. */
function stepRolledBack<R>(core: Core<R>, reason: string): Output<R>[] {
  const batch = endBatch(core);
  core.lastIndex -= batch.rows.length;
  const outputs = refuse(batch.refs, "refused", reason);
  if (core.epoch === "proposed") {
    // Without its first entry the term is not open: those behind it must not enter either.
    core.epoch = "none";
    outputs.push(...refuse(takeQueue(core), "refused", reason));
  }
  outputs.push(...advance(core));
  return outputs;
}

function stepFailed<R>(core: Core<R>, reason: string): Output<R>[] {
  core.state = "failed";
  const outputs: Output<R>[] = [];
  if (core.batch !== null) outputs.push(...refuse(core.batch.refs, "unknown", reason));
  if (core.restore !== null)
    outputs.push({ type: "settle", ref: core.restore.ref, outcome: "unknown", reason });
  // What was still queued never reached the store.
  outputs.push(...refuse(takeQueue(core), "refused", reason));
  core.batch = null;
  core.restore = null;
  outputs.push({ type: "leadership" }, { type: "stop", reason }, { type: "drained" });
  return outputs;
}

function afterFailure<R>(input: Input<R>): Output<R>[] {
  const reason = "the log store has failed";
  if (input.type === "propose" || input.type === "restore")
    return [{ type: "settle", ref: input.ref, outcome: "refused", reason }];
  return input.type === "close" ? [{ type: "drained" }] : [];
}

function takeQueue<R>(core: Core<R>): (R | null)[] {
  const queued = core.queue.splice(0);
  for (const { command } of queued)
    core.uncommittedOctets -= command.length + ENTRY_OVERHEAD_OCTETS;
  return queued.map(({ ref }) => ref);
}

function refuse<R>(
  refs: (R | null)[],
  outcome: "refused" | "unknown",
  reason: string,
): Output<R>[] {
  const waiting = refs.filter((ref): ref is R => ref !== null);
  return waiting.map((ref) => ({ type: "settle", ref, outcome, reason }));
}

/** Full is left again only with a quarter to spare, so that the answer does not flap. */
function stepSpace<R>(core: Core<R>, { freeOctets, totalOctets }: DiskSpace): Output<R>[] {
  const { diskFullOctets, diskLowOctets } = core.limits;
  const fullBelow = core.space === "full" ? diskFullOctets * 1.25 : diskFullOctets;
  const low = freeOctets < diskLowOctets || freeOctets < totalOctets / 10;
  const space = freeOctets < fullBelow ? "full" : low ? "low" : "ok";
  const outputs: Output<R>[] = [];
  if (space !== core.space) outputs.push({ type: "space", space, freeOctets });
  core.space = space;
  if (space !== "full" && core.epoch === "none" && core.state === "open")
    outputs.push({ type: "want-epoch" });
  return outputs;
}

function startSnapshot<R>(core: Core<R>): Output<R>[] {
  if (core.snapshotting || core.restore !== null || core.state !== "open") return [];
  core.snapshotting = true;
  core.octetsSinceSnapshot = 0;
  return [{ type: "snapshot" }];
}

function stepRestore<R>(core: Core<R>, ref: R, imageIndex: number): Output<R>[] {
  const reason = core.restore !== null ? "another restore is under way" : whyNot(core, 0);
  if (reason !== null) return [{ type: "settle", ref, outcome: "refused", reason }];
  core.restore = { ref, imageIndex, index: 0, indexBefore: core.lastIndex };
  return advance(core);
}

function stepRestored<R>(core: Core<R>, octets: number): Output<R>[] {
  assert(core.restore !== null, "a restore ends once");
  core.appliedIndex = core.restore.index;
  core.snapshot = { index: core.restore.index, octets };
  core.octetsSinceSnapshot = 0;
  core.restore = null;
  return advance(core);
}

function stepRestoreDropped<R>(core: Core<R>, reason: string): Output<R>[] {
  assert(core.restore !== null, "a restore ends once");
  const { ref, indexBefore } = core.restore;
  core.lastIndex = indexBefore;
  core.restore = null;
  return [{ type: "settle", ref, outcome: "refused", reason }, ...advance(core)];
}
