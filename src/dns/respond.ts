/** One query to one reply out of the answer table. Hot: no allocation, strings, closures, exceptions. */
import {
  FLAG_COUNTDOWN,
  FLAG_COPIES_DO,
  FLAG_SHUFFLE,
  FLAG_TRUNCATE_BIT,
  FLAG_WITH_EDNS,
  FLAG_WITHOUT_EDNS,
  HITS_COUNTED,
  holdsQuestion,
  PROBE_LIMIT,
  READ_ATTEMPTS,
  RECORD_EXPIRES,
  RECORD_FIXED_WORDS,
  RECORD_FLAGS_TTLS,
  RECORD_PAYLOAD,
  RECORD_QNAME_VARIANTS,
  RECORD_SHUFFLE_COUNT,
  RECORD_SHUFFLE_PLACE,
  RECORD_STORED,
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
import {
  countQuestion,
  countReply,
  COUNTER_IGNORED,
  COUNTER_TABLE_HITS,
  COUNTER_TABLE_MISSES,
  countService,
  DNSSEC_OK,
  FIRST_BLOCK,
  rcodeOf,
  TALLY_CELLS,
} from "./cells.ts";
import {
  appendOpt,
  createScan,
  foldAndHash,
  HEADER_OCTETS,
  IGNORED,
  MIN_PAYLOAD,
  OPT_OCTETS,
  PLAIN,
  QNAME_WORDS_MAX,
  type Scan,
  scanQuery,
} from "./wire.ts";

/** The question is not in the table, or not one for it: the main thread answers. */
export const MISS = -1;

/**
 * Octets that must be free behind the place of a reply: a message, its OPT, and what a copy that
 * turns out torn may write before it is thrown away.
 */
export const REPLY_ROOM_OCTETS = 65536 + OPT_OCTETS + 5;

/** Replies whose times can wait to be counted: those of one batch. */
const TIMED_MAX = 64;

/** What one thread needs to answer; made once, so that a packet allocates nothing. */
export type Responder = {
  table: TableView;
  /** Queries; every message starts at a multiple of 4. */
  input: Uint8Array;
  inputWords: Int32Array;
  /** Replies, likewise. */
  output: Uint8Array;
  outputWords: Int32Array;
  counters: Float64Array;
  /** Where in them the block of this listener and address family begins. */
  block: number;
  /** Rows of what was answered since the count was set to 0, with how often in a row; the last run apart. */
  timed: Int32Array;
  timedCount: number;
  timedRow: number;
  timedTimes: number;
  /** Origin of the last answer that was copied (cells.ts). */
  origin: number;
  /** Its service, 0 for none. */
  service: number;
  /** Description of the last query, for whoever handles the miss. */
  scan: Scan;
  folded: Int32Array;
  /** Not shared: only the fence of its atomic instruction is used. */
  fence: Int32Array;
  /** State of xorshift128 (Marsaglia 2003). */
  random: Int32Array;
  /** 0, 1, 2, ... between two shuffles. */
  deck: Uint16Array;
  drawn: Uint16Array;
  /** Random numbers up to this draw a question for the log; 0: none is drawn. */
  sampleBound: number;
  /** The question is for the log. */
  isSampled: boolean;
};

/** Memory of the table, buffers for packets, and the seed of the shuffling. */
export type ResponderOptions = {
  memory: SharedArrayBuffer;
  input: ArrayBuffer;
  output: ArrayBuffer;
  /** Cells of this thread alone, with one block at least. */
  counters: Float64Array;
  /** Four integers from a cryptographic source; shuffling only spreads load, it protects nothing. */
  seed: Int32Array;
};

/** A responder of one worker thread; all it needs later is allocated here. */
export function createResponder(options: ResponderOptions): Responder {
  const random = new Int32Array(4);
  for (let i = 0; i < 4; i++) random[i] = options.seed[i]!;
  // xorshift never leaves the state zero.
  if ((random[0]! | random[1]! | random[2]! | random[3]!) === 0) random[0] = 1;
  return {
    table: viewTable(options.memory),
    input: new Uint8Array(options.input),
    inputWords: new Int32Array(options.input),
    output: new Uint8Array(options.output),
    outputWords: new Int32Array(options.output),
    counters: options.counters,
    block: FIRST_BLOCK,
    timed: new Int32Array(2 * TIMED_MAX),
    timedCount: 0,
    timedRow: 0,
    timedTimes: 0,
    origin: 0,
    service: 0,
    scan: createScan(),
    folded: new Int32Array(QNAME_WORDS_MAX),
    fence: new Int32Array(new SharedArrayBuffer(4)),
    random,
    deck: Uint16Array.from({ length: SHUFFLE_COUNT_MAX }, (_, i) => i),
    drawn: new Uint16Array(SHUFFLE_COUNT_MAX),
    sampleBound: 0,
    isSampled: false,
  };
}

/**
 * Answers the query of `length` octets at `start` of the input (a multiple of 4) at `out` of the output
 * (a multiple of 4, REPLY_ROOM_OCTETS free): octets of the reply, IGNORED (send nothing) or MISS.
 */
export function respond(
  r: Responder,
  start: number,
  length: number,
  out: number,
  nowMs: number,
): number {
  const kind = scanQuery(r.input, start, length, r.scan);
  if (kind === IGNORED) {
    r.counters[COUNTER_IGNORED]!++;
    return IGNORED;
  }
  const octets = kind === PLAIN ? serve(r, start, out, nowMs) : MISS;
  if (octets === MISS) {
    r.counters[COUNTER_TABLE_MISSES]!++;
    return MISS;
  }
  r.counters[COUNTER_TABLE_HITS]!++;
  countHit(r, length, out, octets);
  return octets;
}

/** Counts what `serve` gave to the question just scanned. */
export function countHit(r: Responder, questionOctets: number, out: number, octets: number): void {
  const rcode = rcodeOf(r.output, out);
  countAnswer(r, r.origin, questionOctets, rcode, octets);
  if (r.service !== 0) countService(r.counters, r.service, rcode);
}

/** Counts the question just scanned with its reply; how long it took is counted later. */
export function countAnswer(
  r: Responder,
  origin: number,
  questionOctets: number,
  rcode: number,
  replyOctets: number,
): void {
  const { counters, scan } = r;
  const tally = r.block + origin * TALLY_CELLS;
  const row = countQuestion(counters, tally, scan.qtype, questionOctets);
  countReply(counters, tally, rcode, replyOctets);
  if (scan.isDnssecOk) counters[tally + DNSSEC_OK]!++;
  // Questions come in runs: of one name, of one type.
  if (r.timedCount > 0 && row === r.timedRow) r.timedTimes++;
  else nextRow(r, row);
}

/** Another row than that of the reply before. */
function nextRow(r: Responder, row: number): void {
  if (r.timedCount > 0) endRow(r);
  r.timedCount++;
  r.timedRow = row;
  r.timedTimes = 1;
}

/** Puts the run under way beside those before it; a row for whose times there is no place loses them. */
export function endRow({ timed, timedCount, timedRow, timedTimes }: Responder): void {
  const at = (timedCount - 1) * 2;
  if (at >= timed.length) return;
  timed[at] = timedRow;
  timed[at + 1] = timedTimes;
}

/** The table's part, for a query that was scanned and found PLAIN: octets of the reply, or MISS. */
export function serve(r: Responder, start: number, out: number, nowMs: number): number {
  const { table, scan, folded } = r;
  const { words, slotBase, slotMask, arenaBase } = table;
  const qname = (start + HEADER_OCTETS) >> 2;
  const typeClass = (scan.qtype << 16) | scan.qclass;
  const hash = foldAndHash(
    r.inputWords,
    qname,
    scan.qnameOctets,
    typeClass,
    folded,
    table.key0,
    table.key1,
  );
  for (let probe = 0; probe < PROBE_LIMIT; probe++) {
    const slot = slotBase + ((hash + probe) & slotMask) * SLOT_WORDS;
    if (words[slot + SLOT_HASH] !== hash) continue;
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      const version = Atomics.load(words, slot + SLOT_VERSION);
      if ((version & 1) !== 0) continue;
      const record = arenaBase + words[slot + SLOT_RECORD]!;
      let octets = MISS;
      if (
        holdsQuestion(words, record, scan.qnameOctets, typeClass, folded) &&
        isFor(table, record, scan, nowMs)
      )
        octets = copyAnswer(r, record, start, out, nowMs);
      // The pair that keeps the copy before the second look; see table.ts.
      Atomics.add(r.fence, 0, 0);
      if (Atomics.load(words, slot + SLOT_VERSION) !== version) continue;
      if (octets === MISS) break;
      // Written only while it changes, so that a hot name's line stays shared between processors.
      const hits = words[slot + SLOT_REFERENCED]!;
      if (hits < HITS_COUNTED) words[slot + SLOT_REFERENCED] = hits + 1;
      return octets;
    }
  }
  return MISS;
}

