/**
 * Parts of a message to octets, with name compression (RFC 1035 4.1.4). Names keep their spelling:
 * a suffix is reused only if it is equal octet for octet. Names inside RDATA that may not be
 * compressed (SRV) still serve as targets for later names, as in Consul's encoder.
 */
import { HEADER_OCTETS, type Opt } from "./message.ts";
import { nameLayout } from "./rdata.ts";
import { FLAG, TYPE, type Message, type Rr } from "./rr.ts";

/** Largest message: the length field of DNS over TCP (RFC 1035 4.2.2). */
export const MAX_MESSAGE_OCTETS = 65535;

/** How a message is written. */
export type EncodeOptions = {
  /** false: no pointer anywhere. */
  compress: boolean;
  /** Appended as the last additional record. */
  opt: Opt | null;
  /**
   * For the answer table: the QNAME, as an object. Records with this very object as owner point to the
   * question, and nothing else points into it, so that its spelling can be exchanged later. Needs
   * `compress`.
   */
  sealed?: Uint8Array;
  /** Records beyond this size are left out from the end, and TC is set. MAX_MESSAGE_OCTETS if not given. */
  limitOctets?: number;
};

/** Pointers have 14 bits. */
const MAX_POINTER_TARGET = 0x3fff;

/** Room for one record past the limit: the largest is 255 + 10 + 65535 octets. */
const out = new Uint8Array(2 * MAX_MESSAGE_OCTETS + 1024);
let at = 0;

/**
 * Suffixes written so far in this message, as a trie: a suffix is known by its first label and the
 * place of the rest. Open addressing; a slot is in use if its generation is the present one.
 */
const SLOTS = 16384;
const slotGeneration = new Uint32Array(SLOTS);
const slotOffset = new Uint16Array(SLOTS);
const slotParent = new Uint16Array(SLOTS);
let generation = 0;
let suffixCount = 0;
/** Above this the table would get slow; later names are written in full (never met below 16 KiB of names). */
const MAX_SUFFIXES = SLOTS >> 1;

const labelStarts = new Uint8Array(128);
let lastOwner: Uint8Array | undefined;
let lastOwnerOffset = 0;
/** Set while a sealed message is written. */
let sealedOwner: Uint8Array | undefined;

/** The whole message. The OPT always stays, whatever the limit. */
export function encodeMessage(message: Message, options: EncodeOptions): Uint8Array {
  write(message, options);
  return out.slice(0, at);
}

/** Octets of the whole message; Infinity if it is larger than any message may be. */
export function measureMessage(message: Message, options: EncodeOptions): number {
  return write(message, options) ? at : Infinity;
}

/** Octets that this OPT takes in a message. */
function optOctets(opt: Opt | null): number {
  return opt === null ? 0 : 11 + opt.options.length;
}

/** false: records were left out. */
function write(message: Message, options: EncodeOptions): boolean {
  const { compress, opt, sealed, limitOctets = MAX_MESSAGE_OCTETS } = options;
  if (++generation > 0xffffffff) {
    slotGeneration.fill(0);
    generation = 1;
  }
  suffixCount = 0;
  lastOwner = undefined;
  const limit = Math.min(limitOctets, MAX_MESSAGE_OCTETS) - optOctets(opt);
  const { question } = message;
  sealedOwner = sealed;
  put16(0, message.id);
  put16(4, question.length === 0 ? 0 : 1);
  at = HEADER_OCTETS;
  if (question.length > 0) {
    if (compress && sealed === undefined) writeName(question, 0, true);
    else copyName(question, 0);
    for (let i = question.length - 4; i < question.length; i++) out[at++] = question[i]!;
  }
  const answers = writeRecords(message.answers, compress, limit);
  const authority =
    answers < message.answers.length ? 0 : writeRecords(message.authority, compress, limit);
  const additional =
    authority < message.authority.length ? 0 : writeRecords(message.additional, compress, limit);
  const cut =
    answers < message.answers.length ||
    authority < message.authority.length ||
    additional < message.additional.length;
  put16(2, cut ? message.flags | FLAG.TC : message.flags);
  put16(6, answers);
  put16(8, authority);
  put16(10, opt === null ? additional : additional + 1);
  if (opt !== null) writeOpt(opt);
  return !cut;
}

function put16(offset: number, value: number): void {
  out[offset] = value >> 8;
  out[offset + 1] = value;
}

/** Writes records while they end at or before `limit`; how many were written. */
function writeRecords(records: readonly Rr[], compress: boolean, limit: number): number {
  for (let i = 0; i < records.length; i++) {
    const start = at;
    writeRecord(records[i]!, compress);
    if (at > limit) {
      at = start;
      return i;
    }
  }
  return records.length;
}

function writeRecord(record: Rr, compress: boolean): void {
  const { owner, data, ttl, type } = record;
  if (!compress) copyName(owner, 0);
  else if (owner === sealedOwner) {
    out[at++] = 0xc0;
    out[at++] = HEADER_OCTETS;
  } else if (owner === lastOwner && lastOwnerOffset !== 0) {
    out[at++] = 0xc0 | (lastOwnerOffset >> 8);
    out[at++] = lastOwnerOffset & 255;
  } else {
    lastOwnerOffset = writeName(owner, 0, true);
    lastOwner = owner;
  }
  out[at++] = type >> 8;
  out[at++] = type & 255;
  out[at++] = record.class >> 8;
  out[at++] = record.class & 255;
  out[at++] = ttl >>> 24;
  out[at++] = (ttl >>> 16) & 255;
  out[at++] = (ttl >>> 8) & 255;
  out[at++] = ttl & 255;
  const lengthAt = at;
  at += 2;
  if (type === TYPE.A) {
    out[at] = data[0]!;
    out[at + 1] = data[1]!;
    out[at + 2] = data[2]!;
    out[at + 3] = data[3]!;
    at += 4;
  } else writeData(type, data, compress);
  put16(lengthAt, at - lengthAt - 2);
}

