/**
 * Octets of a snapshot: the magic "WPSTATE1", then frames: length of the payload (uint32, little
 * endian), CRC-32 of the payload (uint32, little endian), payload. A payload is a JSON array of rows
 * in UTF-8; what the rows mean stands in snapshot-rows.ts.
 */
import { fail, ok, type Result } from "../base.ts";
import { crc32 } from "../crc32.ts";

/** One row of a snapshot: JSON values, the first one says what kind. */
export type Row = readonly unknown[];

const MAGIC = new TextEncoder().encode("WPSTATE1");
const FRAME_HEADER_OCTETS = 8;
/** Rows and characters of a frame we write: well under a millisecond of work. */
const ROWS_PER_FRAME = 256;
const CHARACTERS_PER_FRAME = 65_536;
/** A longer frame than any single row can need (an entry of the log has 1.5 MiB) is taken for damage. */
const FRAME_OCTETS_MAX = 8 * 1024 * 1024;

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
  /** What has come of a frame that is not complete, in pieces: joined once, however many there are. */
  #pieces: Uint8Array[] = [];
  #pieceOctets = 0;
  /** With fewer octets than this there is nothing to be read from them. */
  #neededOctets = 0;
  #magicSeen = false;

  /** True when the octets so far end with a whole frame. */
  get atBoundary(): boolean {
    return this.#magicSeen && this.#pieceOctets === 0;
  }

  /** The chunk must not change afterwards. */
  read(chunk: Uint8Array): Result<Row[], string> {
    this.#pieces.push(chunk);
    this.#pieceOctets += chunk.length;
    if (this.#pieceOctets < this.#neededOctets) return ok([]);
    const octets = this.#pieces.length === 1 ? chunk : joined(this.#pieces, this.#pieceOctets);
    this.#neededOctets = 0;
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
      if (octets.length - at - FRAME_HEADER_OCTETS < length) {
        this.#neededOctets = FRAME_HEADER_OCTETS + length;
        break;
      }
      const start = at + FRAME_HEADER_OCTETS;
      const payload = octets.subarray(start, start + length);
      if (crc32(payload) !== view.getUint32(4, true)) return fail("damaged snapshot: checksum");
      const parsed = this.#parse(payload);
      if (parsed === undefined) return fail("damaged snapshot: frame is not a list of rows");
      for (const row of parsed) rows.push(row);
      at = start + length;
    }
    const left = octets.subarray(at);
    this.#pieces = left.length === 0 ? [] : [left];
    this.#pieceOctets = left.length;
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

function joined(pieces: readonly Uint8Array[], octetCount: number): Uint8Array {
  const octets = new Uint8Array(octetCount);
  let at = 0;
  for (const piece of pieces) {
    octets.set(piece, at);
    at += piece.length;
  }
  return octets;
}
