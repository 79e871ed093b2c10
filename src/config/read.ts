import { deprecatedKeys, impliedByDeprecated, stillCurrentKeys } from "./deprecated.ts";
import { describe, isObject, parseValue, type Option } from "./kinds.ts";
import { nearest } from "./nearest.ts";
import { options } from "./options.ts";

/** A service or check definition as the file gives it, and where it stands there. */
export type Definition = {
  readonly value: Readonly<Record<string, unknown>>;
  readonly file: string;
  /** Key path inside the file: `services[0]`. */
  readonly where: string;
};

/** What one file (or the command line) says. Errors and warnings are whole sentences. */
export type Layer = {
  readonly values: Map<string, unknown>;
  /** The file or flag that said it, per key of `values` (`zones[0]`: per member); several with commas. */
  readonly origins: Map<string, string>;
  readonly services: Definition[];
  readonly checks: Definition[];
  readonly external: Definition[];
  readonly watches: Definition[];
  readonly warnings: string[];
  readonly errors: string[];
};

type Definitions = "services" | "checks" | "external" | "watches";

const definitionKeys: Readonly<Record<string, Definitions>> = {
  service: "services",
  services: "services",
  check: "checks",
  checks: "checks",
  external_services: "external",
  watches: "watches",
};

/** The parts above the keys of the table: `dns_config`, `dns_config.soa`, ... */
const blocks: ReadonlySet<string> = new Set(
  [...Object.keys(options), ...Object.keys(deprecatedKeys)].flatMap((key) => {
    const parts = key.split(".");
    return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("."));
  }),
);

/** An empty layer. */
export function emptyLayer(): Layer {
  return {
    values: new Map(),
    origins: new Map(),
    services: [],
    checks: [],
    external: [],
    watches: [],
    warnings: [],
    errors: [],
  };
}

/**
 * Reads the tree of one parsed file by the option table. Keys are matched without regard to case;
 * null means: not given. Wrong parts are listed in `errors`, the rest is read all the same.
 */
export function readLayer(tree: unknown, file: string): Layer {
  const layer = emptyLayer();
  if (!isObject(tree)) {
    layer.errors.push(`${file}: expected an object at the top, got ${describe(tree)}`);
    return layer;
  }
  const old: { key: string; raw: unknown }[] = [];
  readBlock(layer, file, "", tree, old);
  for (const { key, raw } of old) readDeprecated(layer, file, key, raw);
  return layer;
}

type Old = { key: string; raw: unknown }[];

function readBlock(layer: Layer, file: string, path: string, tree: object, old: Old): void {
  for (const [name, raw] of Object.entries(tree)) {
    const key = path + name.toLowerCase();
    const definitions = Object.hasOwn(definitionKeys, key) ? definitionKeys[key] : undefined;
    if (definitions !== undefined) readDefinitions(layer, file, key, definitions, raw);
    else if (Object.hasOwn(options, key)) readOption(layer, file, key, raw);
    else if (Object.hasOwn(deprecatedKeys, key)) old.push({ key, raw });
    else if (blocks.has(key)) {
      const block = unwrap(raw);
      if (isObject(block)) readBlock(layer, file, `${key}.`, block, old);
      else if (block !== null)
        layer.errors.push(`${file}: ${key}: expected an object, got ${describe(block)}`);
    } else layer.errors.push(`${file}: ${unknownKey(path + name)}`);
  }
}

/** HCL writes a block as a list of one object. */
function unwrap(raw: unknown): unknown {
  return Array.isArray(raw) && raw.length === 1 && isObject(raw[0]) ? raw[0] : raw;
}

/** The message for a key that is not in the table; names the nearest that is. */
function unknownKey(key: string): string {
  const known = [...Object.keys(options), ...blocks, ...Object.keys(definitionKeys)];
  const near = nearest(key, known);
  return `invalid config key ${key}${near === undefined ? "" : ` (did you mean ${near}?)`}`;
}

const mayBeList: ReadonlySet<Option["kind"]> = new Set(["anything", "texts", "paths"]);

