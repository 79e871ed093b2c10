/** IP addresses as text and as octets: 4 for IPv4, 16 for IPv6, network order. */

/**
 * IPv4 in dotted decimal (four numbers, no leading zeros) or IPv6 (RFC 4291 2.2, no zone) to octets;
 * undefined for anything else, host names included. IPv4-mapped text stays 16 octets, see unmapped.
 */
export function parseAddress(text: string): Uint8Array | undefined {
  for (let i = 0; i < text.length && i < 5; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x3a) return parseIpv6(text);
    if (code === 0x2e) return parseIpv4(text);
  }
  return undefined;
}

function parseIpv4(text: string): Uint8Array | undefined {
  if (text.length < 7 || text.length > 15) return undefined;
  const octets = new Uint8Array(4);
  return readIpv4(text, 0, octets, 0) ? octets : undefined;
}

/** Reads dotted decimal from `from` to the end of `text` into 4 octets of `out`. */
function readIpv4(text: string, from: number, out: Uint8Array, at: number): boolean {
  let index = 0;
  let value = 0;
  let digits = 0;
  for (let i = from; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : 0x2e;
    if (code === 0x2e) {
      if (digits === 0 || index === 4) return false;
      out[at + index++] = value;
      value = 0;
      digits = 0;
      continue;
    }
    const digit = code - 0x30;
    if (digit < 0 || digit > 9 || (digits > 0 && value === 0)) return false;
    value = value * 10 + digit;
    digits++;
    if (value > 255) return false;
  }
  return index === 4;
}

/** IPv6 text to 16 octets; the last 32 bits may be dotted decimal. */
function parseIpv6(text: string): Uint8Array | undefined {
  if (text.length < 2 || text.length > 45) return undefined;
  const octets = new Uint8Array(16);
  let at = 0;
  let gapAt = -1;
  let i = 0;
  if (text.charCodeAt(0) === 0x3a) {
    if (text.charCodeAt(1) !== 0x3a) return undefined;
    gapAt = 0;
    i = 2;
  }
  while (i < text.length) {
    if (at === 16) return undefined;
    const start = i;
    let value = 0;
    let code = 0;
    for (; i < text.length; i++) {
      code = text.charCodeAt(i);
      const digit = hexValue(code);
      if (digit < 0) break;
      if (i - start === 4) return undefined;
      value = (value << 4) | digit;
    }
    if (i < text.length && code === 0x2e) {
      if (at > 12 || !readIpv4(text, start, octets, at)) return undefined;
      at += 4;
      break;
    }
    if (i === start) return undefined;
    octets[at++] = value >> 8;
    octets[at++] = value & 255;
    if (i === text.length) break;
    if (code !== 0x3a) return undefined;
    i++;
    if (i < text.length && text.charCodeAt(i) === 0x3a) {
      if (gapAt >= 0) return undefined;
      gapAt = at;
      i++;
    } else if (i === text.length) return undefined;
  }
  if (gapAt < 0) return at === 16 ? octets : undefined;
  if (at === 16) return undefined;
  octets.copyWithin(16 - (at - gapAt), gapAt, at);
  octets.fill(0, gapAt, 16 - (at - gapAt));
  return octets;
}

