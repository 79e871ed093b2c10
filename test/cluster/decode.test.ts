import t from "tap";
import { decodeShape, type Shape } from "../../src/cluster/decode.ts";

const weights = { struct: { Passing: "int", Warning: "int" } } as const;
const service = {
  struct: {
    Name: "string",
    Port: "int",
    Tags: { list: "string" },
    Meta: { map: "string" },
    EnableTagOverride: "bool",
    Weights: { pointer: weights },
    TTL: "duration",
    Proxy: "raw",
  },
  aliases: { enable_tag_override: "EnableTagOverride" },
} as const satisfies Shape;

const zero = {
  Name: "",
  Port: 0,
  Tags: null,
  Meta: null,
  EnableTagOverride: false,
  Weights: null,
  TTL: 0,
  Proxy: null,
};

t.test("absent members and null are zero values", async (t) => {
  t.same(decodeShape(service, {}), { ok: true, value: zero });
  t.same(decodeShape(service, null), { ok: true, value: zero });
  t.same(decodeShape(service, { Name: null, Tags: null, Port: null }), { ok: true, value: zero });
});

t.test("keys match in any case; aliases too; durations are text or nanoseconds", async (t) => {
  t.same(
    decodeShape(service, {
      NAME: "a",
      port: 5,
      tags: ["x"],
      meta: { K: "v" },
      Enable_Tag_Override: true,
      weights: { passing: 3 },
      ttl: "1.5s",
      proxy: { Any: [1] },
    }),
    {
      ok: true,
      value: {
        Name: "a",
        Port: 5,
        Tags: ["x"],
        Meta: { K: "v" },
        EnableTagOverride: true,
        Weights: { Passing: 3, Warning: 0 },
        TTL: 1500,
        Proxy: { Any: [1] },
      },
    },
  );
  t.same(decodeShape(service, { TTL: 30_000_000_000 }), {
    ok: true,
    value: { ...zero, TTL: 30_000 },
  });
});

/** `depth` lists around nothing. */
function nested(depth: number): unknown {
  let value: unknown = null;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

t.test("errors name the key, in Go's words", async (t) => {
  const cases: [unknown, string][] = [
    [{ service: {} }, 'json: unknown field "service"'],
    [{ Weights: { Heavy: 1 } }, 'json: unknown field "Heavy"'],
    [{ Name: 5 }, "json: cannot unmarshal number into field Name of type string"],
    [{ Port: "80" }, "json: cannot unmarshal string into field Port of type int"],
    [{ Port: 1.5 }, "json: cannot unmarshal number into field Port of type int"],
    [{ Port: 1e20 }, "json: cannot unmarshal number into field Port of type int"],
    [{ Port: 2 ** 53 }, "json: cannot unmarshal number into field Port of type int"],
    [{ Proxy: nested(65) }, "json: field Proxy is nested deeper than 64 levels"],
    [{ Tags: "v1" }, "json: cannot unmarshal string into field Tags of type array"],
    [{ Tags: [true] }, "json: cannot unmarshal bool into field Tags[0] of type string"],
    [{ Meta: { a: {} } }, "json: cannot unmarshal object into field Meta.a of type string"],
    [{ Weights: [] }, "json: cannot unmarshal array into field Weights of type object"],
    [
      { EnableTagOverride: 1 },
      "json: cannot unmarshal number into field EnableTagOverride of type bool",
    ],
    [{ TTL: "5" }, 'time: missing unit in duration "5"'],
    [{ TTL: Infinity }, "json: cannot unmarshal number into field TTL of type duration"],
    [{ TTL: -(2 ** 63) }, "json: cannot unmarshal number into field TTL of type duration"],
    [{ TTL: {} }, "json: cannot unmarshal object into field TTL of type duration"],
    [[], "json: cannot unmarshal array into value of type object"],
    ["x", "json: cannot unmarshal string into value of type object"],
  ];
  for (const [value, error] of cases)
    t.same(decodeShape(service, value), { ok: false, error }, JSON.stringify(value));
});

t.test("a member called __proto__ is an unknown field, not a prototype", async (t) => {
  const body: unknown = JSON.parse('{"__proto__":{"Name":"x"}}');
  t.same(decodeShape(service, body), { ok: false, error: 'json: unknown field "__proto__"' });
  const meta = decodeShape(service, JSON.parse('{"Meta":{"__proto__":"x"}}'));
  t.ok(meta.ok && Object.hasOwn(meta.value.Meta!, "__proto__"));
});

t.test("without a text for unknown keys they are skipped", async (t) => {
  t.same(decodeShape(service, { Other: 1 }, {}), { ok: true, value: zero });
});
