/**
 * The part of HCL 1 that ACL rules are written in: `name = value`, `name "label" { ... }`, lists,
 * comments, heredocs; and the same in JSON. Gives a tree of plain objects in which blocks of one
 * name are lists: `{ key: [{ "app/": [{ policy: "read" }] }] }`, scalars stay scalars.
 */
import { fail, ok, type Result } from "../base.ts";

/** A value of HCL or JSON; a block is a list of objects. */
export type HclValue = string | number | boolean | HclValue[] | HclObject;
/** A body: names of attributes and blocks to their values. It has no prototype. */
export type HclObject = { [name: string]: HclValue };

/** Deepest nesting of blocks and lists; rules need three. */
const DEPTH_MAX = 16;

/** Text that starts with a brace is JSON, as for Consul. The error names line and problem. */
export function parseHcl(text: string): Result<HclObject, string> {
  if (text.trimStart().startsWith("{")) return parseJson(text);
  try {
    return ok(new Parser(text).parse());
  } catch (error) {
    if (error instanceof HclError) return fail(error.message);
    throw error;
  }
}

class HclError extends Error {}

function parseJson(text: string): Result<HclObject, string> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    return fail(`invalid JSON: ${error instanceof Error ? error.message : "unreadable"}`);
  }
  const tree = fromJson(parsed, 0);
  return tree !== undefined && typeof tree === "object" && !Array.isArray(tree)
    ? ok(tree)
    : fail("invalid JSON: not an object of strings, numbers, lists and objects");
}

