/**
 * JSON bodies as Go's encoding/json reads them into structs: keys without regard to case, unknown
 * keys refused, `null` leaves the zero value, only the first JSON value of the body counts.
 * A decoder is a table; the shape of its result follows from it.
 */
import { fail, ok, type Result } from "../base.ts";
import { parseDuration } from "../duration.ts";

/** Reads one JSON value. `zero` is what an absent or null value gives; it is shared, never changed. */
export type Decoder<T> = {
  readonly zero: T;
  /** `at` is the dotted path for messages. Throws DecodeError. */
  decode(value: unknown, at: string): T;
};

/** One member of an object: its JSON name (or names: the first one is the usual spelling). */
export type Field<T> = { readonly names: readonly string[]; readonly decoder: Decoder<T> };

/** Why a body does not fit its table; the message is Go's, or close to it. */
export class DecodeError extends Error {}

/** A member under one or several JSON names, for example `["TaggedAddresses", "tagged_addresses"]`. */
export function field<T>(names: string | readonly string[], decoder: Decoder<T>): Field<T> {
  return { names: typeof names === "string" ? [names] : names, decoder };
}

/**
 * An object with exactly these members; keys of the result are those of `shape`. Unknown members are
 * refused with `json: unknown field "X"`, or skipped with "ignore".
 */
export function object<S extends Record<string, Field<unknown>>>(
  shape: S,
  unknown: "refuse" | "ignore" = "refuse",
): Decoder<{ [K in keyof S]: S[K] extends Field<infer T> ? T : never }> {
  type Shaped = { [K in keyof S]: S[K] extends Field<infer T> ? T : never };
  const zero: Record<string, unknown> = {};
  const members = new Map<string, { key: string; decoder: Decoder<unknown>; name: string }>();
  for (const [key, { names, decoder }] of Object.entries(shape)) {
    zero[key] = decoder.zero;
    for (const name of names) {
      const member = { key, decoder, name: names[0]! };
      members.set(name, member);
      members.set(name.toLowerCase(), member);
    }
  }
  return {
    zero: zero as Shaped,
    decode(value, at) {
      if (value === null) return { ...zero } as Shaped;
      if (typeof value !== "object" || Array.isArray(value)) throw mismatch(value, at, "object");
      const result = { ...zero };
      for (const name of Object.keys(value)) {
        const member = members.get(name) ?? members.get(name.toLowerCase());
        if (member === undefined) {
          if (unknown === "ignore") continue;
          throw new DecodeError(`json: unknown field ${JSON.stringify(name)}`);
        }
        const inner = (value as Record<string, unknown>)[name];
        if (inner === null) continue;
        result[member.key] = member.decoder.decode(
          inner,
          at === "" ? member.name : `${at}.${member.name}`,
        );
      }
      return result as Shaped;
    },
  };
}

/** null when absent, else what `decoder` reads: Go's pointer members. */
export function optional<T>(decoder: Decoder<T>): Decoder<T | null> {
  return { zero: null, decode: (value, at) => (value === null ? null : decoder.decode(value, at)) };
}

/** "" when absent. */
export const text: Decoder<string> = {
  zero: "",
  decode(value, at) {
    if (typeof value !== "string") throw mismatch(value, at, "string");
    return value;
  },
};

/** false when absent. */
export const boolean: Decoder<boolean> = {
  zero: false,
  decode(value, at) {
    if (typeof value !== "boolean") throw mismatch(value, at, "bool");
    return value;
  },
};

/** A whole number, 0 when absent. Above 2^53 it is rounded. */
export const integer: Decoder<number> = {
  zero: 0,
  decode(value, at) {
    if (typeof value !== "number" || !Number.isInteger(value)) throw mismatch(value, at, "int");
    return value;
  },
};

/** Milliseconds from a Go duration text or a number of nanoseconds; 0 when absent. */
export const durationMs: Decoder<number> = {
  zero: 0,
  decode(value, at) {
    if (typeof value === "number") return value / 1e6;
    if (typeof value !== "string") throw mismatch(value, at, "time.Duration");
    if (value === "") return 0;
    const parsed = parseDuration(value);
    if (!parsed.ok) throw new DecodeError(parsed.error);
    return parsed.value;
  },
};

/** A list of what `element` reads; null when absent. */
export function list<T>(element: Decoder<T>): Decoder<readonly T[] | null> {
  return {
    zero: null,
    decode(value, at) {
      if (value === null) return null;
      if (!Array.isArray(value)) throw mismatch(value, at, "list");
      return value.map((inner: unknown) =>
        inner === null ? element.zero : element.decode(inner, at),
      );
    },
  };
}

/** Text keys to what `element` reads; null when absent. */
export function map<T>(element: Decoder<T>): Decoder<Readonly<Record<string, T>> | null> {
  return {
    zero: null,
    decode(value, at) {
      if (value === null) return null;
      if (typeof value !== "object" || Array.isArray(value)) throw mismatch(value, at, "map");
      // fromEntries defines members, so that a key "__proto__" stays an ordinary key
      return Object.fromEntries(
        Object.entries(value).map(([key, inner]) => [
          key,
          inner === null ? element.zero : element.decode(inner, at),
        ]),
      );
    },
  };
}

/** A list of texts; null when absent. */
export const textList = list(text);

/** Text keys to texts; null when absent. */
export const textMap = map(text);

/** Any JSON value as it is; null when absent. */
export const anything: Decoder<unknown> = { zero: null, decode: (value) => value };

/**
 * The first JSON value of `body`, read by `decoder`; `null` counts as the empty object. The error is
 * a sentence like Go's: `EOF` for an empty body, `json: unknown field "X"`, a type or syntax error.
 */
export function decodeBody<T>(body: string, decoder: Decoder<T>): Result<T, string> {
  const parsed = parseFirst(body);
  if (!parsed.ok) return parsed;
  try {
    return ok(decoder.decode(parsed.value, ""));
  } catch (error) {
    if (error instanceof DecodeError) return fail(error.message);
    throw error;
  }
}

function parseFirst(body: string): Result<unknown, string> {
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

function mismatch(value: unknown, at: string, wanted: string): DecodeError {
  const into = at === "" ? "the body" : `field ${at}`;
  return new DecodeError(`json: cannot unmarshal ${kindOf(value)} into ${into} of type ${wanted}`);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return `number ${value}`;
  if (typeof value === "boolean") return "bool";
  return typeof value;
}
