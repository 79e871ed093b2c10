/**
 * What was acknowledged last, kept beside the log: SQLite's recovery silently drops every frame of
 * a write-ahead log after the first bad checksum, so a flipped bit could roll acknowledged entries
 * back without an error. After each commit one of two slots is rewritten, without waiting for the
 * disk; once a second it is synced. So it is exact after the death of the process, at most a second
 * old after the death of the machine, and never ahead of the log.
 */
import { closeSync, constants, fsync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import { readUint48, writeUint48 } from "./store-frames.ts";

/** The last row that was acknowledged; `chain` covers all before it. */
export type Mark = { clusterId: string; index: number; term: number; chain: bigint };

/** Two slots in sectors of their own: a torn write leaves the other one. */
const SLOT_OCTETS = 512;
const MAGIC = 0x4b52_4d57;
const CLUSTER_ID_OCTETS = 36;
const CRC_AT = 28 + CLUSTER_ID_OCTETS;

/** The newer of the readable slots; `null` if none is readable; throws if there is no such file. */
export function readMarker(path: string): Mark | null {
  const fd = openSync(path, "r");
  try {
    const octets = new Uint8Array(2 * SLOT_OCTETS);
    readSync(fd, octets, 0, octets.length, 0);
    const slots = [parseSlot(octets, 0), parseSlot(octets, SLOT_OCTETS)];
    const readable = slots.filter((slot) => slot !== null);
    return readable.sort((a, b) => b.sequence - a.sequence)[0]?.mark ?? null;
  } finally {
    closeSync(fd);
  }
}

function parseSlot(octets: Uint8Array, at: number): { sequence: number; mark: Mark } | null {
  const view = new DataView(octets.buffer, at, SLOT_OCTETS);
  if (view.getUint32(0, true) !== MAGIC) return null;
  const crc = crc32(octets.subarray(at, at + CRC_AT));
  if (view.getUint32(CRC_AT, true) !== crc) return null;
  const id = octets.subarray(at + 28, at + 28 + CLUSTER_ID_OCTETS);
  const mark = {
    clusterId: new TextDecoder().decode(id),
    index: readUint48(view, 8),
    term: readUint48(view, 14),
    chain: view.getBigUint64(20, true),
  };
  return { sequence: view.getUint32(4, true), mark };
}

/** Writes marks. One per store; not for use after `close`. */
export class MarkerWriter {
  readonly #fd: number;
  readonly #slot = new Uint8Array(SLOT_OCTETS);
  readonly #view = new DataView(this.#slot.buffer);
  #sequence = 0;
  #dirty = false;

  /** Both slots are rewritten, so that what an earlier life left cannot be mistaken for ours. */
  constructor(path: string, mark: Mark) {
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    this.write(mark);
    fsyncSync(this.#fd);
    this.write(mark);
    fsyncSync(this.#fd);
    this.#dirty = false;
  }

  write({ clusterId, index, term, chain }: Mark): void {
    const view = this.#view;
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, ++this.#sequence, true);
    writeUint48(view, 8, index);
    writeUint48(view, 14, term);
    view.setBigUint64(20, chain, true);
    for (let at = 0; at < CLUSTER_ID_OCTETS; at++) this.#slot[28 + at] = clusterId.charCodeAt(at);
    view.setUint32(CRC_AT, crc32(this.#slot.subarray(0, CRC_AT)), true);
    writeSync(this.#fd, this.#slot, 0, SLOT_OCTETS, (this.#sequence & 1) * SLOT_OCTETS);
    this.#dirty = true;
  }

  /** Resolves at once when nothing was written since the last one. */
  sync(): Promise<void> {
    if (!this.#dirty) return Promise.resolve();
    this.#dirty = false;
    return new Promise((resolve, reject) =>
      fsync(this.#fd, (error) => (error ? reject(error) : resolve())),
    );
  }

  close(): void {
    fsyncSync(this.#fd);
    closeSync(this.#fd);
  }
}
