/** As much of HTTP/1.1 (RFC 9112) as a DoH server without HTTP/2 takes: one POST after the other. */
import { fail, ok, type Result } from "../base.ts";

/** A whole reply. `isLast`: the server will close, or does not keep connections. */
export type Http1Reply = { status: number; type: string; body: Uint8Array; isLast: boolean };

/** Octets of status line and headers. */
const MAX_HEAD_OCTETS = 16_384;
/** Octets of a line with a chunk's length. */
const MAX_CHUNK_LINE_OCTETS = 64;

/** A request whose body is a DNS message. */
export function http1Request(
  { host, path, type }: { host: string; path: string; type: string },
  body: Uint8Array,
): Uint8Array {
  const head = latin1(
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: ${type}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  const request = new Uint8Array(head.length + body.length);
  request.set(head);
  request.set(body, head.length);
  return request;
}

type Head = {
  status: number;
  type: string;
  /** -1: not told. */
  length: number;
  isChunked: boolean;
  isLast: boolean;
};

/** The chunked body that is being read: the next octets are a chunk's length, its octets, or trailers. */
type Chunks = { next: "length" | "octets" | "trailers"; octets: number };

/**
 * Replies out of a stream. `push` gives a reply when it is complete, an error when there can be none any
 * more: the connection is useless then. Octets behind a reply are kept for the next. However the octets
 * are cut into pieces, each is looked at a few times only.
 */
export function createHttp1Replies(maxBodyOctets: number) {
  const input = createOctetQueue();
  /** Of the reply under way. */
  let head: Head | undefined;
  let searched = 0;
  let chunks: Chunks = { next: "length", octets: 0 };
  let pieces: Uint8Array[] = [];
  let bodyOctets = 0;

  function complete({ status, type, isLast }: Head, body: Uint8Array): Result<Http1Reply, string> {
    head = undefined;
    chunks = { next: "length", octets: 0 };
    pieces = [];
    bodyOctets = 0;
    return ok({ status, type, body, isLast });
  }

  /** Octets up to the blank line that ends a head or trailers; undefined: it is not there yet. */
  function untilBlankLine(): Result<number, string> | undefined {
    const octets = input.octets();
    const end = indexOfBlankLine(
      octets.subarray(0, MAX_HEAD_OCTETS + 4),
      Math.max(0, searched - 3),
    );
    searched = end < 0 ? octets.length : 0;
    if (end >= 0) return ok(end);
    return octets.length > MAX_HEAD_OCTETS ? fail("HTTP header too long") : undefined;
  }

  /** true: all of it is there. */
  function readChunks(): Result<true, string> | undefined {
    for (;;) {
      const octets = input.octets();
      if (chunks.next === "trailers") {
        // Of which nothing is known here.
        const end = untilBlankLine();
        if (end === undefined || !end.ok) return end;
        input.drop(end.value + 4);
        return ok(true);
      }
      if (chunks.next === "octets") {
        if (octets.length < chunks.octets + 2) return undefined;
        pieces.push(octets.slice(0, chunks.octets));
        bodyOctets += chunks.octets;
        input.drop(chunks.octets + 2);
        chunks = { next: "length", octets: 0 };
        continue;
      }
      const lineEnd = indexOfLineEnd(octets.subarray(0, MAX_CHUNK_LINE_OCTETS + 2));
      if (lineEnd < 0)
        return octets.length > MAX_CHUNK_LINE_OCTETS ? fail("HTTP chunk malformed") : undefined;
      const size = /^([0-9a-fA-F]{1,6})\s*(?:;|$)/.exec(text(octets.subarray(0, lineEnd)))?.[1];
      if (size === undefined) return fail("HTTP chunk malformed");
      const length = Number.parseInt(size, 16);
      if (bodyOctets + length > maxBodyOctets) return fail("HTTP body too long");
      // A blank line behind the last one may be all of the trailers.
      input.drop(length === 0 ? lineEnd : lineEnd + 2);
      chunks = { next: length === 0 ? "trailers" : "octets", octets: length };
    }
  }

  return {
    push(octets: Uint8Array): Result<Http1Reply, string> | undefined {
      input.add(octets);
      for (;;) {
        if (head === undefined) {
          const end = untilBlankLine();
          if (end === undefined || !end.ok) return end;
          const read = readHead(text(input.octets().subarray(0, end.value)));
          if (!read.ok) return read;
          input.drop(end.value + 4);
          // 100 and 103 come before the reply.
          if (read.value.status < 200) continue;
          head = read.value;
        }
        const { length, isChunked } = head;
        if (isChunked) {
          const read = readChunks();
          if (read === undefined || !read.ok) return read;
          return complete(head, joined(pieces, bodyOctets));
        }
        if (length > maxBodyOctets) return fail("HTTP body too long");
        if (length < 0) return fail("HTTP body without length");
        if (input.octets().length < length) return undefined;
        const body = input.octets().slice(0, length);
        input.drop(length);
        return complete(head, body);
      }
    },
  };
}

/** Octets that wait to be read. */
function createOctetQueue() {
  let buffer = new Uint8Array(0);
  let from = 0;
  let end = 0;
  return {
    octets: (): Uint8Array => buffer.subarray(from, end),
    add(octets: Uint8Array): void {
      if (end + octets.length > buffer.length) {
        const waiting = buffer.subarray(from, end);
        const needed = waiting.length + octets.length;
        const grown = needed * 2 > buffer.length ? new Uint8Array(2 * needed) : buffer;
        grown.set(waiting);
        buffer = grown;
        end -= from;
        from = 0;
      }
      buffer.set(octets, end);
      end += octets.length;
    },
    drop(octets: number): void {
      from += octets;
      if (from < end) return;
      // An idle connection holds nothing.
      buffer = new Uint8Array(0);
      from = end = 0;
    },
  };
}

/** `lines`: without the blank one that ends them. */
function readHead(lines: string): Result<Head, string> {
  const [first = "", ...rest] = lines.split("\r\n");
  const match = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(first);
  if (match === null) return fail("HTTP not spoken");
  const headers = new Map<string, string>();
  for (const line of rest) {
    const colon = line.indexOf(":");
    if (colon < 1) return fail("HTTP header malformed");
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  const lengthText = headers.get("content-length") ?? "";
  if (lengthText !== "" && !/^\d{1,9}$/.test(lengthText)) return fail("HTTP length malformed");
  const status = Number(match[2]);
  const isBodiless = status < 200 || status === 204 || status === 304;
  const connection = headers.get("connection")?.toLowerCase() ?? "";
  return ok({
    status,
    type: headers.get("content-type") ?? "",
    length: isBodiless ? 0 : lengthText === "" ? -1 : Number(lengthText),
    isChunked: !isBodiless && /\bchunked$/i.test(headers.get("transfer-encoding") ?? ""),
    isLast: match[1] === "0" ? connection !== "keep-alive" : connection === "close",
  });
}

const CR = 13;
const LF = 10;

function indexOfLineEnd(octets: Uint8Array): number {
  for (let i = 0; i + 1 < octets.length; i++)
    if (octets[i] === CR && octets[i + 1] === LF) return i;
  return -1;
}

/** Where CR LF CR LF begins, from an offset on; -1: nowhere. */
function indexOfBlankLine(octets: Uint8Array, from: number): number {
  for (let i = from; i + 3 < octets.length; i++)
    if (octets[i] === CR && octets[i + 1] === LF && octets[i + 2] === CR && octets[i + 3] === LF)
      return i;
  return -1;
}

function joined(pieces: readonly Uint8Array[], octets: number): Uint8Array {
  const whole = new Uint8Array(octets);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const text = (octets: Uint8Array): string => String.fromCharCode(...octets);
const latin1 = (line: string): Uint8Array => Uint8Array.from(line, (each) => each.charCodeAt(0));
