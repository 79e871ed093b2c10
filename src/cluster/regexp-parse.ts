/**
 * Parser of RE2's syntax: https://github.com/google/re2/wiki/Syntax, which is what Consul's users
 * write. No back references and no lookaround: RE2 has none, and so matching stays linear.
 */
import { fail, ok, type Result } from "../base.ts";

/** RE2's own limit for `{n,m}`. */
const maxRepeat = 1000;
const maxDepth = 100;

/** Does this code point belong to the class? */
export type Test = (point: number) => boolean;
/** Places that match without taking a character. */
export type Assertion = "start" | "end" | "lineStart" | "lineEnd" | "boundary" | "noBoundary";
/** Syntax tree. `max` is Infinity without a bound; groups are numbered from 1. */
export type Node =
  | { type: "one"; test: Test }
  | { type: "assert"; assertion: Assertion }
  | { type: "all" | "any"; nodes: Node[] }
  | { type: "group"; node: Node; group: number }
  | { type: "repeat"; node: Node; min: number; max: number; greedy: boolean };
type Flags = { ignoreCase: boolean; multiLine: boolean; dotAll: boolean; ungreedy: boolean };

class RegexpError extends Error {}

/** The tree of an expression and the number of its capturing groups; the error is RE2's wording. */
export function parseRegexp(expression: string): Result<{ tree: Node; groups: number }, string> {
  try {
    return ok(new Parser(expression).parse());
  } catch (error) {
    if (error instanceof RegexpError) return fail(`error parsing regexp: ${error.message}`);
    throw error;
  }
}

const isDigit: Test = (p) => p >= 48 && p <= 57;
const isUpper: Test = (p) => p >= 65 && p <= 90;
const isLower: Test = (p) => p >= 97 && p <= 122;
const isAlpha: Test = (p) => isUpper(p) || isLower(p);
/** RE2's `\\w`: ASCII only. */
export const isWord: Test = (p) => isAlpha(p) || isDigit(p) || p === 95;
const isSpace: Test = (p) => p === 32 || (p >= 9 && p <= 13 && p !== 11);
const not =
  (test: Test): Test =>
  (p) =>
    !test(p);

const perlClasses: Record<string, Test> = {
  d: isDigit,
  w: isWord,
  s: isSpace,
  D: not(isDigit),
  W: not(isWord),
  S: not(isSpace),
};
const posixClasses: Record<string, Test> = {
  alnum: (p) => isAlpha(p) || isDigit(p),
  alpha: isAlpha,
  ascii: (p) => p < 128,
  blank: (p) => p === 9 || p === 32,
  cntrl: (p) => p < 32 || p === 127,
  digit: isDigit,
  graph: (p) => p > 32 && p < 127,
  lower: isLower,
  print: (p) => p >= 32 && p < 127,
  punct: (p) => p > 32 && p < 127 && !isAlpha(p) && !isDigit(p),
  space: (p) => p === 32 || (p >= 9 && p <= 13),
  upper: isUpper,
  word: isWord,
  xdigit: (p) => isDigit(p) || (p >= 65 && p <= 70) || (p >= 97 && p <= 102),
};
const letterEscapes: Record<string, number> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };
const assertions: Record<string, Assertion> = {
  A: "start",
  z: "end",
  b: "boundary",
  B: "noBoundary",
};

class Parser {
  readonly #text: string[];
  #at = 0;
  #depth = 0;
  #groups = 0;
  #flags: Flags = { ignoreCase: false, multiLine: false, dotAll: false, ungreedy: false };

  constructor(expression: string) {
    this.#text = Array.from(expression);
  }

