/** Padding of messages that go encrypted, so that their length tells less of what they say (RFC 7830, RFC 8467). */
import { HEADER_OCTETS, readUint16, skipName } from "./message.ts";
import { TYPE } from "./rr.ts";

/** EDNS option code. */
export const OPTION_PADDING = 12;
/** RFC 8467 4.1: clients pad to the next multiple of this, ... */
const QUESTION_BLOCK_OCTETS = 128;
/** ... servers to one of this. */
const REPLY_BLOCK_OCTETS = 468;
/** A message behind two octets of length is never longer. */
const MAX_OCTETS = 65_535;
/** Root name, type, payload, flags, length. */
const OPT_OCTETS = 11;
/** Code and length. */
const OPTION_HEAD_OCTETS = 4;

/**
 * The question with a padding option in its OPT; without an OPT as its last record, or with one that is
 * padded already, it stays as it is.
 */
export function padQuestion(query: Uint8Array): Uint8Array {
  return padded(query, QUESTION_BLOCK_OCTETS);
}

/**
 * The reply to this query, padded if the query was (RFC 7830 section 4) and the reply has an OPT. Only for
 * connections that are encrypted (section 3).
 */
export function padReply(reply: Uint8Array, query: Uint8Array): Uint8Array {
  const opt = optOf(query);
  return opt >= 0 && isPadded(query, opt) ? padded(reply, REPLY_BLOCK_OCTETS) : reply;
}

/** To the next multiple, but not beyond the longest message (RFC 8467 section 4.1). */
function padded(wire: Uint8Array, blockOctets: number): Uint8Array {
  const opt = optOf(wire);
  if (opt < 0 || isPadded(wire, opt)) return wire;
  const least = wire.length + OPTION_HEAD_OCTETS;
  const octets = Math.min(Math.ceil(least / blockOctets) * blockOctets, MAX_OCTETS);
  const optionsOctets = octets - opt - OPT_OCTETS;
  if (octets < least || opt + OPT_OCTETS + readUint16(wire, opt + 9) !== wire.length) return wire;
  const longer = new Uint8Array(octets);
  longer.set(wire);
  longer[opt + 9] = optionsOctets >> 8;
  longer[opt + 10] = optionsOctets;
  longer[wire.length + 1] = OPTION_PADDING;
  longer[wire.length + 2] = (octets - least) >> 8;
  longer[wire.length + 3] = octets - least;
  return longer;
}

/** Where the OPT begins; -1: there is none whose options are all there, or the message is cut. */
function optOf(wire: Uint8Array): number {
  if (wire.length < HEADER_OCTETS || readUint16(wire, 10) === 0) return -1;
  let at = HEADER_OCTETS;
  for (let left = readUint16(wire, 4); left > 0; left--) {
    at = skipName(wire, at);
    if (at < 0) return -1;
    at += 4;
  }
  let left = readUint16(wire, 6) + readUint16(wire, 8) + readUint16(wire, 10);
  for (; left > 0; left--) {
    const owner = at;
    at = skipName(wire, owner);
    if (at < 0 || at + OPT_OCTETS - 1 > wire.length) return -1;
    const end = at + OPT_OCTETS - 1 + readUint16(wire, at + 8);
    if (end > wire.length) return -1;
    if (at === owner + 1 && readUint16(wire, at) === TYPE.OPT) return owner;
    at = end;
  }
  return -1;
}

/** Whether the options of the OPT at `opt`, which are all there, have a padding option among them. */
function isPadded(wire: Uint8Array, opt: number): boolean {
  const from = opt + OPT_OCTETS;
  const end = from + readUint16(wire, opt + 9);
  for (let at = from; at + OPTION_HEAD_OCTETS <= end; at += 4 + readUint16(wire, at + 2))
    if (readUint16(wire, at) === OPTION_PADDING) return true;
  return false;
}
