/**
 * Octets of a whole message to its parts. Strict about bounds (RFC 9267 is the review checklist):
 * no read past the end of a name, a record or the message, compression pointers only backwards,
 * and the work per name is bounded.
 */
import { fail, ok, type Result } from "../base.ts";
import { MAX_NAME_OCTETS } from "./name.ts";
import { nameLayout, type NameLayout } from "./rdata.ts";
import { TYPE, type Message } from "./rr.ts";

/** Octets of a message before its question (RFC 1035 section 4.1.1). */
export const HEADER_OCTETS = 12;
/** Pointers followed for one name. A name of 127 labels needs no more, and RFC 1035 knows no other use. */
const MAX_POINTERS = 126;

/** The OPT pseudo record (RFC 6891 6.1.2). `flags`: the low 16 bits, DO is 0x8000. */
export type Opt = {
  payload: number;
  extendedRcode: number;
  version: number;
  flags: number;
  /** Raw {code, length, data} list, checked to be well formed. */
  options: Uint8Array;
};

/** Bit DO of Opt.flags (RFC 3225). */
export const DO = 0x8000;

/**
 * `additional` is without OPT. `opt` is the last OPT of the additional section; RFC 6891 6.1.1 allows
 * one, `optCount` tells how many there were. `trailingOctets` follow the last record.
 */
export type ParsedMessage = Message & {
  opt: Opt | null;
  optCount: number;
  trailingOctets: number;
};

/**
 * `short header`: fewer than 12 octets. `question count`: QDCOUNT above 1. `bad name`: cut, pointer
 * not backwards, too many pointers, reserved label type, over 255 octets. `cut record`: the message
 * ends inside a question or record, or before an announced one. `bad rdata`: RDLENGTH does not match
 * what the type demands. `bad opt`: owner not the root, or options overrun.
 */
export type MessageError =
  "short header" | "question count" | "bad name" | "cut record" | "bad rdata" | "bad opt";

const scratch = new Uint8Array(MAX_NAME_OCTETS);
let scratchOctets = 0;

/**
 * Expands the name at `offset` into the module's scratch buffer. Returns the offset behind it in the
 * message, or -1 for a bad name. Pointers must lead to an octet before every one seen so far, so the
 * walk ends; pointers into the header are refused.
 */
function expandName(wire: Uint8Array, offset: number, end: number): number {
  let at = offset;
  let after = -1;
  let lowest = offset;
  let pointers = 0;
  let octets = 0;
  let limit = end;
  for (;;) {
    if (at >= limit) return -1;
    const length = wire[at]!;
    if (length === 0) {
      if (octets >= MAX_NAME_OCTETS) return -1;
      scratch[octets++] = 0;
      scratchOctets = octets;
      return after < 0 ? at + 1 : after;
    }
    if (length < 64) {
      if (at + 1 + length > limit || octets + 1 + length >= MAX_NAME_OCTETS) return -1;
      const stop = at + length;
      for (; at <= stop; at++) scratch[octets++] = wire[at]!;
      continue;
    }
    if (length < 0xc0 || at + 2 > limit || ++pointers > MAX_POINTERS) return -1;
    const target = ((length & 0x3f) << 8) | wire[at + 1]!;
    if (target >= lowest || target < HEADER_OCTETS) return -1;
    if (after < 0) after = at + 2;
    lowest = target;
    at = target;
    limit = wire.length;
  }
}

/** The name at `offset` as uncompressed octets, and the offset behind it; undefined for a bad name. */
export function readName(
  wire: Uint8Array,
  offset: number,
): { name: Uint8Array; end: number } | undefined {
  const end = expandName(wire, offset, wire.length);
  return end < 0 ? undefined : { name: scratch.slice(0, scratchOctets), end };
}

