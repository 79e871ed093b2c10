/**
 * Octets in chains of small blocks that lie in few large arrays: nothing of them is the garbage
 * collector's, and a block that one chain gives back serves any other, whatever its length.
 */

/** Octets of a block, beside the number of the next one. */
export const BLOCK_OCTETS = 48;
const LINK_OCTETS = 4;
/** A segment has 2^14 blocks: 832 KiB are asked of the system at a time. */
const SEGMENT_BITS = 14;
const SEGMENT_BLOCKS = 2 ** SEGMENT_BITS;
const IN_SEGMENT = SEGMENT_BLOCKS - 1;
/** Ends a chain; no block has this number. */
const NONE = 0xffff_ffff;

type Segment = { readonly octets: Uint8Array; readonly view: DataView; readonly next: Uint32Array };

/** See createBlocks. A chain is named by the number of its first block. */
export type Blocks = {
  /** A new chain with the first `length` of these octets, at least one. */
  add(octets: Uint8Array, length: number): number;
  /** Gives its blocks back; it must be there. */
  remove(chain: number): void;
  /** Fills `into` with what stands in the chain from `from` on. */
  copy(chain: number, from: number, into: Uint8Array): void;
  /** The first BLOCK_OCTETS of a chain, to be read and changed in place: they begin at `startOf`. */
  viewOf(chain: number): DataView;
  startOf(chain: number): number;
  /** Held in all, used or free. */
  readonly octets: number;
};

/** What a chain of so many octets takes. */
export function chainOctets(length: number): number {
  return Math.ceil(length / BLOCK_OCTETS) * (BLOCK_OCTETS + LINK_OCTETS);
}

/**
 * No chain yet. What is held grows with what is used, and all but one segment goes back to the system
 * when nothing is; the caller bounds the one and thereby the other.
 */
export function createBlocks(): Blocks {
  let segments: Segment[] = [];
  let free = NONE;
  let usedCount = 0;

  const segmentOf = (block: number): Segment => segments[block >>> SEGMENT_BITS]!;
  const startOf = (block: number): number => (block & IN_SEGMENT) * BLOCK_OCTETS;
  const after = (block: number): number => segmentOf(block).next[block & IN_SEGMENT]!;
  const link = (block: number, next: number): void => {
    segmentOf(block).next[block & IN_SEGMENT] = next;
  };

  function grow(): void {
    const base = segments.length * SEGMENT_BLOCKS;
    const octets = new Uint8Array(SEGMENT_BLOCKS * BLOCK_OCTETS);
    const next = new Uint32Array(SEGMENT_BLOCKS);
    for (let i = 0; i < SEGMENT_BLOCKS; i++) next[i] = base + i + 1;
    next[SEGMENT_BLOCKS - 1] = free;
    segments.push({ octets, view: new DataView(octets.buffer), next });
    free = base;
  }

  return {
    add(octets, length) {
      let first = NONE;
      let last = NONE;
      for (let from = 0; from < length; from += BLOCK_OCTETS) {
        if (free === NONE) grow();
        const block = free;
        free = after(block);
        usedCount++;
        const { octets: target } = segmentOf(block);
        const start = startOf(block) - from;
        const end = Math.min(length, from + BLOCK_OCTETS);
        for (let i = from; i < end; i++) target[start + i] = octets[i]!;
        if (first === NONE) first = block;
        else link(last, block);
        last = block;
      }
      link(last, NONE);
      return first;
    },
    remove(chain) {
      let last = chain;
      for (let next = after(last); ; next = after(last)) {
        usedCount--;
        if (next === NONE) break;
        last = next;
      }
      link(last, free);
      free = chain;
      if (usedCount > 0 || segments.length === 1) return;
      segments = [];
      free = NONE;
    },
    copy(chain, from, into) {
      let block = chain;
      let at = from;
      for (; at >= BLOCK_OCTETS; at -= BLOCK_OCTETS) block = after(block);
      for (let done = 0; done < into.length; block = after(block), at = 0) {
        const { octets } = segmentOf(block);
        const start = startOf(block) + at - done;
        const end = Math.min(into.length, done + BLOCK_OCTETS - at);
        for (; done < end; done++) into[done] = octets[start + done]!;
        if (done === into.length) return;
      }
    },
    viewOf: (chain) => segmentOf(chain).view,
    startOf,
    get octets() {
      return segments.length * SEGMENT_BLOCKS * (BLOCK_OCTETS + LINK_OCTETS);
    },
  };
}
