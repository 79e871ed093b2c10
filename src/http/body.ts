/** Request bodies: the first JSON value of the text, as Go's json.Decoder takes it. */
import { fail, ok, type Result } from "../base.ts";

/**
 * The first JSON value of `body`; what follows it is ignored. The error is `EOF` for an empty body,
 * else a sentence about the syntax in the runtime's words.
 */
export function parseFirstJson(body: string): Result<unknown, string> {
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

function endOfString(body: string, quote: number): number {
  let i = quote + 1;
  while (i < body.length && body[i] !== '"') i += body[i] === "\\" ? 2 : 1;
  return i;
}
