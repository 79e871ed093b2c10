import { fail, ok, type Result } from "../base.ts";
import { parseDuration } from "../duration.ts";
import { JSON_DEPTH_MAX, nestedAtMost } from "./command-shapes.ts";

/** A duration is a 64-bit number of nanoseconds, as Go's. JSON may name larger ones: 1e400 is read as Infinity. */
const NANOSECONDS_END = 2 ** 63;

/**
 * What a JSON value is decoded into, in the manner of Go's encoding/json, which Consul's API shows:
 * keys match without regard to case, absent members and `null` give the zero value, unknown keys
 * and wrong types are errors.
 *   string "" · bool false · int 0 (up to 2^53 either way) · float 0 · duration 0 (milliseconds; text or nanoseconds)
 *   raw: the value as it came, nested at most JSON_DEPTH_MAX levels, null if absent · list, map: null if absent
 *   struct: always an object · pointer: null if absent
 */
export type Shape =
  | "string"
  | "bool"
  | "int"
  | "float"
  | "duration"
  | "raw"
  | { readonly list: Shape }
  | { readonly map: Shape }
  | { readonly pointer: Shape }
  | StructShape;

/** An object with known members. */
export type StructShape = {
  readonly struct: { readonly [name: string]: Shape };
  /** Other accepted spelling → name of the member. */
  readonly aliases?: { readonly [spelling: string]: string };
};

/** The value type of a shape. */
export type Decoded<S> = S extends "string"
  ? string
  : S extends "bool"
    ? boolean
    : S extends "int" | "float" | "duration"
      ? number
      : S extends "raw"
        ? unknown
        : S extends { readonly list: infer Item }
          ? Decoded<Item>[] | null
          : S extends { readonly map: infer Item }
            ? Record<string, Decoded<Item>> | null
            : S extends { readonly pointer: infer Item }
              ? Decoded<Item> | null
              : S extends { readonly struct: infer Members }
                ? { -readonly [K in keyof Members]: Decoded<Members[K]> }
                : never;

/** How keys are compared, and what happens to unknown ones. */
export type DecodeOptions = {
  /** How a key is compared with the names of members; lower case by default. */
  fold?: (key: string) => string;
  /** Text of the error for a key that nobody knows; undefined: such keys are skipped. */
  unknown?: ((path: string, known: readonly string[]) => string) | undefined;
  /**
   * As Consul reads configuration files: a list of one object stands for the object (HCL's blocks),
   * and a duration is a text, since a bare number there is meant as seconds and not as nanoseconds.
   */
  isFile?: boolean;
};

/** Go's sentence about an unknown key. */
function unknownField(path: string): string {
  return `json: unknown field ${JSON.stringify(path.slice(path.lastIndexOf(".") + 1))}`;
}

const apiOptions: DecodeOptions = { unknown: unknownField };

/**
 * Decodes a parsed JSON value by a shape. The error is one sentence in Go's style that names the
 * key or the member (`json: unknown field "x"`, `json: cannot unmarshal string into field Port of
 * type int`). `null` as the whole value gives the zero value, as Go does.
 */
export function decodeShape<const S extends Shape>(
  shape: S,
  value: unknown,
  options: DecodeOptions = apiOptions,
): Result<Decoded<S>, string> {
  const problems: string[] = [];
  const decoded = decode(shape, value, "", "", options, problems);
  // `decode` builds exactly what `Decoded` describes, case by case.
  return problems.length === 0 ? ok(decoded as Decoded<S>) : fail(problems[0]!);
}

