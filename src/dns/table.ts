/**
 * Prepared answers in shared memory: one writer (the main thread), many readers (the workers).
 *
 * Layout, in 32-bit words of one SharedArrayBuffer:
 *   header   sizes and the hash key
 *   slots    4 words each: hash (0: free), version (odd: being written), record, referenced.
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
import { assert } from "../base.ts";
import type { AnswerHandle, AnswerTable, PublishedAnswer, SharedClock } from "./answer.ts";
import { foldAndHash, HEADER_OCTETS, lastWordMask, QNAME_WORDS_MAX } from "./wire.ts";

/** Slots in which one question may sit, so also the most entries one question can have. */
export const PROBE_LIMIT = 32;
/** Looks of a reader at one slot before it calls the question a miss. */
export const READ_ATTEMPTS = 4;
/** Most records of a shuffled answer: 65535 octets of the smallest record with a pointer as owner. */
export const SHUFFLE_COUNT_MAX = 5460;
/** Smallest table: anything less cannot hold a few answers of 64 KB. */
export const TABLE_OCTETS_MIN = 1 << 20;
/** Word offsets are 32-bit integers with room to add. */
export const TABLE_OCTETS_MAX = 1 << 30;

const HEADER_WORDS = 16;
const HEAD_SLOT_COUNT = 0;
const HEAD_KEY0 = 1;
const HEAD_KEY1 = 2;

export const SLOT_WORDS = 4;
export const SLOT_HASH = 0;
export const SLOT_VERSION = 1;
export const SLOT_RECORD = 2;
export const SLOT_REFERENCED = 3;

/** Octets of table per slot; records are mostly larger, so slots do not run out first. */
const OCTETS_PER_SLOT = 128;

// A record. The 16-bit halves are written low | high << 16.
export const RECORD_WORDS = 0; // all of it
export const RECORD_SLOT = 1; // -1: nobody's
export const RECORD_QNAME_VARIANTS = 2; // QNAME octets | variants
export const RECORD_TYPE_CLASS = 3; // QTYPE << 16 | QCLASS
export const RECORD_PAYLOAD = 4; // minPayload | maxPayload
export const RECORD_FLAGS_TTLS = 5; // FLAG_* | number of TTL offsets
export const RECORD_EXPIRES = 6; // float64, milliseconds
export const RECORD_STORED = 8; // float64, milliseconds
export const RECORD_SHUFFLE_PLACE = 10; // offset | stride
export const RECORD_SHUFFLE_COUNT = 11; // count | smallCount
export const RECORD_FIXED_WORDS = 12; // then per variant: word offset in the record, octets
/** Records start on 16 octets so that the float64 fields are aligned. */
const RECORD_ALIGN_WORDS = 4;

export const FLAG_WITHOUT_EDNS = 1;
export const FLAG_WITH_EDNS = 2;
export const FLAG_COUNTDOWN = 4;
export const FLAG_SHUFFLE = 8;
export const FLAG_TRUNCATE_BIT = 16;

/** Largest share of the arena for one record, so that two always fit beside the rest. */
const LARGEST_SHARE = 8;
/** Largest record, however large the arena: a full message and its description. */
const LARGEST_RECORD_WORDS = (4 * 65536) >> 2;
/** Records moved for one publication before it is refused: a bound on the writer's time. */
const MOVES_PER_PUBLISH = 128;
/** Words moved likewise. */
const MOVED_WORDS_PER_PUBLISH = 65536;

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

export type AnswerTableOptions = {
  /** Rounded to TABLE_OCTETS_MIN..TABLE_OCTETS_MAX. */
  octets: number;
  clock: SharedClock;
  /** An integer from 0 to 2^32 - 1 from a cryptographic source: the hash key. */
  random: () => number;
};

/** Makes an empty table; `memory` is what `viewTable` opens in the workers. */
export function createAnswerTable(options: AnswerTableOptions): {
  table: AnswerTable;
  memory: SharedArrayBuffer;
} {
  const wanted = Math.min(Math.max(options.octets, TABLE_OCTETS_MIN), TABLE_OCTETS_MAX);
  const memory = new SharedArrayBuffer(wanted & ~15);
  const words = new Int32Array(memory);
  words[HEAD_SLOT_COUNT] = 1 << (31 - Math.clz32(wanted / OCTETS_PER_SLOT));
  words[HEAD_KEY0] = options.random();
  words[HEAD_KEY1] = options.random();
  return { table: createWriter(viewTable(memory), options.clock), memory };
}

