/** Request bodies: the first JSON value of the text, as Go's json.Decoder takes it. */
import { fail, ok, type Result } from "../base.ts";

/** Larger bodies are refused with 413. A snapshot is not meant: it is never whole in memory. */
export const BODY_OCTETS_MAX = 64 * 1024 * 1024;

/** A body of unknown length. */
export async function readBounded(
  body: ReadableStream<Uint8Array> | null,
): Promise<Uint8Array<ArrayBuffer> | "too large"> {
  const chunks: Uint8Array[] = [];
  let octetCount = 0;
  for await (const chunk of body ?? []) {
    octetCount += chunk.length;
    if (octetCount > BODY_OCTETS_MAX) return "too large";
    chunks.push(chunk);
  }
  const octets = new Uint8Array(octetCount);
  let at = 0;
  for (const chunk of chunks) {
    octets.set(chunk, at);
    at += chunk.length;
  }
  return octets;
}

/**
 * The first JSON value of `body`; what follows it is ignored. The error is `EOF` for an empty body,
 * else a sentence about the syntax in the runtime's words.
 */
export function parseFirstJson(text: string): Result<unknown, string> {
  const body = surrogate.test(text) ? text.replace(escapes, pairSurrogates) : text;
  try {
    return ok(JSON.parse(body));
  } catch (whole) {
    const end = endOfFirstValue(body);
    if (end === 0) return fail("EOF");
    if (end === body.length) return fail(syntaxError(whole));
    try {
      return ok(JSON.parse(body.slice(0, end)));
    } catch (first) {
      return fail(syntaxError(first));
    }
  }
}

/** Half of a character outside of the basic plane, escaped. */
const surrogate = /\\u[dD][89a-fA-F]/;
/** Every escape of a JSON text; the first group is the half that completes another. */
const escapes =
  /\\u[dD][89abAB][\da-fA-F]{2}(\\u[dD][c-fC-F][\da-fA-F]{2})?|\\u[dD][c-fC-F][\da-fA-F]{2}|\\[^]/g;

/** Half a character is none: it could not be stored, nor read by others. Go puts U+FFFD there. */
function pairSurrogates(escape: string, second: string | undefined): string {
  return second === undefined && surrogate.test(escape) ? "\\ufffd" : escape;
}

/** Go names no position in its message either; the parser's own words differ between runtimes. */
function syntaxError(error: unknown): string {
  return `invalid JSON: ${error instanceof Error ? error.message : "not parsable"}`;
}

/** Octet after the first value (0: there is none), by brackets and quotes alone. */
function endOfFirstValue(body: string): number {
  const start = body.search(/[^ \t\r\n]/);
  if (start < 0) return 0;
  let depth = 0;
  for (let i = start; i < body.length; i++) {
    const c = body[i]!;
    if (c === '"') {
      i = endOfString(body, i);
      if (depth === 0) return Math.min(i + 1, body.length);
    } else if (c === "{" || c === "[") {
      if (depth === 0 && i > start) return i;
      depth++;
    } else if (c === "}" || c === "]") {
      depth--;
      if (depth <= 0) return i + 1;
    } else if (depth === 0 && i > start && /[ \t\r\n,:]/.test(c)) return i;
  }
  return body.length;
}

/** Index of the quote that ends the string which begins at `quote`; at or past the end of the text if none does. */
export function endOfString(body: string, quote: number): number {
  let i = quote + 1;
  while (i < body.length && body[i] !== '"') i += body[i] === "\\" ? 2 : 1;
  return i;
}
