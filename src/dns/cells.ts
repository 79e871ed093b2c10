/**
 * Counters of one thread that answers over UDP: cells of shared memory, so one writer per cell. First
 * some of the whole thread, then one block for each pair of listener and address family, in it one
 * tally for each origin of answers (origins.ts). float64, because 2^32 queries pass in hours; a 64-bit
 * store is whole on every 64-bit processor. Hot: no allocation, strings, closures, exceptions.
 */
import type { DnsFrontCounters } from "./front.ts";

/**
 * Cells: answered from the table, not in it, dropped for want of room, ignored, batches of packets.
 */
export const COUNTER_TABLE_HITS = 0;
export const COUNTER_TABLE_MISSES = 1;
export const COUNTER_MISSES_DROPPED = 2;
export const COUNTER_IGNORED = 3;
export const COUNTER_BATCHES = 4;
/**
 * Cells of the gate: refused for who they are; too many, without reply, with TC, with BADCOOKIE; questions
 * with a server cookie of ours.
 */
export const COUNTER_PROHIBITED = 5;
export const COUNTER_RATE_DROPPED = 6;
export const COUNTER_RATE_SLIPPED = 7;
export const COUNTER_BAD_COOKIES = 8;
export const COUNTER_GOOD_COOKIES = 9;
/** Services that are told apart: 0 is none. */
export const SERVICES = 256;
/** Of each: NOERROR with answers, NODATA, NXDOMAIN, the others. */
const SERVICE_RCODES = ["NOERROR", "NODATA", "NXDOMAIN", "other"] as const;
const FIRST_SERVICE = 16;
/** Cells of a thread up to the end of the services, and where the blocks begin: a multiple of a cache line. */
export const SERVICE_CELLS = FIRST_SERVICE + SERVICES * SERVICE_RCODES.length;
export const FIRST_BLOCK = SERVICE_CELLS;

/** QTYPEs counted by name, those of CoreDNS; every other is "other". */
export const COUNTED_TYPES = [
  1, 28, 15, 6, 5, 12, 16, 2, 33, 43, 48, 46, 47, 50, 65, 251, 252, 255,
] as const;
const OTHER_TYPE = COUNTED_TYPES.length;
/** Number of the types and "other". */
export const TYPES = OTHER_TYPE + 1;

/** Upper bounds of messages in octets, CoreDNS's; what is longer is in one more bucket. */
export const SIZE_BOUNDS = [
  0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16_000, 32_000, 48_000, 64_000,
] as const;
const SIZE_BUCKETS = SIZE_BOUNDS.length + 1;

/** Upper bounds of reply times in seconds: CoreDNS's, and three below, where the table's answers are. */
export const DURATION_BOUNDS_SECONDS = [
  0.00002, 0.00006, 0.000125, 0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064,
  0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192,
] as const;
const DURATION_BUCKETS = DURATION_BOUNDS_SECONDS.length + 1;

/**
 * RCODEs of one tally. Two stand where no RCODE of a header is assigned: NOERROR without answers, and
 * BADCOOKIE (23, RFC 7873), the only extended one that workers send.
 */
export const RCODES = 16;
export const NODATA = 12;
export const BADCOOKIE = 13;

// Cells of a tally. A message of usual size costs one addition: how many there were of exactly this
// size says both bucket and sum. Longer ones have buckets, and their octets behind them.
const EXACT_QUESTION_OCTETS = 256;
const EXACT_REPLY_OCTETS = 512;
const QUESTIONS = 0;
const LONG_QUESTIONS = QUESTIONS + EXACT_QUESTION_OCTETS;
const REPLIES = LONG_QUESTIONS + SIZE_BUCKETS + 1;
const LONG_REPLIES = REPLIES + EXACT_REPLY_OCTETS;
/** Replies by RCODE; that of most is not counted: it is what the others leave. */
const REPLY_RCODES = LONG_REPLIES + SIZE_BUCKETS + 1;
/** By type: replies by time, then seconds, then questions without a reply. */
const DURATIONS = REPLY_RCODES + RCODES;
const ROW_SECONDS = DURATION_BUCKETS;
const ROW_UNANSWERED = DURATION_BUCKETS + 1;
const ROW_CELLS = DURATION_BUCKETS + 2;
/** Questions with DO. */
export const DNSSEC_OK = DURATIONS + TYPES * ROW_CELLS;
/** Not answered as they deserve: the queue to the main thread was full, the client had too many. */
export const SHED_QUEUE = DNSSEC_OK + 1;
export const SHED_RATE = DNSSEC_OK + 2;
/** A multiple of a cache line. */
export const TALLY_CELLS = (SHED_RATE + 8) & ~7;

