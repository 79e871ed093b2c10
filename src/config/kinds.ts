import { fail, ok, type Result } from "../base.ts";
import { formatDuration, parseDuration } from "../duration.ts";

/** What the values of an option are, after parsing. Durations are milliseconds, sizes octets. */
export type Kinds = {
  text: string;
  integer: number;
  number: number;
  boolean: boolean;
  durationMs: number;
  octets: number;
  texts: readonly string[];
  /** One or several; a later layer takes the place of an earlier one. */
  paths: readonly string[];
  textMap: Readonly<Record<string, string>>;
  durationMap: Readonly<Record<string, number>>;
  /** Parts of Consul that are accepted without a look inside. */
  anything: unknown;
};

/** Kinds of option values, as the README's table names them. */
export type Kind = keyof Kinds;

/** Limits that a row of the option table puts on its values. */
export type Limits = {
  readonly min?: number;
  readonly max?: number;
  readonly words?: readonly string[];
};

/**
 * One row of the option table. `flag`: name on the command line. `reloadable`: a reload applies
 * it. `withoutEffect`: why a value does nothing in this version (absent: the option works);
 * `silent`: the value that describes what the program does anyway, accepted without a warning;
 * `anyIsSilent`: with every value there is nothing that the program could do otherwise.
 */
export type Option<K extends Kind = Kind> = Limits & {
  readonly kind: K;
  readonly default: Kinds[K];
  readonly doc: string;
  readonly flag?: string;
  readonly reloadable?: boolean;
  readonly secret?: boolean;
  readonly withoutEffect?: string;
  readonly silent?: unknown;
  readonly anyIsSilent?: boolean;
};

/** What a row may say beside kind, default and doc. */
export type More = Limits & Pick<Option, "flag" | "reloadable" | "secret">;

/** One row of an option table. */
export function row<K extends Kind>(
  kind: K,
  value: Kinds[K],
  doc: string,
  more: More = {},
): Option<K> {
  return { kind, default: value, doc, ...more };
}

const expected: Record<Kind, string> = {
  text: "a text",
  integer: "an integer",
  number: "a number",
  boolean: "true or false",
  durationMs: 'a duration such as "10s"',
  octets: 'a size in octets such as 67108864 or "64MiB"',
  texts: "a list of texts",
  paths: "a path or a list of paths",
  textMap: "an object of texts",
  durationMap: 'an object of durations such as {"web": "10s"}',
  anything: "anything",
};

const sizeUnits: Record<string, number> = {
  "": 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/**
 * One value out of a JSON file → the value of an option. The error is the second half of a
 * sentence that starts with the key: `expected an integer, got "x"`.
 */
export function parseValue<K extends Kind>(
  kind: K,
  limits: Limits,
  raw: unknown,
): Result<Kinds[K], string> {
  const parsed = parseKind(kind, raw);
  if (!parsed.ok) return parsed;
  const problem = outsideLimits(kind, limits, parsed.value);
  if (problem !== undefined) return fail(problem);
  const value = limits.words === undefined ? parsed.value : String(parsed.value).toLowerCase();
  return ok(value as Kinds[K]); // belongs to `kind`; the compiler cannot follow the switch
}

function parseKind(kind: Kind, raw: unknown): Result<unknown, string> {
  const mismatch = fail(`expected ${expected[kind]}, got ${describe(raw)}`);
  switch (kind) {
    case "text":
      return typeof raw === "string" ? ok(raw) : mismatch;
    case "integer":
      return Number.isSafeInteger(raw) ? ok(raw) : mismatch;
    case "number":
      return typeof raw === "number" ? ok(raw) : mismatch;
    case "boolean":
      return typeof raw === "boolean" ? ok(raw) : mismatch;
    case "durationMs":
      return typeof raw === "string" ? parseDuration(raw) : mismatch;
    case "octets":
      return parseOctets(raw) ?? mismatch;
    case "texts":
      return Array.isArray(raw) && raw.every((item) => typeof item === "string")
        ? ok(raw)
        : mismatch;
    case "paths":
      return parsePaths(raw) ?? mismatch;
    case "textMap":
      return isObject(raw) && Object.values(raw).every((item) => typeof item === "string")
        ? ok(raw)
        : mismatch;
    case "durationMap":
      return isObject(raw) ? parseDurations(raw) : mismatch;
    case "anything":
      return ok(raw);
  }
}

function parsePaths(raw: unknown): Result<string[], string> | undefined {
  const list: unknown[] = Array.isArray(raw) ? raw : [raw];
  const paths = list.filter((item) => typeof item === "string");
  return paths.length < list.length ? undefined : ok(paths.filter((path) => path !== ""));
}

function parseOctets(raw: unknown): Result<number, string> | undefined {
  if (Number.isSafeInteger(raw) && Number(raw) >= 0) return ok(Number(raw));
  const match = typeof raw === "string" ? /^(\d+)\s*([kmg]i?b)?$/i.exec(raw.trim()) : null;
  if (match === null) return undefined;
  const octets = Number(match[1]) * sizeUnits[(match[2] ?? "").toLowerCase()]!;
  return Number.isSafeInteger(octets) ? ok(octets) : undefined;
}

function parseDurations(raw: Record<string, unknown>): Result<Record<string, number>, string> {
  const durations: [string, number][] = [];
  for (const [name, text] of Object.entries(raw)) {
    if (typeof text !== "string")
      return fail(`${name}: expected ${expected.durationMs}, got ${describe(text)}`);
    const parsed = parseDuration(text);
    if (!parsed.ok) return fail(`${name}: ${parsed.error}`);
    if (parsed.value < 0) return fail(`${name}: must not be negative, got "${text}"`);
    durations.push([name, parsed.value]);
  }
  return ok(Object.fromEntries(durations));
}

/** Words as a list to read; the empty one is shown as "". */
export function wordList(words: readonly string[]): string {
  return words.map((word) => word || '""').join(", ");
}

function outsideLimits(kind: Kind, { min, max, words }: Limits, value: unknown) {
  if (words !== undefined && !words.includes(String(value).toLowerCase()))
    return `must be one of ${wordList(words)}; got ${describe(value)}`;
  if (typeof value !== "number") return undefined;
  const low = min !== undefined && value < min;
  const high = max !== undefined && value > max;
  if (!low && !high) return undefined;
  const show = (limit: number) => (kind === "durationMs" ? formatDuration(limit) : String(limit));
  if (min !== undefined && max !== undefined)
    return `must be from ${show(min)} to ${show(max)}, got ${show(value)}`;
  return low
    ? `must be at least ${show(min)}, got ${show(value)}`
    : `must be at most ${show(max!)}, got ${show(value)}`;
}

/** Whether a value from JSON is an object with members (neither null nor a list). */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a value from JSON is, for the end of an error message; long texts are cut. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) {
    const odd = value.find((item) => typeof item !== "string");
    if (odd === undefined) return "a list";
    // Lists in lists may be as deep as the text is long.
    return `a list with ${Array.isArray(odd) ? "a list" : describe(odd)}`;
  }
  if (typeof value === "object") return "an object";
  if (typeof value === "string")
    return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  return JSON.stringify(value) ?? "nothing";
}
