import { formatDuration } from "../duration.ts";
import { wordList, type Option } from "./kinds.ts";
import { options, usedKeys } from "./options.ts";

const kinds: Record<Option["kind"], string> = {
  text: "text",
  integer: "integer",
  number: "number",
  boolean: "boolean",
  durationMs: "duration",
  octets: "octets",
  texts: "list",
  paths: "text or list",
  textMap: "texts by name",
  durationMap: "durations by name",
  anything: "any",
};

/** The options that work, as a table in Markdown, in the order of the option table. */
export function optionTable(): string {
  const rows = usedKeys.map((key) => {
    const option = options[key];
    const key_ = `\`${key}\`${option.reloadable ? " ↻" : ""}`;
    const flag = option.flag === undefined ? "" : `\`${option.flag}\``;
    return `| ${key_} | ${flag} | ${kinds[option.kind]} | ${defaultText(option)} | ${docText(option)} |`;
  });
  return ["| key | flag | kind | default | |", "|---|---|---|---|---|", ...rows].join("\n");
}

function defaultText({ kind, default: value }: Option): string {
  if (kind === "durationMs") return `\`${formatDuration(Number(value))}\``;
  const isEmpty =
    value === "" || (typeof value === "object" && Object.keys(value ?? {}).length === 0);
  if (kind === "textMap" && !isEmpty) return `\`${JSON.stringify(value)}\``;
  return isEmpty ? "" : `\`${String(value as string | number | boolean)}\``;
}

function docText({ doc, min, max, words, kind }: Option): string {
  const show = (limit: number) => (kind === "durationMs" ? formatDuration(limit) : String(limit));
  if (words !== undefined) return `${doc} One of ${wordList(words)}.`;
  if (min !== undefined && max !== undefined) return `${doc} ${show(min)} to ${show(max)}.`;
  return min === undefined || min === 0 ? doc : `${doc} At least ${show(min)}.`;
}

/** Consul's keys that are accepted with a warning and do nothing, by reason, in Markdown. */
export function withoutEffectList(): string {
  return byReason(({ anyIsSilent }) => anyIsSilent !== true);
}

/** Consul's keys that are accepted without a word: no value asks for anything else than what is done. */
export function nothingToDoList(): string {
  return byReason(({ anyIsSilent }) => anyIsSilent === true);
}

function byReason(isListed: (option: Option) => boolean): string {
  const reasons = new Map<string, string[]>();
  for (const [key, option] of Object.entries(options)) {
    if (option.withoutEffect === undefined || !isListed(option)) continue;
    const keys = reasons.get(option.withoutEffect) ?? [];
    reasons.set(option.withoutEffect, [...keys, `\`${key}\``]);
  }
  return [...reasons].map(([reason, keys]) => `- ${reason}: ${keys.join(", ")}`).join("\n");
}
