/**
 * One query of a client that is not simply on this machine: may it ask, how often, and with what size.
 * Hot: no allocation, strings, closures, exceptions.
 */
import {
  BADCOOKIE,
  COUNTER_BAD_COOKIES,
  COUNTER_GOOD_COOKIES,
  COUNTER_IGNORED,
  COUNTER_PROHIBITED,
  COUNTER_RATE_DROPPED,
  COUNTER_RATE_SLIPPED,
  COUNTER_TABLE_HITS,
  COUNTER_TABLE_MISSES,
  countQuestion,
  countUnanswered,
  ORIGIN_DROPPED,
  ORIGIN_PROHIBITED,
  SHED_RATE,
  TALLY_CELLS,
} from "./cells.ts";
import {
  COOKIE_GOOD,
  COOKIE_MALFORMED,
  COOKIE_OCTETS,
  COOKIE_UNPROVEN,
  judgeCookie,
  OPTION_COOKIE,
  writeCookie,
} from "./cookie.ts";
import {
  ANSWERED,
  COOKIES,
  EXEMPT,
  type Gate,
  LOOPBACK,
  PAYLOAD,
  RATE,
  rightsOf,
  SLIP,
  VIEWED,
} from "./gate.ts";
import { take, takeForSize } from "./rate.ts";
import { countAnswer, countHit, MISS, type Responder, serve } from "./respond.ts";
import { HEADER_OCTETS, IGNORED, OPT_OCTETS, PLAIN, scanQuery, writeEmpty } from "./wire.ts";

const TYPE_ANY = 255;
const RCODE_NOERROR = 0;
const RCODE_REFUSED = 5;
/** 23 (RFC 7873 section 8): extended RCODE 1, RCODE 7. */
const BADCOOKIE_EXTENDED = 1;
const BADCOOKIE_RCODE = 7;
const OPTION_EXTENDED_ERROR = 15;
const PROHIBITED = 18;
/** Option with its header. */
const COOKIE_OPTION_OCTETS = 4 + COOKIE_OCTETS;
/** Option with INFO-CODE and no text. */
const ERROR_OPTION_OCTETS = 6;

/** What the question brought as COOKIE option. */
const NO_COOKIE = 3;

/**
 * Like `respond`, for the client whose address is `gate.source`: octets of the reply, IGNORED or MISS.
 * `wallSeconds`: since 1970.
 */
export function respondAtGate(
  r: Responder,
  gate: Gate,
  start: number,
  length: number,
  out: number,
  nowMs: number,
  wallSeconds: number,
): number {
  const { scan, counters, input, output } = r;
  const { words } = gate;
  const kind = scanQuery(input, start, length, scan);
  if (kind === IGNORED) {
    counters[COUNTER_IGNORED]!++;
    return IGNORED;
  }
  const rights = rightsOf(gate);
  const isGuest = (rights & LOOPBACK) === 0;
  const payload = words[PAYLOAD]!;
  if (isGuest && scan.askedPayload > payload) scan.askedPayload = payload;

  const option = isGuest && words[COOKIES] !== 0 ? findCookie(r, start, length) : 0;
  let cookie = NO_COOKIE;
  if (option > 0) {
    const octets = (input[option + 2]! << 8) | input[option + 3]!;
    cookie = judgeCookie(gate.secrets, input, option + 4, octets, gate.source, wallSeconds);
  }
  const isProven = cookie !== NO_COOKIE && cookie > COOKIE_UNPROVEN;
  if (isProven) counters[COUNTER_GOOD_COOKIES]!++;
  const rate = words[RATE]!;
  const isCounted = rate > 0 && (rights & EXEMPT) === 0 && !isProven;
  if (isCounted && !take(gate.buckets, gate.key, rate, nowMs))
    return withhold(r, gate, start, length, out, cookie, option, rights, wallSeconds);
  if ((rights & ANSWERED) === 0) {
    counters[COUNTER_PROHIBITED]!++;
    let octets = writeEmpty(input, start, scan, output, out, RCODE_REFUSED, false);
    if (scan.hasOpt) octets = appendProhibited(output, out, octets);
    countAnswer(r, ORIGIN_PROHIBITED, length, RCODE_REFUSED, octets);
    return octets;
  }
  // ANY is for the main thread to keep short.
  const isOwn = (rights & VIEWED) !== 0 || (isGuest && scan.qtype === TYPE_ANY);
  if (kind !== PLAIN || isOwn || cookie === COOKIE_MALFORMED) {
    counters[COUNTER_TABLE_MISSES]!++;
    return MISS;
  }

  const room = isGuest && scan.payload > payload ? payload : scan.payload;
  scan.payload = option > 0 ? room - COOKIE_OPTION_OCTETS : room;
  let octets = serve(r, start, out, nowMs);
  // A single record may be larger than the payload; the main thread says so with TC.
  if (octets === MISS || (isGuest && octets > scan.payload)) {
    counters[COUNTER_TABLE_MISSES]!++;
    return MISS;
  }
  if (option > 0) octets = appendCookie(r, gate, option, out, octets, cookie, wallSeconds);
  counters[COUNTER_TABLE_HITS]!++;
  countHit(r, length, out, octets);
  if (isCounted) takeForSize(gate.buckets, gate.key, rate, octets, nowMs);
  return octets;
}

