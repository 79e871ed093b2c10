/**
 * Filter expressions (`?filter=`): the language of go-bexpr 0.1 as Consul 1.10 uses it. Grammar in
 * filter-grammar.ts; here are field tables, checks against them, and evaluation.
 */
import { fail, ok, type Result } from "../base.ts";
import { compileRegexp } from "../cluster/regexp.ts";
import { parseBoolean } from "../boolean.ts";
import { parseFilter, type Expression, type Match, type Operator } from "./filter-grammar.ts";

/** go-bexpr's own limits: comparisons per expression, characters per value. */
const maxMatches = 32;
const maxValueLength = 512;
/**
 * Size of all regular expressions of a filter together: each character looked at costs that many
 * steps at most. A plain text of the greatest length passes.
 */
const maxRegexpSize = 600;

/** What a selector may point at. */
export type Fields =
  | "text"
  | "integer"
  | "boolean"
  | { readonly members: Readonly<Record<string, Fields>> }
  /** Any key. */
  | { readonly map: Fields }
  /** A list of texts. */
  | "texts"
  /** A list of objects: a comparison holds if it holds for one of them. */
  | { readonly each: Fields };

/** Does an object of the answer pass? */
export type Filter = (value: object) => boolean;

/**
 * A filter over objects of the given fields; the empty expression lets everything pass. The error is
 * Consul's text, to be sent with 500.
 */
export function createFilter(expression: string, fields: Fields): Result<Filter, string> {
  if (expression === "") return ok(() => true);
  const refuse = (problem: string) =>
    fail(`Failed to create boolean expression evaluator: ${problem}`);
  const parsed = parseFilter(expression);
  if (!parsed.ok) return refuse(parsed.error);
  const matches = countMatches(parsed.value);
  if (matches > maxMatches)
    return refuse(`Number of match expressions (${matches}) exceeds the limit (${maxMatches})`);
  const compiled = compile(parsed.value, fields, { regexpSize: 0 });
  if (!compiled.ok) return refuse(compiled.error);
  return compiled;
}

function countMatches(expression: Expression): number {
  if (expression.type === "match") return 1;
  if (expression.type === "not") return countMatches(expression.inner);
  return expression.parts.reduce((sum, part) => sum + countMatches(part), 0);
}

/** What the filter has cost so far. */
type Spent = { regexpSize: number };

function compile(expression: Expression, fields: Fields, spent: Spent): Result<Filter, string> {
  if (expression.type === "match") return compileMatch(expression, fields, spent);
  if (expression.type === "not") {
    const inner = compile(expression.inner, fields, spent);
    return inner.ok ? ok((value) => !inner.value(value)) : inner;
  }
  const parts: Filter[] = [];
  for (const part of expression.parts) {
    const compiled = compile(part, fields, spent);
    if (!compiled.ok) return compiled;
    parts.push(compiled.value);
  }
  return expression.type === "and"
    ? ok((value) => parts.every((part) => part(value)))
    : ok((value) => parts.some((part) => part(value)));
}

/** Operators by kind of field, as go-bexpr derives them from Go types. */
const equality: readonly Operator[] = ["Equal", "Not Equal"];
const emptiness: readonly Operator[] = ["Is Empty", "Is Not Empty"];
const membership: readonly Operator[] = ["In", "Not In"];
const textOperators: readonly Operator[] = [...equality, ...membership, "Matches", "Not Matches"];
const listOperators: readonly Operator[] = [...membership, ...emptiness];

function operatorsOf(fields: Fields): readonly Operator[] {
  if (fields === "text") return textOperators;
  if (fields === "integer" || fields === "boolean") return equality;
  if (fields === "texts" || "map" in fields) return listOperators;
  return "each" in fields ? emptiness : [];
}

/** Tests the value that the selector leads to. */
type Test = (found: unknown) => boolean;

