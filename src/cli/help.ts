/** Texts of `-help`, made from the same tables that read the command line. */
import { formatDuration } from "../duration.ts";
import type { Command, CommandGroup } from "./command.ts";
import type { Flag } from "./flags.ts";
import { httpFlags } from "./connection.ts";

/** Help of one command; `path` is how it was called, for example `waypost kv get`. */
export function commandHelp(path: string, { usage, doc, detail, flags }: Command): string {
  const isHttp = (name: string) => Object.hasOwn(httpFlags, name);
  const own = Object.entries(flags).filter(([name]) => !isHttp(name));
  const shared = Object.entries(flags).filter(([name]) => isHttp(name));
  return (
    `Usage: ${path} ${usage}\n\n  ${indented(doc + (detail === "" ? "" : `\n\n${detail}`))}\n` +
    section("Options of the HTTP API", shared) +
    section("Options", own)
  );
}

/** Help of a group: its commands, a line each. */
export function groupHelp(path: string, { doc, detail, children }: CommandGroup): string {
  const lines = commandLines(Object.entries(children).map(([name, { doc: text }]) => [name, text]));
  const text = indented(doc + (detail === "" ? "" : `\n\n${detail}`));
  return `Usage: ${path} <subcommand> [options] [args]\n\n  ${text}\n\nSubcommands:\n\n${lines}`;
}

/** Names and one-line texts as two columns. */
export function commandLines(rows: readonly (readonly [name: string, doc: string])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, doc]) => `    ${name.padEnd(width)}    ${doc}\n`)
    .join("");
}

function section(title: string, flags: [string, Flag][]): string {
  if (flags.length === 0) return "";
  const lines = flags
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, flag]) => `  -${name}${valueText(flag)}\n     ${flag.doc}${defaultText(flag)}\n`);
  return `\n${title}\n\n${lines.join("\n")}`;
}

function valueText({ kind, placeholder }: Flag): string {
  return kind === "boolean" ? "" : `=<${placeholder}>`;
}

function defaultText({ kind, default: value }: Flag): string {
  if (value === undefined || value === "" || value === false) return "";
  return ` Default: ${kind === "durationMs" ? formatDuration(Number(value)) : String(value)}.`;
}

function indented(text: string): string {
  return text.replaceAll(/\n(?=[^\n])/g, "\n  ");
}
