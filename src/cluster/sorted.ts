/**
 * Sorted collections of records: a chunked list for the large tables and functions over plain
 * immutable arrays for what hangs on one node. K is what items are compared by; every item is one.
 */
export type Compare<K> = (a: K, b: K) => number;

/** Items per chunk: an insertion moves at most this many pointers. */
const CHUNK_ITEMS = 512;

/** Sorted list without duplicates: O(log n) lookup and change, however many items it has. */
export class SortedList<K, T extends K> {
  readonly #compare: Compare<K>;
  /** No chunk is empty; all are in order. */
  #chunks: T[][] = [];
  #flat: readonly T[] | null = NOTHING;
  #size = 0;

  constructor(compare: Compare<K>) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#size;
  }

  find(key: K): T | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)];
    if (chunk === undefined) return undefined;
    const at = lowerBound(chunk, key, this.#compare);
    const item = chunk[at];
    return item !== undefined && this.#compare(key, item) === 0 ? item : undefined;
  }

  first(): T | undefined {
    return this.#chunks[0]?.[0];
  }

  /** The first `count` items that are not below the key. */
  from(key: K, count: number): T[] {
    const found: T[] = [];
    let chunkIndex = this.#chunkOf(key);
    let at = lowerBound(this.#chunks[chunkIndex] ?? [], key, this.#compare);
    while (found.length < count) {
      const chunk = this.#chunks[chunkIndex];
      if (chunk === undefined) break;
      const item = chunk[at];
      if (item === undefined) {
        chunkIndex++;
        at = 0;
      } else {
        found.push(item);
        at++;
      }
    }
    return found;
  }

  /** Adds the item, or puts it in the place of the one that compares equal. */
  put(item: T): void {
    const last = this.#chunks.at(-1);
    // Snapshots bring everything in order: no search for what belongs at the end.
    if (last !== undefined && this.#compare(last.at(-1)!, item) < 0) {
      if (last.length < CHUNK_ITEMS) last.push(item);
      else this.#chunks.push([item]);
      this.#size++;
      this.#changed();
      return;
    }
    const chunkIndex = Math.min(this.#chunkOf(item), this.#chunks.length - 1);
    const chunk = this.#chunks[chunkIndex];
    if (chunk === undefined) {
      this.#chunks.push([item]);
    } else {
      const at = lowerBound(chunk, item, this.#compare);
      const held = chunk[at];
      if (held !== undefined && this.#compare(item, held) === 0) {
        chunk[at] = item;
        this.#changed();
        return;
      }
      chunk.splice(at, 0, item);
      if (chunk.length > CHUNK_ITEMS)
        this.#chunks.splice(chunkIndex + 1, 0, chunk.splice(chunk.length >> 1));
    }
    this.#size++;
    this.#changed();
  }

  remove(key: K): boolean {
    const chunkIndex = this.#chunkOf(key);
    const chunk = this.#chunks[chunkIndex];
    if (chunk === undefined) return false;
    const at = lowerBound(chunk, key, this.#compare);
    const held = chunk[at];
    if (held === undefined || this.#compare(key, held) !== 0) return false;
    if (chunk.length === 1) this.#chunks.splice(chunkIndex, 1);
    else chunk.splice(at, 1);
    this.#size--;
    this.#changed();
    return true;
  }

  /** All items in order; live until the next change, never to be modified. */
  items(): readonly T[] {
    this.#flat ??= this.#chunks.length === 1 ? this.#chunks[0]! : this.#chunks.flat();
    return this.#flat;
  }

  /** A copy that later changes do not reach. */
  copy(): readonly T[] {
    return this.items().slice();
  }

  #changed(): void {
    this.#flat = null;
  }

  /** Index of the first chunk whose last item is not below the key. */
  #chunkOf(key: K): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const chunk = this.#chunks[middle]!;
      if (this.#compare(chunk[chunk.length - 1]!, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The one empty array that all records without tags, checks or services share. */
export const NOTHING: readonly never[] = Object.freeze([]);

/** Index of the first item that is not below the key; the length if all are. */
export function lowerBound<K, T extends K>(items: readonly T[], key: K, compare: Compare<K>) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(items[middle]!, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The item that compares equal. */
export function findSorted<K, T extends K>(
  items: readonly T[],
  key: K,
  compare: Compare<K>,
): T | undefined {
  const item = items[lowerBound(items, key, compare)];
  return item !== undefined && compare(key, item) === 0 ? item : undefined;
}

/** A new array with the item added, or in the place of the one that compares equal. */
export function withItem<K, T extends K>(
  items: readonly T[],
  item: T,
  compare: Compare<K>,
): readonly T[] {
  if (items.length === 0) return [item];
  const at = lowerBound(items, item, compare);
  const held = items[at];
  const changed = items.slice();
  changed.splice(at, held !== undefined && compare(item, held) === 0 ? 1 : 0, item);
  return changed;
}

/** A new array without the item that compares equal; the same array if there is none. */
export function withoutItem<K, T extends K>(
  items: readonly T[],
  key: K,
  compare: Compare<K>,
): readonly T[] {
  const at = lowerBound(items, key, compare);
  const held = items[at];
  if (held === undefined || compare(key, held) !== 0) return items;
  if (items.length === 1) return NOTHING;
  const changed = items.slice();
  changed.splice(at, 1);
  return changed;
}

/** By code units: the same on every node, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