function writeData(type: number, data: Uint8Array, compress: boolean): void {
  const layout = compress ? nameLayout(type) : undefined;
  if (layout === undefined || layout.stringCount > 0) {
    copyOctets(data, 0, data.length);
    return;
  }
  copyOctets(data, 0, layout.prefixOctets);
  let from = layout.prefixOctets;
  for (let i = 0; i < layout.nameCount; i++) {
    writeName(data, from, layout.compress);
    from = nameEnd(data, from);
  }
  copyOctets(data, from, data.length);
}

function copyOctets(octets: Uint8Array, from: number, end: number): void {
  if (end - from > 64) {
    out.set(octets.subarray(from, end), at);
    at += end - from;
    return;
  }
  for (let i = from; i < end; i++) out[at++] = octets[i]!;
}

/** Copies the uncompressed name that begins at `from`. */
function copyName(octets: Uint8Array, from: number): void {
  const end = nameEnd(octets, from);
  for (let i = from; i < end; i++) out[at++] = octets[i]!;
}

function nameEnd(octets: Uint8Array, from: number): number {
  let i = from;
  while (octets[i]! !== 0) i += octets[i]! + 1;
  return i + 1;
}

/**
 * Writes the name at `from` and makes its suffixes known. With `compress` the longest known suffix
 * becomes a pointer. Returns an offset that a pointer to this whole name may use, 0 if there is none.
 */
function writeName(octets: Uint8Array, from: number, compress: boolean): number {
  let count = 0;
  let i = from;
  while (octets[i]! !== 0) {
    labelStarts[count++] = i - from;
    i += octets[i]! + 1;
  }
  // From the right: as long as a suffix is known, its place is the parent of the next longer one.
  let known = count;
  let parent = 0;
  while (known > 0) {
    const found = findSuffix(octets, from + labelStarts[known - 1]!, parent);
    if (found === 0) break;
    parent = found;
    known--;
  }
  const start = at;
  const pointer = compress && known < count;
  const literalEnd = pointer ? from + labelStarts[known]! : i;
  for (let k = from; k < literalEnd; k++) out[at++] = octets[k]!;
  if (pointer) {
    out[at++] = 0xc0 | (parent >> 8);
    out[at++] = parent & 255;
  } else out[at++] = 0;
  for (let label = known - 1; label >= 0; label--) {
    const place = start + labelStarts[label]!;
    if (place > MAX_POINTER_TARGET) return 0;
    addSuffix(place, parent);
    parent = place;
  }
  return parent;
}

function slotOf(octets: Uint8Array, offset: number, parent: number): number {
  let hash = parent * 0x9e3779b1;
  const end = offset + octets[offset]!;
  for (let i = offset; i <= end; i++) hash = Math.imul(hash ^ octets[i]!, 0x01000193);
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}

/** Place in the message of the suffix {label at `offset`, rest at `parent`}; 0 if it was not written yet. */
function findSuffix(octets: Uint8Array, offset: number, parent: number): number {
  let slot = slotOf(octets, offset, parent);
  const length = octets[offset]!;
  while (slotGeneration[slot] === generation) {
    const place = slotOffset[slot]!;
    if (slotParent[slot] === parent && out[place] === length) {
      let i = 1;
      while (i <= length && out[place + i] === octets[offset + i]) i++;
      if (i > length) return place;
    }
    slot = (slot + 1) & (SLOTS - 1);
  }
  return 0;
}

function addSuffix(place: number, parent: number): void {
  if (suffixCount >= MAX_SUFFIXES) return;
  suffixCount++;
  let slot = slotOf(out, place, parent);
  while (slotGeneration[slot] === generation) slot = (slot + 1) & (SLOTS - 1);
  slotGeneration[slot] = generation;
  slotOffset[slot] = place;
  slotParent[slot] = parent;
}

function writeOpt(opt: Opt): void {
  out[at++] = 0;
  put16(at, TYPE.OPT);
  put16(at + 2, opt.payload);
  out[at + 4] = opt.extendedRcode;
  out[at + 5] = opt.version;
  put16(at + 6, opt.flags);
  put16(at + 8, opt.options.length);
  at += 10;
  copyOctets(opt.options, 0, opt.options.length);
}

/** Offsets of the TTL fields of all records of a message that encodeMessage made, OPT excepted. */
export function ttlOffsets(wire: Uint8Array): number[] {
  const offsets: number[] = [];
  let i = HEADER_OCTETS;
  if (((wire[4]! << 8) | wire[5]!) !== 0) i = wireNameEnd(wire, i) + 4;
  while (i < wire.length) {
    i = wireNameEnd(wire, i);
    if (((wire[i]! << 8) | wire[i + 1]!) !== TYPE.OPT) offsets.push(i + 4);
    i += 10 + ((wire[i + 8]! << 8) | wire[i + 9]!);
  }
  return offsets;
}

function wireNameEnd(wire: Uint8Array, from: number): number {
  let i = from;
  while (wire[i]! !== 0) {
    if (wire[i]! >= 0xc0) return i + 2;
    i += wire[i]! + 1;
  }
  return i + 1;
}
