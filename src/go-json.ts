/** What Go's encoding/json does and JSON.stringify does not. */

const escapes: Readonly<Record<string, string>> = {
  "&": "\\u0026",
  "<": "\\u003c",
  ">": "\\u003e",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** JSON text with the characters escaped that Go escapes: `&`, `<`, `>` and two ends of lines. */
export function escapeAsGo(json: string): string {
  if (!/[&<>\u2028\u2029]/.test(json)) return json;
  return json.replace(/[&<>\u2028\u2029]/g, (character) => escapes[character]!);
}
