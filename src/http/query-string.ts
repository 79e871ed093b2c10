/** Query strings as Go's url.ParseQuery reads them. */

/** Names and values in the order of the URL. */
export type Parameters = readonly (readonly [string, string])[];

const none: Parameters = [];

/** The pairs of the URL's query in order, decoded (`+` is a blank); undefined for a broken escape. */
export function parseQuery(url: string): Parameters | undefined {
  const mark = url.indexOf("?");
  if (mark < 0 || mark === url.length - 1) return none;
  const pairs: [string, string][] = [];
  for (const part of url.slice(mark + 1).split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = unescape(equals < 0 ? part : part.slice(0, equals));
    const value = equals < 0 ? "" : unescape(part.slice(equals + 1));
    if (name === undefined || value === undefined) return undefined;
    pairs.push([name, value]);
  }
  return pairs;
}

/**
 * Decoded text; undefined for a broken escape like `%zz`. Octets that are not UTF-8 become U+FFFD: Go
 * keeps them, and shows them so in JSON.
 */
function unescape(text: string): string | undefined {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  return decodePercent(spaced) ?? decodeOctets(spaced);
}

function decodeOctets(text: string): string | undefined {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return undefined;
  // An octet per code unit, so that escapes and the text between them are decoded as one.
  const octets = Buffer.from(text, "utf8")
    .toString("latin1")
    .replaceAll(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(octets, "latin1").toString("utf8");
}

/** `%41` → `A`; undefined when an escape is broken or the octets are not UTF-8. */
export function decodePercent(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
