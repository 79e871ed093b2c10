/**
 * Command lines in Go's style, as Consul's users type them: `-flag value`, `-flag=value`, one dash or
 * two, bare booleans, `--` and the first other word end the flags. The words are brought into the
 * form that `parseArgs` of Node reads. Source: Go's package `flag`.
 */
import { parseArgs } from "node:util";
import { fail, ok, type Result } from "./base.ts";
import { parseBoolean } from "./boolean.ts";

/** What a flag takes. */
export type FlagArity = "boolean" | "value";

/** Flags by name (without dashes), each with its texts in order ("true" or "false" for booleans). */
export type GivenFlags = {
  texts: ReadonlyMap<string, readonly string[]>;
  /** Name and text of every flag in the order of the command line. */
  inOrder: readonly { name: string; text: string }[];
  /** The words after the flags. */
  rest: readonly string[];
};

/**
 * Reads the flags at the start of `args`. `arityOf` gives undefined for a flag that does not exist;
 * `nearestTo` may name one that was meant. The error is one sentence, Go's where it has one.
 */
export function readFlags(
  args: readonly string[],
  arityOf: (name: string) => FlagArity | undefined,
  nearestTo: (name: string) => string | undefined,
): Result<GivenFlags, string> {
  const normal: string[] = [];
  const names = new Set<string>();
  let i = 0;
  for (; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      i++;
      break;
    }
    if (!/^-./s.test(arg)) break;
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(arg);
    if (match === null) return fail(`bad flag syntax: ${arg}`);
    const [, name = "", attached] = match;
    const arity = arityOf(name);
    if (arity === undefined) {
      const near = nearestTo(name);
      const hint = near === undefined ? "" : ` (did you mean -${near}?)`;
      return fail(`flag provided but not defined: -${name}${hint}`);
    }
    let text = attached;
    if (arity === "boolean") {
      const value = parseBoolean(attached ?? "true");
      if (value === undefined)
        return fail(`invalid boolean value "${attached}" for -${name}: use true or false`);
      text = String(value);
    } else text ??= args[++i];
    if (text === undefined) return fail(`flag needs an argument: -${name}`);
    names.add(name);
    normal.push(`--${name}=${text}`);
  }
  const declared = [...names].map((name) => [name, { type: "string", multiple: true } as const]);
  const { tokens } = parseArgs({
    args: normal,
    options: Object.fromEntries(declared),
    strict: true,
    tokens: true,
  });
  const inOrder = tokens.flatMap((token) =>
    token.kind === "option" ? [{ name: token.name, text: token.value ?? "" }] : [],
  );
  const texts = new Map<string, string[]>();
  for (const { name, text } of inOrder) texts.set(name, [...(texts.get(name) ?? []), text]);
  return ok({
    texts,
    inOrder,
    rest: args.slice(i),
  });
}
