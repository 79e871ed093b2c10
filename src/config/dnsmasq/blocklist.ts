/** Files that only deny names: a million lines of them are no million of statements, but a blocklist. */

/** Shorter files are read like any other. */
const MIN_OCTETS = 65_536;

const line =
  /(?:[^\S\n]*(?:#[^\n]*)?|(?:address|local|server)=\/((?:[A-Za-z0-9_-]+\.)+[A-Za-z0-9_-]+)\/(#?)[^\S\n]*)(?:\n|$)/y;

/**
 * What a file of nothing but `address=/name/`, `local=/name/` and the like answers (`forwarder.blocklist_answer`):
 * "nxdomain", or "null" for `address=/name/#`; undefined for all other files.
 */
export function blocklistAnswer(text: string): "nxdomain" | "null" | undefined {
  if (text.length < MIN_OCTETS) return undefined;
  let answer: "nxdomain" | "null" | undefined;
  for (line.lastIndex = 0; line.lastIndex < text.length;) {
    const isAddress = text.startsWith("address", line.lastIndex);
    const match = line.exec(text);
    if (match === null) return undefined;
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
