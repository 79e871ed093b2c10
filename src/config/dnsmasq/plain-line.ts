/** Lines such as `address=/ads.example/0.0.0.0`, found in the text of a file without making texts of them. */

/** What the last call of plainLineAt found; places in the text. */
export const plainLine = {
  keyword: "address" as "address" | "local" | "server",
  nameStart: 0,
  nameEnd: 0,
  valueEnd: 0,
  /** Where the next line begins. The value begins behind the slash that ends the name. */
  next: 0,
};

const keywords = ["address", "local", "server"] as const;
const MAX_LABEL = 63;
const MAX_NAME = 253;

const [LF, SLASH, DOT, QUOTE, BACKSLASH] = [0x0a, 0x2f, 0x2e, 0x22, 0x5c];

/**
 * Is the line that begins there one of `address`, `local` or `server` with one name, of letters, digits,
 * `-` and `_` between dots, and a value of printable ASCII that needs no quotes? Then it is in plainLine.
 */
export function plainLineAt(text: string, start: number): boolean {
  const keyword = keywords.find((each) => text.startsWith(each, start));
  if (keyword === undefined || !text.startsWith("=/", start + keyword.length)) return false;
  const nameStart = start + keyword.length + 2;
  let at = nameStart;
  let labelAt = at;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (isPlain(code)) continue;
    if ((code !== DOT && code !== SLASH) || at === labelAt || at - labelAt > MAX_LABEL)
      return false;
    if (code === SLASH) break;
    labelAt = at + 1;
  }
  if (at === text.length || at - nameStart > MAX_NAME) return false;
  plainLine.keyword = keyword;
  plainLine.nameStart = nameStart;
  plainLine.nameEnd = at++;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code <= 0x20 || code > 0x7e) break;
    if (code === QUOTE || code === SLASH || code === BACKSLASH) return false;
  }
  plainLine.valueEnd = at;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === LF) break;
    if (code !== 0x20 && code !== 0x09 && code !== 0x0d) return false;
  }
  plainLine.next = at + 1;
  return true;
}

function isPlain(code: number): boolean {
  const letter = code | 0x20;
  return (
    (letter >= 0x61 && letter <= 0x7a) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x2d ||
    code === 0x5f
  );
}
