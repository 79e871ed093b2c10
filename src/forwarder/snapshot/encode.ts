/**
 * The cache as octets that outlive the process. Blocks of: length and CRC-32 of the rest (32 bits each,
 * big-endian), the rest. The first block is JSON: format, and the groups whose answers follow. Then
 * blocks of entries, then one of JSON that counts them, so that a file cut short is noticed. Times are of
 * the wall clock, for the next process has another monotonic one.
 */
import { crc32 } from "../../crc32.ts";
import type { Entry } from "../cache.ts";
import { groupIdOf } from "../key.ts";

/** Of the file; another one is not read. */
export const FORMAT = "waypost-cache-1";
/** Octets of a block's length and checksum. */
export const HEAD_OCTETS = 8;
/** A block is closed when it has this many; entries are not split. */
const BLOCK_OCTETS = 64 * 1024;

/** One group of servers. `print` says all that makes its answers what they are. */
export type GroupPrint = { id: number; print: string };

/** The first block. */
export type Header = { format: string; groups: GroupPrint[] };

/** The last block. */
export type Trailer = { entries: number };

export type SnapshotSource = {
  /** undefined: a place to pause. */
  entries: Iterable<{ key: string; entry: Entry } | undefined>;
  groups: readonly GroupPrint[];
  /** What to add to monotonic times to get wall time. */
  wallOffsetMs: number;
};

/** Octets of an entry beside key, server and message. */
const FIXED_OCTETS = 2 + 8 + 8 + 4 + 1 + 1 + 4;

const utf8 = new TextEncoder();

/** The blocks in order; undefined where the caller may pause, which is before every block at least. */
export function* encodeSnapshot(source: SnapshotSource): Generator<Uint8Array | undefined, void> {
  const ids = new Set(source.groups.map(({ id }) => id));
  const header: Header = { format: FORMAT, groups: [...source.groups] };
  yield sealed(withRoom(utf8.encode(JSON.stringify(header))));
  let count = 0;
  let block = new Block();
  for (const found of source.entries) {
    if (found === undefined) {
      yield undefined;
      continue;
    }
    // Nobody would ask for what servers said that are no more.
    if (!ids.has(groupIdOf(found.key))) continue;
    block.add(found.key, found.entry, source.wallOffsetMs);
    count++;
    if (block.length < BLOCK_OCTETS) continue;
    yield undefined;
    yield sealed(block.octets());
    block = new Block();
  }
  if (block.length > HEAD_OCTETS) yield sealed(block.octets());
  const trailer: Trailer = { entries: count };
  yield sealed(withRoom(utf8.encode(JSON.stringify(trailer))));
}

function withRoom(octets: Uint8Array): Uint8Array {
  const block = new Uint8Array(HEAD_OCTETS + octets.length);
  block.set(octets, HEAD_OCTETS);
  return block;
}

/** Fills in length and checksum. */
function sealed(block: Uint8Array): Uint8Array {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  view.setUint32(0, block.length - HEAD_OCTETS);
  view.setUint32(4, crc32(block.subarray(HEAD_OCTETS)));
  return block;
}

/** Entries one behind the other. A class because it grows with hidden memory. */
class Block {
  length = HEAD_OCTETS;
  #octets = new Uint8Array(BLOCK_OCTETS + 4096);

  add(key: string, entry: Entry, wallOffsetMs: number): void {
    const { wire, server } = entry;
    const end = this.length + FIXED_OCTETS + key.length + server.length + wire.length;
    if (end > this.#octets.length) {
      const larger = new Uint8Array(end);
      larger.set(this.#octets.subarray(0, this.length));
      this.#octets = larger;
    }
    const octets = this.#octets;
    const view = new DataView(octets.buffer);
    let at = this.length;
    view.setUint16(at, key.length);
    view.setFloat64(at + 2, entry.storedAtMs + wallOffsetMs);
    view.setFloat64(at + 10, entry.expiresAtMs + wallOffsetMs);
    view.setInt32(at + 18, entry.denialSeconds);
    view.setUint8(at + 22, Math.min(entry.hits, 255));
    view.setUint8(at + 23, server.length);
    view.setUint32(at + 24, wire.length);
    at += FIXED_OCTETS;
    for (let i = 0; i < key.length; i++) octets[at + i] = key.charCodeAt(i);
    at += key.length;
    for (let i = 0; i < server.length; i++) octets[at + i] = server.charCodeAt(i);
    at += server.length;
    octets.set(wire, at);
    this.length = at + wire.length;
  }

  octets(): Uint8Array {
    return this.#octets.subarray(0, this.length);
  }
}
