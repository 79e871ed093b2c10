/**
 * Octets of a query, as far as a worker must understand them. Hot: no allocation, no exceptions.
 * Words are 32 bits in host order; every processor that Bun runs on is little-endian.
 */

/** Octets of a message before its question (RFC 1035 section 4.1.1). */
export const HEADER_OCTETS = 12;
/** OPT with root owner and no options (RFC 6891 6.1.2). */
export const OPT_OCTETS = 11;
/** Effective payload without EDNS (RFC 1035 4.2.1) and the smallest with it (RFC 6891 6.2.3). */
export const MIN_PAYLOAD = 512;
/** IPv4 datagram less headers (65507), less 40 octets for IPv6. */
const MAX_PAYLOAD = 65467;

/** Never to be answered: shorter than a header, or a response itself. */
export const IGNORED = 0;
/** Of the form that the answer table holds. */
export const PLAIN = 1;
/** Anything else: the main thread decides (FORMERR, NOTIMP, AXFR, client subnet, ...). */
export const UNUSUAL = -1;

const TYPE_OPT = 41;
const TYPE_IXFR = 251;
const TYPE_AXFR = 252;
const OPTION_CLIENT_SUBNET = 8;
/** What SERVFAIL is (RFC 1035 section 4.1.1). */
export const RCODE_SERVFAIL = 2;
const QNAME_OCTETS_MAX = 255;
const LABEL_OCTETS_MAX = 63;

/** What `scanQuery` found; one object per thread, reused for every packet. */
export type Scan = {
  /** QNAME with its root label; 0 if the question could not be read. */
  qnameOctets: number;
  qtype: number;
  qclass: number;
  /** Offset of the first octet after the question, from the start of the message. */
  questionEnd: number;
  hasOpt: boolean;
  /** Payload size as written in OPT. */
  askedPayload: number;
  /** 512..65467, as PublishedAnswer defines it. */
  payload: number;
  isDnssecOk: boolean;
  /** CD, AD, DO or another EDNS flag is set: not for answers that count down. */
  hasSecurityBits: boolean;
};

/** A result that nothing was scanned into yet. */
export function createScan(): Scan {
  return {
    qnameOctets: 0,
    qtype: 0,
    qclass: 0,
    questionEnd: HEADER_OCTETS,
    hasOpt: false,
    askedPayload: 0,
    payload: MIN_PAYLOAD,
    isDnssecOk: false,
    hasSecurityBits: false,
  };
}

/**
 * Reads the query of `length` octets at `start` into `scan`: IGNORED, PLAIN or UNUSUAL. PLAIN is
 * opcode QUERY, one question without compression, QTYPE neither AXFR nor IXFR, no other record but at
 * most one well-formed OPT of version 0 without client subnet (RFC 7871), nothing behind it.
 */
export function scanQuery(octets: Uint8Array, start: number, length: number, scan: Scan): number {
  scan.qnameOctets = 0;
  scan.qtype = 0;
  scan.qclass = 0;
  scan.questionEnd = HEADER_OCTETS;
  scan.hasOpt = false;
  scan.askedPayload = 0;
  scan.payload = MIN_PAYLOAD;
  scan.isDnssecOk = false;
  if (length < HEADER_OCTETS || (octets[start + 2]! & 0x80) !== 0) return IGNORED;
  scan.hasSecurityBits = (octets[start + 3]! & 0x30) !== 0;
  if ((octets[start + 2]! & 0x78) !== 0) return UNUSUAL;
  if (octets[start + 4] !== 0 || octets[start + 5] !== 1) return UNUSUAL;

  const end = start + length;
  const qname = start + HEADER_OCTETS;
  let at = qname;
  for (;;) {
    if (at >= end) return UNUSUAL;
    const label = octets[at]!;
    if (label === 0) break;
    if (label > LABEL_OCTETS_MAX) return UNUSUAL;
    at += label + 1;
    if (at - qname >= QNAME_OCTETS_MAX) return UNUSUAL;
  }
  at++;
  if (at + 4 > end) return UNUSUAL;
  scan.qnameOctets = at - qname;
  scan.qtype = (octets[at]! << 8) | octets[at + 1]!;
  scan.qclass = (octets[at + 2]! << 8) | octets[at + 3]!;
  at += 4;
  scan.questionEnd = at - start;
  if (scan.qtype === TYPE_AXFR || scan.qtype === TYPE_IXFR) return UNUSUAL;

  // ANCOUNT and NSCOUNT must be 0, ARCOUNT 0 or 1.
  if ((octets[start + 6]! | octets[start + 7]! | octets[start + 8]! | octets[start + 9]!) !== 0)
    return UNUSUAL;
  if (octets[start + 10] !== 0) return UNUSUAL;
  if (octets[start + 11] === 0) return at === end ? PLAIN : UNUSUAL;
  return octets[start + 11] === 1 ? scanOpt(octets, at, end, scan) : UNUSUAL;
}