function readOption(layer: Layer, file: string, key: string, raw: unknown): void {
  if (raw === null) return;
  const option = options[key]!;
  const single = mayBeList.has(option.kind) ? raw : unwrap(raw);
  const parsed = parseValue(option.kind, option, single);
  if (!parsed.ok) {
    const hidden = option.secret ? "expected a text" : parsed.error;
    layer.errors.push(`${file}: ${key}: ${hidden}`);
    return;
  }
  layer.values.set(key, parsed.value);
  layer.origins.set(key, file);
  if (doesNothing(option, parsed.value))
    layer.warnings.push(`${file}: ${key} has no effect: ${option.withoutEffect}`);
}

function doesNothing(option: Option, value: unknown): boolean {
  if (option.withoutEffect === undefined || option.anyIsSilent === true) return false;
  if (value === option.silent) return false;
  if (Array.isArray(value) && value.length === 0) return false;
  return !(isObject(value) && value["enabled"] === false);
}

function readDeprecated(layer: Layer, file: string, key: string, raw: unknown): void {
  if (raw === null) return;
  const current = deprecatedKeys[key]!;
  if (!stillCurrentKeys.has(key))
    layer.warnings.push(`${file}: ${key} is deprecated, use ${current}`);
  if (!layer.values.has(current)) readOption(layer, file, current, raw);
  const implied = Object.hasOwn(impliedByDeprecated, key) ? impliedByDeprecated[key] : undefined;
  if (implied !== undefined && raw !== "" && !layer.values.has(implied.key))
    readOption(layer, file, implied.key, implied.value);
}

function readDefinitions(
  layer: Layer,
  file: string,
  key: string,
  into: Definitions,
  raw: unknown,
): void {
  if (raw === null) return;
  const list = Array.isArray(raw) ? raw : [raw];
  const one = !Array.isArray(raw);
  for (const [i, value] of list.entries()) {
    const where = one ? key : `${key}[${i}]`;
    if (isObject(value)) layer[into].push({ value: withListOfChecks(value), file, where });
    else layer.errors.push(`${file}: ${where}: expected an object, got ${describe(value)}`);
  }
}

/** HCL cannot tell a list of one block from a block. */
function withListOfChecks(value: Record<string, unknown>): Record<string, unknown> {
  const key = Object.keys(value).find((name) => name.toLowerCase() === "checks");
  return key !== undefined && isObject(value[key]) ? { ...value, [key]: [value[key]] } : value;
}

/**
 * Merges layers in order: a later scalar replaces an earlier one, lists are appended, maps take
 * the later value of each key.
 */
export function mergeLayers(layers: readonly Layer[]): Layer {
  const merged = emptyLayer();
  for (const layer of layers) {
    for (const [key, value] of layer.values) {
      const earlier = merged.values.get(key);
      const both = mergeValue(options[key]!, earlier, value);
      merged.values.set(key, both);
      const replaced = earlier === undefined || both === value;
      const origin = layer.origins.get(key)!; // set beside every value
      merged.origins.set(key, replaced ? origin : `${merged.origins.get(key)}, ${origin}`);
    }
    // Of members of lists: only the first layer names them (dnsmasq's), so the numbers stay.
    for (const [key, origin] of layer.origins)
      if (key.endsWith("]")) merged.origins.set(key, origin);
    merged.services.push(...layer.services);
    merged.checks.push(...layer.checks);
    merged.external.push(...layer.external);
    merged.watches.push(...layer.watches);
    merged.warnings.push(...layer.warnings);
    merged.errors.push(...layer.errors);
  }
  return merged;
}

function mergeValue(option: Option, earlier: unknown, later: unknown): unknown {
  if (earlier === undefined) return later;
  if (option.kind === "paths") return later;
  if (Array.isArray(earlier) && Array.isArray(later)) return [...earlier, ...later];
  // HCL cannot tell a list of one block from a block.
  if (option.kind === "anything" && Array.isArray(option.default)) return [earlier, later].flat();
  if (option.kind !== "anything" && isObject(earlier) && isObject(later))
    return { ...earlier, ...later };
  return later;
}

/** A sentence that begins with a key, with the file or flag in front that gave the key its value. */
export function withOrigin({ origins }: Layer, problem: string): string {
  const [, key = "", member = ""] = /^'?([\w.]+)(\[\d+\])?/.exec(problem) ?? [];
  const origin = origins.get(key + member) ?? origins.get(key);
  return origin === undefined ? problem : `${origin}: ${problem}`;
}
