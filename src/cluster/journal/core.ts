/**
 * The journal of the local services and checks as a state machine: what is written next and when the
 * file is rewritten. No file, no promise: `driver.ts` does the work and says how it went. A `ref` is
 * whatever the driver needs to answer the one who asked for a change.
 */
import { assert } from "../../base.ts";
import type { StoredEntry } from "../local-store.ts";
import { apply, changeLine, headerLine, keyOf, type Change, type Journal } from "./lines.ts";

/** Bounds of the journal. */
export type JournalLimits = {
  /** A file above this is rewritten when it has doubled since the last time. */
  rewriteOctets: number;
  /** Changes of one write: more wait for the next one. Each has somebody who waits. */
  batchChanges: number;
  /** Octets that a rewrite hands out at a time. */
  chunkOctets: number;
};

/** A start reads 8 MiB in about 0.1 s. */
export const defaultLimits: JournalLimits = {
  rewriteOctets: 8 * 1024 * 1024,
  batchChanges: 1024,
  chunkOctets: 256 * 1024,
};

/** A change; those that are not durable survive the end of the program, not that of the power. */
export type Wanted = Change & { isDurable: boolean };

/** What the driver is to do; `finish` must hear of it before anything else is begun. */
export type Work<R> =
  | { type: "append"; octets: Uint8Array; at: number; sync: boolean; refs: R[] }
  | { type: "rewrite"; chunks: Iterable<Uint8Array>; refs: R[] };

/** State of the journal. */
export type Core<R> = {
  readonly limits: JournalLimits;
  /** What the file is to hold once nothing waits any more. */
  readonly entries: Map<string, StoredEntry>;
  queue: { wanted: Wanted; ref: R }[];
  working: Work<R> | null;
  /** Number of the last line given out, and up to which all lines are durable. */
  sequence: number;
  durable: number;
  /** Octets of the file, and what it had when it was written last. */
  octets: number;
  baseOctets: number;
  /** `doubtful`: a write failed or was cut off, so the file may not hold what is wanted. */
  file: "absent" | "sound" | "doubtful";
};

/** `journal` is null where there is none yet. */
export function createCore<R>(limits: JournalLimits, journal: Journal | null): Core<R> {
  const sequence = journal?.sequence ?? 0;
  return {
    limits,
    entries: journal?.entries ?? new Map<string, StoredEntry>(),
    queue: [],
    working: null,
    sequence,
    // What an unsynced write left may still be on its way to the disk.
    durable: 0,
    octets: journal?.octets ?? 0,
    baseOctets: journal?.baseOctets ?? 0,
    file: journal === null ? "absent" : journal.cutOctets > 0 ? "doubtful" : "sound",
  };
}

/** Asks for a change. False: all is on disk as wanted already, `ref` is dropped. */
export function change<R>(core: Core<R>, wanted: Wanted, ref: R): boolean {
  const held = core.entries.get(keyOf(wanted))?.text ?? null;
  if (held === wanted.text && isSettled(core, wanted.isDurable)) return false;
  core.queue.push({ wanted, ref });
  apply(core.entries, wanted);
  return true;
}

/** Whether the disk has all that was asked for. */
function isSettled<R>(core: Core<R>, isDurable: boolean): boolean {
  const isIdle = core.queue.length === 0 && core.working === null;
  return isIdle && core.file !== "doubtful" && (!isDurable || core.durable === core.sequence);
}

/**
 * The next thing to do; null while something is being done, and when nobody wants anything. `retry`:
 * a file in doubt is rewritten in any case.
 */
export function nextWork<R>(core: Core<R>, retry = false): Work<R> | null {
  const isWanted = core.queue.length > 0 || (retry && core.file === "doubtful");
  if (core.working !== null || !isWanted) return null;
  const { rewriteOctets, batchChanges } = core.limits;
  const isLarge = core.octets > Math.max(rewriteOctets, 2 * core.baseOctets);
  core.working =
    core.file !== "sound" || isLarge
      ? { type: "rewrite", chunks: rewritten(core), refs: refsOf(core.queue.splice(0)) }
      : append(core, core.queue.splice(0, batchChanges));
  return core.working;
}

function refsOf<R>(taken: Core<R>["queue"]): R[] {
  return taken.map(({ ref }) => ref);
}

function append<R>(core: Core<R>, taken: Core<R>["queue"]): Work<R> {
  const lines = taken.map(({ wanted }) => changeLine(wanted, ++core.sequence, core.durable));
  const sync = taken.some(({ wanted }) => wanted.isDurable);
  const octets = joined(lines);
  return { type: "append", octets, at: core.octets, sync, refs: refsOf(taken) };
}

/** The entries of now; changes that come meanwhile are appended afterwards. */
function rewritten<R>(core: Core<R>): Iterable<Uint8Array> {
  const entries = [...core.entries.values()];
  const first = core.sequence;
  core.sequence += entries.length;
  return chunksOf(entries, first, core.limits.chunkOctets);
}

function* chunksOf(
  entries: readonly StoredEntry[],
  first: number,
  chunkOctets: number,
): Generator<Uint8Array> {
  let lines = [headerLine(first, entries.length)];
  let octets = 0;
  for (const [i, entry] of entries.entries()) {
    const line = changeLine(entry, first + i + 1, first);
    lines.push(line);
    octets += line.length;
    if (octets < chunkOctets) continue;
    yield joined(lines);
    lines = [];
    octets = 0;
  }
  yield joined(lines);
}

function joined(lines: readonly Uint8Array[]): Uint8Array {
  const octets = new Uint8Array(lines.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const line of lines) {
    octets.set(line, at);
    at += line.length;
  }
  return octets;
}

/**
 * The work is done, `octets` are what a rewrite wrote; or it failed, and the file is in doubt: the
 * next work rewrites it with all that is wanted. Gives those who are to be told.
 */
export function finish<R>(core: Core<R>, done: { octets: number } | "failed"): R[] {
  const work = core.working;
  assert(work !== null, "what was begun ends once");
  core.working = null;
  if (done === "failed") {
    core.file = "doubtful";
    return work.refs;
  }
  if (work.type === "rewrite") {
    core.file = "sound";
    core.octets = core.baseOctets = done.octets;
    core.durable = core.sequence;
  } else {
    core.octets += work.octets.length;
    if (work.sync) core.durable = core.sequence;
  }
  return work.refs;
}