/** May the record answer this query, by payload, EDNS, security bits and age? */
function isFor({ words, floats }: TableView, record: number, scan: Scan, nowMs: number): boolean {
  const payload = words[record + RECORD_PAYLOAD]!;
  if (scan.payload < (payload & 0xffff) || scan.payload > payload >>> 16) return false;
  const flags = words[record + RECORD_FLAGS_TTLS]!;
  if ((flags & (scan.hasOpt ? FLAG_WITH_EDNS : FLAG_WITHOUT_EDNS)) === 0) return false;
  if ((flags & FLAG_COUNTDOWN) !== 0 && scan.hasSecurityBits) return false;
  return nowMs < floats[(record + RECORD_EXPIRES) >> 1]!;
}

/** Copies, cuts, counts down and patches; every number may be torn, so every loop is bounded. */
function copyAnswer(
  r: Responder,
  record: number,
  start: number,
  out: number,
  nowMs: number,
): number {
  const { table, scan, output, outputWords, input, inputWords } = r;
  const { words } = table;
  const described = words[record + RECORD_QNAME_VARIANTS]!;
  r.origin = (described >>> 8) & 31;
  const variants = described >>> 16;
  const variant = variants > 1 ? draw(r.random, variants) : 0;
  const place = record + RECORD_FIXED_WORDS + 2 * variant;
  const message = record + words[place]!;
  let octets = words[place + 1]! & 0xffff;
  const flags = words[record + RECORD_FLAGS_TTLS]!;
  r.service = (flags >>> SERVICE_SHIFT) & 255;
  const shuffled = (flags & FLAG_SHUFFLE) !== 0;
  const whole = shuffled ? words[record + RECORD_SHUFFLE_PLACE]! & 0xffff : octets;
  const outWord = out >> 2;

  const wholeWords = (whole + 3) >> 2;
  for (let i = 0; i < wholeWords; i++) outputWords[outWord + i] = words[message + i]!;
  // Only full words: the rest is part of QTYPE and QCLASS, which are equal.
  const question = HEADER_OCTETS >> 2;
  const questionEnd = scan.questionEnd >> 2;
  const query = start >> 2;
  for (let i = question; i < questionEnd; i++) outputWords[outWord + i] = inputWords[query + i]!;
  output[out] = input[start]!;
  output[out + 1] = input[start + 1]!;
  output[out + 2]! |= input[start + 2]! & 0x01;
  output[out + 3]! |= input[start + 3]! & 0x10;

  if (shuffled) octets = copyShuffled(r, record, message, out, flags);
  if ((flags & FLAG_COUNTDOWN) !== 0) countDown(r, record, flags >>> 16, out, octets, nowMs);
  if (!scan.hasOpt) return octets;
  appendOpt(output, out, out + octets, scan.askedPayload);
  if (scan.isDnssecOk && (flags & FLAG_COPIES_DO) !== 0) output[out + octets + 7] = 0x80;
  return octets + OPT_OCTETS;
}

