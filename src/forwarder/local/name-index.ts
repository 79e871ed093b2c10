/**
 * Numbers for names: the first that is added has 0, the next 1 and so on. Names stand behind each other
 * in one array, so that 100,000 of them take a few megabytes and nothing for the garbage collector.
 */
import { foldOctet } from "../../dns/name.ts";
import { hashSuffixes, suffixes, type HashKey } from "./suffix-hash.ts";

/** See createNameIndex. */
export type NameIndex = {
  readonly size: number;
  /** The number of this name, a new one if it was not there; ASCII case does not count. */
  add(name: Uint8Array): number;
  /** The number of this name, -1 if it is not there. */
  get(name: Uint8Array): number;
  /** The same for the suffix with this number of the name that hashSuffixes was given last. */
  findSuffix(name: Uint8Array, suffix: number): number;
  /** The same for what visitLabelEnds gives: `octets` of the end of the label that begins at `start`. */
  findEnd(
    name: Uint8Array,
    start: number,
    end: { low: number; high: number; octets: number },
  ): number;
  /** The name with this number, in lower case. */
  nameOf(number: number): Uint8Array;
  /** Copies it to the start of `into`, which has room for any name; its octets. */
  copyName(number: number, into: Uint8Array): number;
  /** Room for so many names from the start, so that no call of `add` has to move all that is there. */
  reserve(names: number): void;
  /** Octets held. */
  readonly octets: number;
};

/** Octets that room is made for per name. */
const USUAL_OCTETS = 24;

/** An empty index; `key` must be the one that names are hashed with when they are looked for. */
export function createNameIndex(key: HashKey): NameIndex {
  let size = 0;
  let slots = new Uint32Array(16);
  let lows = new Uint32Array(8);
  let highs = new Uint32Array(8);
  let starts = new Uint32Array(8);
  let pool = new Uint8Array(256);
  let poolOctets = 0;

  function find(low: number, high: number, isSame: (start: number) => boolean): number {
    const mask = slots.length - 1;
    for (let slot = low & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const number = slots[slot]! - 1;
      if (lows[number] === low && highs[number] === high && isSame(starts[number]!)) return number;
    }
    return -1;
  }

  /** Are the octets of the pool from `start` on those of the name from `from` on, up to its end? */
  function isAt(start: number, name: Uint8Array, from: number): boolean {
    for (let i = from; i < name.length; i++)
      if (pool[start + i - from] !== foldOctet(name[i]!)) return false;
    return true;
  }

  function place(number: number): void {
    const mask = slots.length - 1;
    let slot = lows[number]! & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = number + 1;
  }

  function growTo(count: number): void {
    lows = grown(lows, new Uint32Array(count));
    highs = grown(highs, new Uint32Array(count));
    starts = grown(starts, new Uint32Array(count));
  }

  function grow(nameOctets: number): void {
    if (size === lows.length) growTo(2 * size);
    if (poolOctets + nameOctets > pool.length)
      pool = grown(pool, new Uint8Array(Math.max(2 * pool.length, nameOctets)));
    if (2 * (size + 1) > slots.length) spread(2 * slots.length);
  }

  function spread(slotCount: number): void {
    slots = new Uint32Array(slotCount);
    for (let number = 0; number < size; number++) place(number);
  }

  function findSuffix(name: Uint8Array, suffix: number): number {
    const from = suffixes.offsets[suffix]!;
    const isSame = (start: number): boolean => isAt(start, name, from);
    return find(suffixes.low[suffix]!, suffixes.high[suffix]!, isSame);
  }

  function endOf(number: number): number {
    let end = starts[number]!;
    while (pool[end] !== 0) end += pool[end]! + 1;
    return end + 1;
  }

  function get(name: Uint8Array): number {
    hashSuffixes(name, key);
    return findSuffix(name, 0);
  }

  return {
    get size() {
      return size;
    },
    get octets() {
      return 4 * (slots.length + 3 * lows.length) + pool.length;
    },
    add(name) {
      const known = get(name);
      if (known >= 0) return known;
      grow(name.length);
      lows[size] = suffixes.low[0]!;
      highs[size] = suffixes.high[0]!;
      starts[size] = poolOctets;
      // An iterator of octets costs ten times this.
      for (let i = 0; i < name.length; i++) pool[poolOctets++] = foldOctet(name[i]!);
      place(size);
      return size++;
    },
    get,
    findSuffix,
    nameOf: (number) => pool.slice(starts[number], endOf(number)),
    copyName(number, into) {
      const start = starts[number]!;
      const octets = endOf(number) - start;
      for (let i = 0; i < octets; i++) into[i] = pool[start + i]!;
      return octets;
    },
    reserve(names) {
      if (names <= lows.length) return;
      growTo(names);
      pool = grown(pool, new Uint8Array(Math.max(pool.length, names * USUAL_OCTETS)));
      let slotCount = slots.length;
      while (slotCount < 2 * names) slotCount *= 2;
      if (slotCount > slots.length) spread(slotCount);
    },
    findEnd(name, start, { low, high, octets }) {
      const from = start + name[start]! + 1 - octets;
      return find(low, high, (at) => pool[at] === octets && isAt(at + 1, name, from));
    },
  };
}

function grown<T extends Uint8Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
