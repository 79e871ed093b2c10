/** The OPT of our own replies (RFC 6891, RFC 7871, RFC 8914). */
import type { ExtendedError, ForwardAnswer } from "./answer.ts";
import { OPTION_COOKIE } from "./cookie.ts";
import { readUint16, type Opt } from "./message.ts";
import type { Request, Subnet } from "./request.ts";

const NO_OPTIONS = new Uint8Array(0);

/**
 * OPT of a reply, null if the request had none: payload as asked, version 0, DO clear. Of all options
 * the client subnet is echoed; its scope is the source prefix if the answer `dependsOnClient`, else 0;
 * and the reply's own cookie is sent.
 */
export function replyOpt(
  { opt, subnet, cookie }: Request,
  dependsOnClient: boolean,
  flags = 0,
  extendedRcode = 0,
): Opt | null {
  if (opt === null) return null;
  let options = subnet === null ? NO_OPTIONS : encodeSubnet(subnet, dependsOnClient);
  if (cookie !== null) options = withCookie(options, cookie);
  return { payload: opt.payload, extendedRcode, version: 0, flags, options };
}

/** INFO-CODEs of RFC 8914 section 5.2 that our replies use. */
export const EDE = {
  OTHER: 0,
  STALE_ANSWER: 3,
  FORGED_ANSWER: 4,
  CACHED_ERROR: 13,
  NOT_READY: 14,
  BLOCKED: 15,
  CENSORED: 16,
  FILTERED: 17,
  PROHIBITED: 18,
  STALE_NXDOMAIN_ANSWER: 19,
  NOT_AUTHORITATIVE: 20,
  NOT_SUPPORTED: 21,
  NO_REACHABLE_AUTHORITY: 22,
  NETWORK_ERROR: 23,
} as const;

/** Has the answer outlived its TTL? The forwarder marks such ones. */
export function isStaleAnswer({ ede }: ForwardAnswer): boolean {
  if (ede === undefined) return false;
  return ede.some(({ code }) => code === EDE.STALE_ANSWER || code === EDE.STALE_NXDOMAIN_ANSWER);
}

const OPTION_EXTENDED_ERROR = 15;
/** Options of one reply, and octets of the text of each; what is more is left out. */
const ERRORS_MAX = 4;
const TEXT_OCTETS_MAX = 96;

/** The options with extended errors behind them. Texts are ASCII; other characters become "?". */
export function withErrors(options: Uint8Array, errors: readonly ExtendedError[]): Uint8Array {
  const octets = [...options];
  for (const { code, text } of errors.slice(0, ERRORS_MAX)) {
    const said = text.slice(0, TEXT_OCTETS_MAX);
    octets.push(0, OPTION_EXTENDED_ERROR, 0, 2 + said.length, code >> 8, code & 0xff);
    for (let i = 0; i < said.length; i++) {
      const character = said.charCodeAt(i);
      octets.push(character < 0x20 || character > 0x7e ? 0x3f : character);
    }
  }
  return Uint8Array.from(octets);
}

/** The options with a COOKIE behind them (RFC 7873 section 4). */
export function withCookie(options: Uint8Array, cookie: Uint8Array): Uint8Array {
  return Uint8Array.from([...options, 0, OPTION_COOKIE, 0, cookie.length, ...cookie]);
}

/** The options, which are well formed, without those of this code; the same object if there is none. */
export function withoutOption(options: Uint8Array, code: number): Uint8Array {
  let rest = options;
  let kept = 0;
  for (let at = 0; at < options.length;) {
    const next = at + 4 + readUint16(options, at + 2);
    if (readUint16(options, at) !== code) {
      if (rest !== options) rest.set(options.subarray(at, next), kept);
      kept += next - at;
    } else if (rest === options) rest = options.slice();
    at = next;
  }
  return rest === options ? options : rest.slice(0, kept);
}

function encodeSubnet({ family, source, address }: Subnet, dependsOnClient: boolean): Uint8Array {
  const option = new Uint8Array(8 + address.length);
  option[1] = 8;
  option[3] = 4 + address.length;
  option[5] = family;
  option[6] = source;
  option[7] = dependsOnClient ? source : 0;
  option.set(address, 8);
  return option;
}
