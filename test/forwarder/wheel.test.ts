import t from "tap";
import { createWheel, SLOT_MS, type Timed } from "../../src/forwarder/wheel.ts";
import { seededRandom } from "./world.ts";

type Item = Timed & { atMs: number; firedAtMs: number };
const untimed: Timed = { wheelSlot: -1, wheelNext: null, wheelPrevious: null };
const item = (atMs: number): Item => ({ ...untimed, atMs, firedAtMs: -1 });

t.test("every item comes once, in time, against a sorted list", async (t) => {
  const random = seededRandom(7);
  const wheel = createWheel<Item>();
  const live = new Set<Item>();
  let nowMs = 12_345;
  const problems: string[] = [];
  for (let step = 0; step < 20_000; step++) {
    const dice = random.uint32() % 10;
    if (dice < 5) {
      const added = item(nowMs + (random.uint32() % 3500));
      wheel.set(added, added.atMs, nowMs);
      live.add(added);
    } else if (dice < 7 && live.size > 0) {
      const [some] = live;
      if (dice === 5) {
        wheel.clear(some!);
        live.delete(some!);
      } else {
        some!.atMs = nowMs + (random.uint32() % 3500);
        wheel.set(some!, some!.atMs, nowMs);
      }
    } else {
      nowMs += random.uint32() % 100;
      wheel.advance(nowMs, (due) => {
        if (!live.delete(due)) problems.push("came twice or after it was cleared");
        if (due.atMs > nowMs + SLOT_MS) problems.push(`early by ${due.atMs - nowMs} ms`);
      });
      for (const left of live)
        if (left.atMs + 2 * SLOT_MS < nowMs) problems.push(`late by ${nowMs - left.atMs} ms`);
    }
    if (wheel.size !== live.size) problems.push("size differs");
  }
  t.same(problems.slice(0, 5), []);
});

t.test("the next time is that of the earliest slot", async (t) => {
  const wheel = createWheel<Item>();
  t.equal(wheel.nextMs(), Infinity);
  wheel.set(item(1000), 1000, 0);
  wheel.set(item(500), 500, 0);
  const next = wheel.nextMs();
  t.ok(next >= 500 && next < 500 + SLOT_MS);
});

t.test("a deadline beyond the ring comes early, and may be set again", async (t) => {
  const wheel = createWheel<Item>();
  const far = item(20_000);
  wheel.set(far, far.atMs, 0);
  let rounds = 0;
  for (let nowMs = 0; nowMs <= 20_016; nowMs += 16)
    wheel.advance(nowMs, (due) => {
      rounds++;
      if (nowMs < due.atMs) wheel.set(due, due.atMs, nowMs);
      else due.firedAtMs = nowMs;
    });
  t.ok(rounds > 2 && rounds < 10);
  t.ok(far.firedAtMs >= 20_000);
});

t.test("items may be set while others come", async (t) => {
  const wheel = createWheel<Item>();
  let fired = 0;
  for (let i = 0; i < 5; i++) wheel.set(item(50), 50, 0);
  wheel.advance(100, () => {
    if (fired++ < 5) wheel.set(item(120), 120, 100);
  });
  t.equal(fired, 5);
  wheel.advance(130, () => fired++);
  t.equal(fired, 10);
  t.equal(wheel.size, 0);
});

t.test(
  "after years of sleep all that is due comes, and what is set then in its time",
  async (t) => {
    const wheel = createWheel<Item>();
    for (const atMs of [5, 900, 4000]) wheel.set(item(atMs), atMs, 0);
    const wokeMs = 10 * 365 * 86_400_000;
    const fired: [number, number][] = [];
    for (let nowMs = wokeMs; nowMs < wokeMs + 200; nowMs += SLOT_MS)
      wheel.advance(nowMs, (due) => {
        if (nowMs < due.atMs) wheel.set(due, due.atMs, nowMs);
        else fired.push([due.atMs, nowMs - wokeMs]);
        if (due.atMs === 900)
          wheel.set(Object.assign(due, { atMs: wokeMs + 100 }), due.atMs, nowMs);
      });
    t.same(
      fired.toSorted(([a], [b]) => a - b),
      [
        [5, 0],
        [900, 0],
        [4000, 0],
        [wokeMs + 100, 104],
      ],
    );
    t.equal(wheel.size, 0);
  },
);
