/**
 * Snapshot files: a frame with a JSON header, one frame per chunk of the state machine, and a
 * trailer {0xffffffff, count, SHA-256 of all before}. Written to a temporary name, synced, renamed,
 * folder synced; a file counts only when the log says so. Runs on the store's own thread.
 */
import {
  closeSync,
  fdatasync,
  fsync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { SnapshotFile } from "../ports.ts";
import { damaged } from "./store-damage.ts";
import {
  FRAME_HEADER_OCTETS,
  type Frames,
  MAX_PAYLOAD_OCTETS,
  packChunks,
  seal,
} from "./store-frames.ts";
import type { RecordedSnapshot } from "./store-log.ts";

const FORMAT = 1;
const TRAILER = 0xffff_ffff;
const TRAILER_OCTETS = 8 + 32;
/** Data written between two syncs, so that the last one does not wait for the whole file. */
const SYNC_OCTETS = 8 * 1024 * 1024;
const READ_OCTETS = 256 * 1024;

/** Name of the snapshot that ends with this entry. */
function snapshotName(at: { index: number; term: number }): string {
  return `snapshot-${at.term}-${at.index}`;
}

/** Names that only this store gives: finished or interrupted snapshots. */
export function isSnapshotName(name: string): boolean {
  return /^snapshot-\d+-\d+(\.tmp)?$/.test(name);
}

/** A snapshot file under construction; it has its final name only once it is whole and synced. */
export class SnapshotWriter {
  readonly #dir: string;
  readonly #at: { index: number; term: number };
  readonly #path: string;
  readonly #fd: number;
  readonly #sha = new Bun.CryptoHasher("sha256");
  #open = true;
  #octets = 0;
  #unsynced = 0;
  #count = 0;

  constructor(dir: string, at: { index: number; term: number }, clusterId: string) {
    this.#dir = dir;
    this.#at = at;
    this.#path = join(dir, `${snapshotName(at)}.tmp`);
    this.#fd = openSync(this.#path, "w", 0o600);
    const header = JSON.stringify({ format: FORMAT, clusterId, ...at });
    const frame = packChunks([new TextEncoder().encode(header)]);
    seal(frame);
    this.#put(new Uint8Array(frame.buffer, 0, frame.octets));
  }

  /** Appends chunks; waits for the disk now and then, without blocking the thread. */
  async write(frames: Frames): Promise<void> {
    this.#count += seal(frames);
    this.#put(new Uint8Array(frames.buffer, 0, frames.octets));
    if (this.#unsynced < SYNC_OCTETS) return;
    this.#unsynced = 0;
    await called((done) => fdatasync(this.#fd, done));
  }

  /** Trailer, sync, rename, sync of the folder. */
  async finish(): Promise<SnapshotFile & { sha256: string }> {
    const trailer = new Uint8Array(TRAILER_OCTETS);
    const view = new DataView(trailer.buffer);
    view.setUint32(0, TRAILER, true);
    view.setUint32(4, this.#count, true);
    this.#sha.update(trailer.subarray(0, 8));
    const digest = this.#sha.digest();
    trailer.set(digest, 8);
    writeAll(this.#fd, trailer);
    await called((done) => fsync(this.#fd, done));
    this.#close();
    const name = snapshotName(this.#at);
    renameSync(this.#path, join(this.#dir, name));
    syncFolder(this.#dir);
    const octets = this.#octets + TRAILER_OCTETS;
    return { ...this.#at, octets, name, sha256: digest.toString("hex") };
  }

  abort(): void {
    this.#close();
    rmSync(this.#path, { force: true });
  }

  #close(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }

  #put(octets: Uint8Array): void {
    writeAll(this.#fd, octets);
    this.#sha.update(octets);
    this.#octets += octets.length;
    this.#unsynced += octets.length;
  }
}

/** Chunks of a snapshot file in buffers of about 256 KiB, each verified; at the end, the whole. */
export function* readSnapshotFile(
  dir: string,
  file: SnapshotFile | RecordedSnapshot,
  clusterId: string,
): Generator<Frames> {
  const path = join(dir, file.name);
  const bad = (finding: string): Error => damaged(path, finding);
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    throw bad(`cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    const size = statSync(path).size;
    if (size !== file.octets) throw bad(`has ${size} octets, not ${file.octets}`);
    yield* readFrames(fd, size, file, clusterId, bad);
  } finally {
    closeSync(fd);
  }
}

function* readFrames(
  fd: number,
  size: number,
  file: SnapshotFile | RecordedSnapshot,
  clusterId: string,
  bad: (finding: string) => Error,
): Generator<Frames> {
  const sha = new Bun.CryptoHasher("sha256");
  const end = size - TRAILER_OCTETS;
  let count = 0;
  for (let from = 0; from < end;) {
    const frames = readWhole(fd, from, end, bad);
    sha.update(new Uint8Array(frames.buffer, 0, frames.octets));
    const first = from === 0 ? checkHeader(frames, file, clusterId, bad) : 0;
    count += countVerified(frames, first, from, bad);
    from += frames.octets;
    if (first < frames.octets) {
      const buffer = first === 0 ? frames.buffer : frames.buffer.slice(first, frames.octets);
      yield { buffer, octets: frames.octets - first };
    }
  }
  const trailer = new Uint8Array(TRAILER_OCTETS);
  readAll(fd, trailer, end, bad);
  const view = new DataView(trailer.buffer);
  sha.update(trailer.subarray(0, 8));
  const digest = sha.digest("hex");
  const isWhole =
    view.getUint32(0, true) === TRAILER &&
    view.getUint32(4, true) === count &&
    digest === Buffer.from(trailer.subarray(8)).toString("hex") &&
    digest === ("sha256" in file ? file.sha256 : digest);
  if (!isWhole) throw bad("the checksum of the whole does not match");
}

/** As many whole frames as fit into READ_OCTETS, at least one. */
function readWhole(fd: number, from: number, end: number, bad: (finding: string) => Error): Frames {
  let octets = Math.min(READ_OCTETS, end - from);
  let buffer = new ArrayBuffer(octets);
  readAll(fd, new Uint8Array(buffer), from, bad);
  const next = (at: number): number => {
    if (at + FRAME_HEADER_OCTETS > octets) return Infinity;
    return at + FRAME_HEADER_OCTETS + new DataView(buffer).getUint32(at, true);
  };
  const first = next(0);
  if (first > octets) {
    if (first > Math.min(end - from, MAX_PAYLOAD_OCTETS + FRAME_HEADER_OCTETS))
      throw bad(`a length at octet ${from} is wrong`);
    octets = first;
    buffer = new ArrayBuffer(octets);
    readAll(fd, new Uint8Array(buffer), from, bad);
    return { buffer, octets };
  }
  let at = first;
  while (next(at) <= octets) at = next(at);
  return { buffer, octets: at };
}

function checkHeader(
  frames: Frames,
  file: SnapshotFile,
  clusterId: string,
  bad: (finding: string) => Error,
): number {
  const length = new DataView(frames.buffer).getUint32(0, true);
  const octets = new Uint8Array(frames.buffer, FRAME_HEADER_OCTETS, length);
  if (crc32(octets) !== new DataView(frames.buffer).getUint32(4, true))
    throw bad("the header does not match its checksum");
  const header = JSON.parse(new TextDecoder().decode(octets)) as Record<string, unknown>;
  if (header["format"] !== FORMAT) throw bad(`has format ${String(header["format"])}`);
  if (header["clusterId"] !== clusterId) throw bad("belongs to another cluster");
  if (header["index"] !== file.index || header["term"] !== file.term)
    throw bad("is of another index or term");
  return FRAME_HEADER_OCTETS + length;
}

function countVerified(
  frames: Frames,
  first: number,
  from: number,
  bad: (finding: string) => Error,
): number {
  const view = new DataView(frames.buffer);
  let count = 0;
  for (let at = first; at < frames.octets; count++) {
    const length = view.getUint32(at, true);
    const payload = new Uint8Array(frames.buffer, at + FRAME_HEADER_OCTETS, length);
    if (crc32(payload) !== view.getUint32(at + 4, true))
      throw bad(`the data at octet ${from + at} do not match their checksum`);
    at += FRAME_HEADER_OCTETS + length;
  }
  return count;
}

/** Makes names in `dir` durable. */
export function syncFolder(dir: string): void {
  const fd = openSync(dir, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function writeAll(fd: number, octets: Uint8Array): void {
  for (let at = 0; at < octets.length;) at += writeSync(fd, octets, at, octets.length - at);
}

function readAll(
  fd: number,
  into: Uint8Array,
  from: number,
  bad: (finding: string) => Error,
): void {
  for (let at = 0; at < into.length;) {
    const count = readSync(fd, into, at, into.length - at, from + at);
    if (count === 0) throw bad(`ends at octet ${from + at}`);
    at += count;
  }
}

function called(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())));
}