/** Counts the size of a reply that the main thread sends to `gate.source`; up to TOKEN_OCTETS it costs nothing more. */
export function countReplySize(gate: Gate, octets: number, nowMs: number): void {
  const rate = gate.words[RATE]!;
  if (rate === 0 || (rightsOf(gate) & EXEMPT) !== 0) return;
  takeForSize(gate.buckets, gate.key, rate, octets, nowMs);
}

/** Where the COOKIE option of a plain query begins; 0 if there is none. */
function findCookie({ input, scan }: Responder, start: number, length: number): number {
  if (!scan.hasOpt) return 0;
  const end = start + length;
  let at = start + scan.questionEnd + OPT_OCTETS;
  // The scan has seen that the options end where the message does.
  while (at < end) {
    if (((input[at]! << 8) | input[at + 1]!) === OPTION_COOKIE) return at;
    at += 4 + ((input[at + 2]! << 8) | input[at + 3]!);
  }
  return 0;
}

/** Too many: nothing, or once in a while what sends an honest client to TCP or gives it a cookie. */
function withhold(
  r: Responder,
  gate: Gate,
  start: number,
  length: number,
  out: number,
  cookie: number,
  option: number,
  rights: number,
  wallSeconds: number,
): number {
  const { scan, counters, input, output } = r;
  const slip = gate.words[SLIP]!;
  const hasQuestion = scan.questionEnd > HEADER_OCTETS;
  const dropped = r.block + ORIGIN_DROPPED * TALLY_CELLS;
  counters[dropped + SHED_RATE]!++;
  if ((rights & ANSWERED) === 0 || slip === 0 || !hasQuestion || !drawOneOf(gate, slip)) {
    counters[COUNTER_RATE_DROPPED]!++;
    countUnanswered(counters, countQuestion(counters, dropped, scan.qtype, length));
    return IGNORED;
  }
  if (cookie === COOKIE_UNPROVEN) {
    counters[COUNTER_BAD_COOKIES]!++;
    const octets = writeEmpty(input, start, scan, output, out, BADCOOKIE_RCODE, false);
    output[out + octets - OPT_OCTETS + 5] = BADCOOKIE_EXTENDED;
    const whole = appendCookie(r, gate, option, out, octets, cookie, wallSeconds);
    countAnswer(r, ORIGIN_DROPPED, length, BADCOOKIE, whole);
    return whole;
  }
  counters[COUNTER_RATE_SLIPPED]!++;
  const octets = writeEmpty(input, start, scan, output, out, RCODE_NOERROR, true);
  countAnswer(r, ORIGIN_DROPPED, length, RCODE_NOERROR, octets);
  return octets;
}

/** True once in `many` times (xorshift32, Marsaglia 2003). */
function drawOneOf(gate: Gate, many: number): boolean {
  let state = gate.drawn;
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  gate.drawn = state;
  return (state >>> 0) % many === 0;
}

/** Makes the empty OPT at the end of the reply carry a COOKIE; returns the octets of the whole. */
function appendCookie(
  { input, output }: Responder,
  gate: Gate,
  option: number,
  out: number,
  octets: number,
  cookie: number,
  wallSeconds: number,
): number {
  const at = out + octets;
  output[at - 1] = COOKIE_OPTION_OCTETS;
  output[at] = 0;
  output[at + 1] = OPTION_COOKIE;
  output[at + 2] = 0;
  output[at + 3] = COOKIE_OCTETS;
  if (cookie === COOKIE_GOOD)
    for (let i = 0; i < COOKIE_OCTETS; i++) output[at + 4 + i] = input[option + 4 + i]!;
  else writeCookie(gate.secrets, input, option + 4, gate.source, wallSeconds, output, at + 4);
  return octets + COOKIE_OPTION_OCTETS;
}

/** The same with extended error 18 (RFC 8914 section 4.19). */
function appendProhibited(output: Uint8Array, out: number, octets: number): number {
  const at = out + octets;
  output[at - 1] = ERROR_OPTION_OCTETS;
  output[at] = 0;
  output[at + 1] = OPTION_EXTENDED_ERROR;
  output[at + 2] = 0;
  output[at + 3] = 2;
  output[at + 4] = 0;
  output[at + 5] = PROHIBITED;
  return octets + ERROR_OPTION_OCTETS;
}
