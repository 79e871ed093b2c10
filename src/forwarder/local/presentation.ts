/** Data of records as zone files have it (RFC 1035 section 5.1, RFC 3597 section 5) → wire octets. */
import { parseAddress } from "../../address.ts";
import { fail, ok, type Result } from "../../base.ts";
import { parseName } from "../../dns/name.ts";

/** `rest`: one character-string without its length octet. `strings` and `hex` take all that is left. */
type Field =
  "ipv4" | "ipv6" | "name" | "u8" | "u16" | "u32" | "string" | "strings" | "tag" | "rest" | "hex";

const LAYOUTS: Readonly<Record<number, readonly Field[]>> = {
  1: ["ipv4"], // A
  2: ["name"], // NS
  5: ["name"], // CNAME
  6: ["name", "name", "u32", "u32", "u32", "u32", "u32"], // SOA
  12: ["name"], // PTR
  13: ["string", "string"], // HINFO
  15: ["u16", "name"], // MX
  16: ["strings"], // TXT
  17: ["name", "name"], // RP
  18: ["u16", "name"], // AFSDB
  28: ["ipv6"], // AAAA
  33: ["u16", "u16", "u16", "name"], // SRV
  35: ["u16", "u16", "string", "string", "string", "name"], // NAPTR
  36: ["u16", "name"], // KX
  39: ["name"], // DNAME
  43: ["u16", "u8", "u8", "hex"], // DS
  44: ["u8", "u8", "hex"], // SSHFP
  52: ["u8", "u8", "u8", "hex"], // TLSA
  99: ["strings"], // SPF
  256: ["u16", "u16", "rest"], // URI
  257: ["u8", "tag", "rest"], // CAA
};

const words: Record<Field, string> = {
  ipv4: "an IPv4 address",
  ipv6: "an IPv6 address",
  name: "a domain name",
  u8: "a number from 0 to 255",
  u16: "a number from 0 to 65535",
  u32: "a number from 0 to 4294967295",
  string: "a text of at most 255 octets",
  strings: "texts of at most 255 octets",
  tag: "a tag of letters and digits",
  rest: "a text",
  hex: "octets in hexadecimal",
};

/** RDLENGTH has 16 bits; what comes near would fit into no message. */
const MAX_DATA_OCTETS = 65_000;
const MAX_STRING_OCTETS = 255;

/**
 * RDATA of this type. Names are fully qualified, with or without the final dot. Types that have no form
 * here are given as `\# <octets> <hexadecimal>`, which every type may be.
 */
export function parseData(type: number, text: string): Result<Uint8Array, string> {
  const tokens = tokenize(text);
  if (tokens === undefined) return fail("a quotation mark or an escape is not complete");
  if (tokens[0]?.raw === "\\#") return parseGeneric(tokens.slice(1).map(({ raw }) => raw));
  const layout = LAYOUTS[type];
  if (layout === undefined)
    return fail("this type has no form of its own here: give it as \\# <octets> <hexadecimal>");
  const octets: number[] = [];
  let at = 0;
  for (const field of layout) {
    const takesAll = field === "strings" || field === "hex";
    const taken = takesAll ? tokens.slice(at) : tokens.slice(at, at + 1);
    at += taken.length;
    const parsed = taken.length === 0 ? undefined : parseField(field, taken);
    if (parsed === undefined) {
      const got = taken.length === 0 ? "nothing" : JSON.stringify(taken[0]!.raw);
      return fail(`expected ${words[field]}, got ${got}`);
    }
    octets.push(...parsed);
  }
  if (at < tokens.length)
    return fail(`there is more than expected: ${JSON.stringify(tokens[at]!.raw)}`);
  if (octets.length > MAX_DATA_OCTETS) return fail(`longer than ${MAX_DATA_OCTETS} octets`);
  return ok(Uint8Array.from(octets));
}

/** `raw` as it stands there, without quotation marks; `octets` with the escapes undone. */
type Token = { readonly raw: string; readonly octets: readonly number[] };

const utf8 = new TextEncoder();

function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text[at]!)) {
      at++;
      continue;
    }
    const quoted = text[at] === '"';
    let raw = "";
    const octets: number[] = [];
    let closed = !quoted;
    for (at += quoted ? 1 : 0; at < text.length; at++) {
      const character = text[at]!;
      if (quoted ? character === '"' : /\s/.test(character)) {
        closed = true;
        at++;
        break;
      }
      const escaped =
        character === "\\" ? /^\\(?:(\d{3})|([^\d]))/.exec(text.slice(at, at + 4)) : null;
      if (character === "\\" && escaped === null) return undefined;
      if (escaped === null) {
        const whole = String.fromCodePoint(text.codePointAt(at)!);
        raw += whole;
        octets.push(...utf8.encode(whole));
        at += whole.length - 1;
        continue;
      }
      const [sequence, decimal, plain] = escaped;
      if (decimal !== undefined && Number(decimal) > 255) return undefined;
      raw += sequence;
      octets.push(...(decimal === undefined ? utf8.encode(plain) : [Number(decimal)]));
      at += sequence.length - 1;
    }
    if (!closed) return undefined;
    tokens.push({ raw, octets });
  }
  return tokens;
}

function parseGeneric([count = "", ...parts]: readonly string[]): Result<Uint8Array, string> {
  const data = parseHex(parts.join(""));
  if (!/^\d{1,5}$/.test(count) || data === undefined)
    return fail("expected \\#, the number of octets, and the octets in hexadecimal");
  if (Number(count) !== data.length) return fail(`${count} octets are told, ${data.length} given`);
  if (data.length > MAX_DATA_OCTETS) return fail(`longer than ${MAX_DATA_OCTETS} octets`);
  return ok(Uint8Array.from(data));
}

function parseField(field: Field, tokens: readonly Token[]): readonly number[] | undefined {
  const { raw, octets } = tokens[0]!;
  switch (field) {
    case "ipv4":
    case "ipv6": {
      const address = parseAddress(raw);
      return address?.length === (field === "ipv4" ? 4 : 16) ? [...address] : undefined;
    }
    case "name": {
      const name = parseName(raw);
      return name.ok ? [...name.value] : undefined;
    }
    case "u8":
      return parseNumber(raw, 1);
    case "u16":
      return parseNumber(raw, 2);
    case "u32":
      return parseNumber(raw, 4);
    case "string":
      return octets.length > MAX_STRING_OCTETS ? undefined : [octets.length, ...octets];
    case "strings":
      return tokens.every((each) => each.octets.length <= MAX_STRING_OCTETS)
        ? tokens.flatMap((each) => [each.octets.length, ...each.octets])
        : undefined;
    case "tag":
      return /^[A-Za-z0-9]{1,255}$/.test(raw) ? [octets.length, ...octets] : undefined;
    case "rest":
      return octets;
    case "hex":
      return parseHex(tokens.map((each) => each.raw).join(""));
  }
}

function parseNumber(text: string, size: number): number[] | undefined {
  if (!/^\d{1,10}$/.test(text) || Number(text) >= 2 ** (8 * size)) return undefined;
  const value = Number(text);
  return Array.from(
    { length: size },
    (_, i) => Math.floor(value / 2 ** (8 * (size - 1 - i))) % 256,
  );
}

function parseHex(text: string): number[] | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) return undefined;
  return Array.from({ length: text.length / 2 }, (_, i) =>
    parseInt(text.slice(2 * i, 2 * i + 2), 16),
  );
}