  parse(): { tree: Node; groups: number } {
    const tree = this.#alternatives();
    if (this.#at < this.#text.length) throw new RegexpError("unexpected )");
    return { tree, groups: this.#groups };
  }

  #alternatives(): Node {
    if (++this.#depth > maxDepth) throw new RegexpError("expression nests too deeply");
    const flags = this.#flags;
    const nodes = [this.#sequence()];
    while (this.#skip("|")) nodes.push(this.#sequence());
    this.#flags = flags; // flags set inside a group end with it
    this.#depth--;
    return nodes.length === 1 ? nodes[0]! : { type: "any", nodes };
  }

  #sequence(): Node {
    const nodes: Node[] = [];
    while (this.#at < this.#text.length && this.#peek() !== "|" && this.#peek() !== ")") {
      const node = this.#atom();
      if (node !== undefined) nodes.push(this.#repeated(node));
    }
    return { type: "all", nodes };
  }

  #repeated(node: Node): Node {
    const range = this.#range();
    if (range === undefined) return node;
    const greedy = this.#skip("?") === this.#flags.ungreedy;
    if (this.#range() !== undefined) throw new RegexpError("invalid nested repetition operator");
    return { type: "repeat", node, greedy, ...range };
  }

  #range(): { min: number; max: number } | undefined {
    if (this.#skip("*")) return { min: 0, max: Infinity };
    if (this.#skip("+")) return { min: 1, max: Infinity };
    if (this.#skip("?")) return { min: 0, max: 1 };
    const [whole, low, comma, high] =
      /^\{(\d+)(,?)(\d*)\}/.exec(this.#text.slice(this.#at, this.#at + 12).join("")) ?? [];
    if (whole === undefined) return undefined; // a literal brace
    this.#at += whole.length;
    const min = Number(low);
    const max = high ? Number(high) : comma ? Infinity : min;
    if (min > maxRepeat || (max !== Infinity && (max > maxRepeat || max < min)))
      throw new RegexpError(`invalid repeat count: ${whole}`);
    return { min, max };
  }

  /** undefined: only flags were set, or a quotation opened. */
  #atom(): Node | undefined {
    const c = this.#next();
    if (c === "(") return this.#group();
    if (c === "[") return { type: "one", test: this.#class() };
    if (c === "\\") return this.#escape();
    if (c === ".") return { type: "one", test: this.#flags.dotAll ? () => true : (p) => p !== 10 };
    if (c === "^") return this.#assert(this.#flags.multiLine ? "lineStart" : "start");
    if (c === "$") return this.#assert(this.#flags.multiLine ? "lineEnd" : "end");
    if (c === "*" || c === "+" || c === "?")
      throw new RegexpError(`missing argument to repetition operator: ${c}`);
    return this.#literal(c.codePointAt(0)!);
  }

  #assert(assertion: Assertion): Node {
    return { type: "assert", assertion };
  }

  #literal(point: number): Node {
    return { type: "one", test: this.#folded((p) => p === point) };
  }

  /** With (?i), a character also counts as its other case. */
  #folded(test: Test): Test {
    if (!this.#flags.ignoreCase) return test;
    return (p) => {
      const character = String.fromCodePoint(p);
      return (
        test(p) ||
        test(character.toLowerCase().codePointAt(0)!) ||
        test(character.toUpperCase().codePointAt(0)!)
      );
    };
  }

  #group(): Node | undefined {
    const outer = this.#flags;
    let group = 0;
    if (!this.#skip("?") || this.#skipName()) {
      group = ++this.#groups;
    } else {
      const inner = this.#readFlags();
      if (this.#skip(")")) {
        this.#flags = inner;
        return undefined;
      }
      if (!this.#skip(":")) throw new RegexpError("invalid or unsupported Perl syntax: (?");
      this.#flags = inner;
    }
    const node = this.#alternatives();
    if (!this.#skip(")")) throw new RegexpError("missing closing )");
    this.#flags = outer;
    return group === 0 ? node : { type: "group", node, group };
  }

  /** `P<name>` or `<name>`. */
  #skipName(): boolean {
    const rest = this.#text.slice(this.#at).join("");
    const [name] = /^P?<[A-Za-z0-9_]+>/.exec(rest) ?? [];
    this.#at += name?.length ?? 0;
    return name !== undefined;
  }

  #readFlags(): Flags {
    const flags = { ...this.#flags };
    let on = true;
    for (;;) {
      const c = this.#peek();
      if (c === "-") on = false;
      else if (c === "i") flags.ignoreCase = on;
      else if (c === "m") flags.multiLine = on;
      else if (c === "s") flags.dotAll = on;
      else if (c === "U") flags.ungreedy = on;
      else return flags;
      this.#at++;
    }
  }

  /** undefined: a quotation was opened. */
  #escape(): Node | undefined {
    const c = this.#next();
    if (c in assertions) return this.#assert(assertions[c]!);
    if (c === "Q") {
      this.#unquote();
      return undefined;
    }
    const test = this.#escapedClass(c);
    if (test !== undefined) return { type: "one", test: this.#folded(test) };
    return this.#literal(this.#escapedPoint(c));
  }

  /** `\Q...\E`: its characters are put in the place of the quotation, escaped where they mean more. */
  #unquote(): void {
    let end = this.#at;
    while (end < this.#text.length && !(this.#text[end] === "\\" && this.#text[end + 1] === "E"))
      end++;
    const quoted = this.#text.slice(this.#at, end);
    const escaped = quoted.flatMap((c) => (/[!-/:-@[-`{-~]/.test(c) ? ["\\", c] : [c]));
    this.#text.splice(this.#at, end + 2 - this.#at, ...escaped);
  }

  #escapedClass(c: string): Test | undefined {
    if (Object.hasOwn(perlClasses, c)) return perlClasses[c];
    if (c !== "p" && c !== "P") return undefined;
    const rest = this.#text.slice(this.#at).join("");
    const [whole, negated = "", braced, single] =
      /^(?:\{(\^?)([A-Za-z_]+)\}|([A-Z]))/.exec(rest) ?? [];
    if (whole === undefined) throw new RegexpError(`invalid character class range: \\${c}`);
    this.#at += whole.length;
    const test = unicodeClass(braced ?? single!);
    return (c === "P") === (negated === "") ? not(test) : test;
  }

  #escapedPoint(c: string): number {
    if (Object.hasOwn(letterEscapes, c)) return letterEscapes[c]!;
    const rest = this.#text.slice(this.#at, this.#at + 10).join("");
    const [whole, braced, plain] =
      c === "x" ? (/^(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2}))/.exec(rest) ?? []) : [];
    if (whole !== undefined) {
      this.#at += whole.length;
      return Number.parseInt(braced ?? plain!, 16);
    }
    const octal = /^[0-7]{1,3}/.exec(c + rest)?.[0];
    if (octal !== undefined && (c === "0" || octal.length > 1)) {
      this.#at += octal.length - 1;
      return Number.parseInt(octal, 8);
    }
    if (/[A-Za-z0-9]/.test(c)) throw new RegexpError(`invalid escape sequence: \\${c}`);
    return c.codePointAt(0)!;
  }

  #class(): Test {
    const negated = this.#skip("^");
    const tests: Test[] = [];
    for (let first = true; first || this.#peek() !== "]"; first = false) tests.push(this.#member());
    this.#at++;
    const test = this.#folded((p) => tests.some((inner) => inner(p)));
    return negated ? not(test) : test;
  }

  #member(): Test {
    const posix = /^\[:(\^?)([a-z]+):\]/.exec(this.#text.slice(this.#at, this.#at + 14).join(""));
    if (posix) {
      const test = posixClasses[posix[2]!];
      if (test === undefined) throw new RegexpError(`invalid character class range: ${posix[0]}`);
      this.#at += posix[0].length;
      return posix[1] === "^" ? not(test) : test;
    }
    const c = this.#next("missing closing ]");
    let low: number;
    if (c === "\\") {
      const escaped = this.#next("missing closing ]");
      const test = this.#escapedClass(escaped);
      if (test !== undefined) return test;
      low = this.#escapedPoint(escaped);
    } else low = c.codePointAt(0)!;
    if (this.#peek() !== "-" || this.#text[this.#at + 1] === "]") return (p) => p === low;
    this.#at++;
    const end = this.#next("missing closing ]");
    const high = end === "\\" ? this.#escapedPoint(this.#next()) : end.codePointAt(0)!;
    if (high < low) throw new RegexpError(`invalid character class range: ${c}-${end}`);
    return (p) => p >= low && p <= high;
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #next(problem = "trailing backslash at end of expression"): string {
    const c = this.#text[this.#at++];
    if (c === undefined) throw new RegexpError(problem);
    return c;
  }

  #skip(wanted: string): boolean {
    if (this.#peek() !== wanted) return false;
    this.#at++;
    return true;
  }
}

/** `\pL`, `\p{Greek}`: asked of the runtime, one character at a time. */
function unicodeClass(name: string): Test {
  for (const property of [name, `Script=${name}`])
    try {
      const pattern = new RegExp(`^\\p{${property}}$`, "u");
      return (p) => pattern.test(String.fromCodePoint(p));
    } catch {
      // not a property of this kind
    }
  throw new RegexpError(`invalid character class range: \\p{${name}}`);
}
