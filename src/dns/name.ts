/**
 * Domain names as uncompressed wire octets (RFC 1035 3.1): length-prefixed labels, closed by a zero
 * octet. Every function here trusts that shape; octets from a packet go through message.ts first.
 */
import { fail, ok, type Result } from "../base.ts";

/** RFC 1035 2.3.4. */
export const MAX_NAME_OCTETS = 255;
const MAX_LABEL_OCTETS = 63;

/** The root name. */
const ROOT = new Uint8Array(1);

/** Why a text is no domain name. */
export type NameError = "empty label" | "label too long" | "name too long" | "bad escape";

const utf8 = new TextEncoder();
const DOT = 0x2e;
const BACKSLASH = 0x5c;

/**
 * Presentation text (RFC 1035 5.1, with or without the final dot) to wire. `\.`, `\\` and `\DDD`
 * are escapes; characters outside ASCII become their UTF-8 octets. "" and "." are the root.
 */
export function parseName(text: string): Result<Uint8Array, NameError> {
  if (text === "" || text === ".") return ok(ROOT);
  let plain = true;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === BACKSLASH || code > 0x7e) {
      plain = false;
      break;
    }
  }
  return plain ? parsePlainName(text) : parseEscapedName(text);
}

function parsePlainName(text: string): Result<Uint8Array, NameError> {
  const end = text.charCodeAt(text.length - 1) === DOT ? text.length - 1 : text.length;
  if (end + 2 > MAX_NAME_OCTETS) return fail("name too long");
  const wire = new Uint8Array(end + 2);
  let lengthAt = 0;
  for (let i = 0; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code !== DOT) {
      wire[i + 1] = code;
      continue;
    }
    const octets = i - lengthAt;
    if (octets === 0) return fail("empty label");
    if (octets > MAX_LABEL_OCTETS) return fail("label too long");
    wire[lengthAt] = octets;
    lengthAt = i + 1;
  }
  const octets = end - lengthAt;
  if (octets === 0) return fail("empty label");
  if (octets > MAX_LABEL_OCTETS) return fail("label too long");
  wire[lengthAt] = octets;
  return ok(wire);
}

function parseEscapedName(text: string): Result<Uint8Array, NameError> {
  const octets = utf8.encode(text);
  const wire = new Uint8Array(MAX_NAME_OCTETS);
  let lengthAt = 0;
  let at = 1;
  let open = false;
  for (let i = 0; i < octets.length; i++) {
    let octet = octets[i]!;
    if (octet === DOT) {
      if (at === lengthAt + 1) return fail("empty label");
      lengthAt = at++;
      open = false;
      if (at > MAX_NAME_OCTETS) return fail("name too long");
      continue;
    }
    if (octet === BACKSLASH) {
      const first = octets[++i];
      if (first === undefined) return fail("bad escape");
      octet = first;
      if (isDigit(first)) {
        const second = octets[i + 1];
        const third = octets[i + 2];
        if (!isDigit(second) || !isDigit(third)) return fail("bad escape");
        octet = (first - 0x30) * 100 + (second - 0x30) * 10 + (third - 0x30);
        if (octet > 255) return fail("bad escape");
        i += 2;
      }
    }
    if (at - lengthAt > MAX_LABEL_OCTETS) return fail("label too long");
    if (at >= MAX_NAME_OCTETS - 1) return fail("name too long");
    wire[at++] = octet;
    wire[lengthAt] = at - lengthAt - 1;
    open = true;
  }
  return ok(wire.slice(0, open ? at + 1 : lengthAt + 1));
}

function isDigit(octet: number | undefined): octet is number {
  return octet !== undefined && octet >= 0x30 && octet <= 0x39;
}

/** Presentation text with final dot; "." for the root. Octets outside printable ASCII as `\DDD`. */
export function formatName(name: Uint8Array): string {
  if (name[0] === 0) return ".";
  let text = "";
  for (let at = 0; name[at]! !== 0; at += name[at]! + 1) {
    const end = at + name[at]!;
    for (let i = at + 1; i <= end; i++) {
      const octet = name[i]!;
      if (octet === DOT || octet === BACKSLASH) text += "\\" + String.fromCharCode(octet);
      else if (octet > 0x20 && octet < 0x7f) text += String.fromCharCode(octet);
      else text += "\\" + String(octet).padStart(3, "0");
    }
    text += ".";
  }
  return text;
}

/** Octet with ASCII capitals made small (RFC 4343). */
export function foldOctet(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
}

