import fc from "fast-check";
import t from "tap";
import { createFilter } from "../../src/http/filter.ts";
import { healthServiceFields, nodeFields, serviceNodeFields } from "../../src/http/fields.ts";

const web = {
  ID: "",
  Node: "n1",
  Address: "10.0.0.1",
  Datacenter: "dc1",
  TaggedAddresses: null,
  NodeMeta: { env: "prod", "or-d": "x" },
  ServiceID: "web1",
  ServiceName: "web",
  ServiceTags: ["a", "blue"],
  ServiceAddress: "",
  ServiceTaggedAddresses: { lan: { Address: "10.1.1.1", Port: 80 } },
  ServiceWeights: { Passing: 1, Warning: 1 },
  ServiceMeta: {},
  ServicePort: 8080,
  ServiceEnableTagOverride: false,
};

// spec/http.md section 5; texts of values as go-bexpr reads them.
const cases: [string, boolean][] = [
  ["ServiceName == web", true],
  ['ServiceName=="web"', true],
  ["ServiceName==`web`", true],
  ["ServiceName != web", false],
  ["ServicePort == 8080", true],
  ['ServicePort == "0x1f90"', true],
  ['ServicePort == "8080"', true],
  ["ServicePort != 1", true],
  ["ServiceEnableTagOverride == false", true],
  ["ServiceEnableTagOverride == F", true],
  ["ServiceWeights.Passing == 1", true],
  ["NodeMeta.env == prod", true],
  ['NodeMeta["or-d"] == x', true],
  ["NodeMeta.none == prod", false],
  ['NodeMeta.none != "prod"', true],
  ["env in NodeMeta", true],
  ["NodeMeta contains env", true],
  ["other not in NodeMeta", true],
  ["NodeMeta is not empty", true],
  ["ServiceMeta is empty", true],
  ["TaggedAddresses is empty", true],
  ["ServiceTags contains blue", true],
  ["ServiceTags not contains blue", false],
  ['"a" in ServiceTags', true],
  ['"a" not in ServiceTags', false],
  ["ServiceTags is empty", false],
  ['"eb" in ServiceName', true],
  ["ServiceName contains eb", true],
  ["Node matches `^n[12]$`", true],
  ['Address matches "^10\\\\.0\\\\."', true],
  ["Node not matches `^x`", true],
  ["ServiceTaggedAddresses.lan.Port == 80", true],
  ["ServiceTaggedAddresses.wan.Port == 80", false],
  ["not ServiceName == web", false],
  ["not not ServiceName == web", true],
  ["not (Node == n1 and ServiceName == api)", true],
  ["Node == n2 or Node == n1 and ServiceName == web", true],
  ["(Node == n2 or Node == n1) and ServiceName == api", false],
  [" ( Node == n1 ) ", true],
  ["Node == or", false],
  ["", true],
];
t.test("expressions over one object", async (t) => {
  for (const [expression, wanted] of cases) {
    const filter = createFilter(expression, serviceNodeFields);
    if (!filter.ok) t.fail(`${expression}: ${filter.error}`);
    else t.equal(filter.value(web), wanted, expression || "(empty)");
  }
});

t.test("a list of objects passes if one of them does", async (t) => {
  const entry = {
    Node: { Node: "n1", Meta: null },
    Service: { Tags: ["x"] },
    Checks: [
      { Status: "passing", Name: "a" },
      { Status: "critical", Name: "b" },
    ],
  };
  const table: [string, boolean][] = [
    ["Checks.Status == passing", true],
    ["Checks.Status == warning", false],
    ["Checks.Status != passing", true],
    ["Checks is empty", false],
    ["Service.Tags contains x and Node.Meta is empty", true],
  ];
  for (const [expression, wanted] of table) {
    const filter = createFilter(expression, healthServiceFields);
    t.equal(filter.ok && filter.value(entry), wanted, expression);
    t.equal(filter.ok, true, expression);
  }
});

