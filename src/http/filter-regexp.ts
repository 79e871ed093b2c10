/**
 * Regular expressions of RE2's syntax that answer yes or no in time linear in the text. The runtime's
 * own engine backtracks: one crafted `matches` would stop the main thread, DNS misses included.
 * Syntax: https://github.com/google/re2/wiki/Syntax without captures' contents (only a match counts).
 */
import { fail, ok, type Result } from "../base.ts";

/** RE2's own limit for `{n,m}`. */
const maxRepeat = 1000;
/** Size of a compiled expression; each text character costs at most this many steps. */
const maxInstructions = 2000;
const maxDepth = 100;

type Test = (point: number) => boolean;
type Assertion = "start" | "end" | "lineStart" | "lineEnd" | "boundary" | "noBoundary";
type Node =
  | { type: "one"; test: Test }
  | { type: "assert"; assertion: Assertion }
  | { type: "all" | "any"; nodes: Node[] }
  | { type: "repeat"; node: Node; min: number; max: number };
type Instruction =
  | { op: "one"; test: Test }
  | { op: "assert"; assertion: Assertion }
  | { op: "split"; to: readonly [number, number] }
  | { op: "jump"; to: number }
  | { op: "match" };
type Flags = { ignoreCase: boolean; multiLine: boolean; dotAll: boolean };

class RegexpError extends Error {}

/** A predicate "matches somewhere in the text"; the error says what is wrong with the expression. */
export function compileRegexp(expression: string): Result<(text: string) => boolean, string> {
  try {
    const tree = new Parser(expression).parse();
    const program: Instruction[] = [];
    emit(tree, program);
    program.push({ op: "match" });
    return ok((text) => run(program, text));
  } catch (error) {
    if (error instanceof RegexpError) return fail(`error parsing regexp: ${error.message}`);
    throw error;
  }
}

function emit(node: Node, program: Instruction[]): void {
  if (program.length > maxInstructions) throw new RegexpError("expression is too large");
  switch (node.type) {
    case "one":
      program.push({ op: "one", test: node.test });
      return;
    case "assert":
      program.push({ op: "assert", assertion: node.assertion });
      return;
    case "all":
      for (const inner of node.nodes) emit(inner, program);
      return;
    case "any":
      emitAny(node.nodes, program);
      return;
    case "repeat":
      emitRepeat(node, program);
      return;
  }
}

function emitAny(nodes: readonly Node[], program: Instruction[]): void {
  const ends: number[] = [];
  for (const [i, node] of nodes.entries()) {
    if (i === nodes.length - 1) {
      emit(node, program);
      break;
    }
    const split = program.push({ op: "jump", to: 0 }) - 1;
    emit(node, program);
    ends.push(program.push({ op: "jump", to: 0 }) - 1);
    program[split] = { op: "split", to: [split + 1, program.length] };
  }
  for (const end of ends) program[end] = { op: "jump", to: program.length };
}

function emitRepeat(
  { node, min, max }: { node: Node; min: number; max: number },
  program: Instruction[],
): void {
  for (let i = 0; i < min; i++) emit(node, program);
  if (max === Infinity) {
    const split = program.push({ op: "jump", to: 0 }) - 1;
    emit(node, program);
    program.push({ op: "jump", to: split });
    program[split] = { op: "split", to: [split + 1, program.length] };
    return;
  }
  const splits: number[] = [];
  for (let i = min; i < max; i++) {
    splits.push(program.push({ op: "jump", to: 0 }) - 1);
    emit(node, program);
  }
  for (const split of splits) program[split] = { op: "split", to: [split + 1, program.length] };
}

/** Thompson's simulation: all places in the program at once, one text character after the other. */
function run(program: readonly Instruction[], text: string): boolean {
  const points = Array.from(text, (character) => character.codePointAt(0)!);
  const seenAt = new Int32Array(program.length).fill(-1);
  let current: number[] = [];
  for (let at = 0; at <= points.length; at++) {
    current.push(0); // unanchored: a match may begin anywhere
    const threads: number[] = [];
    const open = current.reverse();
    while (open.length > 0) {
      const pc = open.pop()!;
      if (seenAt[pc] === at) continue;
      seenAt[pc] = at;
      const instruction = program[pc]!;
      if (instruction.op === "match") return true;
      if (instruction.op === "one") threads.push(pc);
      else if (instruction.op === "jump") open.push(instruction.to);
      else if (instruction.op === "split") open.push(instruction.to[1], instruction.to[0]);
      else if (holds(instruction.assertion, points, at)) open.push(pc + 1);
    }
    if (at === points.length) return false;
    current = threads.filter((pc) => (program[pc] as { test: Test }).test(points[at]!));
    current = current.map((pc) => pc + 1);
  }
  return false;
}

function holds(assertion: Assertion, points: readonly number[], at: number): boolean {
  const before = points[at - 1];
  const after = points[at];
  switch (assertion) {
    case "start":
      return before === undefined;
    case "end":
      return after === undefined;
    case "lineStart":
      return before === undefined || before === 10;
    case "lineEnd":
      return after === undefined || after === 10;
    case "boundary":
      return isWord(before ?? -1) !== isWord(after ?? -1);
    case "noBoundary":
      return isWord(before ?? -1) === isWord(after ?? -1);
  }
}

const isDigit: Test = (p) => p >= 48 && p <= 57;
const isUpper: Test = (p) => p >= 65 && p <= 90;
const isLower: Test = (p) => p >= 97 && p <= 122;
const isAlpha: Test = (p) => isUpper(p) || isLower(p);
const isWord: Test = (p) => isAlpha(p) || isDigit(p) || p === 95;
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
  #flags: Flags = { ignoreCase: false, multiLine: false, dotAll: false };

  constructor(expression: string) {
    this.#text = Array.from(expression);
  }

  parse(): Node {
    const tree = this.#alternatives();
    if (this.#at < this.#text.length) throw new RegexpError("unexpected )");
    return tree;
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
    this.#skip("?"); // lazy: the same for yes or no
    if (this.#range() !== undefined) throw new RegexpError("invalid nested repetition operator");
    return { type: "repeat", node, ...range };
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

  /** undefined: only flags were set. */
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
    if (this.#skip("?") && !this.#skipName()) {
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
    return node;
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
      else if (c !== "U") return flags; // U swaps greediness: nothing to do
      this.#at++;
    }
  }

  #escape(): Node {
    const c = this.#next();
    if (c in assertions) return this.#assert(assertions[c]!);
    if (c === "Q") return this.#quotation();
    const test = this.#escapedClass(c);
    if (test !== undefined) return { type: "one", test: this.#folded(test) };
    return this.#literal(this.#escapedPoint(c));
  }

  /** `\Q...\E`. */
  #quotation(): Node {
    const nodes: Node[] = [];
    while (this.#at < this.#text.length) {
      if (this.#peek() === "\\" && this.#text[this.#at + 1] === "E") {
        this.#at += 2;
        break;
      }
      nodes.push(this.#literal(this.#next().codePointAt(0)!));
    }
    return { type: "all", nodes };
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
