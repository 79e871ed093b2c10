/** One line of a dnsmasq configuration file, as dnsmasq(8) reads it: comments, quotes, keyword and value. */
import { fail, ok, type Result } from "../../base.ts";

/** `value` is undefined where the line has no `=`; characters that quotes protect are still hidden in it. */
export type Line = { readonly keyword: string; readonly value: string | undefined };

/** What quotes hide from the splitting of lists: digits, hexadecimal letters, blanks and ` :,.`. */
const protectedByQuotes = /[0-9a-fA-F:,. \p{Cc}]/gu;
/** A hidden character is itself plus this: private use, which no name and no path holds. */
const HIDDEN = 0xe000;
const escapes: Readonly<Record<string, string>> = {
  t: "\t",
  n: "\n",
  b: "\b",
  r: "\r",
  e: "\x1B",
  "\\": "\\",
  '"': '"',
};

/**
 * A line without its end. undefined: blank or a comment. `#` starts a comment at the start of the line and
 * behind a blank; inside quotes it is itself, and `\t \n \b \r \e \\ \"` are escapes there.
 */
export function parseLine(text: string): Result<Line | undefined, string> {
  const plain = withoutQuotes(text);
  if (!plain.ok) return plain;
  const content = plain.value.replace(/^ +| +$/g, "");
  if (content === "") return ok(undefined);
  const at = content.indexOf("=");
  if (at < 0) return ok({ keyword: content, value: undefined });
  return ok({
    keyword: content.slice(0, at).replace(/[ =]+$/, ""),
    value: content.slice(at + 1).replace(/^ +/, ""),
  });
}

/** The text as it was meant, quotes undone. */
export function shown(value: string): string {
  return /[\uE000-\uE0FF]/.test(value)
    ? value.replaceAll(/[\uE000-\uE0FF]/g, (hidden) =>
        String.fromCharCode(hidden.charCodeAt(0) - HIDDEN),
      )
    : value;
}

/** The parts of a list, without the blanks around the separator; quotes are not yet undone. */
export function splitList(value: string, separator = ","): string[] {
  const parts = value.split(separator);
  return parts.map((part, i) => {
    const left = i === 0 ? part : part.replace(/^ +/, "");
    return i === parts.length - 1 ? left : left.replace(/ +$/, "");
  });
}

/** The two sides of the first separator; the second is undefined without one. */
export function splitOnce(value: string, separator: string): [string, string | undefined] {
  const at = value.indexOf(separator);
  if (at < 0) return [value, undefined];
  return [value.slice(0, at).replace(/ +$/, ""), value.slice(at + 1).replace(/^ +/, "")];
}

function withoutQuotes(text: string): Result<string, string> {
  let content = "";
  let afterBlank = true;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') {
      const end = endOfQuotes(text, i + 1);
      if (end < 0) return fail('missing "');
      content += hidden(text.slice(i + 1, end));
      i = end + 1;
      if (i >= text.length) break;
    }
    // What follows a closing quote is itself, also another quote: so dnsmasq reads it.
    const char = text[i]!;
    if (/\s/.test(char)) {
      content += " ";
      afterBlank = true;
    } else {
      if (afterBlank && char === "#") break;
      content += char;
      afterBlank = false;
    }
  }
  return ok(content);
}

function endOfQuotes(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    if (text[i] === '"') return i;
    if (text[i] === "\\" && text[i + 1] !== undefined && Object.hasOwn(escapes, text[i + 1]!)) i++;
  }
  return -1;
}

function hidden(quoted: string): string {
  const plain = quoted.replaceAll(/\\([tnbre"\\])/g, (_, letter: string) => escapes[letter]!);
  return plain.replaceAll(protectedByQuotes, (char) =>
    String.fromCharCode(HIDDEN + char.charCodeAt(0)),
  );
}
