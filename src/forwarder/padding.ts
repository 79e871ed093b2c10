/** Padding of questions, so that their length tells less of the name (RFC 7830, RFC 8467). */
import { HEADER_OCTETS, readUint16 } from "../dns/message.ts";
import { TYPE } from "../dns/rr.ts";

/** RFC 8467 4.1: clients pad to the next multiple of this. */
const BLOCK_OCTETS = 128;
/** EDNS option code. */
const PADDING = 12;
/** Root name, type, payload, flags, length. */
const OPT_OCTETS = 11;

/**
 * The question with a padding option in its OPT, which is its only record; without an OPT, or with one
 * that is padded already, it stays as it is.
 */
export function padded(wire: Uint8Array): Uint8Array {
  const opt = optOf(wire);
  if (opt < 0) return wire;
  const optionsOctets = readUint16(wire, opt + 9);
  if (opt + OPT_OCTETS + optionsOctets !== wire.length || isPadded(wire, opt + OPT_OCTETS))
    return wire;
  const octets = Math.ceil((wire.length + 4) / BLOCK_OCTETS) * BLOCK_OCTETS;
  const longer = new Uint8Array(octets);
  longer.set(wire);
  const grownTo = optionsOctets + octets - wire.length;
  longer[opt + 9] = grownTo >> 8;
  longer[opt + 10] = grownTo;
  const paddingOctets = octets - wire.length - 4;
  longer[wire.length + 1] = PADDING;
  longer[wire.length + 2] = paddingOctets >> 8;
  longer[wire.length + 3] = paddingOctets;
  return longer;
}

/** Where the OPT begins; -1: none right behind the one question. */
function optOf(wire: Uint8Array): number {
  if (wire.length < HEADER_OCTETS || readUint16(wire, 4) !== 1 || readUint16(wire, 10) !== 1)
    return -1;
  let at = HEADER_OCTETS;
  while (at < wire.length && wire[at]! > 0) at += wire[at]! + 1;
  at += 5;
  const isOpt =
    at + OPT_OCTETS <= wire.length && wire[at] === 0 && readUint16(wire, at + 1) === TYPE.OPT;
  return isOpt ? at : -1;
}

function isPadded(wire: Uint8Array, from: number): boolean {
  for (let at = from; at + 4 <= wire.length; at += 4 + readUint16(wire, at + 2))
    if (readUint16(wire, at) === PADDING) return true;
  return false;
}
