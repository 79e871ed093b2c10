/**
 * Prepared answers in shared memory: one writer (the main thread), many readers (the workers).
 *
 * Layout, in 32-bit words of one SharedArrayBuffer:
 *   header   sizes and the hash key
 *   slots    4 words each: hash (0: free), version (odd: being written), record, how often it was
 *            asked for since the last visit of the writer, up to HITS_COUNTED.
 *            A question may sit in any of PROBE_LIMIT slots from its hash on.
 *   arena    a ring of records of any size. New ones go in at the head. To make room the writer
 *            walks from the tail: a record that was asked for since the last visit is moved to the
 *            head, any other leaves (CLOCK, with compaction as a by-product: no size classes, no
 *            fragments).
 *
 * A slot's version is its seqlock. Readers copy plainly between two looks at the version, so all they
 * read in between may be torn: they use it for bounded copies only until the second look. Ordering:
 * every step of a version is an atomic read-modify-write followed by an atomic load, and readers put
 * one before their second look. By the ARMv8 rules (both with LSE's acquire-release instructions and
 * with load/store-exclusive pairs, where a store-release is ordered before a later load-acquire) no
 * plain access crosses that pair; on x86-64 the locked instruction is a full fence anyway.
 */
import { HEADER_OCTETS, lastWordMask } from "./wire.ts";

/** Slots in which one question may sit, so also the most entries one question can have. */
export const PROBE_LIMIT = 32;
/** Looks of a reader at one slot before it calls the question a miss. */
export const READ_ATTEMPTS = 4;
/** Most records of a shuffled answer: 65535 octets of the smallest record with a pointer as owner. */
export const SHUFFLE_COUNT_MAX = 5460;

const HEADER_WORDS = 16;
/** Words of the header: number of slots, and the two halves of the hash key. */
export const HEAD_SLOT_COUNT = 0;
export const HEAD_KEY0 = 1;
export const HEAD_KEY1 = 2;

/** Size of a slot, and its words as described above. */
export const SLOT_WORDS = 4;
export const SLOT_HASH = 0;
export const SLOT_VERSION = 1;
export const SLOT_RECORD = 2;
export const SLOT_REFERENCED = 3;
/** Hits that a slot counts; more are not told apart, so that a hot name's slot is no longer written. */
export const HITS_COUNTED = 3;

/** Words of a record. The 16-bit halves are written low | high << 16. */
export const RECORD_WORDS = 0; // all of it
export const RECORD_SLOT = 1; // -1: nobody's
export const RECORD_QNAME_VARIANTS = 2; // QNAME octets | origin << 8 (cells.ts), variants
export const RECORD_TYPE_CLASS = 3; // QTYPE << 16 | QCLASS
export const RECORD_PAYLOAD = 4; // minPayload | maxPayload
export const RECORD_FLAGS_TTLS = 5; // FLAG_* | number of TTL offsets
export const RECORD_EXPIRES = 6; // float64, milliseconds
export const RECORD_STORED = 8; // float64, milliseconds
export const RECORD_SHUFFLE_PLACE = 10; // offset | stride
export const RECORD_SHUFFLE_COUNT = 11; // count | smallCount
export const RECORD_FIXED_WORDS = 12; // then per variant: word offset in the record, octets

/** Whom the record answers, and what is done to it on the way (PublishedAnswer says more). */
export const FLAG_WITHOUT_EDNS = 1;
export const FLAG_WITH_EDNS = 2;
export const FLAG_COUNTDOWN = 4;
export const FLAG_SHUFFLE = 8;
export const FLAG_TRUNCATE_BIT = 16;
/** Behind the service, whose bits are 5 to 12. */
export const FLAG_COPIES_DO = 1 << 13;
/** Above the flags: eight bits for the service (cells.ts), 0 for none. */
export const SERVICE_SHIFT = 5;

/** The places of a table's parts in its memory; the same in every thread. */
export type TableView = {
  words: Int32Array;
  octets: Uint8Array;
  /** Over the same memory; a record's float64 fields are at (word index >> 1). */
  floats: Float64Array;
  slotBase: number;
  slotMask: number;
  arenaBase: number;
  key0: number;
  key1: number;
};

/** Opens a table's memory in any thread. */
export function viewTable(memory: SharedArrayBuffer): TableView {
  const words = new Int32Array(memory);
  const slotCount = words[HEAD_SLOT_COUNT]!;
  return {
    words,
    octets: new Uint8Array(memory),
    floats: new Float64Array(memory, 0, memory.byteLength >> 3),
    slotBase: HEADER_WORDS,
    slotMask: slotCount - 1,
    arenaBase: HEADER_WORDS + slotCount * SLOT_WORDS,
    key0: words[HEAD_KEY0]!,
    key1: words[HEAD_KEY1]!,
  };
}

/** Is this the record's question? `folded`: the QNAME in lower case, zero-padded to words. */
export function holdsQuestion(
  words: Int32Array,
  record: number,
  qnameOctets: number,
  typeClass: number,
  folded: Int32Array,
): boolean {
  if (words[record + RECORD_TYPE_CLASS] !== typeClass) return false;
  if ((words[record + RECORD_QNAME_VARIANTS]! & 0xff) !== qnameOctets) return false;
  // The question stands in every variant, so the record does not hold it once more.
  const question = record + words[record + RECORD_FIXED_WORDS]! + (HEADER_OCTETS >> 2);
  const last = ((qnameOctets + 3) >> 2) - 1;
  for (let i = 0; i < last; i++) if (words[question + i] !== folded[i]) return false;
  return (words[question + last]! & lastWordMask(qnameOctets)) === folded[last];
}
