/** Reproducible random inputs: a seeded source, and changes to valid texts and bodies. */
import { randomBytes } from "node:crypto";

/** FUZZ_SEED repeats a run; otherwise every run has another one. */
export const seed = Number(process.env["FUZZ_SEED"] ?? randomBytes(4).readUInt32BE(0));

export type Source = {
  /** An integer from 0 to `count` - 1. */
  below(count: number): number;
  /** true once in `count`. */
  once(count: number): boolean;
  pick<T>(list: readonly T[]): T;
};

/** The stream of numbers `number` of the seed (mulberry32). */
export function createSource(number: number): Source {
  let state = (seed ^ Math.imul(number + 1, 0x9e3779b1)) >>> 0;
  const below = (count: number): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % count;
  };
  return {
    below,
    once: (count) => below(count) === 0,
    pick: (list) => list[below(list.length)]!,
  };
}

const names = ["n1", "web", "q1", "a", "a/b", "x-1", "node-a", "serfHealth", "web:1", "_agent"];
const ids = ["10000000-0000-4000-8000-000000000001", "10000000-0000-4000-8000-000000000002"];
const texts = ["", " ", "\u0000", "\ud800", "ü/é", "%", "../..", "a".repeat(300), "\n", '"', "\\"];
const numbers = ["0", "-1", "1", "65536", "1.5", "1e400", "18446744073709551615", "0x1", "NaN"];
const durations = ["10s", "-1s", "0", "15", "1h30m", "9999999999h", "1.5ms", "s", "1d"];
const words = [
  "true",
  "false",
  "passing",
  "critical",
  "weird",
  "delete",
  "release",
  "write",
  "deny",
];
const members = ["__proto__", "constructor", "toString", "length", "hasOwnProperty"];
const expressions = ["(a+)+$", "[", "(?i)x", "^(?:a|b)*?c{1,3}", "\\p{L}", ".{0,1000}", "(((((("];
const addresses = ["10.0.0.1", "::1", "0.0.0.0", "example.com", "1.2.3", "127.0.0.1:80", "[::]"];

/** Words that some endpoint knows, and words that none should fall over. */
export function oddText(source: Source): string {
  return source.pick(
    source.pick([
      names,
      names,
      ids,
      texts,
      numbers,
      durations,
      words,
      members,
      expressions,
      addresses,
    ]),
  );
}

/** A text of JSON: any type, any size, now and then one that JSON does not have. */
function oddJson(source: Source, depth = 0): string {
  const kind = source.below(depth > 3 ? 8 : 11);
  if (kind < 4) return JSON.stringify(oddText(source));
  if (kind < 6) return source.pick(["0", "-1", "1.5", "1e400", "18446744073709551616", "65536"]);
  if (kind < 8) return source.pick(["null", "true", "false", "{}", "[]", '""', "[null]"]);
  if (kind === 8) return `[${oddJson(source, depth + 1)},${oddJson(source, depth + 1)}]`;
  if (kind === 9) return `{${JSON.stringify(oddText(source))}:${oddJson(source, depth + 1)}}`;
  const levels = source.pick([10, 200, 20_000]);
  return source.once(2) ? "[".repeat(levels) + "]".repeat(levels) : '{"a":'.repeat(levels);
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The text of `body` with changes of its values, its keys, its shape, its octets; now and then with none. */
export function changedJson(source: Source, body: Json): string {
  const holes: string[] = [];
  const hole = (text: string): string => `\u0001${holes.push(text) - 1}\u0002`;
  let left = source.below(4);
  const visit = (value: Json): Json => {
    if (left > 0 && source.once(6)) {
      left--;
      return hole(oddJson(source));
    }
    if (Array.isArray(value)) {
      const list = value.map(visit);
      if (source.once(8)) list.push(...value);
      return source.once(12) ? list.slice(1) : list;
    }
    if (value === null || typeof value !== "object") return value;
    const entries = Object.entries(value).map(([key, inner]): [string, Json] => {
      if (left > 0 && source.once(14)) return [oddText(source), visit(inner)];
      if (source.once(12))
        return [source.once(2) ? key.toLowerCase() : key.toUpperCase(), visit(inner)];
      return [key, visit(inner)];
    });
    if (source.once(10)) entries.splice(source.below(entries.length + 1), 1);
    if (source.once(10)) entries.push([oddText(source), hole(oddJson(source))]);
    return Object.fromEntries(entries);
  };
  const text = JSON.stringify(visit(body)).replace(
    /"\\u0001(\d+)\\u0002"/g,
    (_, at: string) => holes[Number(at)]!,
  );
  return source.once(8) ? changedText(source, text) : text;
}

/** One to five characters changed, taken away, doubled or put in; now and then cut. */
export function changedText(
  source: Source,
  text: string,
  alphabet = '{}[]":,\\\u0000 aé09-=',
): string {
  let out = text;
  for (let changes = 1 + source.below(5); changes > 0; changes--) {
    const at = source.below(out.length + 1);
    const inserted = alphabet.charAt(source.below(alphabet.length));
    const kind = source.below(5);
    if (kind === 0) out = out.slice(0, at) + out.slice(at + 1 + source.below(4));
    else if (kind === 1) out = out.slice(0, at) + inserted + out.slice(at);
    else if (kind === 2) out = out.slice(0, at) + inserted + out.slice(at + 1);
    else if (kind === 3)
      out = out.slice(0, at) + out.slice(source.below(at + 1)).slice(0, 40) + out.slice(at);
    else if (source.once(4)) out = out.slice(0, at);
  }
  return out;
}
