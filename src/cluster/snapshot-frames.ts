/**
 * Octets of a snapshot: the magic "WPSTATE1", then frames: length of the payload (uint32, little
 * endian), CRC-32 of the payload (uint32, little endian), payload. A payload is a JSON array of rows
 * in UTF-8; what the rows mean stands in snapshot-rows.ts.
 */
import { fail, ok, type Result } from "../base.ts";
import { crc32 } from "./crc32.ts";

/** One row of a snapshot: JSON values, the first one says what kind. */
export type Row = readonly unknown[];

const MAGIC = new TextEncoder().encode("WPSTATE1");
const FRAME_HEADER_OCTETS = 8;
/** Rows and characters of a frame we write: well under a millisecond of work. */
const ROWS_PER_FRAME = 256;
const CHARACTERS_PER_FRAME = 65_536;
/** A longer frame than any single row can need is taken for damage. */
const FRAME_OCTETS_MAX = 64 * 1024 * 1024;

const encoder = new TextEncoder();

/** The magic, then one chunk per frame; each is made when it is drawn. */
export function* writeFrames(rows: Iterable<Row>): Generator<Uint8Array> {
  yield MAGIC.slice();
  let texts: string[] = [];
  let characters = 0;
  for (const row of rows) {
    const text = JSON.stringify(row);
    texts.push(text);
    characters += text.length;
    if (texts.length < ROWS_PER_FRAME && characters < CHARACTERS_PER_FRAME) continue;
    yield frame(texts);
    texts = [];
    characters = 0;
  }
  if (texts.length > 0) yield frame(texts);
}

function frame(texts: readonly string[]): Uint8Array {
  const payload = encoder.encode(`[${texts.join(",")}]`);
  const octets = new Uint8Array(FRAME_HEADER_OCTETS + payload.length);
  const view = new DataView(octets.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, crc32(payload), true);
  octets.set(payload, FRAME_HEADER_OCTETS);
  return octets;
}

/** Takes chunks cut anywhere and gives back the rows of the frames that are complete by then. */
export class FrameReader {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #pending = new Uint8Array(0);
  #magicSeen = false;

  /** True when the octets so far end with a whole frame. */
  get atBoundary(): boolean {
    return this.#magicSeen && this.#pending.length === 0;
  }

  read(chunk: Uint8Array): Result<Row[], string> {
    const octets = this.#pending.length === 0 ? chunk : joined(this.#pending, chunk);
    let at = 0;
    if (!this.#magicSeen) {
      const length = Math.min(octets.length, MAGIC.length);
      for (let i = 0; i < length; i++)
        if (octets[i] !== MAGIC[i]) return fail("not a snapshot of waypost's state");
      if (length === MAGIC.length) {
        this.#magicSeen = true;
        at = MAGIC.length;
      }
    }
    const rows: Row[] = [];
    while (this.#magicSeen && octets.length - at >= FRAME_HEADER_OCTETS) {
      const view = new DataView(octets.buffer, octets.byteOffset + at, FRAME_HEADER_OCTETS);
      const length = view.getUint32(0, true);
      if (length > FRAME_OCTETS_MAX) return fail("damaged snapshot: frame too long");
      if (octets.length - at - FRAME_HEADER_OCTETS < length) break;
      const start = at + FRAME_HEADER_OCTETS;
      const payload = octets.subarray(start, start + length);
      if (crc32(payload) !== view.getUint32(4, true)) return fail("damaged snapshot: checksum");
      const parsed = this.#parse(payload);
      if (parsed === undefined) return fail("damaged snapshot: frame is not a list of rows");
      for (const row of parsed) rows.push(row);
      at = start + length;
    }
    this.#pending = octets.slice(at);
    return ok(rows);
  }

  #parse(payload: Uint8Array): Row[] | undefined {
    try {
      const parsed: unknown = JSON.parse(this.#decoder.decode(payload));
      return Array.isArray(parsed) && parsed.every((row) => Array.isArray(row))
        ? parsed
        : undefined;
    } catch {
      return undefined;
    }
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const octets = new Uint8Array(first.length + second.length);
  octets.set(first);
  octets.set(second, first.length);
  return octets;
}
