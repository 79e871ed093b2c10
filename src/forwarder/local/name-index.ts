/**
 * Numbers for names: the first that is added has 0, the next 1 and so on. Names stand behind each other
 * in one array, so that 100,000 of them take a few megabytes and nothing for the garbage collector.
 */
import { MAX_NAME_OCTETS, foldOctet } from "../../dns/name.ts";
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

/** Octets of a piece of the pool; no name stands in two. What is there is never copied: that would take long. */
const PIECE_BITS = 16;
const PIECE_OCTETS = 1 << PIECE_BITS;
/** Of an index that is small so far. */
const FIRST_OCTETS = 256;
/** Numbers that move to other slots with every new name. They are all there before the slots grow again. */
const MOVED_AT_ONCE = 4;

/** An empty index; `key` must be the one that names are hashed with when they are looked for. */
export function createNameIndex(key: HashKey): NameIndex {
  let size = 0;
  let slots = new Uint32Array(16);
  let lows = new Uint32Array(8);
  let highs = new Uint32Array(8);
  let starts = new Uint32Array(8);
  /** Names behind each other; the next one begins in the last piece, at `used`. */
  const pieces = [new Uint8Array(FIRST_OCTETS)];
  let used = 0;
  /** Slots of before, from which the numbers from `moved` to `toMove` have not come yet; null: none. */
  let former: Uint32Array | null = null;
  let moved = 0;
  let toMove = 0;

  function find(low: number, high: number, isSame: (start: number) => boolean): number {
    const found = findIn(slots, low, high, isSame);
    return found < 0 && former !== null ? findIn(former, low, high, isSame) : found;
  }

  function findIn(
    among: Uint32Array,
    low: number,
    high: number,
    isSame: (start: number) => boolean,
  ): number {
    const mask = among.length - 1;
    for (let slot = low & mask; among[slot] !== 0; slot = (slot + 1) & mask) {
      const number = among[slot]! - 1;
      if (lows[number] === low && highs[number] === high && isSame(starts[number]!)) return number;
    }
    return -1;
  }

  /** Are the octets of the pool from `start` on those of the name from `from` on, up to its end? */
  function isAt(start: number, name: Uint8Array, from: number): boolean {
    const piece = pieces[start >>> PIECE_BITS]!;
    const first = start & (PIECE_OCTETS - 1);
    for (let i = from; i < name.length; i++)
      if (piece[first + i - from] !== foldOctet(name[i]!)) return false;
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
    const last = pieces[pieces.length - 1]!;
    if (used + nameOctets > last.length) {
      if (last.length < PIECE_OCTETS)
        pieces[0] = grown(last, new Uint8Array(Math.min(PIECE_OCTETS, 4 * last.length)));
      else {
        pieces.push(new Uint8Array(PIECE_OCTETS));
        used = 0;
      }
    }
    move(MOVED_AT_ONCE);
    if (2 * (size + 1) > slots.length) spread(2 * slots.length);
  }

  function spread(slotCount: number): void {
    move(size);
    former = size === 0 ? null : slots;
    slots = new Uint32Array(slotCount);
    moved = 0;
    toMove = size;
  }

  function move(count: number): void {
    if (former === null) return;
    const end = Math.min(toMove, moved + count);
    while (moved < end) place(moved++);
    if (moved === toMove) former = null;
  }

  function findSuffix(name: Uint8Array, suffix: number): number {
    const from = suffixes.offsets[suffix]!;
    const isSame = (start: number): boolean => isAt(start, name, from);
    return find(suffixes.low[suffix]!, suffixes.high[suffix]!, isSame);
  }

  /** Copies the name with this number, whose octets it gives. */
  function copyName(number: number, into: Uint8Array): number {
    const piece = pieces[starts[number]! >>> PIECE_BITS]!;
    const start = starts[number]! & (PIECE_OCTETS - 1);
    let end = start;
    while (piece[end] !== 0) end += piece[end]! + 1;
    for (let at = start; at <= end; at++) into[at - start] = piece[at]!;
    return end + 1 - start;
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
      const slotCount = slots.length + (former?.length ?? 0);
      const poolOctets = pieces.reduce((sum, { length }) => sum + length, 0);
      return 4 * (slotCount + 3 * lows.length) + poolOctets;
    },
    add(name) {
      const known = get(name);
      if (known >= 0) return known;
      grow(name.length);
      lows[size] = suffixes.low[0]!;
      highs[size] = suffixes.high[0]!;
      starts[size] = (pieces.length - 1) * PIECE_OCTETS + used;
      const piece = pieces[pieces.length - 1]!;
      // An iterator of octets costs ten times this.
      for (let i = 0; i < name.length; i++) piece[used++] = foldOctet(name[i]!);
      place(size);
      return size++;
    },
    get,
    findSuffix,
    nameOf(number) {
      const name = new Uint8Array(MAX_NAME_OCTETS);
      return name.slice(0, copyName(number, name));
    },
    copyName,
    reserve(names) {
      if (names <= lows.length) return;
      growTo(names);
      let slotCount = slots.length;
      while (slotCount < 2 * names) slotCount *= 2;
      if (slotCount > slots.length) spread(slotCount);
    },
    findEnd(name, start, { low, high, octets }) {
      const from = start + name[start]! + 1 - octets;
      return find(
        low,
        high,
        (begin) =>
          pieces[begin >>> PIECE_BITS]![begin & (PIECE_OCTETS - 1)] === octets &&
          isAt(begin + 1, name, from),
      );
    },
  };
}

function grown<T extends Uint8Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
