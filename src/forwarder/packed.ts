/** Entries of the cache as octets: some 34 beside key and message, instead of five objects. */
import type { Entry } from "./cache.ts";
import { createBlocks, chainOctets } from "./blocks.ts";

/** What is kept under a key. */
export type Packed = {
  /** The number under which it can be found until it is removed. */
  add(key: string, entry: Entry): number;
  remove(at: number): void;
  /** Is this the entry of that key? */
  isOf(at: number, key: string): boolean;
  keyOf(at: number): string;
  /** A copy: nothing that happens to the entry afterwards is seen in it. */
  read(at: number): Entry;
  storedAtMs(at: number): number;
  expiresAtMs(at: number): number;
  isDenial(at: number): boolean;
  /** Counts one; how many there were then. */
  hit(at: number): number;
  settleEarly(at: number): void;
  /** The place in the share of its zone; 0: none. */
  member(at: number): number;
  setMember(at: number, member: number): void;
  /** What the entry takes. */
  octetsOf(at: number): number;
  /** What all of them take, with what is free for others. */
  readonly octets: number;
};

/** Where each part begins. The first block holds all of these. */
const STORED = 0;
const EXPIRES = 8;
const DENIAL = 16;
const MEMBER = 20;
const HITS = 24;
const SERVER = 28;
const KEY_LENGTH = 30;
const WIRE_LENGTH = 32;
const HEAD_OCTETS = 34;
/** A name has 255 octets, a message 65,535. */
const MAX_ENTRY_OCTETS = HEAD_OCTETS + 512 + 65_535;
/** Different servers' labels; entries of those beyond are without. */
const MAX_LABELS = 65_535;

/** No entry yet. Its octets grow with what is in it; the caller bounds that. */
export function createPacked(): Packed {
  const blocks = createBlocks();
  const scratch = new Uint8Array(MAX_ENTRY_OCTETS);
  const head = new DataView(scratch.buffer);
  const labels: string[] = [""];
  const labelNumbers = new Map([["", 0]]);
  /** Of the few that were fetched early. */
  const early = new Map<number, number>();
  const keyScratch = new Uint8Array(512);

  function labelNumber(label: string): number {
    const known = labelNumbers.get(label);
    if (known !== undefined) return known;
    if (labels.length > MAX_LABELS) return 0;
    labelNumbers.set(label, labels.length);
    return labels.push(label) - 1;
  }

  const uint16 = (at: number, part: number): number =>
    blocks.viewOf(at).getUint16(blocks.startOf(at) + part);
  const float = (at: number, part: number): number =>
    blocks.viewOf(at).getFloat64(blocks.startOf(at) + part);

  function lengthOf(at: number): number {
    return HEAD_OCTETS + uint16(at, KEY_LENGTH) + uint16(at, WIRE_LENGTH);
  }

  return {
    add(key, { wire, storedAtMs, expiresAtMs, denialSeconds, server, hits, earlyForMs }) {
      head.setFloat64(STORED, storedAtMs);
      head.setFloat64(EXPIRES, expiresAtMs);
      head.setInt32(DENIAL, denialSeconds);
      head.setUint32(MEMBER, 0);
      head.setUint32(HITS, hits);
      head.setUint16(SERVER, labelNumber(server));
      head.setUint16(KEY_LENGTH, key.length);
      head.setUint16(WIRE_LENGTH, wire.length);
      for (let i = 0; i < key.length; i++) scratch[HEAD_OCTETS + i] = key.charCodeAt(i);
      scratch.set(wire, HEAD_OCTETS + key.length);
      const at = blocks.add(scratch, HEAD_OCTETS + key.length + wire.length);
      if (earlyForMs > 0) early.set(at, earlyForMs);
      return at;
    },
    remove(at) {
      if (early.size > 0) early.delete(at);
      blocks.remove(at);
    },
    isOf(at, key) {
      if (uint16(at, KEY_LENGTH) !== key.length) return false;
      const own = keyScratch.subarray(0, key.length);
      blocks.copy(at, HEAD_OCTETS, own);
      for (let i = 0; i < own.length; i++) if (own[i] !== key.charCodeAt(i)) return false;
      return true;
    },
    keyOf(at) {
      const own = keyScratch.subarray(0, uint16(at, KEY_LENGTH));
      blocks.copy(at, HEAD_OCTETS, own);
      return String.fromCharCode(...own);
    },
    read(at) {
      const wire = new Uint8Array(uint16(at, WIRE_LENGTH));
      blocks.copy(at, HEAD_OCTETS + uint16(at, KEY_LENGTH), wire);
      return {
        wire,
        storedAtMs: float(at, STORED),
        expiresAtMs: float(at, EXPIRES),
        denialSeconds: blocks.viewOf(at).getInt32(blocks.startOf(at) + DENIAL),
        server: labels[uint16(at, SERVER)]!,
        hits: blocks.viewOf(at).getUint32(blocks.startOf(at) + HITS),
        earlyForMs: early.get(at) ?? 0,
      };
    },
    storedAtMs: (at) => float(at, STORED),
    expiresAtMs: (at) => float(at, EXPIRES),
    isDenial: (at) => blocks.viewOf(at).getInt32(blocks.startOf(at) + DENIAL) >= 0,
    hit(at) {
      const view = blocks.viewOf(at);
      const where = blocks.startOf(at) + HITS;
      const hits = view.getUint32(where) + 1;
      view.setUint32(where, hits);
      return hits;
    },
    settleEarly: (at) => void early.delete(at),
    member: (at) => blocks.viewOf(at).getUint32(blocks.startOf(at) + MEMBER),
    setMember: (at, member) => blocks.viewOf(at).setUint32(blocks.startOf(at) + MEMBER, member),
    octetsOf: (at) => chainOctets(lengthOf(at)),
    get octets() {
      return blocks.octets;
    },
  };
}