// Texts of the recorded answers (test/corpus/http/filter-expressions-a.json) and of go-bexpr.
const refused: [string, RegExp][] = [
  ["Bogus == 1", /: Selector "Bogus" is not valid$/],
  ["Meta.a.b == 1", /: Selector "Meta.a.b" is not valid$/],
  ["Node.x == 1", /: Selector "Node.x" is not valid$/],
  ["__proto__ == 1", /expected/],
  ["constructor == 1", /: Selector "constructor" is not valid$/],
  ["Node is empty", /: Invalid match operator "Is Empty" for selector "Node"$/],
  ["Meta.none is empty", /: Invalid match operator "Is Empty" for selector "Meta.none"$/],
  ["Meta == x", /: Invalid match operator "Equal" for selector "Meta"$/],
  ["Node ==", /: 1:8: no match found/],
  ["(Node == a", /: 1:11: no match found/],
  ["Node == a)", /: 1:10: no match found/],
  ['Meta.rack in ["1"]', /no match found/],
  ["Node matches `[`", /: Failed to compile regular expression/],
  [`Node == "${"x".repeat(513)}"`, /: Value in expression with length 513 for selector "Node"/],
  [Array(33).fill("Node == a").join(" or "), /: Number of match expressions \(33\) exceeds/],
  [`${"(".repeat(70)}Node == a${")".repeat(70)}`, /: expression is nested too deeply$/],
  ['Node == "\\q"', /no match found/],
  [`${"not ".repeat(70)}Node == a`, /: expression is nested too deeply$/],
  [Array(6000).fill("a==b").join(" or "), /: Number of match expressions \(6000\) exceeds/],
  [`Node == a${" ".repeat(70_000)}`, /: expression is longer than 65536 characters$/],
  ["Node matches `(?:a?){200}` or Node matches `(?:a?){200}`", /too large together$/],
];
t.test("errors", async (t) => {
  for (const [expression, pattern] of refused) {
    const filter = createFilter(expression, nodeFields);
    t.equal(filter.ok, false, expression.slice(0, 60));
    if (!filter.ok) {
      t.match(filter.error, /^Failed to create boolean expression evaluator: /);
      t.match(filter.error, pattern, expression.slice(0, 60));
    }
  }
  const port = createFilter('ServicePort == "abc"', serviceNodeFields);
  t.match(port, { ok: false, error: /Failed to coerce value "abc" for selector "ServicePort"/ });
  const contains = createFilter("ServicePort contains 8", serviceNodeFields);
  t.match(contains, { ok: false, error: /Invalid match operator "In" for selector "ServicePort"/ });
});

/** A filter as a tree: what it says, spelled at random, and what it means, by the plainest means. */
type Spoken = { text: string; holds: (entry: Entry) => boolean };
type Entry = { Node: Thing; Service: Thing; Checks: Thing[] };
type Thing = Record<string, unknown>;

const pickWord = fc.constantFrom("a", "b", "ab", "web", "x-1", "");
const quoted = (word: string, how: number) =>
  how === 0 ? `\`${word}\`` : how === 1 && /^[a-z]+$/.test(word) ? word : JSON.stringify(word);

const comparisons: fc.Arbitrary<Spoken> = fc
  .record({ word: pickWord, how: fc.nat(2), form: fc.nat(13), gap: fc.constantFrom("", " ", "  ") })
  .map(({ word, how, form, gap }): Spoken => {
    const value = quoted(word, how);
    const [s, is] = [gap, (list: unknown) => (list as unknown[] | null) ?? []];
    const meta = (entry: Entry) => entry.Node["Meta"] as Record<string, string> | null;
    const forms: [string, (entry: Entry) => boolean][] = [
      [`Node.Node${s}==${s}${value}`, (e) => e.Node["Node"] === word],
      [`Node.Node${s}!=${s}${value}`, (e) => e.Node["Node"] !== word],
      [
        `Node.Node contains ${value}`,
        (e) => String(e.Node["Node"]).split(word).length > 1 || word === "",
      ],
      [`${value} not in Node.Node`, (e) => !String(e.Node["Node"]).includes(word)],
      [
        `Node.Node matches \`^${word}\``,
        (e) => new RegExp(`^${word}`).test(String(e.Node["Node"])),
      ],
      [
        `Node.Node not matches \`${word}$\``,
        (e) => !new RegExp(`${word}$`).test(String(e.Node["Node"])),
      ],
      [`${value} in Service.Tags`, (e) => is(e.Service["Tags"]).some((tag) => tag === word)],
      [
        `Service.Tags not contains ${value}`,
        (e) => is(e.Service["Tags"]).every((tag) => tag !== word),
      ],
      [`Node.Meta is  empty`, (e) => Object.keys(meta(e) ?? {}).length === 0],
      [`Service.Tags is not empty`, (e) => is(e.Service["Tags"]).length > 0],
      [
        `Node.Meta.env == ${value}`,
        (e) => meta(e)?.["env"] !== undefined && meta(e)!["env"] === word,
      ],
      [
        `Node.Meta["env"] != ${value}`,
        (e) => meta(e)?.["env"] === undefined || meta(e)!["env"] !== word,
      ],
      [`Checks.Status == ${value}`, (e) => e.Checks.filter((c) => c["Status"] === word).length > 0],
      [`Service.Port == 80`, (e) => e.Service["Port"] === 80],
    ];
    const [text, holds] = forms[form]!;
    return { text, holds };
  });

