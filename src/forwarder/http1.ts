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
  octets: number;
};

/**
 * Replies out of a stream. `push` gives a reply when it is complete, an error when there can be none any
 * more: the connection is useless then. Octets behind a reply are kept for the next.
 */
export function createHttp1Replies(maxBodyOctets: number) {
  let received: Uint8Array = new Uint8Array(0);

  function complete(head: Head, body: Uint8Array, end: number): Result<Http1Reply, string> {
    received = received.slice(end);
    const { status, type, isLast } = head;
    return ok({ status, type, body, isLast });
  }

  return {
    push(octets: Uint8Array): Result<Http1Reply, string> | undefined {
      received = joined(received, octets);
      for (;;) {
        const head = readHead(received);
        if (head === undefined)
          return received.length > MAX_HEAD_OCTETS ? fail("HTTP header too long") : undefined;
        if (!head.ok) return head;
        const { status, octets: from, length, isChunked } = head.value;
        // 100 and 103 come before the reply.
        if (status < 200) {
          received = received.slice(from);
          continue;
        }
        if (isChunked) {
          const body = readChunks(received, from, maxBodyOctets);
          if (body === undefined || !body.ok) return body;
          return complete(head.value, body.value.body, body.value.end);
        }
        if (length > maxBodyOctets) return fail("HTTP body too long");
        if (length < 0) return fail("HTTP body without length");
        if (received.length < from + length) return undefined;
        return complete(head.value, received.slice(from, from + length), from + length);
      }
    },
  };
}

function readHead(octets: Uint8Array): Result<Head, string> | undefined {
  const end = indexOfBlankLine(octets);
  if (end < 0) return undefined;
  const [first = "", ...lines] = text(octets.subarray(0, end)).split("\r\n");
  const match = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(first);
  if (match === null) return fail("HTTP not spoken");
  const headers = new Map<string, string>();
  for (const line of lines) {
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
    octets: end + 4,
  });
}

/** The chunks from an offset on, and where what follows them begins; undefined: not all there yet. */
function readChunks(
  octets: Uint8Array,
  from: number,
  maxOctets: number,
): Result<{ body: Uint8Array; end: number }, string> | undefined {
  let body: Uint8Array = new Uint8Array(0);
  for (let at = from; ;) {
    const lineEnd = indexOfLineEnd(octets, at);
    if (lineEnd < 0)
      return octets.length - at > MAX_CHUNK_LINE_OCTETS ? fail("HTTP chunk malformed") : undefined;
    const size = /^([0-9a-fA-F]{1,6})\s*(?:;|$)/.exec(text(octets.subarray(at, lineEnd)))?.[1];
    if (size === undefined) return fail("HTTP chunk malformed");
    const length = Number.parseInt(size, 16);
    const start = lineEnd + 2;
    if (length === 0) {
      // Trailers, of which nothing is known here, end with a blank line as a header does.
      const end = indexOfBlankLine(octets, lineEnd);
      return end < 0 ? undefined : ok({ body, end: end + 4 });
    }
    if (body.length + length > maxOctets) return fail("HTTP body too long");
    if (octets.length < start + length + 2) return undefined;
    body = joined(body, octets.subarray(start, start + length));
    at = start + length + 2;
  }
}

const CR = 13;
const LF = 10;

function indexOfLineEnd(octets: Uint8Array, from: number): number {
  for (let i = from; i + 1 < octets.length; i++)
    if (octets[i] === CR && octets[i + 1] === LF) return i;
  return -1;
}

/** Where CR LF CR LF begins, from an offset on; -1: nowhere. */
function indexOfBlankLine(octets: Uint8Array, from = 0): number {
  for (let i = from; i + 3 < octets.length; i++)
    if (octets[i] === CR && octets[i + 1] === LF && octets[i + 2] === CR && octets[i + 3] === LF)
      return i;
  return -1;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

const text = (octets: Uint8Array): string => String.fromCharCode(...octets);
const latin1 = (line: string): Uint8Array => Uint8Array.from(line, (each) => each.charCodeAt(0));
