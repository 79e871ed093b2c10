/**
 * How many answers an address and its neighbourhood get: token buckets in shared memory, all workers
 * together. Hot: no allocation. A bucket is the time at which it will be full again (GCRA, the virtual
 * scheduling of ITU-T I.371): it needs no timer, and what was never asked costs nothing.
 *
 * Two workers that take at the same instant may both take the last token: the store of a float64 is
 * whole, but not one with the load before it. Together they give at most one answer more for each
 * other worker at work in that microsecond.
 */

/** Octets of an answer that cost one token; a larger one costs one for each such part of it. */
export const TOKEN_OCTETS = 256;
/** A bucket that was not used holds the tokens of so long, ... */
const BURST_MS = 500;
/** ... and at least these, so that the first answers to anybody are whole. */
const BURST_MIN = 10;

/**
 * Neighbourhoods: bits of the prefix in the four words of an address (IPv4 is behind 96), and times the rate
 * of one address. Those of IPv4 are knot-resolver's (`rate-limiting`), and so is its /32 of IPv6; a client of
 * IPv6 is a /64, because every host has all addresses of one.
 */
const IPV4_LEVELS = [
  [128, 1],
  [120, 32],
  [116, 256],
  [114, 768],
] as const;
const IPV6_LEVELS = [
  [64, 1],
  [56, 2],
  [48, 4],
  [32, 64],
] as const;
const LEVELS = 4;

/** Prefixes remembered: sets of WAYS. When a set is full the prefix that is nearest to a full bucket is forgotten. */
const SETS = 16_384;
const WAYS = 4;
const BUCKETS = SETS * WAYS;

/** Shared memory of the buckets, and what their hash begins with. */
export const RATE_OCTETS = BUCKETS * 12 + 8;

/** One thread's view of the buckets. */
export type Buckets = {
  /** Which prefix a bucket is of, as a hash; 0: nobody's. */
  tags: Int32Array;
  /** Shared clock, ms. */
  fullAtMs: Float64Array;
  bits: Uint8Array;
  multipliers: Float64Array;
  /** One word, the owner's: unless it is drawn, anybody can tell which prefixes displace each other. */
  seed: Int32Array;
  /** Buckets of the address in question, by level. */
  places: Int32Array;
  hashes: Int32Array;
};

/** The buckets at `offset` (a multiple of 8) of the memory. */
export function createBuckets(memory: SharedArrayBuffer, offset: number): Buckets {
  const levels = [...IPV4_LEVELS, ...IPV6_LEVELS];
  return {
    fullAtMs: new Float64Array(memory, offset, BUCKETS),
    tags: new Int32Array(memory, offset + BUCKETS * 8, BUCKETS),
    bits: Uint8Array.from(levels, ([bits]) => bits),
    multipliers: Float64Array.from(levels, ([, multiplier]) => multiplier),
    seed: new Int32Array(memory, offset + BUCKETS * 12, 1),
    places: new Int32Array(LEVELS),
    hashes: new Int32Array(LEVELS),
  };
}

/** Is the address, in comparable words, IPv4? */
function isIpv4(key: Int32Array): boolean {
  return key[0] === -0x80000000 && key[1] === -0x80000000 && key[2] === (0xffff ^ -0x80000000);
}

/**
 * Takes one token of every neighbourhood of the address `key` (as gate.ts compares them), or none and
 * false if one has none left. `rate`: tokens per second of one address.
 */
export function take(buckets: Buckets, key: Int32Array, rate: number, nowMs: number): boolean {
  const first = isIpv4(key) ? 0 : LEVELS;
  for (let i = 0; i < LEVELS; i++) {
    const intervalMs = 1000 / (rate * buckets.multipliers[first + i]!);
    const burstMs = Math.max(BURST_MS, BURST_MIN * intervalMs);
    const place = find(buckets, key, first + i, i);
    buckets.places[i] = place;
    if (buckets.tags[place] !== buckets.hashes[i]!) continue;
    if (buckets.fullAtMs[place]! + intervalMs > nowMs + burstMs) return false;
  }
  spend(buckets, first, rate, 1, nowMs);
  return true;
}

/** What an answer of `octets` costs beyond the token that was taken for it, taken of the same address. */
export function takeForSize(
  buckets: Buckets,
  key: Int32Array,
  rate: number,
  octets: number,
  nowMs: number,
): void {
  const tokens = Math.ceil(octets / TOKEN_OCTETS) - 1;
  if (tokens <= 0) return;
  const first = isIpv4(key) ? 0 : LEVELS;
  for (let i = 0; i < LEVELS; i++) buckets.places[i] = find(buckets, key, first + i, i);
  spend(buckets, first, rate, tokens, nowMs);
}

function spend(buckets: Buckets, first: number, rate: number, tokens: number, nowMs: number): void {
  const { tags, fullAtMs, places, hashes, multipliers } = buckets;
  for (let i = 0; i < LEVELS; i++) {
    const place = places[i]!;
    const costMs = (tokens * 1000) / (rate * multipliers[first + i]!);
    const isOwn = tags[place] === hashes[i]!;
    const fromMs = isOwn ? Math.max(fullAtMs[place]!, nowMs) : nowMs;
    if (!isOwn) tags[place] = hashes[i]!;
    fullAtMs[place] = fromMs + costMs;
  }
}

/** The bucket of the prefix, or the one to be taken over for it; its hash is left in `hashes[slot]`. */
function find(buckets: Buckets, key: Int32Array, level: number, slot: number): number {
  const { tags, fullAtMs, hashes } = buckets;
  const hash = hashPrefix(key, buckets.bits[level]!, buckets.seed[0]!);
  hashes[slot] = hash;
  const set = ((hash ^ (hash >>> 15)) & (SETS - 1)) * WAYS;
  let idlest = set;
  for (let way = set; way < set + WAYS; way++) {
    if (tags[way] === hash) return way;
    if (fullAtMs[way]! < fullAtMs[idlest]!) idlest = way;
  }
  return idlest;
}

/**
 * Not 0. Equal hashes of two prefixes make them share a bucket; but five prefixes of one set, asked in turns,
 * find full ones again and again, and which these are must not be told by this file alone.
 */
function hashPrefix(key: Int32Array, bits: number, seed: number): number {
  let hash = Math.imul(seed ^ bits, 0x9e3779b1);
  hash ^= hash >>> 15;
  for (let i = 0; i < 4; i++) {
    const left = bits - i * 32;
    if (left <= 0) break;
    const word = left >= 32 ? key[i]! : key[i]! & ~(-1 >>> left);
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash === 0 ? 1 : hash;
}