const { spoken } = fc.letrec<{ spoken: Spoken; inner: Spoken }>((tie) => ({
  spoken: fc.oneof({ maxDepth: 4 }, comparisons, tie("inner")),
  inner: fc.oneof(
    tie("spoken").map(({ text, holds }) => ({
      text: `not (${text})`,
      holds: (e: Entry) => !holds(e),
    })),
    tie("spoken").map(({ text, holds }) => ({ text: `( ${text} )`, holds })),
    fc.tuple(tie("spoken"), tie("spoken")).map(([a, b]) => ({
      text: `(${a.text}) and (${b.text})`,
      holds: (e: Entry) => a.holds(e) && b.holds(e),
    })),
    fc.tuple(comparisons, comparisons, tie("spoken")).map(([a, b, c]) => ({
      text: `${a.text} or ${b.text} and (${c.text})`, // "and" binds more tightly
      holds: (e: Entry) => a.holds(e) || (b.holds(e) && c.holds(e)),
    })),
    fc.tuple(comparisons, comparisons, comparisons).map(([a, b, c]) => ({
      text: `not ${a.text} and ${b.text} or ${c.text}`,
      holds: (e: Entry) => (!a.holds(e) && b.holds(e)) || c.holds(e),
    })),
  ),
}));

const entries: fc.Arbitrary<Entry> = fc.record({
  Node: fc.record({
    Node: pickWord,
    Meta: fc.constantFrom(null, {}, { env: "a" }, { env: "", web: "x" }),
  }),
  Service: fc.record({
    Tags: fc.array(pickWord, { maxLength: 3 }),
    Port: fc.constantFrom(0, 80),
  }),
  Checks: fc.array(fc.record({ Status: pickWord }), { maxLength: 3 }),
});

t.test("what an expression says is what the plainest reading of its tree says", async (t) => {
  fc.assert(
    fc.property(
      spoken,
      fc.array(entries, { minLength: 1, maxLength: 5 }),
      ({ text, holds }, all) => {
        const filter = createFilter(text, healthServiceFields);
        if (!filter.ok) return /exceeds the limit/.test(filter.error);
        return all.every((entry) => filter.value(entry) === holds(entry));
      },
    ),
    { numRuns: 4000, seed: 11 },
  );
  t.pass("equal");
});

t.test("any text is an expression or an error, soon", async (t) => {
  const words = [
    "Node",
    "Meta",
    ".",
    "[",
    "]",
    '"',
    "`",
    "==",
    "!=",
    "in",
    "not",
    "and",
    "or",
    "(",
    ")",
    " ",
    "is",
    "empty",
    "matches",
    "contains",
    "\\",
    "1",
    "a",
  ];
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 3 })), { maxLength: 40 }),
      (parts) => {
        const filter = createFilter(parts.join(" "), nodeFields);
        if (filter.ok) filter.value({ Node: "n", Meta: { a: "b" }, TaggedAddresses: null });
      },
    ),
    { numRuns: 3000, seed: 7 },
  );
  t.pass("no throw");
});