/** A uniformly random choice of the records in random order (partial Fisher-Yates). */
function copyShuffled(
  r: Responder,
  record: number,
  message: number,
  out: number,
  flags: number,
): number {
  const { table, scan, output, deck, drawn } = r;
  const place = table.words[record + RECORD_SHUFFLE_PLACE]!;
  const counts = table.words[record + RECORD_SHUFFLE_COUNT]!;
  const offset = place & 0xffff;
  const stride = place >>> 16;
  const all = Math.min(counts & 0xffff, SHUFFLE_COUNT_MAX);
  let chosen = counts >>> 16;
  if (scan.payload !== MIN_PAYLOAD) {
    const room = scan.payload - 8 - offset - (scan.hasOpt ? OPT_OCTETS : 0);
    chosen = Math.max(1, Math.floor(room / Math.max(stride, 1)));
  }
  chosen = Math.min(chosen, all);

  const records = (message << 2) + offset;
  let to = out + offset;
  // Torn numbers may promise more than a message holds.
  const fitting = Math.min(chosen, Math.floor((65536 - offset) / Math.max(stride, 1)));
  for (let i = 0; i < fitting; i++) {
    const j = i + draw(r.random, all - i);
    const card = deck[j]!;
    deck[j] = deck[i]!;
    deck[i] = card;
    drawn[i] = j;
    const from = records + card * stride;
    for (let k = 0; k < stride; k++) output[to + k] = table.octets[from + k]!;
    to += stride;
  }
  // Undone rather than dealt anew: the next answer may have thousands of records and send three.
  for (let i = fitting - 1; i >= 0; i--) {
    const j = drawn[i]!;
    const card = deck[j]!;
    deck[j] = deck[i]!;
    deck[i] = card;
  }
  output[out + 6] = fitting >> 8;
  output[out + 7] = fitting & 0xff;
  if (fitting < all && (flags & FLAG_TRUNCATE_BIT) !== 0) output[out + 2]! |= 0x02;
  return to - out;
}