/** `key` names the value within `path`; they are joined only when there is a problem to tell. */
function decode(
  shape: Shape,
  value: unknown,
  path: string,
  key: string,
  options: DecodeOptions,
  problems: string[],
): unknown {
  const given = value !== null && value !== undefined;
  const wrong = (type: string) => {
    const at = join(path, key);
    problems.push(
      `json: cannot unmarshal ${kindOf(value)} into ${at === "" ? "value" : `field ${at}`} of type ${type}`,
    );
    return null;
  };
  if (shape === "raw") {
    if (nestedAtMost(value ?? null, JSON_DEPTH_MAX)) return value ?? null;
    problems.push(`json: field ${join(path, key)} is nested deeper than ${JSON_DEPTH_MAX} levels`);
    return null;
  }
  if (shape === "string") {
    if (!given) return "";
    return typeof value === "string" ? value : wrong("string");
  }
  if (shape === "bool") {
    if (!given) return false;
    return typeof value === "boolean" ? value : wrong("bool");
  }
  if (shape === "int") {
    if (!given) return 0;
    return Number.isSafeInteger(value) ? value : wrong("int");
  }
  if (shape === "float") {
    if (!given) return 0;
    return Number.isFinite(value) ? value : wrong("float64");
  }
  if (shape === "duration") {
    if (!given) return 0;
    if (typeof value === "number" && options.isFile !== true && Math.abs(value) < NANOSECONDS_END)
      return value / 1e6;
    if (typeof value !== "string") return wrong("duration");
    const parsed = parseDuration(value);
    if (parsed.ok) return parsed.value;
    problems.push(parsed.error);
    return 0;
  }
  if ("pointer" in shape)
    return given ? decode(shape.pointer, value, path, key, options, problems) : null;
  if ("list" in shape) {
    if (!given) return null;
    if (!Array.isArray(value)) return wrong("array");
    return value.map((item, i) =>
      decode(shape.list, item, path, `${key}[${i}]`, options, problems),
    );
  }
  if (options.isFile === true && Array.isArray(value) && value.length === 1) [value] = value;
  if (given && (typeof value !== "object" || Array.isArray(value))) return wrong("object");
  const members = (value ?? {}) as Record<string, unknown>;
  if ("map" in shape) {
    if (!given) return null;
    const inner = join(path, key);
    const decoded: [string, unknown][] = Object.keys(members).map((name) => [
      name,
      decode(shape.map, members[name], inner, name, options, problems),
    ]);
    // fromEntries, so that a key "__proto__" stays a key
    return Object.fromEntries(decoded);
  }
  return decodeStruct(shape, members, join(path, key), options, problems);
}

function decodeStruct(
  shape: StructShape,
  value: Record<string, unknown>,
  path: string,
  options: DecodeOptions,
  problems: string[],
): unknown {
  const { names, shapes, indexOf } = membersOf(shape, options.fold ?? lowerCase);
  const keys: (string | undefined)[] = [];
  for (const key of Object.keys(value)) {
    const i = indexOf(key);
    if (i !== undefined) keys[i] = key;
    else if (options.unknown) problems.push(options.unknown(join(path, key), names));
  }
  const decoded: Record<string, unknown> = {};
  for (let i = 0; i < names.length; i++) {
    const key = keys[i];
    const given = key === undefined ? undefined : value[key];
    decoded[names[i]!] = decode(shapes[i]!, given, path, key ?? names[i]!, options, problems);
  }
  return decoded;
}

type Members = {
  names: string[];
  shapes: Shape[];
  /** Which member a key means. */
  indexOf: (key: string) => number | undefined;
};

/** Per shape and folding; shapes are constants, so this stays small. */
const memberTables = new WeakMap<StructShape, Map<(key: string) => string, Members>>();

function membersOf(shape: StructShape, fold: (key: string) => string): Members {
  let tables = memberTables.get(shape);
  if (!tables) memberTables.set(shape, (tables = new Map()));
  let table = tables.get(fold);
  if (!table) tables.set(fold, (table = createMembers(shape, fold)));
  return table;
}

function createMembers(shape: StructShape, fold: (key: string) => string): Members {
  const names = Object.keys(shape.struct);
  const folded = new Map<string, number>();
  for (const [spelling, name] of Object.entries(shape.aliases ?? {}))
    folded.set(fold(spelling), names.indexOf(name));
  for (const [i, name] of names.entries()) folded.set(fold(name), i);
  // The usual spelling needs no folding: half the cost of a registration's body.
  const exact = new Map(names.map((name, i) => [name, i]));
  return {
    names,
    shapes: Object.values(shape.struct),
    indexOf: (key) => exact.get(key) ?? folded.get(fold(key)),
  };
}

function lowerCase(key: string): string {
  return key.toLowerCase();
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  return typeof value;
}