function createWriter(view: TableView, clock: SharedClock): AnswerTable {
  const { words, octets, floats, slotBase, slotMask, arenaBase } = view;
  const slotCount = slotMask + 1;
  const arenaWords = (words.length - arenaBase) & ~(RECORD_ALIGN_WORDS - 1);
  const largestWords = Math.min(LARGEST_RECORD_WORDS, Math.floor(arenaWords / LARGEST_SHARE));
  /** Kept free, so that any record, with padding at the end of the arena, can be moved to the head. */
  const slackWords = 2 * largestWords;
  /** How often a slot was filled: makes handles of former fillings unknown. */
  const generations = new Uint32Array(slotCount);
  /** Second of the clock in which a slot was filled. */
  const filledSeconds = new Uint32Array(slotCount);
  const key = new Int32Array(QNAME_WORDS_MAX + 2);
  const keyOctets = new Uint8Array(key.buffer);
  const folded = new Int32Array(QNAME_WORDS_MAX);
  const listeners: ((handle: AnswerHandle) => void)[] = [];
  /** Handles that left during the publication under way; told when the table is consistent again. */
  let left: AnswerHandle[] = [];

  let head = 0;
  let tail = 0;
  let usedWords = 0;
  let entries = 0;
  let liveWords = 0;
  let evictions = 0;
  let rejected = 0;

  const slotAt = (slot: number): number => slotBase + slot * SLOT_WORDS;
  const recordOf = (slot: number): number => arenaBase + words[slotAt(slot) + SLOT_RECORD]!;
  const handleOf = (slot: number): AnswerHandle => generations[slot]! * slotCount + slot;

  /** One step of a slot's version: to odd, no reader may use it; to even, it holds again. */
  function stepVersion(at: number): void {
    Atomics.add(words, at + SLOT_VERSION, 1);
    Atomics.load(words, at + SLOT_VERSION);
  }

  function clearSlot(slot: number): void {
    const at = slotAt(slot);
    const record = recordOf(slot);
    stepVersion(at);
    words[at + SLOT_HASH] = 0;
    words[at + SLOT_REFERENCED] = 0;
    stepVersion(at);
    words[record + RECORD_SLOT] = -1;
    entries--;
    liveWords -= words[record + RECORD_WORDS]!;
  }

  function evict(slot: number): void {
    left.push(handleOf(slot));
    clearSlot(slot);
  }

  function isExpired(record: number, nowMs: number): boolean {
    return floats[(record + RECORD_EXPIRES) >> 1]! <= nowMs;
  }

  /** Words lost at the end of the arena if `size` words are put in at the head. */
  const paddingFor = (size: number): number => (head + size > arenaWords ? arenaWords - head : 0);

  /** Takes `size` words at the head; the caller has made sure that they are free. */
  function takeHead(size: number): number {
    const padding = paddingFor(size);
    if (padding > 0) {
      words[arenaBase + head + RECORD_WORDS] = padding;
      words[arenaBase + head + RECORD_SLOT] = -1;
      usedWords += padding;
      head = 0;
    }
    const at = arenaBase + head;
    usedWords += size;
    head = head + size === arenaWords ? 0 : head + size;
    return at;
  }

  /** Frees words at the tail until `size` fit; false if too much of what it met is in demand. */
  function makeRoom(size: number): boolean {
    const nowMs = clock();
    let moves = MOVES_PER_PUBLISH;
    let movableWords = MOVED_WORDS_PER_PUBLISH;
    while (arenaWords - usedWords < slackWords + size + paddingFor(size)) {
      const record = arenaBase + tail;
      const recordWords = words[record + RECORD_WORDS]!;
      const slot = words[record + RECORD_SLOT]!;
      if (slot >= 0) {
        const at = slotAt(slot);
        const wanted = words[at + SLOT_REFERENCED] === 1 && !isExpired(record, nowMs);
        const fits = arenaWords - usedWords >= recordWords + paddingFor(recordWords);
        if (wanted && fits) {
          if (moves === 0 || movableWords < recordWords) return false;
          moves--;
          movableWords -= recordWords;
          const to = takeHead(recordWords);
          stepVersion(at);
          words.copyWithin(to, record, record + recordWords);
          words[at + SLOT_RECORD] = to - arenaBase;
          words[at + SLOT_REFERENCED] = 0;
          stepVersion(at);
        } else {
          evictions++;
          evict(slot);
        }
      }
      usedWords -= recordWords;
      tail = tail + recordWords === arenaWords ? 0 : tail + recordWords;
    }
    return true;
  }

  /** A slot for the hash: a free one, else the first that nobody asked for, else the first. */
  function takeSlot(hash: number): number {
    for (let probe = 0; probe < PROBE_LIMIT; probe++) {
      const slot = (hash + probe) & slotMask;
      if (words[slotAt(slot) + SLOT_HASH] === 0) return slot;
    }
    let victim = -1;
    for (let probe = 0; probe < PROBE_LIMIT && victim < 0; probe++) {
      const slot = (hash + probe) & slotMask;
      if (words[slotAt(slot) + SLOT_REFERENCED] === 0) victim = slot;
      words[slotAt(slot) + SLOT_REFERENCED] = 0;
    }
    if (victim < 0) victim = hash & slotMask;
    evictions++;
    evict(victim);
    return victim;
  }

  /** Entries that would be sent to a question that the new answer is for as well. */
  function replaceRivals(hash: number, answer: PublishedAnswer, flags: number): void {
    const qnameOctets = answer.question.length - 4;
    for (let probe = 0; probe < PROBE_LIMIT; probe++) {
      const slot = (hash + probe) & slotMask;
      if (words[slotAt(slot) + SLOT_HASH] !== hash) continue;
      const record = recordOf(slot);
      if (!holdsQuestion(words, record, qnameOctets, typeClassOf(answer.question), folded))
        continue;
      const payload = words[record + RECORD_PAYLOAD]!;
      const apart = (payload & 0xffff) > answer.maxPayload || payload >>> 16 < answer.minPayload;
      const bothEdns = words[record + RECORD_FLAGS_TTLS]! & flags;
      if (!apart && (bothEdns & (FLAG_WITH_EDNS | FLAG_WITHOUT_EDNS)) !== 0) evict(slot);
    }
  }

  function writeRecord(record: number, slot: number, size: number, answer: PublishedAnswer): void {
    const { question, variants, shuffle, countdown } = answer;
    const ttlOffsets = countdown?.ttlOffsets ?? [];
    words[record + RECORD_WORDS] = size;
    words[record + RECORD_SLOT] = slot;
    words[record + RECORD_QNAME_VARIANTS] = (question.length - 4) | (variants.length << 16);
    words[record + RECORD_TYPE_CLASS] = typeClassOf(question);
    words[record + RECORD_PAYLOAD] = answer.minPayload | (answer.maxPayload << 16);
    words[record + RECORD_FLAGS_TTLS] = flagsOf(answer) | (ttlOffsets.length << 16);
    floats[(record + RECORD_EXPIRES) >> 1] = answer.expiresAtMs;
    floats[(record + RECORD_STORED) >> 1] = countdown?.storedAtMs ?? 0;
    words[record + RECORD_SHUFFLE_PLACE] = shuffle ? shuffle.offset | (shuffle.stride << 16) : 0;
    words[record + RECORD_SHUFFLE_COUNT] = shuffle
      ? shuffle.count | (Math.min(shuffle.smallCount, shuffle.count) << 16)
      : 0;
    let at = RECORD_FIXED_WORDS + 2 * variants.length;
    for (const offset of ttlOffsets) words[record + at++] = offset;
    variants.forEach((message, i) => {
      words[record + RECORD_FIXED_WORDS + 2 * i] = at;
      words[record + RECORD_FIXED_WORDS + 2 * i + 1] = message.length;
      octets.set(message, (record + at) << 2);
      at += (message.length + 3) >> 2;
    });
  }

  function fillSlot(slot: number, hash: number, record: number): void {
    const at = slotAt(slot);
    stepVersion(at);
    words[at + SLOT_RECORD] = record - arenaBase;
    words[at + SLOT_REFERENCED] = 0;
    words[at + SLOT_HASH] = hash;
    stepVersion(at);
    generations[slot]!++;
    filledSeconds[slot] = Math.floor(clock() / 1000);
    entries++;
    liveWords += words[record + RECORD_WORDS]!;
  }

  function tellLeft(): void {
    if (left.length === 0) return;
    const told = left;
    left = [];
    for (const handle of told) for (const listener of listeners) listener(handle);
  }

  function oldestAgeSeconds(): number {
    let oldest = Infinity;
    for (let slot = 0; slot < slotCount; slot++)
      if (words[slotAt(slot) + SLOT_HASH] !== 0) oldest = Math.min(oldest, filledSeconds[slot]!);
    return oldest === Infinity ? 0 : Math.max(0, clock() / 1000 - oldest);
  }

  function publish(answer: PublishedAnswer): AnswerHandle {
    checkAnswer(answer);
    const { question } = answer;
    key.fill(0);
    keyOctets.set(question);
    const typeClass = typeClassOf(question);
    const { key0, key1 } = view;
    const hash = foldAndHash(key, 0, question.length - 4, typeClass, folded, key0, key1);
    replaceRivals(hash, answer, flagsOf(answer));
    const size = recordSize(answer);
    let handle: AnswerHandle = 0;
    if (size <= largestWords && makeRoom(size)) {
      const slot = takeSlot(hash);
      const record = takeHead(size);
      writeRecord(record, slot, size, answer);
      fillSlot(slot, hash, record);
      handle = handleOf(slot);
    } else rejected++;
    tellLeft();
    return handle;
  }

  return {
    publish,
    withdraw(handle) {
      const slot = handle % slotCount;
      if (handle < slotCount || generations[slot] !== Math.floor(handle / slotCount)) return;
      if (words[slotAt(slot) + SLOT_HASH] !== 0) clearSlot(slot);
    },
    withdrawAll() {
      for (let slot = 0; slot < slotCount; slot++)
        if (words[slotAt(slot) + SLOT_HASH] !== 0) clearSlot(slot);
      head = tail = usedWords = 0;
    },
    onEvict(listener) {
      listeners.push(listener);
    },
    stats: () => ({
      entries,
      octets: liveWords * 4,
      capacityOctets: (arenaWords - slackWords) * 4,
      evictions,
      rejected,
      oldestAgeSeconds: oldestAgeSeconds(),
    }),
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
  if ((words[record + RECORD_QNAME_VARIANTS]! & 0xffff) !== qnameOctets) return false;
  // The question stands in every variant, so the record does not hold it once more.
  const question = record + words[record + RECORD_FIXED_WORDS]! + (HEADER_OCTETS >> 2);
  const last = ((qnameOctets + 3) >> 2) - 1;
  for (let i = 0; i < last; i++) if (words[question + i] !== folded[i]) return false;
  return (words[question + last]! & lastWordMask(qnameOctets)) === folded[last];
}

function typeClassOf(question: Uint8Array): number {
  const at = question.length - 4;
  return (
    (question[at]! << 24) | (question[at + 1]! << 16) | (question[at + 2]! << 8) | question[at + 3]!
  );
}

function flagsOf({ withoutEdns, withEdns, countdown, shuffle }: PublishedAnswer): number {
  return (
    (withoutEdns ? FLAG_WITHOUT_EDNS : 0) |
    (withEdns ? FLAG_WITH_EDNS : 0) |
    (countdown ? FLAG_COUNTDOWN : 0) |
    (shuffle ? FLAG_SHUFFLE : 0) |
    (shuffle?.truncateBit ? FLAG_TRUNCATE_BIT : 0)
  );
}

/** Words of the record for an answer. */
function recordSize({ variants, countdown }: PublishedAnswer): number {
  let size = RECORD_FIXED_WORDS + 2 * variants.length + (countdown?.ttlOffsets.length ?? 0);
  for (const message of variants) size += (message.length + 3) >> 2;
  return (size + RECORD_ALIGN_WORDS - 1) & ~(RECORD_ALIGN_WORDS - 1);
}

/** The contract of PublishedAnswer as far as a violation would let workers send nonsense. */
function checkAnswer({ question, variants, shuffle, countdown, ...rest }: PublishedAnswer): void {
  assert(question.length >= 5 && question.length <= 259, "a question has 5 to 259 octets");
  assert(variants.length >= 1 && variants.length <= 0xffff, "an answer has a variant");
  assert(rest.minPayload >= 0 && rest.maxPayload <= 0xffff, "payload bounds are 16-bit");
  for (const message of variants) {
    assert(message.length <= 0xffff, "a message has at most 65535 octets");
    assert(message.length >= HEADER_OCTETS + question.length, "a message repeats the question");
    for (let i = 0; i < question.length; i++)
      assert(message[HEADER_OCTETS + i] === question[i], "a message repeats the question");
  }
  const octets = variants[0]!.length;
  for (const offset of countdown?.ttlOffsets ?? [])
    assert(offset >= HEADER_OCTETS && offset + 4 <= octets, "TTL offsets lie in the message");
  assert((countdown?.ttlOffsets.length ?? 0) <= 0xffff, "TTL offsets can be counted");
  if (shuffle === null) return;
  assert(variants.length === 1, "a shuffled answer has one variant");
  assert(shuffle.count <= SHUFFLE_COUNT_MAX && shuffle.smallCount >= 0, "shuffled records");
  assert(shuffle.offset >= HEADER_OCTETS + question.length, "records follow the question");
  assert(
    shuffle.offset + shuffle.count * shuffle.stride === octets,
    "shuffled records end the message",
  );
}
