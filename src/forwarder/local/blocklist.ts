/**
 * Names that are not answered, a million of them in 16 MB: only keyed hashes of 64 bits are held. That
 * another name is taken for one of them happens once in 2^64 / (entries * labels) questions.
 */
import { parseAddress } from "../../address.ts";
import { MAX_NAME_OCTETS, parseName } from "../../dns/name.ts";
import type { Blocklist } from "./decide.ts";
import { createScratch } from "./scratch.ts";
import { hashSuffixes, suffixes, type HashKey } from "./suffix-hash.ts";
import { createComplaints, createOctetLines, type OctetReader } from "./text-lines.ts";

/** Names of one file; the rest of the file is left out. */
const MAX_BLOCKED_NAMES = 4_000_000;
/** Octets of a line that room is made for. */
const USUAL_LINE_OCTETS = 16;
/** Of ten slots, how many are used before another segment is begun. */
const FULL_TENTHS = 7;

/** A list, and what it holds. */
export type NameList = Blocklist & { readonly nameCount: number; readonly octets: number };

type Segment = { lows: Uint32Array; highs: Uint32Array; used: number };

/** Hashes in open addressing. When a segment is full another is begun: nothing is ever moved, so nothing stalls. */
function createHashes(expected: number) {
  let slots = 1024;
  // Too few rather than too many: the next segment comes when it is needed.
  while (slots * 2 * FULL_TENTHS <= expected * 10) slots *= 2;
  const segments: Segment[] = [];
  const begin = (): Segment => {
    const segment = { lows: new Uint32Array(slots), highs: new Uint32Array(slots), used: 0 };
    segments.push(segment);
    return segment;
  };
  let last = begin();

  /** The slot of the hash, or the free one where it would be. 0 and 0 stands for a free slot. */
  function slotOf({ lows, highs }: Segment, low: number, high: number): number {
    const mask = lows.length - 1;
    let slot = low & mask;
    while ((lows[slot] !== low || highs[slot] !== high) && (lows[slot] !== 0 || highs[slot] !== 0))
      slot = (slot + 1) & mask;
    return slot;
  }

  function has(low: number, high: number): boolean {
    for (const segment of segments) {
      const slot = slotOf(segment, low, high);
      if (segment.lows[slot] === low && segment.highs[slot] === high)
        return low !== 0 || high !== 0;
    }
    return false;
  }

  return {
    has,
    /** Numbers of 32 bits; false if they were there. */
    add(low: number, high: number): boolean {
      if (has(low, high) || (low === 0 && high === 0)) return false;
      if (last.used * 10 >= last.lows.length * FULL_TENTHS) last = begin();
      const slot = slotOf(last, low, high);
      last.lows[slot] = low;
      last.highs[slot] = high;
      last.used++;
      return true;
    },
    get octets() {
      return segments.reduce((sum, { lows }) => sum + 8 * lows.length, 0);
    },
  };
}

/** Names in hosts files that are those of the host itself, not of somebody to block. */
const OWN_NAMES = new Set([
  "localhost",
  "localhost.localdomain",
  "local",
  "broadcasthost",
  "ip6-localhost",
  "ip6-loopback",
  "ip6-localnet",
  "ip6-mcastprefix",
  "ip6-allnodes",
  "ip6-allrouters",
  "ip6-allhosts",
  "0.0.0.0",
]);

/**
 * Reads a blocklist of about `octets`: one name per line, lines of hosts files, `address=/x/...` and
 * `local=/x/` of dnsmasq, `||x^` of ad blockers. A name stands for itself and all below it.
 */
