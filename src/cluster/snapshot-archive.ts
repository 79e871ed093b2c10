/**
 * The snapshot file that a user saves and restores, version 1. It is a gzip file (RFC 1952) of two
 * members, so that gzip and zcat read it:
 *
 *   1. Header of 18 octets with an extra field "WP" (2 octets: the version, little endian); the data:
 *      a line of JSON (what the snapshot is of, see ArchiveHead), ended by a line feed, then the
 *      image of the state: snapshot-frames.ts, frames with a CRC-32 each.
 *   2. The last 58 octets: no data; its extra field "WS" holds the SHA-256 of all octets before it.
 *
 * Every octet of the file is fixed or hashed, so a file that is cut off, mixed up or foreign is known
 * before anything of it is unpacked.
 */
import { fail, ok, type Result } from "../base.ts";

/** First line of the data. `index` and `term` are those of the last entry that the image holds. */
export type ArchiveHead = {
  index: number;
  term: number;
  datacenter: string;
  /** Of the program that saved it. */
  version: string;
  /** Milliseconds since 1970. */
  savedMs: number;
};

/** SHA-256 under way. */
export type Sha256 = { update(octets: Uint8Array): unknown; digest(): Uint8Array };

const VERSION = 1;
const LF = 10;
/** Deflate, with an extra field, without a time, from an unknown system. */
const MEMBER = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255] as const;
const START = Uint8Array.from([...MEMBER, 6, 0, 0x57, 0x50, 2, 0, VERSION, 0]);
const END_BEFORE_HASH = Uint8Array.from([...MEMBER, 36, 0, 0x57, 0x53, 32, 0]);
const HASH_OCTETS = 32;
/** An empty deflate block, CRC-32 and length of no data. */
const END_AFTER_HASH = Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0, 0);
/** Octets of the second member. */
export const ARCHIVE_END_OCTETS = END_BEFORE_HASH.length + HASH_OCTETS + END_AFTER_HASH.length;

const HEAD_OCTETS_MAX = 4096;
/** The log goes on above the index of a restored file. Indexes have 48 bits on disk: half of them stay for it. */
const INDEX_MAX = 2 ** 47;
const encoder = new TextEncoder();

/** Header of the first member, in the place of the one that a compressor writes. */
export const archiveStart = (): Uint8Array => START.slice();

/** The second member; the hash is of everything before it. */
export function archiveEnd(sha256: Uint8Array): Uint8Array {
  const octets = new Uint8Array(ARCHIVE_END_OCTETS);
  octets.set(END_BEFORE_HASH);
  octets.set(sha256, END_BEFORE_HASH.length);
  octets.set(END_AFTER_HASH, END_BEFORE_HASH.length + HASH_OCTETS);
  return octets;
}

/** The line before the image. */
export function headLine(head: ArchiveHead): Uint8Array {
  return encoder.encode(`${JSON.stringify({ "waypost-snapshot": VERSION, ...head })}\n`);
}

/** Takes the octets of a file as they come and says at the end whether it is whole. */
export class ArchiveCheck {
  readonly #sha: Sha256;
  /** The last octets so far: they may be the second member. */
  #tail = new Uint8Array(0);
  #octets = 0;
  #start: number[] = [];

  constructor(sha: Sha256) {
    this.#sha = sha;
  }

  /** The problem, if the file cannot be one of ours any more. */
  add(octets: Uint8Array): string | undefined {
    for (let i = 0; this.#start.length < START.length && i < octets.length; i++)
      this.#start.push(octets[i]!);
    this.#octets += octets.length;
    const held = new Uint8Array(this.#tail.length + octets.length);
    held.set(this.#tail);
    held.set(octets, this.#tail.length);
    const cut = Math.max(0, held.length - ARCHIVE_END_OCTETS);
    this.#sha.update(held.subarray(0, cut));
    this.#tail = held.slice(cut);
    return this.#foreign();
  }

  /** Octets of the first member. */
  finish(): Result<number, string> {
    const foreign = this.#foreign();
    if (foreign !== undefined) return fail(foreign);
    if (this.#octets === 0) return fail("it is empty");
    const expected = archiveEnd(this.#sha.digest());
    const isWhole = this.#octets >= START.length + ARCHIVE_END_OCTETS;
    if (!isWhole || !startsWith(this.#tail, expected.subarray(0, END_BEFORE_HASH.length)))
      return fail("it is cut off or damaged at its end");
    if (!startsWith(this.#tail, expected))
      return fail("its checksum does not match, it is damaged");
    return ok(this.#octets - ARCHIVE_END_OCTETS);
  }

  #foreign(): string | undefined {
    const start = this.#start;
    const differs = start.findIndex((octet, i) => octet !== START[i]);
    if (differs < 0) return undefined;
    if (differs < 3) return "it is not a gzip file, and no snapshot of waypost";
    if (start.length < START.length) return undefined;
    if (startsWith(Uint8Array.from(start), START.subarray(0, -2)))
      return `it has version ${start.at(-2)! + 256 * start.at(-1)!}, this waypost knows ${VERSION}`;
    return "it is a gzip file, but no snapshot of waypost (those of Consul cannot be restored)";
  }
}

function startsWith(octets: Uint8Array, start: Uint8Array): boolean {
  return start.length <= octets.length && start.every((octet, i) => octets[i] === octet);
}

/**
 * Parts the unpacked data into its first line and the image. More octets than `octetsMax` are taken
 * for an attempt to fill the memory: the image then ends with an Error.
 */
export async function openArchive(
  data: AsyncIterator<Uint8Array>,
  octetsMax: number,
): Promise<Result<{ head: ArchiveHead; image: AsyncIterable<Uint8Array> }, string>> {
  let first = new Uint8Array(0);
  let end = -1;
  while (end < 0 && first.length < HEAD_OCTETS_MAX) {
    const next = await data.next();
    if (next.done === true) return fail("its first line is missing");
    const joined = new Uint8Array(first.length + next.value.length);
    joined.set(first);
    joined.set(next.value, first.length);
    first = joined;
    end = first.subarray(0, HEAD_OCTETS_MAX).indexOf(LF);
  }
  const head = end < 0 ? undefined : parseHead(first.subarray(0, end));
  if (head === undefined) return fail("its first line is not that of a snapshot");
  return ok({ head, image: imageOf(first.subarray(end + 1), data, octetsMax) });
}

async function* imageOf(
  first: Uint8Array,
  more: AsyncIterator<Uint8Array>,
  octetsMax: number,
): AsyncGenerator<Uint8Array> {
  let octets = first.length;
  try {
    if (first.length > 0) yield first;
    for (;;) {
      const next = await more.next();
      if (next.done === true) return;
      octets += next.value.length;
      if (octets > octetsMax)
        throw new Error(
          `it has more than ${octetsMax} octets unpacked, for which there is no room`,
        );
      yield next.value;
    }
  } finally {
    await more.return?.();
  }
}

function parseHead(line: Uint8Array): ArchiveHead | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const given = value as Record<string, unknown>;
  const { index, term, datacenter, version, savedMs } = given;
  if (given["waypost-snapshot"] !== VERSION || !isCounter(index) || !isCounter(term))
    return undefined;
  if (index > INDEX_MAX) return undefined;
  if (typeof datacenter !== "string" || typeof version !== "string" || !isCounter(savedMs))
    return undefined;
  return { index, term, datacenter, version, savedMs };
}

function isCounter(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
