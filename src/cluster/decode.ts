import { fail, ok, type Result } from "../base.ts";
import { parseDuration } from "../duration.ts";

/**
 * What a JSON value is decoded into, in the manner of Go's encoding/json, which Consul's API shows:
 * keys match without regard to case, absent members and `null` give the zero value, unknown keys
 * and wrong types are errors.
 *   string "" · bool false · int 0 (64 bit) · duration 0 (milliseconds; text or nanoseconds)
 *   raw: the value as it came, null if absent · list, map: null if absent
 *   struct: always an object · pointer: null if absent
 */
export type Shape =
  | "string"
  | "bool"
  | "int"
  | "duration"
  | "raw"
  | { readonly list: Shape }
  | { readonly map: Shape }
  | { readonly pointer: Shape }
  | StructShape;

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
    : S extends "int" | "duration"
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

export type DecodeOptions = {
  /** How a key is compared with the names of members; lower case by default. */
  fold?: (key: string) => string;
  /** Text of the error for a key that nobody knows; undefined: such keys are skipped. */
  unknown?: ((path: string, known: readonly string[]) => string) | undefined;
};

/** Go's sentence about an unknown key. */
export function unknownField(path: string): string {
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
  const decoded = decode(shape, value, "", options, problems);
  // `decode` builds exactly what `Decoded` describes, case by case.
  return problems.length === 0 ? ok(decoded as Decoded<S>) : fail(problems[0]!);
}

function decode(
  shape: Shape,
  value: unknown,
  path: string,
  options: DecodeOptions,
  problems: string[],
): unknown {
  const given = value !== null && value !== undefined;
  const wrong = (type: string) => {
    problems.push(
      `json: cannot unmarshal ${kindOf(value)} into ${path === "" ? "value" : `field ${path}`} of type ${type}`,
    );
    return null;
  };
  if (shape === "raw") return value ?? null;
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
    return typeof value === "number" && Number.isInteger(value) ? value : wrong("int");
  }
  if (shape === "duration") {
    if (!given) return 0;
    if (typeof value === "number") return value / 1e6;
    if (typeof value !== "string") return wrong("duration");
    const parsed = parseDuration(value);
    if (parsed.ok) return parsed.value;
    problems.push(parsed.error);
    return 0;
  }
  if ("pointer" in shape)
    return given ? decode(shape.pointer, value, path, options, problems) : null;
  if ("list" in shape) {
    if (!given) return null;
    if (!Array.isArray(value)) return wrong("array");
    return value.map((item, i) => decode(shape.list, item, `${path}[${i}]`, options, problems));
  }
  if (given && (typeof value !== "object" || Array.isArray(value))) return wrong("object");
  const entries = given ? Object.entries(value) : [];
  if ("map" in shape) {
    if (!given) return null;
    const decoded: [string, unknown][] = entries.map(([key, item]) => [
      key,
      decode(shape.map, item, join(path, key), options, problems),
    ]);
    return Object.fromEntries(decoded);
  }
  return decodeStruct(shape, entries, path, options, problems);
}

function decodeStruct(
  shape: StructShape,
  entries: [string, unknown][],
  path: string,
  options: DecodeOptions,
  problems: string[],
): unknown {
  const members = membersOf(shape, options.fold ?? lowerCase);
  const given = new Map<string, { key: string; value: unknown }>();
  for (const [key, value] of entries) {
    const name = members.get((options.fold ?? lowerCase)(key));
    if (name !== undefined) given.set(name, { key, value });
    else if (options.unknown)
      problems.push(options.unknown(join(path, key), Object.keys(shape.struct)));
  }
  const decoded = Object.entries(shape.struct).map(([name, member]) => {
    const { key, value } = given.get(name) ?? { key: name, value: undefined };
    return [name, decode(member, value, join(path, key), options, problems)] as const;
  });
  return Object.fromEntries(decoded);
}

/** Per shape and folding, folded spelling → member; shapes are constants, so this stays small. */
const memberTables = new WeakMap<StructShape, Map<(key: string) => string, Map<string, string>>>();

function membersOf(shape: StructShape, fold: (key: string) => string): Map<string, string> {
  let tables = memberTables.get(shape);
  if (!tables) memberTables.set(shape, (tables = new Map()));
  let table = tables.get(fold);
  if (!table) {
    table = new Map();
    for (const [spelling, name] of Object.entries(shape.aliases ?? {}))
      table.set(fold(spelling), name);
    for (const name of Object.keys(shape.struct)) table.set(fold(name), name);
    tables.set(fold, table);
  }
  return table;
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
