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