/** Offset behind the name at `offset`, without following pointers; -1 if it is cut or of a reserved type. */
export function skipName(wire: Uint8Array, offset: number): number {
  let at = offset;
  while (at < wire.length) {
    const length = wire[at]!;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2 <= wire.length ? at + 2 : -1;
    if (length > 63) return -1;
    at += length + 1;
  }
  return -1;
}

/** Big-endian number of 16 bits; the caller has checked the bounds. */
export function readUint16(wire: Uint8Array, at: number): number {
  return (wire[at]! << 8) | wire[at + 1]!;
}

/** Big-endian number of 32 bits, 0 to 2^32 - 1; the caller has checked the bounds. */
export function readUint32(wire: Uint8Array, at: number): number {
  return (readUint16(wire, at) * 0x10000 + readUint16(wire, at + 2)) >>> 0;
}

/** Owner names met in this message, newest last, so that records of one RRset share one object. */
const OWNERS_KEPT = 8;
const ownerOffsets = new Int32Array(OWNERS_KEPT);
const owners: Uint8Array[] = [];
let ownerCount = 0;

/** Reads the owner at `at`; undefined for a bad name. Sets `ownerEnd`. */
let ownerEnd = 0;
function readOwner(wire: Uint8Array, at: number): Uint8Array | undefined {
  let key = at;
  if (at + 1 < wire.length && wire[at]! >= 0xc0) {
    key = ((wire[at]! & 0x3f) << 8) | wire[at + 1]!;
    for (let i = ownerCount - 1; i >= 0 && i >= ownerCount - OWNERS_KEPT; i--)
      if (ownerOffsets[i % OWNERS_KEPT] === key) {
        ownerEnd = at + 2;
        return owners[i % OWNERS_KEPT]!;
      }
  }
  ownerEnd = expandName(wire, at, wire.length);
  if (ownerEnd < 0) return undefined;
  const owner = scratch.slice(0, scratchOctets);
  ownerOffsets[ownerCount % OWNERS_KEPT] = key;
  owners[ownerCount % OWNERS_KEPT] = owner;
  ownerCount++;
  return owner;
}

/**
 * Message in parts; names are uncompressed, also those inside RDATA of the types in rdata.ts. Nothing
 * in the result refers to `wire`. TTLs are as sent: the top bit (RFC 2181 8) is the caller's to judge.
 */
export function parseMessage(wire: Uint8Array): Result<ParsedMessage, MessageError> {
  if (wire.length < HEADER_OCTETS) return fail("short header");
  const questionCount = readUint16(wire, 4);
  if (questionCount > 1) return fail("question count");
  ownerCount = 0;
  let at = HEADER_OCTETS;
  let question = NO_OCTETS;
  if (questionCount === 1) {
    const qname = readOwner(wire, at);
    if (qname === undefined) return fail("bad name");
    at = ownerEnd;
    if (at + 4 > wire.length) return fail("cut record");
    question = new Uint8Array(qname.length + 4);
    question.set(qname, 0);
    for (let i = 0; i < 4; i++) question[qname.length + i] = wire[at + i]!;
    at += 4;
  }
  const message: ParsedMessage = {
    id: readUint16(wire, 0),
    flags: readUint16(wire, 2),
    question,
    answers: [],
    authority: [],
    additional: [],
    opt: null,
    optCount: 0,
    trailingOctets: 0,
  };
  for (let section = 0; section < 3; section++) {
    const count = readUint16(wire, 6 + 2 * section);
    const records =
      section === 0 ? message.answers : section === 1 ? message.authority : message.additional;
    for (let i = 0; i < count; i++) {
      const owner = readOwner(wire, at);
      if (owner === undefined) return fail(at >= wire.length ? "cut record" : "bad name");
      at = ownerEnd;
      if (at + 10 > wire.length) return fail("cut record");
      const type = readUint16(wire, at);
      const dataAt = at + 10;
      const end = dataAt + readUint16(wire, at + 8);
      if (end > wire.length) return fail("cut record");
      if (type === TYPE.OPT) {
        // An OPT elsewhere than in the additional section means nothing (RFC 6891 6.1.1).
        if (section !== 2 || owner.length !== 1) return fail("bad opt");
        const opt = readOpt(wire, at);
        if (opt === undefined) return fail("bad opt");
        message.opt = opt;
        message.optCount++;
      } else {
        const data = readData(wire, type, dataAt, end);
        if (data === undefined) return fail("bad rdata");
        records.push({
          owner,
          type,
          class: readUint16(wire, at + 2),
          ttl: readUint32(wire, at + 4),
          data,
        });
      }
      at = end;
    }
  }
  message.trailingOctets = wire.length - at;
  return ok(message);
}

