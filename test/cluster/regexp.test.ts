import fc from "fast-check";
import t from "tap";
import { compileRegexp } from "../../src/cluster/regexp.ts";

function match(expression: string, text: string): string[] | undefined {
  const compiled = compileRegexp(expression);
  if (!compiled.ok) throw new Error(compiled.error);
  t.equal(compiled.value.test(text), compiled.value.match(text) !== undefined, "test agrees");
  return compiled.value.match(text);
}

t.test("RE2 syntax that the runtime's own engine does not have", async (t) => {
  const rows: [string, string, string[] | undefined][] = [
    ["(?P<dc>[a-z]+)-", "x1 eu-west", ["eu-", "eu"]],
    ["(?i)WEB(\\d)", "a web7", ["web7", "7"]],
    ["(?i:w)E", "WE", ["WE"]],
    ["(?i:w)E", "we", undefined],
    ["(?U)a+", "aaa", ["a"]],
    ["(?U)a+?", "aaa", ["aaa"]],
    ["\\Aab\\z", "ab", ["ab"]],
    ["\\Qa.b\\E+", "a.bbb", ["a.bbb"]],
    ["\\Q(*\\", "x(*\\", ["(*\\"]],
    ["[[:alpha:]]+", "12ab", ["ab"]],
    ["\\pL+", "1\u00e9\u00df2", ["\u00e9\u00df"]],
    ["(?s).", "\n", ["\n"]],
    [".", "\n", undefined],
    ["(?m)^b$", "a\nb", ["b"]],
    ["\\x{1F600}", "\u{1f600}", ["\u{1f600}"]],
  ];
  for (const [expression, text, wanted] of rows)
    t.same(match(expression, text), wanted, expression);
});

t.test("what RE2 refuses is refused", async (t) => {
  const refused = ["[", "(", ")", "a**", "*", "(?=a)", "(?<!a)b", "\\1", "a{1001}", "[b-a]", "\\"];
  for (const expression of refused) t.equal(compileRegexp(expression).ok, false, expression);
  t.equal(compileRegexp("((a{100}){100}){100}").ok, false, "too large");
  t.equal(compileRegexp("(".repeat(200) + ")".repeat(200)).ok, false, "too deep");
});

t.test("where both engines know the syntax they find the same", async (t) => {
  const atom = fc.constantFrom("a", "b", "-", ".", "[ab]", "[^a]", "\\w", "\\b", "^", "$", "(a|b)");
  const repeat = fc.constantFrom("", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?");
  const piece = fc
    .tuple(atom, repeat)
    .map(([own, times]) => (["^", "$", "\\b"].includes(own) ? own : own + times));
  const sequence = fc.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => pieces.join(""));
  const group = sequence.map((inner) => `(${inner})`);
  const expressions = fc
    .array(fc.oneof(sequence, group), { minLength: 1, maxLength: 3 })
    .chain((parts) =>
      fc.constantFrom(parts.join(""), parts.join("|"), `(?:${parts.join("|")})-?a`),
    );
  const texts = fc.string({ unit: fc.constantFrom("a", "b", "-", "\n"), maxLength: 10 });
  fc.assert(
    fc.property(expressions, texts, (expression, text) => {
      const wanted = new RegExp(expression, "u").exec(text)?.map((group) => group ?? "");
      const compiled = compileRegexp(expression);
      return compiled.ok && JSON.stringify(compiled.value.match(text)) === JSON.stringify(wanted);
    }),
    { numRuns: 3000 },
  );
  t.pass("3000 runs");
});

t.test("expressions that make a backtracking engine run for hours", async (t) => {
  for (const expression of ["(a|aa)+$", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)x", "(a?){200}a{200}b"])
    t.equal(match(expression, `${"a".repeat(253)}!`), undefined, expression);
});

t.test("nothing, repeated without end, is compiled at once", async (t) => {
  for (const expression of [
    "(?:(?:(?:){1000}){1000}){1000}",
    "(?:(?:(?:a{0}){1000}){1000}){1000}",
  ]) {
    const compiled = compileRegexp(expression);
    t.equal(compiled.ok && compiled.value.size, 1, expression);
    t.equal(compiled.ok && compiled.value.test("x"), true, expression);
  }
});

// The answer without history is that of the search which keeps it.
t.test("yes or no is whether there is a match", async (t) => {
  const parts = [
    "a",
    "b",
    "(a|b)",
    "a*",
    "(?:ab)+?",
    "^",
    "$",
    "\\b",
    "[^a]",
    ".",
    "a{0,2}",
    "|",
    "(?i)B",
  ];
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...parts), { maxLength: 6 }),
      fc.string({ unit: fc.constantFrom("a", "b", " ", "\n", "é"), maxLength: 8 }),
      (chosen, text) => {
        const compiled = compileRegexp(chosen.join(""));
        return (
          !compiled.ok || compiled.value.test(text) === (compiled.value.match(text) !== undefined)
        );
      },
    ),
    { numRuns: 3000, seed: 5 },
  );
  t.pass("equal");
});