/** Lower-case copy. Length octets are below 0x41, so the whole name may be folded at once. */
export function foldName(name: Uint8Array): Uint8Array {
  const folded = new Uint8Array(name.length);
  for (let i = 0; i < name.length; i++) folded[i] = foldOctet(name[i]!);
  return folded;
}

/** Same name, ASCII case ignored. */
export function equalNames(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++)
    if (a[i] !== b[i] && foldOctet(a[i]!) !== foldOctet(b[i]!)) return false;
  return true;
}

/** Key for a Map: equal names (case ignored) have equal keys. Not for people to read. */
export function nameKey(name: Uint8Array): string {
  let key = "";
  for (let i = 0; i < name.length; i++) key += String.fromCharCode(foldOctet(name[i]!));
  return key;
}

/** Same octets. */
export function equalOctets(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * Offset in `name` at which the label-aligned suffix begins (0: equal names), -1 if `name` is not
 * at or below `suffix`. ASCII case is ignored. Every name is below the root.
 */
export function suffixOffset(name: Uint8Array, suffix: Uint8Array): number {
  const start = name.length - suffix.length;
  if (start < 0) return -1;
  for (let i = 0; i < suffix.length; i++) {
    const a = name[start + i]!;
    const b = suffix[i]!;
    if (a !== b && foldOctet(a) !== foldOctet(b)) return -1;
  }
  let at = 0;
  while (at < start) at += name[at]! + 1;
  return at === start ? start : -1;
}

/** True if `name` equals `zone` or lies below it. */
export function isWithin(name: Uint8Array, zone: Uint8Array): boolean {
  return suffixOffset(name, zone) >= 0;
}

/**
 * The name whose first labels are `text`, as stored in a catalog (dots separate labels, nothing is
 * an escape, UTF-8), followed by `suffix`; undefined if that is no domain name.
 */
export function nameUnder(text: string, suffix: Uint8Array): Uint8Array | undefined {
  let octets: Uint8Array | undefined;
  for (let i = 0; i < text.length; i++)
    if (text.charCodeAt(i) > 0x7f) {
      octets = utf8.encode(text);
      break;
    }
  const end = octets?.length ?? text.length;
  if (end + 1 + suffix.length > MAX_NAME_OCTETS) return undefined;
  const name = new Uint8Array(end + 1 + suffix.length);
  let lengthAt = 0;
  for (let i = 0; i <= end; i++) {
    const octet = i === end ? DOT : (octets?.[i] ?? text.charCodeAt(i));
    if (octet !== DOT) {
      name[i + 1] = octet;
      continue;
    }
    const label = i - lengthAt;
    if (label === 0 || label > MAX_LABEL_OCTETS) return undefined;
    name[lengthAt] = label;
    lengthAt = i + 1;
  }
  name.set(suffix, end + 1);
  return name;
}

const IN_ADDR_ARPA = utf8.encode("\x07in-addr\x04arpa\0");
const IP6_ARPA = utf8.encode("\x03ip6\x04arpa\0");
/** Zone of all reverse names. */
export const ARPA = utf8.encode("\x04arpa\0");

/** The 4 or 16 octets that a complete reverse name stands for; undefined for every other name. */
export function parseReverseName(name: Uint8Array): Uint8Array | undefined {
  const v4 = suffixOffset(name, IN_ADDR_ARPA);
  if (v4 > 0) return parseReverse4(name, v4);
  return suffixOffset(name, IP6_ARPA) === 64 ? parseReverse6(name) : undefined;
}

function parseReverse4(name: Uint8Array, end: number): Uint8Array | undefined {
  const address = new Uint8Array(4);
  let index = 4;
  for (let at = 0; at < end; at += name[at]! + 1) {
    const octets = name[at]!;
    if (index === 0 || octets > 3) return undefined;
    if (octets > 1 && name[at + 1] === 0x30) return undefined;
    let value = 0;
    for (let i = at + 1; i <= at + octets; i++) {
      const digit = name[i]! - 0x30;
      if (digit < 0 || digit > 9) return undefined;
      value = value * 10 + digit;
    }
    if (value > 255) return undefined;
    address[--index] = value;
  }
  return index === 0 ? address : undefined;
}

function parseReverse6(name: Uint8Array): Uint8Array | undefined {
  const address = new Uint8Array(16);
  for (let i = 0; i < 32; i++) {
    if (name[2 * i] !== 1) return undefined;
    const nibble = hexDigit(name[2 * i + 1]!);
    if (nibble < 0) return undefined;
    address[15 - (i >> 1)]! |= i & 1 ? nibble << 4 : nibble;
  }
  return address;
}

/** Value of an ASCII hexadecimal digit of either case, -1 for any other octet. */
export function hexDigit(octet: number): number {
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const letter = octet | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}
