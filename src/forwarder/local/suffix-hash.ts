/**
 * Hashes of all suffixes of a name in one pass, from the right: of `a.b.c` those of the root, `c`, `b.c`
 * and `a.b.c`. ASCII case does not count. They are keyed, so that nobody can prepare names that collide.
 */
import { foldOctet } from "../../dns/name.ts";

/** Two numbers of 32 bits, drawn once per process. */
export type HashKey = { readonly low: number; readonly high: number };

/** A name has at most 127 labels, and the root behind them. */
const SUFFIXES_MAX = 128;

/** What the last call of hashSuffixes found: by number of the first label, from the left. */
export const suffixes = {
  /** Labels of the name; the suffix of this number is the root. */
  count: 0,
  /** Where the suffix begins in the name. */
  offsets: new Uint8Array(SUFFIXES_MAX),
  low: new Uint32Array(SUFFIXES_MAX),
  high: new Uint32Array(SUFFIXES_MAX),
};

let low = 0;
let high = 0;

/** Adds one octet to the state. */
function mix(octet: number): void {
  low = Math.imul(low ^ octet, 0x85ebca6b);
  low ^= low >>> 15;
  high = Math.imul(high ^ low ^ octet, 0xc2b2ae35);
  high ^= high >>> 13;
}

/** Fills `suffixes` for this wire name; the number of its labels. */
export function hashSuffixes(name: Uint8Array, key: HashKey): number {
  const { offsets } = suffixes;
  let count = 0;
  let at = 0;
  for (; name[at]! !== 0; at += name[at]! + 1) offsets[count++] = at;
  offsets[count] = at;
  suffixes.count = count;
  low = key.low;
  high = key.high;
  suffixes.low[count] = low;
  suffixes.high[count] = high;
  for (let label = count - 1; label >= 0; label--) {
    const start = offsets[label]!;
    const octets = name[start]!;
    for (let i = start + octets; i > start; i--) mix(foldOctet(name[i]!));
    mix(octets);
    suffixes.low[label] = low;
    suffixes.high[label] = high;
  }
  return count;
}

/**
 * Calls `visit` for every end of label `label` of the name that was hashed last, the whole label first:
 * with the hash of that end and all labels behind it, and with its number of octets. Ends when `visit`
 * gives true.
 */
export function visitLabelEnds(
  name: Uint8Array,
  label: number,
  visit: (low: number, high: number, octets: number) => boolean,
): void {
  const start = suffixes.offsets[label]!;
  const octets = name[start]!;
  low = suffixes.low[label + 1]!;
  high = suffixes.high[label + 1]!;
  for (let taken = 1; taken <= octets; taken++) {
    mix(foldOctet(name[start + octets + 1 - taken]!));
    const lowHere = low;
    const highHere = high;
    mix(taken);
    endLow[taken] = low;
    endHigh[taken] = high;
    low = lowHere;
    high = highHere;
  }
  for (let taken = octets; taken > 0; taken--)
    if (visit(endLow[taken]!, endHigh[taken]!, taken)) return;
}

const endLow = new Uint32Array(64);
const endHigh = new Uint32Array(64);
