/** Flags of a command: declared once; read, shown in the help and offered by shell completion. */
import { fail, ok, type Result } from "../base.ts";
import { nearest } from "../config/nearest.ts";
import { parseDuration } from "../duration.ts";
import { readFlags } from "../flags.ts";

/** One flag. Its `default` says what kind of value it takes; see `flag`. */
export type Flag = {
  kind: "boolean" | "text" | "integer" | "uint64" | "durationMs" | "texts";
  default: boolean | string | number | undefined;
  doc: string;
  /** Word in the help for the value, for example `value` or `path`. */
  placeholder: string;
  /** Completed as a path by the shell. */
  isPath: boolean;
};

/** Flags by name, without a dash. */
export type Flags = Readonly<Record<string, Flag>>;

type FlagOf<K extends Flag["kind"], D> = Flag & { kind: K; default: D };
type Extra = { placeholder?: string; isPath?: boolean };

function row<K extends Flag["kind"], D extends Flag["default"]>(
  kind: K,
  value: D,
  doc: string,
  extra: Extra = {},
): FlagOf<K, D> {
  return { kind, default: value, doc, placeholder: "value", isPath: false, ...extra };
}

/** Makers of flags; `default: undefined` tells a flag that was not given from one that was. */
export const flag = {
  boolean: (doc: string) => row("boolean", false, doc),
  /** true, false, or undefined when it was not given. */
  maybe: (doc: string) => row("boolean", undefined, doc),
  text: (doc: string, extra?: Extra) => row("text", "", doc, extra),
  textWithDefault: (value: string, doc: string) => row("text", value, doc),
  optionalText: (doc: string, extra?: Extra) => row("text", undefined, doc, extra),
  integer: (value: number, doc: string) => row("integer", value, doc),
  optionalInteger: (doc: string) => row("integer", undefined, doc),
  /** An unsigned number of 64 bits as Go's flags read it (decimal, 0x…, 0o…, 0b…); undefined when it was not given. */
  uint64: (doc: string) => row("uint64", undefined, doc),
  duration: (defaultMs: number, doc: string) => row("durationMs", defaultMs, doc),
  optionalDuration: (doc: string) => row("durationMs", undefined, doc),
  /** May be repeated; every text in order. */
  texts: (doc: string, extra?: Extra) => row("texts", undefined, doc, extra),
};

type ValueOf<F extends Flag> =
  | (F["kind"] extends "boolean"
      ? boolean
      : F["kind"] extends "text"
        ? string
        : F["kind"] extends "texts"
          ? readonly string[]
          : F["kind"] extends "uint64"
            ? bigint
            : number)
  | (F["kind"] extends "texts" ? never : Extract<F["default"], undefined>);

/** What was given, or the defaults. */
export type FlagValues<F extends Flags> = { readonly [K in keyof F]: ValueOf<F[K]> };

/**
 * Reads the flags at the start of `args`; the rest are the command's arguments. The error is one
 * sentence that names the flag.
 */
export function parseFlags<F extends Flags>(
  flags: F,
  args: readonly string[],
): Result<{ values: FlagValues<F>; rest: readonly string[] }, string> {
  const find = (name: string) => (Object.hasOwn(flags, name) ? flags[name] : undefined);
  const given = readFlags(
    args,
    (name) => {
      const kind = find(name)?.kind;
      return kind === undefined || kind === "boolean" ? kind : "value";
    },
    (name) => nearest(name, Object.keys(flags)),
  );
  if (!given.ok) return given;
  const values: Record<string, unknown> = {};
  for (const [name, each] of Object.entries(flags)) {
    const value = valueOf(name, each, given.value.texts.get(name) ?? []);
    if (!value.ok) return value;
    values[name] = value.value;
  }
  return ok({ values: values as FlagValues<F>, rest: given.value.rest });
}

/** The same, with flags also behind arguments; what follows `--` is an argument whatever it looks like. */
export function parseFlagsAnywhere<F extends Flags>(
  flags: F,
  args: readonly string[],
): ReturnType<typeof parseFlags<F>> {
  const words: string[] = [];
  for (let line = args; ;) {
    const parsed = parseFlags(flags, line);
    if (!parsed.ok) return parsed;
    const [word, ...behind] = parsed.value.rest;
    if (word === undefined) return ok({ values: parsed.value.values, rest: words });
    words.push(word);
    line = [...line.slice(0, line.length - behind.length - 1), ...behind];
  }
}

function valueOf(name: string, { kind, default: value }: Flag, texts: readonly string[]) {
  const last = texts.at(-1);
  if (kind === "texts") return ok(texts);
  if (last === undefined) return ok(value);
  switch (kind) {
    case "boolean":
      return ok(last === "true");
    case "text":
      return ok(last);
    case "integer":
      if (!/^[-+]?\d+$/.test(last) || !Number.isSafeInteger(Number(last)))
        return fail(`invalid value "${last}" for flag -${name}: expected an integer`);
      return ok(Number(last));
    case "uint64": {
      const number = /^(\d+|0[xX][\da-fA-F]+|0[oO][0-7]+|0[bB][01]+)$/.test(last)
        ? BigInt(last)
        : -1n;
      if (number < 0n || number >= 2n ** 64n)
        return fail(`invalid value "${last}" for flag -${name}: expected an unsigned integer`);
      return ok(number);
    }
    case "durationMs": {
      const parsed = parseDuration(last);
      return parsed.ok
        ? parsed
        : fail(`invalid value "${last}" for flag -${name}: ${parsed.error}`);
    }
  }
}
