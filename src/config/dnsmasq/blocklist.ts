/** Files that only deny names: a million lines of them are no million of statements, but a blocklist. */
import type { Slices } from "../../slices.ts";

/** Shorter files are read like any other. */
const MIN_OCTETS = 65_536;

const line =
  /(?:[^\S\n]*(?:#[^\n]*)?|(?:address|local|server)=\/((?:[A-Za-z0-9_-]+\.)+[A-Za-z0-9_-]+)\/(#?)[^\S\n]*)(?:\n|$)/y;

/** Lines between two chances to stop. */
const LINES_AT_ONCE = 64;

/**
 * What a file of nothing but `address=/name/`, `local=/name/` and the like answers (`forwarder.blocklist_answer`):
 * "nxdomain", or "null" for `address=/name/#`; undefined for all other files. `pieces`: whole lines each.
 */
export function* blocklistAnswer(
  pieces: readonly string[],
): Slices<"nxdomain" | "null" | undefined> {
  if (pieces.reduce((sum, { length }) => sum + length, 0) < MIN_OCTETS) return undefined;
  let answer: "nxdomain" | "null" | undefined;
  let lines = 0;
  for (const text of pieces)
    for (let at = 0; at < text.length;) {
      if (lines++ % LINES_AT_ONCE === 0) yield;
      const isAddress = text.startsWith("address", at);
      line.lastIndex = at; // of one expression for all, and others had their turn
      const match = line.exec(text);
      if (match === null) return undefined;
      at = line.lastIndex;
      const [, name, sign] = match;
      if (name === undefined) continue;
      // `server=/name/#` asks the usual servers.
      if (sign === "#" && !isAddress) return undefined;
      const own = sign === "#" ? "null" : "nxdomain";
      if (answer !== undefined && answer !== own) return undefined;
      answer = own;
    }
  return answer;
}
