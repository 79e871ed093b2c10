import * as fc from "fast-check";
import t from "tap";
import { indentJson, JsonText, renderJson } from "../../src/http/json.ts";

// The runtime's own indentation is the judge: it prints values, ours works on text.
t.test("indented text is what the runtime prints for the value", async (t) => {
  const property = fc.property(fc.jsonValue(), (value) => {
    const compact = JSON.stringify(value);
    return indentJson(compact) === JSON.stringify(JSON.parse(compact), null, 4);
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2000, seed: 7 }));
  const awkward = { "a\\": '"[{,:}]"', "": [[], {}, [{}], "\\", '\\"', "\\\\", -1.5e-7, null] };
  t.equal(indentJson(JSON.stringify(awkward)), JSON.stringify(awkward, null, 4));
});

t.test("text that stands already keeps the digits of its numbers", async (t) => {
  const text = new JsonText('[{"Flags":18446744073709551615}]');
  t.equal(renderJson(text, false), '[{"Flags":18446744073709551615}]');
  const lines = ["[", "    {", '        "Flags": 18446744073709551615', "    }", "]", ""];
  t.equal(renderJson(text, true), lines.join("\n"));
});

// encoding/json escapes these in strings, and nothing else needs it.
t.test("escapes as Go does", async (t) => {
  t.equal(renderJson("<a>&b\u2028\u2029é", false), '"\\u003ca\\u003e\\u0026b\\u2028\\u2029é"');
  t.equal(renderJson([], true), "[]\n");
  t.equal(renderJson(undefined, false), "null");
});