export function createBlocklistReader(
  path: string,
  octets: number,
  key: HashKey,
): OctetReader<NameList> {
  const hashes = createHashes(Math.min(MAX_BLOCKED_NAMES, octets / USUAL_LINE_OCTETS));
  const complaints = createComplaints(path);
  let nameCount = 0;

  function add(wire: Uint8Array): void {
    hashSuffixes(wire, key);
    if (hashes.add(suffixes.low[0]!, suffixes.high[0]!)) nameCount++;
  }

  function takeText(text: string, line: number): void {
    const names = namesOf(text);
    if (names === undefined) {
      const shown = JSON.stringify(text.trim().slice(0, 40));
      complaints.add(line, `${shown} names nothing to block: left out`);
      return;
    }
    for (const name of names) {
      const wire = parseName(name);
      if (wire.ok && wire.value.length > 1) add(wire.value);
      else complaints.add(line, `${JSON.stringify(name.slice(0, 40))} is no domain name: left out`);
    }
  }

  const lines = createOctetLines(complaints, (octetsOf, start, end, line) => {
    // Most lines are plain names: no text is made of them, which would be garbage of many times the size.
    const wire = plainName(octetsOf, start, end);
    if (wire === undefined) takeText(textOf(octetsOf, start, end), line);
    else add(wire);
    if (nameCount < MAX_BLOCKED_NAMES) return true;
    complaints.add(line, `more than ${MAX_BLOCKED_NAMES} names: the rest is left out`);
    return false;
  });
  const list: NameList = {
    path,
    match(qname) {
      const count = hashSuffixes(qname, key);
      for (let label = 0; label < count; label++)
        if (hashes.has(suffixes.low[label]!, suffixes.high[label]!))
          return qname.length - 1 - suffixes.offsets[label]!;
      return -1;
    },
    get nameCount() {
      return nameCount;
    },
    get octets() {
      return hashes.octets;
    },
  };
  return {
    feed: (octets) => lines.feed(octets),
    end() {
      lines.end();
      return { value: list, problems: complaints.list };
    },
  };
}

const plain = createScratch(MAX_NAME_OCTETS);

/** The wire name of a line with nothing but letters, digits, `-`, `_` and dots; undefined for all others, and for addresses. */
function plainName(octets: Uint8Array, start: number, end: number): Uint8Array | undefined {
  if (end - start + 2 > MAX_NAME_OCTETS) return undefined;
  let lengthAt = 0;
  let hasLetter = false;
  let hasDot = false;
  for (let i = start; i <= end; i++) {
    const octet = i === end ? DOT : octets[i]!;
    const at = i - start;
    if (octet === DOT) {
      const length = at - lengthAt;
      if (length === 0 || length > MAX_LABEL_OCTETS) return undefined;
      hasDot ||= i < end;
      plain.octets[lengthAt] = length;
      lengthAt = at + 1;
      continue;
    }
    const isLetter = (octet | 0x20) >= 0x61 && (octet | 0x20) <= 0x7a;
    hasLetter ||= isLetter;
    if (!isLetter && !(octet >= 0x30 && octet <= 0x39) && octet !== 0x2d && octet !== 0x5f)
      return undefined;
    plain.octets[at + 1] = octet;
  }
  if (!hasLetter || !hasDot) return undefined;
  plain.octets[lengthAt] = 0;
  return plain.first(lengthAt + 1);
}

const DOT = 0x2e;
const MAX_LABEL_OCTETS = 63;

/** Names outside ASCII are nobody's: lists hold them as `xn--`. */
function textOf(octets: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(octets[i]!);
  return text;
}

/** Names of one line; none for an empty one or a comment, undefined for what cannot be understood. */
function namesOf(line: string): readonly string[] | undefined {
  const text = line.replace(/\s*#.*$/, "").trim();
  if (text === "" || text.startsWith("!") || text.startsWith("[")) return [];
  const dnsmasq = /^(?:address|local|server)\s*=\s*\/(.+)\/[^/]*$/.exec(text);
  if (dnsmasq !== null) return dnsmasq[1]!.split("/").map(withoutStars);
  const adblock = /^\|\|([^/^$|]+)\^$/.exec(text);
  if (adblock !== null) return [withoutStars(adblock[1]!)];
  const words = text.split(/\s+/);
  if (parseAddress(words[0]!) !== undefined)
    return words.slice(1).filter((word) => !OWN_NAMES.has(word.toLowerCase()));
  return words.length === 1 && /^[^\s|^$@=/]+$/.test(text) ? [withoutStars(text)] : undefined;
}

function withoutStars(name: string): string {
  return name.replace(/^\*?\.(?=.)/, "");
}