const NO_OCTETS = new Uint8Array(0);

/**
 * The OPT whose TYPE field is at `at`; the caller has checked that the record lies within the message.
 * undefined if the options overrun RDLENGTH.
 */
export function readOpt(wire: Uint8Array, at: number): Opt | undefined {
  const dataAt = at + 10;
  const end = dataAt + readUint16(wire, at + 8);
  let option = dataAt;
  while (option < end) {
    if (option + 4 > end) return undefined;
    option += 4 + readUint16(wire, option + 2);
  }
  if (option !== end) return undefined;
  return {
    payload: readUint16(wire, at + 2),
    extendedRcode: wire[at + 4]!,
    version: wire[at + 5]!,
    flags: readUint16(wire, at + 6),
    options: end === dataAt ? NO_OCTETS : wire.slice(dataAt, end),
  };
}

/** RDATA with its names expanded; undefined if it does not fit its type. */
function readData(
  wire: Uint8Array,
  type: number,
  from: number,
  end: number,
): Uint8Array | undefined {
  if (type === TYPE.A) return end - from === 4 ? wire.slice(from, end) : undefined;
  if (type === TYPE.AAAA) return end - from === 16 ? wire.slice(from, end) : undefined;
  if (type === TYPE.TXT) return areStrings(wire, from, end) ? wire.slice(from, end) : undefined;
  const layout = nameLayout(type);
  return layout === undefined ? wire.slice(from, end) : expandData(wire, layout, from, end);
}

/** Character-strings that end exactly at `end` (RFC 1035 3.3.14, which wants at least one; none is seen in the wild). */
function areStrings(wire: Uint8Array, from: number, end: number): boolean {
  let at = from;
  while (at < end) at += 1 + wire[at]!;
  return at === end;
}

function expandData(
  wire: Uint8Array,
  layout: NameLayout,
  from: number,
  end: number,
): Uint8Array | undefined {
  let at = from + layout.prefixOctets;
  for (let i = 0; i < layout.stringCount; i++) {
    if (at >= end) return undefined;
    at += 1 + wire[at]!;
  }
  if (at >= end) return undefined;
  const fixedOctets = at - from;
  let after = expandName(wire, at, end);
  if (after < 0 || after > end) return undefined;
  let second = NO_OCTETS;
  let data = scratch;
  let nameOctets = scratchOctets;
  if (layout.nameCount === 2) {
    const first = scratch.slice(0, scratchOctets);
    after = expandName(wire, after, end);
    if (after < 0 || after > end) return undefined;
    second = scratch.slice(0, scratchOctets);
    data = first;
    nameOctets = first.length;
  }
  const rest = end - after;
  if (layout.suffixOctets >= 0 && rest !== layout.suffixOctets) return undefined;
  const expanded = new Uint8Array(fixedOctets + nameOctets + second.length + rest);
  for (let i = 0; i < fixedOctets; i++) expanded[i] = wire[from + i]!;
  let to = fixedOctets;
  for (let i = 0; i < nameOctets; i++) expanded[to++] = data[i]!;
  for (let i = 0; i < second.length; i++) expanded[to++] = second[i]!;
  for (let i = after; i < end; i++) expanded[to++] = wire[i]!;
  return expanded;
}
