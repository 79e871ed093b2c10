/** Bodies of answers: JSON with Go's escapes, gzip for long ones. */
import { gzip } from "node:zlib";
import { escapeAsGo } from "../go-json.ts";
import { endOfString } from "./body.ts";

/** Shorter bodies are not worth compressing; the number is that of Consul's gzip handler. */
const gzipMinOctets = 1400;

/** JSON text that stands already, compact and with Go's escapes: a value of it is printed as it is. */
export class JsonText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** JSON text as Go prints it: `&`, `<`, `>` escaped; `pretty` indents by four and ends the line. */
export function renderJson(value: unknown, pretty: boolean): string {
  if (value instanceof JsonText) return pretty ? `${indentJson(value.text)}\n` : value.text;
  return escapeAsGo(
    pretty ? `${JSON.stringify(value, null, 4)}\n` : (JSON.stringify(value) ?? "null"),
  );
}

/** Brackets with nothing inside, the marks that begin or end a line, and what stands between marks. */
const tokens = /\[\]|\{\}|[[\]{},:"]|[^"[\]{},:]+/y;

/** Compact JSON indented by four. By its marks alone, so that a number keeps all its digits. */
export function indentJson(compact: string): string {
  let indent = "\n";
  let indented = "";
  for (let at = 0; at < compact.length;) {
    tokens.lastIndex = at;
    let [token] = tokens.exec(compact)!; // every character begins some token
    if (token === '"') token = compact.slice(at, endOfString(compact, at) + 1);
    at += token.length;
    if (token === "[" || token === "{") {
      indent += "    ";
      indented += token + indent;
    } else if (token === "]" || token === "}") {
      indent = indent.slice(0, -4);
      indented += indent + token;
    } else if (token === ",") indented += token + indent;
    else indented += token === ":" ? ": " : token;
  }
  return indented;
}

/** Does the client take gzip, and is the body long enough? (Of a text, UTF-16 units stand in for octets.) */
export function isGzipWanted(body: string | Uint8Array, request: Request): boolean {
  return body.length >= gzipMinOctets && takesGzip(request);
}

/** Does the client take gzip? */
export function takesGzip(request: Request): boolean {
  const accepted = request.headers.get("Accept-Encoding");
  return accepted !== null && /(^|,)\s*gzip\s*(;\s*q=(0?\.0*[1-9]|1)|,|$)/.test(accepted);
}

/** The body gzipped, on the runtime's thread pool. */
export function gzipBody(body: string | Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) =>
    gzip(body, { level: 1 }, (error, octets) => (error ? reject(error) : resolve(octets))),
  );
}
