/** Snapshot files between the network, the disk and the compressor; what is in them: snapshot-archive.ts. */
import { createHash } from "node:crypto";
import { type FileHandle, mkdtemp, open, rm, statfs } from "node:fs/promises";
import { freemem } from "node:os";
import { join } from "node:path";
import { pipeline, Readable } from "node:stream";
import { createGunzip, createGzip } from "node:zlib";
import { fail, ok, type Result } from "../../base.ts";
import {
  ArchiveCheck,
  type ArchiveHead,
  archiveEnd,
  archiveStart,
  headLine,
  openArchive,
} from "../../cluster/snapshot-archive.ts";

/** The fastest level: JSON shrinks to a quarter with it, and a save is limited by this step. */
const GZIP_LEVEL = 1;
/** The header that the compressor writes and ours replaces. */
const GZIP_HEADER_OCTETS = 10;
/** Octets of uploads between two looks at the disk, and what must be left on it. */
const SPACE_CHECK_OCTETS = 16 * 1024 * 1024;
const FREE_OCTETS_MIN = 256 * 1024 * 1024;
/** An upload that takes longer is given up: it holds one of few places. */
const UPLOAD_MS_MAX = 60 * 60 * 1000;
const READ_OCTETS = 64 * 1024;
/** What an image may have unpacked: this much in any case, and never more than the other. */
const IMAGE_OCTETS_ALWAYS = 256 * 1024 * 1024;
const IMAGE_OCTETS_MAX = 4 * 1024 * 1024 * 1024;

/** The file, drawn as the reader asks for it; whoever stops early frees everything. */
export async function* packArchive(
  head: ArchiveHead,
  image: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const sha = createHash("sha256");
  const start = archiveStart();
  sha.update(start);
  yield start;
  const gzip = createGzip({ level: GZIP_LEVEL });
  // An error of the source destroys the compressor, and with it the loop below.
  pipeline(Readable.from(withHead(head, image), { highWaterMark: 1 }), gzip, () => {});
  let skip = GZIP_HEADER_OCTETS;
  for await (const chunk of gzip as AsyncIterable<Uint8Array>) {
    const octets = chunk.subarray(skip);
    skip -= chunk.length - octets.length;
    if (octets.length === 0) continue;
    sha.update(octets);
    yield octets;
  }
  yield archiveEnd(sha.digest());
}

async function* withHead(
  head: ArchiveHead,
  image: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield headLine(head);
  yield* image;
}

/** A file that has arrived whole. */
export type Upload = {
  head: ArchiveHead;
  /** Unpacked as it is drawn, once. */
  image: AsyncIterable<Uint8Array>;
  discard: () => Promise<void>;
};

/**
 * Takes an upload into a nameless file in `dir` and checks it on the way; its sender may be as slow
 * as it likes. The error completes the sentence "the snapshot is refused: ...".
 */
export async function receiveArchive(
  body: AsyncIterable<Uint8Array>,
  dir: string,
): Promise<Result<Upload, string>> {
  const file = await createNameless(dir);
  try {
    const received = await receive(body, file, dir);
    const opened = received.ok
      ? await openArchive(unpack(file, received.value), imageOctetsMax())
      : received;
    if (!opened.ok) {
      await file.close();
      return opened;
    }
    return ok({ ...opened.value, discard: () => file.close() });
  } catch (error) {
    await file.close();
    return fail(error instanceof Error ? error.message : String(error));
  }
}

/** Read, written and forgotten with its handle, also when the process is killed. */
async function createNameless(dir: string): Promise<FileHandle> {
  const folder = await mkdtemp(join(dir, "snapshot-upload-"));
  try {
    return await open(join(folder, "archive"), "wx+", 0o600);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Octets of the first member. */
async function receive(
  body: AsyncIterable<Uint8Array>,
  file: FileHandle,
  dir: string,
): Promise<Result<number, string>> {
  const check = new ArchiveCheck(createHash("sha256"));
  const endMs = performance.now() + UPLOAD_MS_MAX;
  let octets = 0;
  let checkedOctets = -SPACE_CHECK_OCTETS;
  for await (const chunk of body) {
    if (performance.now() > endMs) return fail("it did not arrive within an hour");
    if (octets - checkedOctets >= SPACE_CHECK_OCTETS) {
      checkedOctets = octets;
      const { bavail, bsize } = await statfs(dir);
      if (bavail * bsize < FREE_OCTETS_MIN) return fail(`there is no room for it in ${dir}`);
    }
    const problem = check.add(chunk);
    if (problem !== undefined) return fail(problem);
    for (let at = 0; at < chunk.length;)
      at += (await file.write(chunk, at, chunk.length - at, octets + at)).bytesWritten;
    octets += chunk.length;
  }
  return check.finish();
}

/** The data of the first member, which ends before octet `end` of the file. */
function unpack(file: FileHandle, end: number): AsyncIterator<Uint8Array> {
  const gunzip = createGunzip({ chunkSize: READ_OCTETS });
  pipeline(Readable.from(readFrom(file, end), { highWaterMark: 1 }), gunzip, () => {});
  return (gunzip as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
}

async function* readFrom(file: FileHandle, end: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < end;) {
    const buffer = new Uint8Array(Math.min(READ_OCTETS, end - at));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) throw new Error("its file ends too early");
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Records take several times the room of their rows, and the old state stays until the end. */
function imageOctetsMax(): number {
  return Math.min(IMAGE_OCTETS_MAX, Math.max(IMAGE_OCTETS_ALWAYS, Math.floor(freemem() / 4)));
}