/** Takes the whole seconds since the answer was stored off its TTLs. */
function countDown(
  r: Responder,
  record: number,
  count: number,
  out: number,
  octets: number,
  nowMs: number,
): void {
  const { table, output } = r;
  const storedMs = table.floats[(record + RECORD_STORED) >> 1]!;
  const elapsed = Math.floor(Math.max(0, nowMs - storedMs) / 1000);
  if (elapsed === 0) return;
  const variants = table.words[record + RECORD_QNAME_VARIANTS]! >>> 16;
  const offsets = record + RECORD_FIXED_WORDS + 2 * variants;
  for (let i = 0; i < count; i++) {
    const offset = table.words[offsets + i]! & 0xffff;
    if (offset + 4 > octets) continue;
    const at = out + offset;
    const ttl =
      output[at]! * 0x1000000 +
      ((output[at + 1]! << 16) | (output[at + 2]! << 8) | output[at + 3]!);
    const rest = ttl > elapsed ? ttl - elapsed : 0;
    output[at] = rest >>> 24;
    output[at + 1] = (rest >>> 16) & 0xff;
    output[at + 2] = (rest >>> 8) & 0xff;
    output[at + 3] = rest & 0xff;
  }
}

/** Draws whether the next question is for the log. */
export function drawSample(r: Responder): void {
  r.isSampled = r.sampleBound !== 0 && draw32(r.random) <= r.sampleBound;
}

/** An integer from 0 to `bound` - 1; the bias of at most bound / 2^32 is far below notice. */
export function draw(random: Int32Array, bound: number): number {
  return Math.floor((draw32(random) * bound) / 4294967296);
}

/** An integer from 0 to 2^32 - 1. */
function draw32(random: Int32Array): number {
  let t = random[3]!;
  const s = random[0]!;
  random[3] = random[2]!;
  random[2] = random[1]!;
  random[1] = s;
  t ^= t << 11;
  t ^= t >>> 8;
  t = t ^ s ^ (s >>> 19);
  random[0] = t;
  return t >>> 0;
}
