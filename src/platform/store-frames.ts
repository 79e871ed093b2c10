/**
 * Octets as they pass between the main thread and the store's thread, and as they lie in snapshot
 * files: frames of (length, CRC-32 of the payload, payload), little-endian. Whoever crosses the
 * thread boundary sends many frames in one transferred buffer. The CRC is filled in by `seal`, on
 * the store's thread.
 */
import { crc32 } from "node:zlib";
import type { LogRow } from "../ports.ts";

/** Length and CRC before each payload. */
export const FRAME_HEADER_OCTETS = 8;
/** index (48 bits), term (48 bits), kind (8 bits) before the data. */
export const ROW_HEADER_OCTETS = 13;
/** Largest payload that is believed when read; larger ones mean damage. */
export const MAX_PAYLOAD_OCTETS = 64 * 1024 * 1024;

/** Frames in one transferable buffer. */
export type Frames = { buffer: ArrayBuffer; octets: number };

const KINDS = ["command", "restore"] as const;

/** Packs rows; the data is copied, so the caller's arrays stay its own. */
export function packRows(rows: readonly LogRow[]): Frames {
  let octets = 0;
  for (const { data } of rows) octets += FRAME_HEADER_OCTETS + ROW_HEADER_OCTETS + data.length;
  const buffer = new ArrayBuffer(octets);
  const view = new DataView(buffer);
  const all = new Uint8Array(buffer);
  let at = 0;
  for (const row of rows) {
    view.setUint32(at, ROW_HEADER_OCTETS + row.data.length, true);
    at += FRAME_HEADER_OCTETS;
    writeRowHeader(view, at, row.index, row.term, KINDS.indexOf(row.kind));
    all.set(row.data, at + ROW_HEADER_OCTETS);
    at += ROW_HEADER_OCTETS + row.data.length;
  }
  return { buffer, octets };
}

/** The rows of verified frames; their data are views of the buffer. */
export function unpackRows({ buffer, octets }: Frames): LogRow[] {
  const view = new DataView(buffer);
  const rows: LogRow[] = [];
  for (let at = 0; at < octets;) {
    const length = view.getUint32(at, true);
    at += FRAME_HEADER_OCTETS;
    const data = new Uint8Array(buffer, at + ROW_HEADER_OCTETS, length - ROW_HEADER_OCTETS);
    rows.push({
      index: readUint48(view, at),
      term: readUint48(view, at + 6),
      kind: KINDS[view.getUint8(at + 12)]!,
      data,
    });
    at += length;
  }
  return rows;
}

/** Packs chunks of a snapshot, one frame each. */
export function packChunks(chunks: readonly Uint8Array[]): Frames {
  const octets = chunks.reduce((sum, { length }) => sum + FRAME_HEADER_OCTETS + length, 0);
  const buffer = new ArrayBuffer(octets);
  const view = new DataView(buffer);
  const all = new Uint8Array(buffer);
  let at = 0;
  for (const chunk of chunks) {
    view.setUint32(at, chunk.length, true);
    all.set(chunk, at + FRAME_HEADER_OCTETS);
    at += FRAME_HEADER_OCTETS + chunk.length;
  }
  return { buffer, octets };
}

/** The chunks of verified frames, as views of the buffer. */
export function unpackChunks({ buffer, octets }: Frames): Uint8Array[] {
  const view = new DataView(buffer);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < octets;) {
    const length = view.getUint32(at, true);
    chunks.push(new Uint8Array(buffer, at + FRAME_HEADER_OCTETS, length));
    at += FRAME_HEADER_OCTETS + length;
  }
  return chunks;
}

/** Writes the CRC of every frame; returns the number of frames. */
export function seal({ buffer, octets }: Frames): number {
  const view = new DataView(buffer);
  let count = 0;
  for (let at = 0; at < octets; count++) {
    const length = view.getUint32(at, true);
    const payload = new Uint8Array(buffer, at + FRAME_HEADER_OCTETS, length);
    view.setUint32(at + 4, crc32(payload), true);
    at += FRAME_HEADER_OCTETS + length;
  }
  return count;
}

/** Writes the ROW_HEADER_OCTETS before a row's data at offset `at`. */
export function writeRowHeader(
  view: DataView,
  at: number,
  index: number,
  term: number,
  kind: number,
): void {
  writeUint48(view, at, index);
  writeUint48(view, at + 6, term);
  view.setUint8(at + 12, kind);
}

/** Little-endian; indexes and terms fit into it and into a number. */
export function readUint48(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint16(at + 4, true) * 0x1_0000_0000;
}

/** Little-endian. */
export function writeUint48(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint16(at + 4, Math.floor(value / 0x1_0000_0000), true);
}