function compileMatch(match: Match, fields: Fields, spent: Spent): Result<Filter, string> {
  const found = lookUp(match.selector, fields);
  if (!found.ok) return found;
  const name = match.selector.join(".");
  if (!operatorsOf(found.value).includes(match.operator))
    return fail(
      `Invalid match operator ${JSON.stringify(match.operator)} for selector ${JSON.stringify(name)}`,
    );
  if (match.value.length > maxValueLength)
    return fail(
      `Value in expression with length ${match.value.length} for selector ${JSON.stringify(name)} exceeds maximum length of ${maxValueLength}`,
    );
  const test = compileTest(match, found.value, name, spent);
  if (!test.ok) return test;
  const [first, ...rest] = match.selector;
  return ok((value) => visit(value, first!, rest, test.value, match.operator));
}

/** What the selector points at. Its value is the last field table. */
function lookUp(selector: readonly string[], fields: Fields): Result<Fields, string> {
  let at = fields;
  for (const [i, name] of selector.entries()) {
    const inner = memberOf(at, name);
    if (inner === undefined)
      return fail(`Selector ${JSON.stringify(selector.slice(0, i + 1).join("."))} is not valid`);
    at = inner;
  }
  return ok(at);
}

function memberOf(fields: Fields, name: string): Fields | undefined {
  if (typeof fields === "string") return undefined;
  if ("members" in fields)
    return Object.hasOwn(fields.members, name) ? fields.members[name] : undefined;
  return "map" in fields ? fields.map : memberOf(fields.each, name);
}

/** Walks the selector; a list of objects passes if one element does. */
function visit(
  value: unknown,
  name: string,
  rest: readonly string[],
  test: Test,
  operator: Operator,
): boolean {
  if (Array.isArray(value))
    return value.some((element) => visit(element, name, rest, test, operator));
  const isThere = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  // A key that a map lacks is not equal to anything, in nothing, and empty.
  if (!isThere) return operator.startsWith("Not") || operator === "Is Empty";
  const inner = (value as Record<string, unknown>)[name];
  return rest.length === 0 ? test(inner) : visit(inner, rest[0]!, rest.slice(1), test, operator);
}

function compileTest(
  match: Match,
  fields: Fields,
  name: string,
  spent: Spent,
): Result<Test, string> {
  const { operator, value } = match;
  switch (operator) {
    case "Is Empty":
      return ok(isEmpty);
    case "Is Not Empty":
      return ok((found) => !isEmpty(found));
    case "In":
      return ok((found) => isIn(value, found));
    case "Not In":
      return ok((found) => !isIn(value, found));
    case "Equal":
    case "Not Equal": {
      const wanted = coerce(value, fields, name);
      if (!wanted.ok) return wanted;
      const isEqual = operator === "Equal";
      return ok((found) => (found === wanted.value) === isEqual);
    }
    case "Matches":
    case "Not Matches": {
      const regexp = compileRegexp(value);
      if (!regexp.ok)
        return fail(
          `Failed to compile regular expression ${JSON.stringify(value)}: ${regexp.error}`,
        );
      spent.regexpSize += regexp.value.size;
      if (spent.regexpSize > maxRegexpSize)
        return fail("the regular expressions are too large together");
      const isMatch = operator === "Matches";
      return ok((found) => regexp.value.test(String(found)) === isMatch);
    }
  }
}

function isEmpty(found: unknown): boolean {
  if (Array.isArray(found)) return found.length === 0;
  return typeof found !== "object" || found === null || Object.keys(found).length === 0;
}

function isIn(value: string, found: unknown): boolean {
  if (typeof found === "string" || Array.isArray(found)) return found.includes(value);
  return typeof found === "object" && found !== null && Object.hasOwn(found, value);
}

function coerce(value: string, fields: Fields, name: string): Result<unknown, string> {
  if (fields === "text") return ok(value);
  const coerced = fields === "boolean" ? parseBoolean(value) : parseInteger(value);
  if (coerced !== undefined) return ok(coerced);
  return fail(
    `Failed to coerce value ${JSON.stringify(value)} for selector ${JSON.stringify(name)}`,
  );
}

/** Go's strconv.ParseInt with base 0. */
function parseInteger(text: string): number | undefined {
  const [, sign, digits] =
    /^([+-]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9]\d*)$/.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const octal = /^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits;
  return sign === "-" ? -Number(octal) : Number(octal);
}
