/**
 * Where a text stops being JSON (RFC 8259), for texts that `JSON.parse` refused: engines word their
 * errors differently and some name no place. Line and column start at 1.
 */
export function placeOfJsonError(text: string): { line: number; column: number; found: string } {
  const at = offsetOfError(text);
  const before = text.slice(0, at).split("\n");
  const found = at >= text.length ? "end of the file" : JSON.stringify(text[at]);
  return { line: before.length, column: before.at(-1)!.length + 1, found };
}

const token =
  /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[[\]{}:,]/uy;
const blanks = /[ \t\r\n]*/y;

/** What may come next; the stack holds the brackets that are open. */
type Expected = "value" | "value or ]" | "key or }" | "key" | ":" | ", or end";

function offsetOfError(text: string): number {
  const open: ("{" | "[")[] = [];
  let expected: Expected = "value";
  let at = 0;
  for (;;) {
    blanks.lastIndex = at;
    at += blanks.exec(text)![0].length;
    token.lastIndex = at;
    const found = token.exec(text)?.[0];
    if (found === undefined) return at;
    const next = follow(expected, found, open);
    if (next === undefined) return at;
    expected = next;
    at += found.length;
  }
}

/** What may come after `found`; undefined if `found` itself is wrong here. */
function follow(expected: Expected, found: string, open: ("{" | "[")[]): Expected | undefined {
  if (found === "}" || found === "]") {
    const opened = found === "}" ? "{" : "[";
    const empty = expected === (found === "}" ? "key or }" : "value or ]");
    if (open.at(-1) !== opened || !(empty || expected === ", or end")) return undefined;
    open.pop();
    return ", or end";
  }
  if (found === ",") {
    if (expected !== ", or end" || open.length === 0) return undefined;
    return open.at(-1) === "{" ? "key" : "value";
  }
  if (found === ":") return expected === ":" ? "value" : undefined;
  if (expected === "key" || expected === "key or }") return found.startsWith('"') ? ":" : undefined;
  if (expected !== "value" && expected !== "value or ]") return undefined;
  if (found !== "{" && found !== "[") return ", or end";
  open.push(found);
  return found === "{" ? "key or }" : "value or ]";
}
