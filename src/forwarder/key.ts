/** Questions as keys of the cache: what makes two of them the same, and choosing among kept ones. */
import { TYPE } from "../dns/rr.ts";

/** A question as a key. A class because most questions never need the second of its texts. */
export class Key {
  /** Folded QNAME, QTYPE, QCLASS, flags, group. */
  readonly exact: string;
  #name: string | undefined;

  constructor(exact: string) {
    this.exact = exact;
  }

  /** The same with QTYPE 0: NXDOMAIN is about the name, not the type (RFC 2308 5, RFC 8020 2). */
  get name(): string {
    const end = this.exact.length - KEY_TAIL;
    return (this.#name ??= `${this.exact.slice(0, end)}\0\0${this.exact.slice(end + 2)}`);
  }

  /** The same for a failure that is the word of the first server alone: others may know better. */
  get firstReply(): string {
    const at = this.exact.length - KEY_TAIL + FLAGS_AT;
    const flags = this.exact.charCodeAt(at) | FIRST_REPLY;
    return this.exact.slice(0, at) + String.fromCharCode(flags) + this.exact.slice(at + 1);
  }
}

/** Octets of a key behind the name. */
const KEY_TAIL = 7;
/** Where among these the flags stand. */
const FLAGS_AT = 4;
/** Beside those of DO and CD. */
const FIRST_REPLY = 4;

/** One octet, one character: every octet has a character of its own. */
const text = new TextDecoder("latin1");

export type KeyParts = {
  qname: Uint8Array;
  qtype: number;
  qclass: number;
  do: boolean;
  cd: boolean;
};

/**
 * Answers with DO carry proofs, answers with CD were not checked (RFC 4035 3.2.2): neither is given to
 * clients that did not ask so, and `groupId` keeps apart what different servers say (16 bits of it).
 */
export function cacheKey(
  { qname, qtype, qclass, do: dnssecOk, cd }: KeyParts,
  groupId: number,
): Key {
  const octets = new Uint8Array(qname.length + KEY_TAIL);
  foldInto(octets, qname);
  const tail = qname.length;
  octets[tail] = qtype >> 8;
  octets[tail + 1] = qtype;
  octets[tail + 2] = qclass >> 8;
  octets[tail + 3] = qclass;
  octets[tail + FLAGS_AT] = (dnssecOk ? 1 : 0) | (cd ? 2 : 0);
  octets[tail + 5] = groupId >> 8;
  octets[tail + 6] = groupId;
  return new Key(text.decode(octets));
}

function foldInto(octets: Uint8Array, name: Uint8Array): void {
  for (let i = 0; i < name.length; i++) {
    const octet = name[i]!;
    octets[i] = octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
  }
}

/** Types that no cache may answer from: meta types (RFC 6895 3.1: 128 to 255, ANY among them), 0 and OPT. */
export function isCacheableType(qtype: number): boolean {
  return qtype !== 0 && qtype !== TYPE.OPT && (qtype < 128 || qtype > 255);
}

/** Entries by name (null: all), with `subtree` also below it, and by type (null: all). */
export type Selection = { name: Uint8Array | null; subtree: boolean; type: number | null };

/** The name of a zone as a text that is the same for every spelling. */
export function zoneKey(name: Uint8Array): string {
  const folded = new Uint8Array(name.length);
  foldInto(folded, name);
  return text.decode(folded);
}

/** A denial of the name (type 0) answers every type, so it is selected by each. */
export function selector({ name, subtree, type }: Selection): (key: string) => boolean {
  const wanted = name === null ? "" : zoneKey(name);
  const isNamed = subtree ? isBelow : isExactly;
  return (key) => {
    if (name !== null && !isNamed(key, wanted)) return false;
    const own = keyType(key);
    return type === null || own === type || own === 0;
  };
}

function keyType(key: string): number {
  const at = key.length - KEY_TAIL;
  return (key.charCodeAt(at) << 8) | key.charCodeAt(at + 1);
}

/** The parts of a key; `type` 0 is a denial of the name. */
export function parseKey(key: string): {
  name: Uint8Array;
  type: number;
  do: boolean;
  cd: boolean;
} {
  const end = key.length - KEY_TAIL;
  const name = new Uint8Array(end);
  for (let i = 0; i < end; i++) name[i] = key.charCodeAt(i);
  const flags = key.charCodeAt(end + FLAGS_AT);
  return { name, type: keyType(key), do: (flags & 1) !== 0, cd: (flags & 2) !== 0 };
}

function isExactly(key: string, name: string): boolean {
  return key.length === name.length + KEY_TAIL && key.startsWith(name);
}

function isBelow(key: string, name: string): boolean {
  const end = key.length - KEY_TAIL;
  if (key.slice(0, end).endsWith(name) === false) return false;
  const start = end - name.length;
  let at = 0;
  while (at < start) at += key.charCodeAt(at) + 1;
  return at === start;
}

/** The group of a key. */
export function groupIdOf(key: string): number {
  const at = key.length - 2;
  return (key.charCodeAt(at) << 8) | key.charCodeAt(at + 1);
}

/** The same question to another group. */
export function inGroup(key: string, groupId: number): string {
  const tail = String.fromCharCode((groupId >> 8) & 0xff, groupId & 0xff);
  return key.slice(0, -2) + tail;
}
