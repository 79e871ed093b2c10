/** Answers of the agent: read by a shape, shown again as Consul's own command line shows them. */
import type { Result } from "../base.ts";
import { escapeAsGo } from "../go-json.ts";
import { HttpFailure } from "./client.ts";
import { CommandFailure } from "./command.ts";
import { flag } from "./flags.ts";

/** For decodeShape: members that nobody asked for are skipped. */
export const loosely = { unknown: undefined };

/** What decodeShape has read from an answer. Throws HttpFailure if it is of another shape. */
export function understood<T>(decoded: Result<T, string>): T {
  if (decoded.ok) return decoded.value;
  throw new HttpFailure(0, `the answer is not understood: ${decoded.error}`);
}

/** `-format`, as `checkFormat` reads it. */
export const formatFlag = flag.text("Form of the output: pretty or json. Default: pretty.", {
  placeholder: "form",
});

/** "json" or "pretty". Throws Consul's sentence for any other word. */
export function checkFormat(word: string): "json" | "pretty" {
  if (word === "" || word === "pretty") return "pretty";
  if (word === "json") return "json";
  throw new CommandFailure(`Unknown format: ${word}`);
}

/** Indented JSON with a line's end, as Go prints it. Members that are undefined are left out. */
export function jsonText(value: unknown, indent = 4): string {
  return `${escapeAsGo(JSON.stringify(value, null, indent))}\n`;
}

/** A text in quotes, as Go's %q prints it. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

/** A time of the API without zeros at the end of its fraction, as Go writes it in JSON. */
export function goTime(time: string): string {
  return time.replace(/(\.\d*?)0+Z$/, "$1Z").replace(".Z", "Z");
}

/** A time of the API → as Go prints it, in UTC: `2024-05-06 07:08:09.123 +0000 UTC`. */
export function timeText(time: string): string {
  const parts = /^(\d{4}-\d\d-\d\d)T([\d:.]+)Z$/.exec(goTime(time));
  return parts === null ? time : `${parts[1]} ${parts[2]} +0000 UTC`;
}