/** Origins that a worker tells apart: the table's records name theirs in five bits. */
export const ORIGINS = 32;
/** What never was given to anybody to answer, and who may not ask. */
export const ORIGIN_DROPPED = 0;
export const ORIGIN_PROHIBITED = 1;

export const BLOCK_CELLS = ORIGINS * TALLY_CELLS;
/** Cells of a thread with so many blocks. */
export const cellsFor = (blocks: number): number => FIRST_BLOCK + blocks * BLOCK_CELLS;
/** Cells of a thread with one block. */
export const COUNTER_CELLS = FIRST_BLOCK + BLOCK_CELLS;

/** QTYPE (to 255) → row. */
const typeRows = new Uint8Array(256).fill(OTHER_TYPE);
COUNTED_TYPES.forEach((type, i) => (typeRows[type] = i));

/** Counts a question in the tally at `tally`: the row of its type, for what becomes of it. */
export function countQuestion(
  cells: Float64Array,
  tally: number,
  qtype: number,
  octets: number,
): number {
  if (octets < EXACT_QUESTION_OCTETS) cells[tally + QUESTIONS + octets]!++;
  else countLong(cells, tally + LONG_QUESTIONS, octets);
  return tally + DURATIONS + (qtype < 256 ? typeRows[qtype]! : OTHER_TYPE) * ROW_CELLS;
}

/** Counts a reply; `rcode` may be NODATA or BADCOOKIE. */
export function countReply(
  cells: Float64Array,
  tally: number,
  rcode: number,
  octets: number,
): void {
  if (octets < EXACT_REPLY_OCTETS) cells[tally + REPLIES + octets]!++;
  else countLong(cells, tally + LONG_REPLIES, octets);
  if (rcode !== 0) cells[tally + REPLY_RCODES + rcode]!++;
}

function countLong(cells: Float64Array, at: number, octets: number): void {
  cells[at + bucketOf(SIZE_BOUNDS, octets)]!++;
  cells[at + SIZE_BUCKETS]! += octets;
}

function bucketOf(bounds: readonly number[], value: number): number {
  let bucket = 0;
  while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
  return bucket;
}

/** The bucket of a time. */
export function durationBucket(seconds: number): number {
  return bucketOf(DURATION_BOUNDS_SECONDS, seconds);
}

/** Counts that `times` replies took so long each, in the row that `countQuestion` gave. */
export function countDurations(
  cells: Float64Array,
  row: number,
  bucket: number,
  times: number,
  seconds: number,
): void {
  cells[row + bucket]! += times;
  cells[row + ROW_SECONDS]! += times * seconds;
}

/** Counts that there is no reply. */
export function countUnanswered(cells: Float64Array, row: number): void {
  cells[row + ROW_UNANSWERED]!++;
}

/** Counts a reply for a service; `rcode` may be NODATA. */
export function countService(cells: Float64Array, service: number, rcode: number): void {
  const kind = rcode === 0 ? 0 : rcode === NODATA ? 1 : rcode === 3 ? 2 : 3;
  cells[FIRST_SERVICE + (service << 2) + kind]!++;
}

/** Replies for a service by all these threads. */
export function serviceReplies(
  threads: readonly Float64Array[],
  service: number,
): { rcode: string; count: number }[] {
  return SERVICE_RCODES.map((rcode, kind) => ({
    rcode,
    count: threads.reduce((sum, cells) => sum + cells[FIRST_SERVICE + (service << 2) + kind]!, 0),
  }));
}

