/** The writer of the answer table (table.ts): main thread only. */
import { assert } from "../base.ts";
import type { AnswerHandle, AnswerTable, PublishedAnswer, SharedClock } from "./answer.ts";
import {
  FLAG_COUNTDOWN,
  FLAG_COPIES_DO,
  FLAG_SHUFFLE,
  FLAG_TRUNCATE_BIT,
  FLAG_WITH_EDNS,
  FLAG_WITHOUT_EDNS,
  HEAD_KEY0,
  HEAD_KEY1,
  HEAD_SLOT_COUNT,
  holdsQuestion,
  PROBE_LIMIT,
  RECORD_EXPIRES,
  RECORD_FIXED_WORDS,
  RECORD_FLAGS_TTLS,
  RECORD_PAYLOAD,
  RECORD_QNAME_VARIANTS,
  RECORD_SHUFFLE_COUNT,
  RECORD_SHUFFLE_PLACE,
  RECORD_SLOT,
  RECORD_STORED,
  RECORD_TYPE_CLASS,
  RECORD_WORDS,
  SERVICE_SHIFT,
  SHUFFLE_COUNT_MAX,
  SLOT_HASH,
  SLOT_RECORD,
  SLOT_REFERENCED,
  SLOT_VERSION,
  SLOT_WORDS,
  type TableView,
  viewTable,
} from "./table.ts";
import { foldAndHash, HEADER_OCTETS, QNAME_WORDS_MAX } from "./wire.ts";

/** Smallest table: anything less cannot hold a few answers of 64 KB. */
const TABLE_OCTETS_MIN = 1 << 20;
/** Word offsets are 32-bit integers with room to add. */
const TABLE_OCTETS_MAX = 1 << 30;

/** Octets of table per slot; records are mostly larger, so slots do not run out first. */
const OCTETS_PER_SLOT = 128;

/** Records start on 16 octets so that the float64 fields are aligned. */
const RECORD_ALIGN_WORDS = 4;

/** Largest share of the arena for one record, so that two always fit beside the rest. */
const LARGEST_SHARE = 8;
/** Largest record, however large the arena: a full message and its description. */
const LARGEST_RECORD_WORDS = (4 * 65536) >> 2;
/** Records moved for one publication before it is refused: a bound on the writer's time. */
const MOVES_PER_PUBLISH = 128;
/** Words moved likewise. */
const MOVED_WORDS_PER_PUBLISH = 65536;

