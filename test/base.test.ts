import t from "tap";
import { assert, fail, ok } from "../src/base.ts";

t.test("results say which side they are", async (t) => {
  t.same(ok(1), { ok: true, value: 1 });
  t.same(fail("x"), { ok: false, error: "x" });
});

t.test("assert throws its claim", async (t) => {
  assert(true, "never seen");
  t.throws(() => assert(0, "zero is false"), { message: "assertion failed: zero is false" });
});
