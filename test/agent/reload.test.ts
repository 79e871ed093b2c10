// Reloads one after the other, whatever becomes of each.
import t from "tap";
import { createReload } from "../../src/agent/reload.ts";
import { ok } from "../../src/base.ts";

t.test("one runs, one waits for it, and the others share the one that waits", async (t) => {
  const runs: (() => void)[] = [];
  let queued = 0;
  const reload = createReload(
    async () => {
      await new Promise<void>((resolve) => runs.push(resolve));
      return ok(undefined);
    },
    () => queued++,
  );
  const first = reload();
  await Promise.resolve();
  const [second, third] = [reload(), reload()];
  t.equal(second, third);
  t.equal(queued, 1, "which is said once");
  t.equal(runs.length, 1);
  runs[0]!();
  t.same(await first, ok(undefined));
  await Promise.resolve();
  t.equal(runs.length, 2);
  runs[1]!();
  t.same(await second, ok(undefined));
});

t.test("one that throws is an error, and the next one runs", async (t) => {
  const outcomes = [
    () => Promise.reject(new Error("no room")),
    () => Promise.resolve(ok(undefined)),
  ];
  const reload = createReload(
    () => outcomes.shift()!(),
    () => {},
  );
  const [first, second] = [reload(), (await Promise.resolve(), reload())];
  t.same(await first, { ok: false, error: "Error: no room" });
  t.same(await second, ok(undefined));
});
