import t from "tap";
import { parseFirstJson } from "../../src/http/body.ts";

// Go's json.Decoder takes the first value and leaves the rest unread.
const cases: [string, unknown][] = [
  ["{}", {}],
  [' {"a":[1,{"b":"}"}]} trailing', { a: [1, { b: "}" }] }],
  ['{"a":"\\"}"}{', { a: '"}' }],
  ["[1,2]]", [1, 2]],
  ['"x"y', "x"],
  ["null null", null],
  ["12 13", 12],
  ["true\n{", true],
  ["5{}", 5],
];
t.test("the first value counts", async (t) => {
  for (const [body, value] of cases) t.same(parseFirstJson(body), { ok: true, value }, body);
});

t.test("half a character becomes U+FFFD, as in Go", async (t) => {
  const texts: [string, string][] = [
    ['"\\ud83d\\ude00"', "\u{1f600}"],
    ['"\\uD83D\\uDE00"', "\u{1f600}"],
    ['"\\ud800"', "\ufffd"],
    ['"\\udc00\\ud800x"', "\ufffd\ufffdx"],
    ['"\\ud83d\\ud83d\\ude00"', "\ufffd\u{1f600}"],
    ['"\\\\ud800"', "\\ud800"],
    ['"\\"\\ud800\\n"', '"\ufffd\n'],
  ];
  for (const [body, value] of texts) t.same(parseFirstJson(body), { ok: true, value }, body);
  const named = parseFirstJson('{"\\udfff":1}');
  t.same(named, { ok: true, value: { "\ufffd": 1 } });
});

t.test("no value", async (t) => {
  for (const body of ["", " \n"]) t.same(parseFirstJson(body), { ok: false, error: "EOF" });
  for (const body of ["{", "{oops", "[1", '"x', "}", "nope", "{} ".slice(0, 1), '{"a":}', "'x'"])
    t.match(parseFirstJson(body), { ok: false, error: /^invalid JSON: / }, body);
  t.match(parseFirstJson("[".repeat(200_000)), { ok: false }, "deep nesting");
});