/** Size and sources of a new table. */
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
  /** How many slots hold what was published in a second; the clock makes the first one the oldest. */
  const filledIn = new Map<number, number>();
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
    const second = filledSeconds[slot]!;
    const others = filledIn.get(second)! - 1;
    if (others === 0) filledIn.delete(second);
    else filledIn.set(second, others);
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
        const wanted = words[at + SLOT_REFERENCED]! > 0 && !isExpired(record, nowMs);
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
    words[record + RECORD_QNAME_VARIANTS] =
      (question.length - 4) | ((answer.origin ?? 0) << 8) | (variants.length << 16);
    words[record + RECORD_TYPE_CLASS] = typeClassOf(question);
    words[record + RECORD_PAYLOAD] = answer.minPayload | (answer.maxPayload << 16);
    words[record + RECORD_FLAGS_TTLS] =
      flagsOf(answer) | ((answer.service ?? 0) << SERVICE_SHIFT) | (ttlOffsets.length << 16);
    floats[(record + RECORD_EXPIRES) >> 1] = answer.expiresAtMs;
    floats[(record + RECORD_STORED) >> 1] = countdown?.storedAtMs ?? 0;
    words[record + RECORD_SHUFFLE_PLACE] = shuffle ? shuffle.offset | (shuffle.stride << 16) : 0;
    words[record + RECORD_SHUFFLE_COUNT] = shuffle
      ? shuffle.count | (Math.min(shuffle.smallCount, shuffle.count) << 16)
      : 0;
    let at = RECORD_FIXED_WORDS + 2 * variants.length;
    for (const offset of ttlOffsets) words[record + at++] = offset;
    for (let i = 0; i < variants.length; i++) {
      const message = variants[i]!;
      words[record + RECORD_FIXED_WORDS + 2 * i] = at;
      words[record + RECORD_FIXED_WORDS + 2 * i + 1] = message.length;
      octets.set(message, (record + at) << 2);
      at += (message.length + 3) >> 2;
    }
  }

  function fillSlot(slot: number, hash: number, record: number): void {
    const at = slotAt(slot);
    stepVersion(at);
    words[at + SLOT_RECORD] = record - arenaBase;
    words[at + SLOT_REFERENCED] = 0;
    words[at + SLOT_HASH] = hash;
    stepVersion(at);
    generations[slot]!++;
    const second = Math.floor(clock() / 1000);
    filledSeconds[slot] = second;
    filledIn.set(second, (filledIn.get(second) ?? 0) + 1);
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
    for (const oldest of filledIn.keys()) return Math.max(0, clock() / 1000 - oldest);
    return 0;
  }

  /** Leaves the folded QNAME in `folded`. */
  function hashOf(question: Uint8Array): number {
    key.fill(0);
    keyOctets.set(question);
    const { key0, key1 } = view;
    return foldAndHash(key, 0, question.length - 4, typeClassOf(question), folded, key0, key1);
  }

  function hitsOf(question: Uint8Array): number {
    const hash = hashOf(question);
    let hits = 0;
    for (let probe = 0; probe < PROBE_LIMIT; probe++) {
      const slot = (hash + probe) & slotMask;
      const at = slotAt(slot);
      if (
        words[at + SLOT_HASH] === hash &&
        holdsQuestion(words, recordOf(slot), question.length - 4, typeClassOf(question), folded)
      )
        hits += words[at + SLOT_REFERENCED]!;
    }
    return hits;
  }

  function publish(answer: PublishedAnswer): AnswerHandle {
    checkAnswer(answer);
    const { question } = answer;
    const hash = hashOf(question);
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
    hitsOf,
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

function typeClassOf(question: Uint8Array): number {
  const at = question.length - 4;
  return (
    (question[at]! << 24) | (question[at + 1]! << 16) | (question[at + 2]! << 8) | question[at + 3]!
  );
}

function flagsOf(answer: PublishedAnswer): number {
  const { withoutEdns, withEdns, countdown, shuffle, copiesDo = false } = answer;
  return (
    (withoutEdns ? FLAG_WITHOUT_EDNS : 0) |
    (withEdns ? FLAG_WITH_EDNS : 0) |
    (countdown ? FLAG_COUNTDOWN : 0) |
    (copiesDo ? FLAG_COPIES_DO : 0) |
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
function checkAnswer(answer: PublishedAnswer): void {
  const { question, variants, shuffle, countdown } = answer;
  assert(question.length >= 5 && question.length <= 259, "a question has 5 to 259 octets");
  assert(variants.length >= 1 && variants.length <= 0xffff, "an answer has a variant");
  assert(answer.minPayload >= 0 && answer.maxPayload <= 0xffff, "payload bounds are 16-bit");
  for (let k = 0; k < variants.length; k++) {
    const message = variants[k]!;
    assert(message.length <= 0xffff, "a message has at most 65535 octets");
    assert(message.length >= HEADER_OCTETS + question.length, "a message repeats the question");
    for (let i = 0; i < question.length; i++)
      assert(message[HEADER_OCTETS + i] === question[i], "a message repeats the question");
  }
  const octets = variants[0]!.length;
  if (countdown !== null) {
    assert(countdown.ttlOffsets.length <= 0xffff, "TTL offsets can be counted");
    for (const offset of countdown.ttlOffsets)
      assert(offset >= HEADER_OCTETS && offset + 4 <= octets, "TTL offsets lie in the message");
  }
  if (shuffle === null) return;
  assert(variants.length === 1, "a shuffled answer has one variant");
  assert(shuffle.count <= SHUFFLE_COUNT_MAX && shuffle.smallCount >= 0, "shuffled records");
  assert(shuffle.offset >= HEADER_OCTETS + question.length, "records follow the question");
  assert(
    shuffle.offset + shuffle.count * shuffle.stride === octets,
    "shuffled records end the message",
  );
}
