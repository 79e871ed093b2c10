/**
 * Who may ask, as workers see it: shared memory that says of every address what is done with it. Hot:
 * no allocation, strings, closures, exceptions. gate-writer.ts fills it on the main thread.
 *
 * An address is four 32-bit words, IPv4 as ::ffff:a.b.c.d. All addresses are cut into ranges, sorted by
 * their first address; a range holds its first address and its rights. There are two banks of ranges:
 * the low bit of the generation says which one is in force, the other one is written. Searches are
 * plain, so a bank may be written again under a slow one: the generation is looked at before and after,
 * with the same pairs of instructions as the versions of slots, for the reasons given in table.ts.
 * Everything else is single words, which are whole; secrets that are half the old and half the new ones
 * cost a client its cookie once.
 */
import { assert } from "../base.ts";
import { createSecrets, type Secrets } from "./cookie.ts";
import { createBuckets, RATE_OCTETS, type Buckets } from "./rate.ts";

/** Rights of an address, as bits. ANSWERED: it may ask. */
export const ANSWERED = 1;
/** The main thread answers: what it gets depends on who it is. */
export const VIEWED = 2;
/** Not counted against any rate. */
export const EXEMPT = 4;
/** 127.0.0.0/8 or ::1: payload as asked, no cookies. */
export const LOOPBACK = 8;

/** Networks of the configuration, all lists together; more are a mistake of the configuration. */
export const NETWORKS_MAX = 4096;
/** Connected networks; what an interface beyond them brings is not answered. */
export const LOCAL_NETWORKS_MAX = 1024;
/** A network begins one range and ends another. */
const RANGES_MAX = 2 * (NETWORKS_MAX + LOCAL_NETWORKS_MAX) + 16;

const GENERATION = 0;
/** Not 0: loopback clients are looked up like others, because a view names some of them. */
export const LOOKS_AT_LOOPBACK = 1;
/** Answers per second and address, 0: any number. */
export const RATE = 2;
/** Of so many answers withheld one is TC, 0: none. */
export const SLIP = 3;
/** Largest UDP payload beyond loopback, in octets. */
export const PAYLOAD = 4;
/** Not 0: server cookies are given and checked. */
export const COOKIES = 5;
/** Two secrets of 4 words; the second equals the first unless there is one. */
export const SECRETS = 8;
const BANKS = 16;
const RANGE_WORDS = 5;
const BANK_WORDS = 1 + RANGES_MAX * RANGE_WORDS;
const GATE_WORDS = (BANKS + 2 * BANK_WORDS + 1) & ~1;

/** One thread's view of the gate. */
export type Gate = {
  words: Int32Array;
  buckets: Buckets;
  secrets: Secrets;
  /** The address in question: four words as they lie in a packet. */
  source: Int32Array;
  /** The same in the order of comparison. */
  key: Int32Array;
  /** Not shared: only the fence of its atomic instruction is used. */
  fence: Int32Array;
  /** State of the draw that chooses which answers slip. */
  drawn: number;
};

/** Shared memory of a gate that lets nobody pass until it is written. */
export function createGateMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(GATE_WORDS * 4 + RATE_OCTETS);
}

/** `seed`: any integer. */
export function openGate(memory: SharedArrayBuffer, seed: number): Gate {
  const words = new Int32Array(memory, 0, GATE_WORDS);
  return {
    words,
    buckets: createBuckets(memory, GATE_WORDS * 4),
    secrets: createSecrets(words.subarray(SECRETS, SECRETS + 8)),
    source: new Int32Array(4),
    key: new Int32Array(4),
    fence: new Int32Array(new SharedArrayBuffer(4)),
    drawn: seed | 1,
  };
}

/** Octets in network order to a number that compares as signed like the address compares. */
export function comparable(word: number): number {
  return (
    ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) ^ -0x80000000
  );
}

/** Looks at a new bank when the old one was written meanwhile: twice in a row is a reload a microsecond. */
const LOOKS = 4;

/** Rights of `gate.source`; 0 if the gate was written again and again meanwhile. */
export function rightsOf({ words, source, key, fence }: Gate): number {
  for (let i = 0; i < 4; i++) key[i] = comparable(source[i]!);
  for (let look = 0; look < LOOKS; look++) {
    const generation = Atomics.load(words, GENERATION);
    const bank = BANKS + (generation & 1) * BANK_WORDS;
    const rights = find(words, bank, key);
    // The pair that keeps the search before the second look.
    Atomics.add(fence, 0, 0);
    if (Atomics.load(words, GENERATION) === generation) return rights;
  }
  return 0;
}

/** Rights of the last range that begins at or before the address. */
function find(words: Int32Array, bank: number, key: Int32Array): number {
  let low = 0;
  let high = Math.min(words[bank]!, RANGES_MAX);
  const ranges = bank + 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isAfter(words, ranges + middle * RANGE_WORDS, key)) high = middle;
    else low = middle + 1;
  }
  return low === 0 ? 0 : words[ranges + (low - 1) * RANGE_WORDS + 4]!;
}

/** Does the range begin behind the address? */
function isAfter(words: Int32Array, range: number, key: Int32Array): boolean {
  for (let i = 0; i < 4; i++) {
    const first = words[range + i]!;
    if (first !== key[i]!) return first > key[i]!;
  }
  return false;
}

/** Writer: ranges as RANGE_WORDS words each, sorted, the first one at ::, into the idle bank, and in force. */
export function writeRanges(words: Int32Array, ranges: readonly number[]): void {
  const next = Atomics.load(words, GENERATION) + 1;
  const bank = BANKS + (next & 1) * BANK_WORDS;
  assert(ranges.length <= RANGES_MAX * RANGE_WORDS, "the lists of networks are bounded");
  words[bank] = ranges.length / RANGE_WORDS;
  for (let i = 0; i < ranges.length; i++) words[bank + 1 + i] = ranges[i]!;
  // The pair keeps this bank before the new generation, and the next one behind it.
  Atomics.add(words, GENERATION, 1);
  Atomics.load(words, GENERATION);
}