function fromJson(value: unknown, depth: number): HclValue | undefined {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return value;
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return undefined;
  if (Array.isArray(value)) {
    const items = value.map((item) => fromJson(item, depth + 1));
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  const object = emptyObject();
  for (const [name, member] of Object.entries(value)) {
    const converted = fromJson(member, depth + 1);
    if (converted === undefined) return undefined;
    object[name] = converted;
  }
  return object;
}

/** Without a prototype: `__proto__` is a name like any other. */
function emptyObject(): HclObject {
  return Object.create(null) as HclObject;
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  a: "\u0007",
  b: "\b",
  f: "\f",
  v: "\v",
  '"': '"',
  "\\": "\\",
};

const [TAB, LF, CR, BLANK, QUOTE, HASH] = [9, 10, 13, 32, 34, 35];
const [STAR, SLASH, BACKSLASH, BOM] = [42, 47, 92, 0xfeff];

/** Sticky: they match where `lastIndex` says. */
const NAME = /[A-Za-z_][\w.-]*/y;
const WORD = /[-\w.+]+/y;

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): HclObject {
    const object = this.#members();
    if (this.#at < this.#text.length) throw this.#error(`unexpected '${this.#text[this.#at]}'`);
    return object;
  }

  /** Members up to a closing brace or the end. */
  #members(): HclObject {
    if (++this.#depth > DEPTH_MAX) throw this.#error("blocks nest too deeply");
    const object = emptyObject();
    for (;;) {
      this.#skipBlank();
      if (this.#at >= this.#text.length || this.#text[this.#at] === "}") break;
      this.#member(object);
      this.#skipBlank();
      if (this.#text[this.#at] === ",") this.#at++;
    }
    this.#depth--;
    return object;
  }

  #member(object: HclObject): void {
    const names = [this.#name()];
    for (;;) {
      this.#skipBlank();
      const c = this.#text[this.#at];
      if (c === "=") {
        if (names.length > 1) throw this.#error("a block cannot be assigned");
        this.#at++;
        const value = this.#value();
        const before = object[names[0]!];
        // Blocks of the same name go on in the list, as they do behind it.
        const joins =
          Array.isArray(value) && Array.isArray(before) && typeof before[0] === "object";
        object[names[0]!] = joins ? [...before, ...value] : value;
        return;
      }
      if (c === "{") break;
      if (c === undefined) throw this.#error(`expected '=' or '{' after '${names.at(-1)!}'`);
      names.push(this.#name());
      if (names.length > DEPTH_MAX) throw this.#error("a block has too many labels");
    }
    this.#at++;
    let body: HclValue = this.#members();
    if (this.#text[this.#at] !== "}") throw this.#error("expected '}'");
    this.#at++;
    for (const label of names.slice(1).reverse()) {
      const labelled = emptyObject();
      labelled[label] = [body];
      body = labelled;
    }
    const held = object[names[0]!];
    if (Array.isArray(held)) held.push(body);
    else object[names[0]!] = [body];
  }

  #name(): string {
    if (this.#text[this.#at] === '"') return this.#string();
    const name = this.#take(NAME);
    if (name === undefined)
      throw this.#error(`expected a name, found '${this.#text[this.#at] ?? ""}'`);
    return name;
  }

  #value(): HclValue {
    this.#skipBlank();
    const c = this.#text[this.#at];
    if (c === '"') return this.#string();
    if (c === "[") return this.#list();
    if (c === "{") {
      this.#at++;
      const object = this.#members();
      if (this.#text[this.#at] !== "}") throw this.#error("expected '}'");
      this.#at++;
      return [object];
    }
    if (this.#text.startsWith("<<", this.#at)) return this.#heredoc();
    const word = this.#take(WORD);
    if (word === "true" || word === "false") return word === "true";
    if (word === undefined || !/^-?(0x[0-9a-fA-F]+|\d+(\.\d+)?([eE][-+]?\d+)?)$/.test(word))
      throw this.#error(`unknown value '${word ?? c ?? ""}'`);
    return Number(word);
  }

  #list(): HclValue[] {
    if (++this.#depth > DEPTH_MAX) throw this.#error("lists nest too deeply");
    this.#at++;
    const items: HclValue[] = [];
    for (;;) {
      this.#skipBlank();
      if (this.#text[this.#at] === "]") break;
      items.push(this.#value());
      this.#skipBlank();
      if (this.#text[this.#at] === ",") this.#at++;
      else if (this.#text[this.#at] !== "]") throw this.#error("expected ',' or ']'");
    }
    this.#at++;
    this.#depth--;
    return items;
  }

  #string(): string {
    const text = this.#text;
    let value = "";
    for (let start = ++this.#at; ; this.#at++) {
      const code = text.charCodeAt(this.#at);
      if (this.#at >= text.length || code === LF) throw this.#error("literal not terminated");
      if (code === QUOTE) {
        value += text.slice(start, this.#at++);
        return value;
      }
      if (code !== BACKSLASH) continue;
      value += text.slice(start, this.#at) + this.#escape();
      start = this.#at + 1;
    }
  }

  #escape(): string {
    const c = this.#text[++this.#at] ?? "";
    const plain = ESCAPES[c];
    if (plain !== undefined) return plain;
    const lengths: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };
    const digits = this.#text.slice(this.#at + 1, this.#at + 1 + (lengths[c] ?? 0));
    const point = Number.parseInt(digits, 16);
    if (lengths[c] !== digits.length || !/^[0-9a-fA-F]+$/.test(digits) || point > 0x10ffff)
      throw this.#error("illegal escape");
    this.#at += digits.length;
    return String.fromCodePoint(point);
  }

  /** `<<EOF` or `<<-EOF`, which takes away the indentation of its lines. */
  #heredoc(): string {
    const start = /<<(-?)(\w+)\r?\n/y;
    start.lastIndex = this.#at;
    const [whole, indented, anchor] = start.exec(this.#text) ?? [];
    if (whole === undefined) throw this.#error("heredoc without an anchor");
    this.#at += whole.length;
    const lines: string[] = [];
    for (;;) {
      const end = this.#text.indexOf("\n", this.#at);
      const line = this.#text.slice(this.#at, end === -1 ? undefined : end);
      if (line.trim() === anchor) {
        this.#at += line.length;
        break;
      }
      if (end === -1) throw this.#error("heredoc not terminated");
      lines.push(indented === "" ? line : line.trimStart());
      this.#at = end + 1;
    }
    return lines.map((line) => `${line}\n`).join("");
  }

  /** Blanks and comments. By character codes: it runs before every token of what may be a long text. */
  #skipBlank(): void {
    const text = this.#text;
    for (;;) {
      const code = text.charCodeAt(this.#at);
      if (code === BLANK || code === LF || code === CR || code === TAB || code === BOM) this.#at++;
      else if (code === HASH || (code === SLASH && text.charCodeAt(this.#at + 1) === SLASH))
        this.#skipTo("\n", text.length);
      else if (code === SLASH && text.charCodeAt(this.#at + 1) === STAR) {
        this.#at += 2;
        this.#skipTo("*/", undefined);
        this.#at += 2;
      } else return;
    }
  }

  /** Goes to the next `end`, or to `otherwise`; without either it is a comment that does not end. */
  #skipTo(end: string, otherwise: number | undefined): void {
    const found = this.#text.indexOf(end, this.#at);
    const at = found === -1 ? otherwise : found;
    if (at === undefined) throw this.#error("comment not terminated");
    this.#at = at;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return undefined;
    const found = this.#text.slice(this.#at, pattern.lastIndex);
    this.#at = pattern.lastIndex;
    return found;
  }

  #error(problem: string): HclError {
    const line = this.#text.slice(0, this.#at).split("\n").length;
    return new HclError(`line ${line}: ${problem}`);
  }
}
