/** Grammar of filter expressions (go-bexpr 0.1): text → tree. */
import { fail, ok, type Result } from "../base.ts";

/** Operators of go-bexpr, by its names. */
export type Operator =
  "Equal" | "Not Equal" | "In" | "Not In" | "Is Empty" | "Is Not Empty" | "Matches" | "Not Matches";

/** One comparison. `value` is the raw text; "" for the operators without one. */
export type Match = {
  type: "match";
  selector: readonly string[];
  operator: Operator;
  value: string;
};

/** Syntax tree. */
export type Expression =
  { type: "and" | "or"; parts: readonly Expression[] } | { type: "not"; inner: Expression } | Match;

/** Parentheses and `not` inside one another; deeper ones are refused. */
const maxDepth = 64;
/** Characters of an expression; far more than the greatest number of comparisons with the longest values needs. */
const maxLength = 65_536;

class FilterSyntaxError extends Error {}

/** The tree of an expression. The error tells the position (1-based character). */
export function parseFilter(expression: string): Result<Expression, string> {
  if (expression.length > maxLength)
    return fail(`expression is longer than ${maxLength} characters`);
  const parser = new Parser(expression);
  try {
    return ok(parser.parse());
  } catch (error) {
    if (error instanceof FilterSyntaxError) return fail(error.message);
    throw error;
  }
}

/** Operators between a selector and a value, longest first where one begins another. */
const binary: readonly [RegExp, Operator][] = [
  [/\s*==\s*/y, "Equal"],
  [/\s*!=\s*/y, "Not Equal"],
  [/\s+contains\s+/y, "In"],
  [/\s+not\s+contains\s+/y, "Not In"],
  [/\s+matches\s+/y, "Matches"],
  [/\s+not\s+matches\s+/y, "Not Matches"],
];
const unary: readonly [RegExp, Operator][] = [
  [/\s+is\s+empty\b/y, "Is Empty"],
  [/\s+is\s+not\s+empty\b/y, "Is Not Empty"],
];
const reversed: readonly [RegExp, Operator][] = [
  [/\s+in\s+/y, "In"],
  [/\s+not\s+in\s+/y, "Not In"],
];

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Expression {
    this.#take(/\s*/y);
    const expression = this.#or();
    this.#take(/\s*/y);
    if (this.#at < this.#text.length) throw this.#problem("an operator or the end");
    return expression;
  }

  #or(): Expression {
    const parts = [this.#and()];
    while (this.#take(/\s+or\s+/y) !== undefined) parts.push(this.#and());
    return parts.length === 1 ? parts[0]! : { type: "or", parts };
  }

  #and(): Expression {
    const parts = [this.#not()];
    while (this.#take(/\s+and\s+/y) !== undefined) parts.push(this.#not());
    return parts.length === 1 ? parts[0]! : { type: "and", parts };
  }

  #not(): Expression {
    if (this.#take(/not\s+(?!==|!=)/y) !== undefined)
      return { type: "not", inner: this.#nested(() => this.#not()) };
    if (this.#take(/\(\s*/y) === undefined) return this.#match();
    const inner = this.#nested(() => this.#or());
    if (this.#take(/\s*\)/y) === undefined) throw this.#problem('")"');
    return inner;
  }

  #nested(parse: () => Expression): Expression {
    if (++this.#depth > maxDepth) throw new FilterSyntaxError("expression is nested too deeply");
    const expression = parse();
    this.#depth--;
    return expression;
  }

  #match(): Expression {
    const start = this.#at;
    const selector = this.#selector();
    if (selector !== undefined) {
      const operator = this.#operator(binary);
      if (operator !== undefined)
        return { type: "match", selector, operator, value: this.#value() };
      const alone = this.#operator(unary);
      if (alone !== undefined) return { type: "match", selector, operator: alone, value: "" };
    }
    this.#at = start;
    const value = this.#value();
    const operator = this.#operator(reversed);
    if (operator === undefined) throw this.#problem("an operator");
    const container = this.#selector();
    if (container === undefined) throw this.#problem("a selector");
    return { type: "match", selector: container, operator, value };
  }

  #operator(table: readonly [RegExp, Operator][]): Operator | undefined {
    return table.find(([pattern]) => this.#take(pattern) !== undefined)?.[1];
  }

  #selector(): string[] | undefined {
    const first = this.#take(/[a-zA-Z][a-zA-Z0-9_]*/y);
    if (first === undefined) return undefined;
    const path = [first];
    for (;;) {
      const dotted = this.#take(/\.[a-zA-Z][a-zA-Z0-9_]*/y);
      if (dotted !== undefined) path.push(dotted.slice(1));
      else if (this.#take(/\[\s*/y) !== undefined) {
        const key = this.#quoted();
        if (key === undefined || this.#take(/\s*\]/y) === undefined)
          throw this.#problem("a quoted key");
        path.push(key);
      } else return path;
    }
  }

  /** A word is its own text, dots included. */
  #value(): string {
    const word = this.#selector();
    if (word !== undefined) return word.join(".");
    const number = this.#take(/-?(0|[1-9]\d*)(\.\d+)?(?=\s|\)|$)/y);
    const value = number ?? this.#quoted();
    if (value === undefined) throw this.#problem("a value");
    return value;
  }

  #quoted(): string | undefined {
    const raw = this.#take(/`[^`]*`/y);
    if (raw !== undefined) return raw.slice(1, -1);
    const start = this.#at;
    const quoted = this.#take(/"(?:[^"\\\n]|\\.)*"/y);
    if (quoted === undefined) return undefined;
    const text = unquote(quoted.slice(1, -1));
    if (text !== undefined) return text;
    this.#at = start;
    throw this.#problem("a string without broken escapes");
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    return found;
  }

  #problem(wanted: string): FilterSyntaxError {
    return new FilterSyntaxError(`1:${this.#at + 1}: no match found, expected: ${wanted}`);
  }
}

const simpleEscapes: Record<string, string> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  '"': '"',
};

/** The text between double quotes, as Go's strconv.Unquote reads it; undefined for a bad escape. */
function unquote(text: string): string | undefined {
  const pattern =
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))|[^\\]+/gs;
  let result = "";
  for (const [whole, hex, short, long, octal, simple] of text.matchAll(pattern)) {
    const code = hex ?? short ?? long;
    if (code !== undefined || octal !== undefined) {
      const point = octal === undefined ? Number.parseInt(code!, 16) : Number.parseInt(octal, 8);
      if (point > 0x10ffff) return undefined;
      result += String.fromCodePoint(point);
    } else if (simple !== undefined) {
      const character = simpleEscapes[simple];
      if (character === undefined) return undefined;
      result += character;
    } else result += whole;
  }
  return result;
}
