/**
 * Counters of the DNS front: cells of shared memory, one block per thread, so one writer per cell.
 * float64, because 2^32 queries pass in hours; a 64-bit store is whole on every 64-bit processor.
 */
import type { DnsFrontCounters } from "./front.ts";

/** QTYPEs counted by name; every other is "other". */
const COUNTED_TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 43, 48, 64, 65, 251, 252, 255] as const;
const OTHER = COUNTED_TYPES.length;

/** Upper bounds of reply times in seconds; what took longer is in one more bucket. */
const DURATION_BOUNDS_SECONDS = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
  0.25, 0.5, 1, 2.5, 5,
] as const;

const REQUESTS = 0;
const RESPONSES = REQUESTS + OTHER + 1;
const RCODES = 16;
/**
 * Cells: answered from the table, not in it, dropped for want of room, ignored, batches of packets.
 */
export const COUNTER_TABLE_HITS = RESPONSES + RCODES;
export const COUNTER_TABLE_MISSES = COUNTER_TABLE_HITS + 1;
export const COUNTER_MISSES_DROPPED = COUNTER_TABLE_HITS + 2;
export const COUNTER_IGNORED = COUNTER_TABLE_HITS + 3;
export const COUNTER_BATCHES = COUNTER_TABLE_HITS + 4;
const DURATION_SUM = COUNTER_TABLE_HITS + 5;
const DURATIONS = COUNTER_TABLE_HITS + 6;
/**
 * Cells of the gate: refused for who they are; too many, without reply, with TC, with BADCOOKIE; questions
 * with a server cookie of ours.
 */
export const COUNTER_PROHIBITED = DURATIONS + DURATION_BOUNDS_SECONDS.length + 1;
export const COUNTER_RATE_DROPPED = COUNTER_PROHIBITED + 1;
export const COUNTER_RATE_SLIPPED = COUNTER_PROHIBITED + 2;
export const COUNTER_BAD_COOKIES = COUNTER_PROHIBITED + 3;
export const COUNTER_GOOD_COOKIES = COUNTER_PROHIBITED + 4;

/** Cells of one thread's block: a multiple of a cache line. */
export const COUNTER_CELLS = 72;

/** QTYPE (to 255) → cell. */
const requestCell = new Uint8Array(256).fill(OTHER);
COUNTED_TYPES.forEach((type, i) => (requestCell[type] = REQUESTS + i));

/** Counts a question by its type. */
export function countRequest(counters: Float64Array, qtype: number): void {
  counters[qtype < 256 ? requestCell[qtype]! : OTHER]!++;
}

/** Extended RCODEs do not occur in our replies: 0 to 15. */
export function countResponse(counters: Float64Array, rcode: number): void {
  counters[RESPONSES + rcode]!++;
}

/** Counts `count` replies that took `ms` milliseconds each. */
export function countDurations(counters: Float64Array, count: number, ms: number): void {
  const seconds = ms / 1000;
  let bucket = 0;
  while (bucket < DURATION_BOUNDS_SECONDS.length && seconds > DURATION_BOUNDS_SECONDS[bucket]!)
    bucket++;
  counters[DURATIONS + bucket]! += count;
  counters[DURATION_SUM]! += seconds * count;
}

/** Sums the blocks of all threads. */
export function sumCounters(
  blocks: readonly Float64Array[],
  workerRestarts: number,
): DnsFrontCounters {
  const sum = (cell: number): number => blocks.reduce((total, block) => total + block[cell]!, 0);
  const requests = new Map<string, number>();
  COUNTED_TYPES.forEach((type, i) => requests.set(String(type), sum(REQUESTS + i)));
  requests.set("other", sum(OTHER));
  const responses = new Map<number, number>();
  for (let rcode = 0; rcode < RCODES; rcode++) responses.set(rcode, sum(RESPONSES + rcode));
  return {
    requests,
    responses,
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
    durations: {
      boundsSeconds: DURATION_BOUNDS_SECONDS,
      counts: [...DURATION_BOUNDS_SECONDS, Infinity].map((_, i) => sum(DURATIONS + i)),
      sumSeconds: sum(DURATION_SUM),
    },
  };
}