function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** 4 or 6 for what parseAddress reads (Go's net.ParseIP takes the same), 0 for any other text. */
export function ipVersion(text: string): 4 | 6 | 0 {
  const octets = parseAddress(text);
  if (octets === undefined) return 0;
  return octets.length === 4 ? 4 : 6;
}

/** Is this 0.0.0.0, or :: in any spelling? */
export function isUnspecified(text: string): boolean {
  return parseAddress(text)?.every((octet) => octet === 0) ?? false;
}

/**
 * One text for all spellings of an address, IPv4-mapped ones as IPv4; any other text unchanged. Dotted
 * decimal has no second spelling.
 */
export function canonicalAddress(text: string): string {
  if (!text.includes(":")) return text;
  const octets = parseAddress(text);
  return octets === undefined ? text : formatAddress(unmapped(octets));
}

/** The 4 octets inside an IPv4-mapped IPv6 address (::ffff:0:0/96, RFC 4291 2.5.5.2); others unchanged. */
export function unmapped(address: Uint8Array): Uint8Array {
  if (address.length !== 16 || address[10] !== 0xff || address[11] !== 0xff) return address;
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return address;
  return address.slice(12);
}

/** A network: its address in 4 or 16 octets, and how many leading bits count. */
export type Network = { readonly octets: Uint8Array; readonly prefixLength: number };

/** Does the address (4 or 16 octets) lie in the network? One family never lies in the other. */
export function covers({ octets, prefixLength }: Network, address: Uint8Array): boolean {
  if (octets.length !== address.length) return false;
  for (let i = 0; i * 8 < prefixLength; i++) {
    const mask = prefixLength >= i * 8 + 8 ? 255 : (0xff00 >> (prefixLength - i * 8)) & 255;
    if ((octets[i]! & mask) !== (address[i]! & mask)) return false;
  }
  return true;
}

/**
 * The address as four words in memory order, IPv4 as ::ffff:a.b.c.d; false for what is no IP literal (a zone
 * does not count).
 */
export function readSourceText(address: string, source: Int32Array): boolean {
  const octets = parseAddress(address.split("%", 1)[0]!);
  if (octets === undefined) return false;
  const all = mapped(octets);
  for (let i = 0; i < 4; i++)
    source[i] =
      all[4 * i]! | (all[4 * i + 1]! << 8) | (all[4 * i + 2]! << 16) | (all[4 * i + 3]! << 24);
  return true;
}

/** All 16 octets of an address, IPv4 as ::ffff:a.b.c.d. */
export function mapped(octets: Uint8Array): Uint8Array {
  if (octets.length === 16) return octets;
  const all = new Uint8Array(16);
  all.set([0xff, 0xff], 10);
  all.set(octets, 12);
  return all;
}

/** Whether an IP literal is of this machine alone: 127.0.0.0/8, ::1, also in mapped form. */
export function isLoopback(literal: string): boolean {
  const octets = parseAddress(literal);
  if (octets === undefined) return false;
  const plain = unmapped(octets);
  if (plain.length === 4) return plain[0] === 127;
  return plain.every((octet, i) => octet === (i === 15 ? 1 : 0));
}

/** Whether an IP literal (a zone does not count) lies in 169.254.0.0/16 or fe80::/10, also in mapped form. */
export function isLinkLocal(literal: string): boolean {
  const octets = parseAddress(literal.split("%", 1)[0]!);
  if (octets === undefined) return false;
  const plain = unmapped(octets);
  if (plain.length === 4) return plain[0] === 169 && plain[1] === 254;
  return plain[0] === 0xfe && (plain[1]! & 0xc0) === 0x80;
}

/** The IPv4 text inside `::ffff:192.0.2.1`; other texts unchanged. */
export function unmappedText(literal: string): string {
  return literal.startsWith("::ffff:") && literal.includes(".") ? literal.slice(7) : literal;
}

/** Canonical text: dotted decimal, or RFC 5952 (mapped addresses as ::ffff:a.b.c.d, its section 5). */
export function formatAddress(address: Uint8Array): string {
  if (address.length === 4) return `${address[0]}.${address[1]}.${address[2]}.${address[3]}`;
  const v4 = unmapped(address);
  if (v4.length === 4) return `::ffff:${formatAddress(v4)}`;
  let gapAt = -1;
  let gapCount = 1;
  for (let i = 0; i < 8;) {
    let end = i;
    while (end < 8 && address[2 * end] === 0 && address[2 * end + 1] === 0) end++;
    if (end - i > gapCount) {
      gapAt = i;
      gapCount = end - i;
    }
    i = end === i ? i + 1 : end;
  }
  let text = "";
  for (let i = 0; i < 8;) {
    if (i === gapAt) {
      text += "::";
      i += gapCount;
      continue;
    }
    if (i > 0 && !text.endsWith("::")) text += ":";
    text += ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16);
    i++;
  }
  return text;
}

/** All octets as lower-case hexadecimal digits: 8 for IPv4, 32 for IPv6. */
export function hexAddress(address: Uint8Array): string {
  let text = "";
  for (let i = 0; i < address.length; i++) text += HEX[address[i]!]!;
  return text;
}

const HEX = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, "0"));

/**
 * A port from `min` to `max` that is not among `taken`, all equally likely: what is left over at the end
 * of the generator's range is drawn again. Some port has to be free.
 */
export function drawPort(
  { min, max }: { min: number; max: number },
  taken: readonly number[],
  uint32: () => number,
): number {
  const count = max - min + 1;
  const limit = Math.floor(0x1_0000_0000 / count) * count;
  for (;;) {
    const value = uint32();
    const port = min + (value % count);
    if (value < limit && !taken.includes(port)) return port;
  }
}
