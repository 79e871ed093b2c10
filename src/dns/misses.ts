/**
 * Questions on their way from one worker to the main thread: a ring in shared memory with one
 * producer and one consumer. Replies do not come back this way; the main thread sends them itself.
 *
 * An entry, in 32-bit words: words of the entry (negative: padding to the end of the ring) | octets of
 * the query | time of arrival (float64) | return address | query.
 */

/** Bound of one ring. Full: the worker sends SERVFAIL and counts. About 8,000 usual questions. */
const MISS_RING_OCTETS = 1 << 20;

/** Words that tell the main thread where the reply goes; only the platform reads them. */
export const RETURN_WORDS = 14;

const HEADER_WORDS = 32;
/** Words ever written and read, modulo 2^32; each on its own cache line. */
const WRITTEN = 0;
const READ = 16;
/** Read by the producer: which share of the questions it draws for the log, as an unsigned 32-bit number. */
const SAMPLE = 8;
/** Counted by the producer: replies that should have been logged and found no room. */
const UNLOGGED = 9;

const ENTRY_WORDS = 0;
const ENTRY_QUERY_OCTETS = 1;
/** Bits of that word; no message has as many octets. A question that was drawn for the log. */
export const MARK_SAMPLED = 1 << 20;
/** The reply that the producer has sent to such a question, for the log alone. */
export const MARK_SERVED = 1 << 21;
const MARKS = MARK_SAMPLED | MARK_SERVED;
/** Part of the ring that may fill before the consumer is woken for what is not urgent. */
const CALM_SHARE = 1 / 8;
const ENTRY_ARRIVED = 2;
const ENTRY_RETURN = 4;
const ENTRY_QUERY = ENTRY_RETURN + RETURN_WORDS;

/** One side's view of a ring of questions that a worker could not answer itself. */
export type MissRing = {
  words: Int32Array;
  octets: Uint8Array;
  floats: Float64Array;
  capacity: number;
  /** Producer: where the entry under construction starts and ends. Private to its thread. */
  entry: number;
  written: number;
};

/** Shared memory of an empty ring. */
export function createMissMemory(ringOctets = MISS_RING_OCTETS): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_WORDS * 4 + ringOctets);
}

/** Opens a ring in either thread; a replaced worker goes on where its predecessor stopped. */
export function openMissRing(memory: SharedArrayBuffer): MissRing {
  return {
    words: new Int32Array(memory),
    octets: new Uint8Array(memory),
    floats: new Float64Array(memory),
    capacity: memory.byteLength / 4 - HEADER_WORDS,
    entry: 0,
    written: 0,
  };
}

/**
 * Producer: stores a query with its mark (0: none) and returns the word at which its return address belongs, or -1 if the ring
 * is full. The consumer sees it after `commitMiss`.
 */
export function storeMiss(
  ring: MissRing,
  input: Int32Array,
  start: number,
  length: number,
  arrivedMs: number,
  mark: number,
): number {
  const { words, capacity } = ring;
  // Even, so that the float64 of every entry is aligned.
  const size = (ENTRY_QUERY + ((length + 3) >> 2) + 1) & ~1;
  const written = Atomics.load(words, WRITTEN);
  const free = capacity - ((written - Atomics.load(words, READ)) | 0);
  const position = (written >>> 0) % capacity;
  const padding = position + size > capacity ? capacity - position : 0;
  if (size + padding > free) return -1;
  if (padding > 0) words[HEADER_WORDS + position] = -padding;
  const entry = HEADER_WORDS + (padding > 0 ? 0 : position);
  words[entry + ENTRY_WORDS] = size;
  words[entry + ENTRY_QUERY_OCTETS] = length | mark;
  ring.floats[(entry + ENTRY_ARRIVED) >> 1] = arrivedMs;
  const from = start >> 2;
  const queryWords = (length + 3) >> 2;
  for (let i = 0; i < queryWords; i++) words[entry + ENTRY_QUERY + i] = input[from + i]!;
  ring.entry = entry;
  ring.written = (written + padding + size) | 0;
  return entry + ENTRY_RETURN;
}

/** Producer: hands the stored query over. */
export function commitMiss(ring: MissRing): void {
  Atomics.store(ring.words, WRITTEN, ring.written);
}

/** What the consumer gets; the arrays are copies and may be kept. `isServed`: `query` is the reply. */
export type Miss = {
  query: Uint8Array;
  returnAddress: Uint8Array;
  arrivedMs: number;
  /** The producer has drawn it for the log. */
  isSampled: boolean;
  isServed: boolean;
};

/** Consumer: the oldest query, or undefined if there is none. */
export function takeMiss(ring: MissRing): Miss | undefined {
  const { words, capacity } = ring;
  const written = Atomics.load(words, WRITTEN);
  let read = Atomics.load(words, READ);
  if (read === written) return undefined;
  let entry = HEADER_WORDS + ((read >>> 0) % capacity);
  if (words[entry + ENTRY_WORDS]! < 0) {
    read = (read - words[entry + ENTRY_WORDS]!) | 0;
    entry = HEADER_WORDS;
  }
  const query = (entry + ENTRY_QUERY) << 2;
  const length = words[entry + ENTRY_QUERY_OCTETS]!;
  const miss = {
    query: ring.octets.slice(query, query + (length & ~MARKS)),
    returnAddress: ring.octets.slice(
      (entry + ENTRY_RETURN) << 2,
      (entry + ENTRY_RETURN + RETURN_WORDS) << 2,
    ),
    arrivedMs: ring.floats[(entry + ENTRY_ARRIVED) >> 1]!,
    isSampled: (length & MARK_SAMPLED) !== 0,
    isServed: (length & MARK_SERVED) !== 0,
  };
  Atomics.store(words, READ, (read + words[entry + ENTRY_WORDS]!) | 0);
  return miss;
}

/** Consumer: is there anything to take? */
export function hasMiss(ring: MissRing): boolean {
  return Atomics.load(ring.words, WRITTEN) !== Atomics.load(ring.words, READ);
}

/** Consumer: which share of the questions, 0 to 1, the producer is to draw and mark; at first none. */
export function setSample(ring: MissRing, share: number): void {
  Atomics.store(ring.words, SAMPLE, sampleBound(share) | 0);
}

/** Producer: up to which number a random one of 32 bits means that the question is drawn; 0: none is. */
export function sampleOf(ring: MissRing): number {
  return ring.words[SAMPLE]! >>> 0;
}

/** The same number for a share. */
export function sampleBound(share: number): number {
  return Math.ceil(share * 0xffffffff);
}

/** Producer: is there so much in the ring that the consumer should look soon? */
export function isCrowded({ words, capacity }: MissRing): boolean {
  const used = (Atomics.load(words, WRITTEN) - Atomics.load(words, READ)) | 0;
  return used > capacity * CALM_SHARE;
}

/** Producer: counts a reply that is not logged. */
export function countUnlogged({ words }: MissRing): void {
  words[UNLOGGED]!++;
}

/** Consumer: how many those are. */
export function unloggedIn({ words }: MissRing): number {
  return words[UNLOGGED]! >>> 0;
}