/** The RCODE of a reply for a tally: `octets` at `at`. */
export function rcodeOf(octets: Uint8Array, at: number): number {
  const rcode = octets[at + 3]! & 15;
  return rcode === 0 && (octets[at + 6]! | octets[at + 7]!) === 0 ? NODATA : rcode;
}

/** Counts by bucket, one more than there are bounds, and the sum of what was counted. */
export type Spread = { counts: number[]; sum: number };

/** What a tally says, for who shows it; not for the hot path. */
export type TallyFigures = {
  /** By place in COUNTED_TYPES, then "other". */
  questions: readonly number[];
  durations: readonly Spread[];
  /** By RCODE, NODATA and BADCOOKIE. */
  rcodes: readonly number[];
  questionOctets: Spread;
  replyOctets: Spread;
  dnssecOk: number;
  shedQueue: number;
  shedRate: number;
};

/** Has nothing been counted in this tally? Every question has a row. */
export function isEmptyTally(cells: Float64Array, tally: number): boolean {
  for (let at = tally + DURATIONS; at < tally + TALLY_CELLS; at++)
    if (cells[at] !== 0) return false;
  return true;
}

/** Reads a tally of TALLY_CELLS. */
export function readTally(cells: Float64Array): TallyFigures {
  const rows = Array.from({ length: TYPES }, (_, type) => {
    const at = DURATIONS + type * ROW_CELLS;
    return cells.subarray(at, at + ROW_CELLS);
  });
  const replyOctets = spread(cells, REPLIES, LONG_REPLIES);
  const rcodes = [...cells.subarray(REPLY_RCODES, REPLY_RCODES + RCODES)];
  rcodes[0] = total(replyOctets.counts) - total(rcodes);
  const durations = rows.map((row): Spread => {
    return { counts: [...row.subarray(0, DURATION_BUCKETS)], sum: row[ROW_SECONDS]! };
  });
  return {
    questions: rows.map((row, type) => total(durations[type]!.counts) + row[ROW_UNANSWERED]!),
    durations,
    rcodes,
    questionOctets: spread(cells, QUESTIONS, LONG_QUESTIONS),
    replyOctets,
    dnssecOk: cells[DNSSEC_OK]!,
    shedQueue: cells[SHED_QUEUE]!,
    shedRate: cells[SHED_RATE]!,
  };
}

/** Exact sizes from `exact` to `long`, then buckets and sum of longer ones. */
function spread(cells: Float64Array, exact: number, long: number): Spread {
  const counts = [...cells.subarray(long, long + SIZE_BUCKETS)];
  let sum = cells[long + SIZE_BUCKETS]!;
  for (let octets = 0; octets < long - exact; octets++) {
    const count = cells[exact + octets]!;
    counts[bucketOf(SIZE_BOUNDS, octets)]! += count;
    sum += count * octets;
  }
  return { counts, sum };
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Sums the threads. `workerRestarts` is passed through. */
export function sumCounters(
  threads: readonly Float64Array[],
  workerRestarts: number,
): DnsFrontCounters {
  const sum = (cell: number): number => threads.reduce((total, cells) => total + cells[cell]!, 0);
  return {
    tableHits: sum(COUNTER_TABLE_HITS),
    tableMisses: sum(COUNTER_TABLE_MISSES),
    missesDropped: sum(COUNTER_MISSES_DROPPED),
    ignored: sum(COUNTER_IGNORED),
    workerRestarts,
    batches: sum(COUNTER_BATCHES),
    prohibited: sum(COUNTER_PROHIBITED),
    rateDropped: sum(COUNTER_RATE_DROPPED),
    rateSlipped: sum(COUNTER_RATE_SLIPPED),
    badCookies: sum(COUNTER_BAD_COOKIES),
    goodCookies: sum(COUNTER_GOOD_COOKIES),
  };
}