function scanOpt(octets: Uint8Array, start: number, end: number, scan: Scan): number {
  let at = start;
  if (at + OPT_OCTETS > end || octets[at] !== 0) return UNUSUAL;
  if (((octets[at + 1]! << 8) | octets[at + 2]!) !== TYPE_OPT) return UNUSUAL;
  // Extended RCODE and version: 0 in every query we know how to answer (RFC 6891 6.1.3).
  if ((octets[at + 5]! | octets[at + 6]!) !== 0) return UNUSUAL;
  const payload = (octets[at + 3]! << 8) | octets[at + 4]!;
  if ((octets[at + 7]! | octets[at + 8]!) !== 0) scan.hasSecurityBits = true;
  const rdlength = (octets[at + 9]! << 8) | octets[at + 10]!;
  at += OPT_OCTETS;
  if (at + rdlength !== end) return UNUSUAL;
  while (at < end) {
    if (at + 4 > end) return UNUSUAL;
    if (((octets[at]! << 8) | octets[at + 1]!) === OPTION_CLIENT_SUBNET) return UNUSUAL;
    at += 4 + ((octets[at + 2]! << 8) | octets[at + 3]!);
  }
  if (at !== end) return UNUSUAL;
  scan.hasOpt = true;
  scan.isDnssecOk = (octets[start + 7]! & 0x80) !== 0;
  scan.askedPayload = payload;
  scan.payload = Math.min(Math.max(payload, MIN_PAYLOAD), MAX_PAYLOAD);
  return PLAIN;
}

/** Words that hold the longest QNAME. */
export const QNAME_WORDS_MAX = 64;

/** Octets of the last word that belong to the QNAME, as a mask; all of them if it ends on a word. */
export function lastWordMask(qnameOctets: number): number {
  const rest = qnameOctets & 3;
  return rest === 0 ? -1 : (1 << (rest << 3)) - 1;
}

/** ASCII capitals of four octets at once to lower case (RFC 4343); label lengths are below "A". */
function foldWord(word: number): number {
  const low = word & 0x7f7f7f7f;
  const fromA = low + 0x3f3f3f3f;
  const aboveZ = low + 0x25252525;
  const capitals = ~word & 0x80808080 & (fromA ^ aboveZ);
  return word | (capitals >>> 2);
}

/**
 * Folds the QNAME at word `start` into `folded` (zero-padded) and returns the hash of the question,
 * never 0. HalfSipHash-1-3 keyed per process: an attacker who fills a forwarder with names of his
 * choice cannot aim at the slots of other names.
 */
export function foldAndHash(
  words: Int32Array,
  start: number,
  qnameOctets: number,
  typeClass: number,
  folded: Int32Array,
  key0: number,
  key1: number,
): number {
  const count = (qnameOctets + 3) >> 2;
  const last = count - 1;
  let v0 = key0;
  let v1 = key1;
  let v2 = key0 ^ 0x6c796765;
  let v3 = key1 ^ 0x74656462;
  // QNAME words, QTYPE and QCLASS, length, then three rounds without input.
  for (let i = 0; i < count + 5; i++) {
    let m = 0;
    if (i < count) {
      m = foldWord(words[start + i]!);
      if (i === last) m &= lastWordMask(qnameOctets);
      folded[i] = m;
    } else if (i === count) m = typeClass;
    else if (i === count + 1) m = qnameOctets << 24;
    else if (i === count + 2) v2 ^= 0xff;
    v3 ^= m;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= m;
  }
  const hash = v1 ^ v3;
  return hash === 0 ? 1 : hash;
}

/** Appends an OPT at `at` (payload as given, version 0, no flags, no options) and counts it. */
export function appendOpt(
  output: Uint8Array,
  message: number,
  at: number,
  askedPayload: number,
): void {
  output[at] = 0;
  output[at + 1] = 0;
  output[at + 2] = TYPE_OPT;
  output[at + 3] = askedPayload >> 8;
  output[at + 4] = askedPayload & 0xff;
  for (let i = 5; i < OPT_OCTETS; i++) output[at + i] = 0;
  const arcount = ((output[message + 10]! << 8) | output[message + 11]!) + 1;
  output[message + 10] = arcount >> 8;
  output[message + 11] = arcount & 0xff;
}

/**
 * A reply without records to the query at `start` into `output` at `out`: id, opcode, RD, the question if it
 * could be read, OPT if there was one. `truncated`: TC is set. Returns its octets.
 */
export function writeEmpty(
  input: Uint8Array,
  start: number,
  scan: Scan,
  output: Uint8Array,
  out: number,
  rcode: number,
  truncated: boolean,
): number {
  const questionEnd = scan.questionEnd;
  for (let i = HEADER_OCTETS; i < questionEnd; i++) output[out + i] = input[start + i]!;
  output[out] = input[start]!;
  output[out + 1] = input[start + 1]!;
  output[out + 2] = 0x80 | (input[start + 2]! & 0x79) | (truncated ? 0x02 : 0);
  output[out + 3] = rcode;
  for (let i = 4; i < HEADER_OCTETS; i++) output[out + i] = 0;
  if (questionEnd > HEADER_OCTETS) output[out + 5] = 1;
  if (!scan.hasOpt) return questionEnd;
  appendOpt(output, out, out + questionEnd, scan.askedPayload);
  return questionEnd + OPT_OCTETS;
}
