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

t.test("no value", async (t) => {
  for (const body of ["", " \n"]) t.same(parseFirstJson(body), { ok: false, error: "EOF" });
  for (const body of ["{", "{oops", "[1", '"x', "}", "nope", "{} ".slice(0, 1), '{"a":}', "'x'"])
    t.match(parseFirstJson(body), { ok: false, error: /^invalid JSON: / }, body);
  t.match(parseFirstJson("[".repeat(200_000)), { ok: false }, "deep nesting");
});
