import { fail, ok, type Result } from "../base.ts";
import type { Sources } from "../config.ts";
import { readFlags, type FlagArity } from "../flags.ts";
import type { Format } from "./files.ts";
import type { Option } from "./kinds.ts";
import { nearest } from "./nearest.ts";
import { options } from "./options.ts";
import { emptyLayer, readLayer, type Layer } from "./read.ts";

/** Flags of `agent` that are no options of a file. */
const agentFlags = {
  "config-file": { type: "text", doc: "File to read; may be repeated." },
  "config-dir": { type: "text", doc: "Directory whose .json and .hcl files are read; repeated." },
  "config-format": { type: "text", doc: "json or hcl, whatever the files are called." },
  hcl: { type: "text", doc: "A piece of configuration in HCL or JSON; may be repeated." },
  dev: { type: "boolean", doc: "Server on 127.0.0.1 that keeps nothing on disk." },
  takeover: {
    type: "boolean",
    doc: "Take the place of the agent that runs on the same data directory, if there is one.",
  },
  version: { type: "boolean", doc: "Prints the version and ends." },
  help: { type: "boolean", doc: "Prints this and ends." },
  h: { type: "boolean", doc: "The same." },
} as const;

/** Flag name without its dash → key and row of the option table. */
const optionFlags: ReadonlyMap<string, { key: string; option: Option }> = new Map(
  Object.entries(options).flatMap(([key, option]) =>
    option.flag === undefined ? [] : [[option.flag.slice(1), { key, option }] as const],
  ),
);

/** What the command line of `agent` asks for. */
export type AgentArguments = {
  sources: Sources;
  takeOver: boolean;
  help: boolean;
  version: boolean;
};

/**
 * Flags in Consul's style: `-flag value`, `-flag=value`, bare booleans, one dash or two, the last
 * one of a scalar wins, lists are collected. The error is one sentence.
 */
export function parseAgentFlags(args: readonly string[]): Result<AgentArguments, string> {
  const read = readFlags(args, arityOf, nearestFlag);
  if (!read.ok) return read;
  const { texts, inOrder, rest } = read.value;
  if (rest.length > 0) return fail(`unexpected extra argument: ${rest[0]}`);
  const given = (name: string) => texts.get(name) ?? [];
  const isSet = (name: string) => given(name).at(-1) === "true";
  const format = given("config-format").at(-1);
  if (format !== undefined && format !== "json" && format !== "hcl")
    return fail(`-config-format must be either 'hcl' or 'json', got "${format}"`);
  const layers = readOptionFlags(given);
  const problems = [...layers.flagLists.errors, ...layers.flagValues.errors];
  if (problems.length > 0) return fail(problems.join("\n"));
  return ok({
    help: isSet("help") || isSet("h"),
    version: isSet("version"),
    takeOver: isSet("takeover"),
    sources: {
      ...layers,
      // `-config-file` and `-config-dir` keep their common order.
      paths: inOrder.filter(({ name }) => /^config-(file|dir)$/.test(name)).map(({ text }) => text),
      format: format as Format | undefined,
      fragments: [...given("hcl")],
      dev: isSet("dev"),
    },
  });
}

function arityOf(name: string): FlagArity | undefined {
  const kind = Object.hasOwn(agentFlags, name)
    ? agentFlags[name as keyof typeof agentFlags].type
    : optionFlags.get(name)?.option.kind;
  return kind === undefined || kind === "boolean" ? kind : "value";
}

function nearestFlag(name: string): string | undefined {
  return nearest(name, [...Object.keys(agentFlags), ...optionFlags.keys()]);
}

function readOptionFlags(given: (name: string) => readonly string[]): {
  flagLists: Layer;
  flagValues: Layer;
} {
  const layers = { flagLists: emptyLayer(), flagValues: emptyLayer() };
  for (const [name, { key, option }] of optionFlags) {
    const texts = given(name);
    if (texts.length === 0) continue;
    const layer = option.kind === "texts" ? layers.flagLists : layers.flagValues;
    const read = readLayer(treeOf(key, fromTexts(option, texts)), `-${name}`);
    for (const [each, value] of read.values) layer.values.set(each, value);
    for (const [each, origin] of read.origins) layer.origins.set(each, origin);
    layer.warnings.push(...read.warnings);
    layer.errors.push(...read.errors);
  }
  return layers;
}

/** Texts of the command line → what a JSON file would say. */
function fromTexts({ kind }: Option, texts: readonly string[]): unknown {
  const text = texts.at(-1)!;
  switch (kind) {
    case "integer":
    case "number":
      return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    case "boolean":
      return text === "true";
    case "texts":
    case "paths":
      return texts;
    case "textMap":
      return Object.fromEntries(texts.map(splitPair));
    case "text":
    case "durationMs":
    case "octets":
    case "durationMap":
    case "anything":
      return text;
  }
}

function splitPair(text: string): [string, string] {
  const colon = text.indexOf(":");
  return colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
}

function treeOf(key: string, value: unknown): unknown {
  return key.split(".").reduceRight<unknown>((inner, part) => ({ [part]: inner }), value);
}

/** Flags of `agent` in order of name. */
export function agentFlagList(): { name: string; kind: Option["kind"]; doc: string }[] {
  const list: ReturnType<typeof agentFlagList> = [
    ...Object.entries(agentFlags).map(([name, { type, doc }]) => ({ name, kind: type, doc })),
    ...[...optionFlags].map(([name, { option }]) => ({
      name,
      kind: option.kind,
      doc: option.withoutEffect === undefined ? option.doc : `No effect: ${option.doc}.`,
    })),
  ];
  return list.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** One line per flag of `agent`, in order of name, for its help. */
export function agentFlagHelp(): string {
  return agentFlagList()
    .map(
      ({ name, kind, doc }) => `  -${name}${kind === "boolean" ? "" : "=<value>"}\n      ${doc}\n`,
    )
    .join("");
}
