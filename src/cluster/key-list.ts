/**
 * Items by key, in the byte order of the keys' UTF-8: what the KV store and its tombstones stand in.
 * Chunks of a plain array: 8 octets per item beside the item, a lookup is a binary search, and a
 * snapshot takes the chunks as they are, each of which is copied only if it changes afterwards.
 */

/** What stands in the list; `modifyIndex` is summed up per chunk, so that a prefix has one cheaply. */
export type Keyed = { readonly key: string; readonly modifyIndex: number };

type Chunk<T> = {
  items: T[];
  /** At least the modify index of every item; exact unless `stale`. */
  maxIndex: number;
  /** The item with the greatest index has gone. */
  stale: boolean;
  /** Views taken before this number hold other items. */
  view: number;
};

/** Items that stood in a row in a list, and may be put back there. */
export type Cut<T> = { readonly size: number; readonly chunks: readonly Chunk<T>[] };

/** Items per chunk: a change moves at most this many pointers, or copies them for a snapshot. */
const CHUNK_ITEMS = 512;

/** Ordered list without duplicates: O(log n) lookup and change, O(result) ranges. */
export class KeyList<T extends Keyed> {
  /** No chunk is empty; all are in order. */
  #chunks: Chunk<T>[] = [];
  #size = 0;
  #views = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): T | undefined {
    const compare = comparisonFor(key);
    const chunk = this.#chunks[this.#chunkOf(key, compare)];
    if (chunk === undefined) return undefined;
    const item = chunk.items[lowerBound(chunk.items, key, compare)];
    return item !== undefined && item.key === key ? item : undefined;
  }

  /** Adds the item, or puts it in the place of the one with its key; gives that one back. */
  put(item: T): T | undefined {
    const { key } = item;
    const compare = comparisonFor(key);
    const last = this.#chunks.at(-1);
    if (last === undefined) {
      this.#chunks.push(this.#chunk([item]));
      this.#size++;
      return undefined;
    }
    const chunkIndex = Math.min(this.#chunkOf(key, compare), this.#chunks.length - 1);
    const chunk = this.#chunks[chunkIndex]!;
    const at = lowerBound(chunk.items, key, compare);
    const held = chunk.items[at];
    if (held !== undefined && held.key === key) {
      this.#own(chunk)[at] = item;
      forget(chunk, held);
      include(chunk, item);
      return held;
    }
    this.#size++;
    // What comes in order (a snapshot) fills chunks to the brim.
    if (chunk === last && at === CHUNK_ITEMS) {
      this.#chunks.push(this.#chunk([item]));
      return undefined;
    }
    this.#own(chunk).splice(at, 0, item);
    include(chunk, item);
    if (chunk.items.length > CHUNK_ITEMS) this.#split(chunkIndex, chunk);
    return undefined;
  }

  /** Takes the item with this key out and gives it back. */
  remove(key: string): T | undefined {
    const compare = comparisonFor(key);
    const chunkIndex = this.#chunkOf(key, compare);
    const chunk = this.#chunks[chunkIndex];
    if (chunk === undefined) return undefined;
    const at = lowerBound(chunk.items, key, compare);
    const held = chunk.items[at];
    if (held === undefined || held.key !== key) return undefined;
    if (chunk.items.length === 1) this.#chunks.splice(chunkIndex, 1);
    else this.#own(chunk).splice(at, 1);
    forget(chunk, held);
    this.#size--;
    return held;
  }

  /** Takes out all items whose key starts with the prefix: O(chunks), they move as they stand. */
  cutPrefix(prefix: string): Cut<T> {
    const compare = comparisonFor(prefix);
    const first = this.#chunkOf(prefix, compare);
    let end = first;
    const cut: Chunk<T>[] = [];
    const rest: Chunk<T>[] = [];
    for (; end < this.#chunks.length; end++) {
      const chunk = this.#chunks[end]!;
      const from = lowerBound(chunk.items, prefix, compare);
      const to = endOfPrefix(chunk.items, prefix, from);
      if (from === to) break;
      if (to - from === chunk.items.length) {
        cut.push(chunk);
        continue;
      }
      cut.push(this.#chunk(chunk.items.slice(from, to)));
      this.#own(chunk).splice(from, to - from);
      chunk.stale = true;
      rest.push(chunk);
    }
    this.#chunks.splice(first, end - first, ...rest);
    const size = cut.reduce((sum, { items }) => sum + items.length, 0);
    this.#size -= size;
    return { size, chunks: cut };
  }

  /** Puts back what was cut; the list must be as it was just after the cut. */
  putBack({ size, chunks }: Cut<T>): void {
    const key = chunks[0]?.items[0]?.key;
    if (key === undefined) return;
    const compare = comparisonFor(key);
    let at = this.#chunkOf(key, compare);
    const chunk = this.#chunks[at];
    const above = chunk === undefined ? 0 : lowerBound(chunk.items, key, compare);
    if (chunk !== undefined && above > 0) {
      this.#chunks.splice(++at, 0, this.#chunk(this.#own(chunk).splice(above)));
      chunk.stale = true;
    }
    // Not as arguments of `splice`: there may be more than a call takes.
    this.#chunks = this.#chunks.slice(0, at).concat(chunks, this.#chunks.slice(at));
    this.#size += size;
  }

  /** Items whose key starts with the prefix, in order; valid until the next change. */
  *withPrefix(prefix: string): Generator<T, void, undefined> {
    const compare = comparisonFor(prefix);
    let chunkIndex = this.#chunkOf(prefix, compare);
    let at = lowerBound(this.#chunks[chunkIndex]?.items ?? [], prefix, compare);
    for (; chunkIndex < this.#chunks.length; chunkIndex++, at = 0) {
      const { items } = this.#chunks[chunkIndex]!;
      for (; at < items.length; at++) {
        const item = items[at]!;
        if (!item.key.startsWith(prefix)) return;
        yield item;
      }
    }
  }

  /** The greatest modify index of an item whose key starts with the prefix; 0 if there is none. */
  maxIndexOf(prefix: string): number {
    const compare = comparisonFor(prefix);
    let max = 0;
    for (let i = this.#chunkOf(prefix, compare); i < this.#chunks.length; i++) {
      const chunk = this.#chunks[i]!;
      const { items } = chunk;
      const from = lowerBound(items, prefix, compare);
      const to = endOfPrefix(items, prefix, from);
      if (from === to) break;
      if (to - from === items.length) max = Math.max(max, exactMax(chunk));
      else if (chunk.maxIndex > max)
        for (let at = from; at < to; at++) max = Math.max(max, items[at]!.modifyIndex);
    }
    return max;
  }

  /** The items of now, in order: costs one pointer per chunk, later changes do not reach it. */
  view(): Iterable<T> {
    this.#views++;
    return flat(this.#chunks.map((chunk) => chunk.items));
  }

  /** The chunk's items, not those of a view that somebody still reads. */
  #own(chunk: Chunk<T>): T[] {
    if (chunk.view < this.#views) {
      chunk.items = chunk.items.slice();
      chunk.view = this.#views;
    }
    return chunk.items;
  }

  #chunk(items: T[]): Chunk<T> {
    let maxIndex = 0;
    for (const { modifyIndex } of items) maxIndex = Math.max(maxIndex, modifyIndex);
    return { items, maxIndex, stale: false, view: this.#views };
  }

  #split(chunkIndex: number, chunk: Chunk<T>): void {
    const upper = this.#chunk(chunk.items.splice(chunk.items.length >> 1));
    this.#chunks.splice(chunkIndex + 1, 0, upper);
    chunk.stale = true;
  }

  /** Index of the first chunk whose last item is not below the key. */
  #chunkOf(key: string, compare: Compare): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { items } = this.#chunks[middle]!;
      if (compare(items[items.length - 1]!.key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function* flat<T>(chunks: readonly (readonly T[])[]): Generator<T, void, undefined> {
  for (const items of chunks) yield* items;
}

function include<T extends Keyed>(chunk: Chunk<T>, item: T): void {
  chunk.maxIndex = Math.max(chunk.maxIndex, item.modifyIndex);
}

function forget<T extends Keyed>(chunk: Chunk<T>, item: T): void {
  if (item.modifyIndex === chunk.maxIndex) chunk.stale = true;
}

function exactMax<T extends Keyed>(chunk: Chunk<T>): number {
  if (chunk.stale) {
    chunk.maxIndex = 0;
    for (const item of chunk.items) include(chunk, item);
    chunk.stale = false;
  }
  return chunk.maxIndex;
}

/** Index after the last of the items from `from` on whose key starts with the prefix; those are in a row. */
function endOfPrefix(items: readonly Keyed[], prefix: string, from: number): number {
  if (items.length > 0 && items[items.length - 1]!.key.startsWith(prefix)) return items.length;
  let low = from;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle]!.key.startsWith(prefix)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function lowerBound(items: readonly Keyed[], key: string, compare: Compare): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(items[middle]!.key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

type Compare = (a: string, b: string) => number;

/**
 * How to compare with this key. UTF-16 code units are in the order of UTF-8 except that surrogates
 * (characters above U+FFFF) stand below U+E000: only a key that has such a unit needs the slow way.
 */
function comparisonFor(key: string): Compare {
  return /[\ud800-\uffff]/.test(key) ? compareKeys : compareUnits;
}

function compareUnits(a: string, b: string): number {
  return a < b ? -1 : a === b ? 0 : 1;
}

/** Order of the UTF-8 octets of two keys. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = rank(a.charCodeAt(i)) - rank(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Code units in the order that their characters have: surrogates last. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
