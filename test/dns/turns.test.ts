import t from "tap";
import { createTurns } from "../../src/dns/turns.ts";

/** Turns that the test gives. */
function world() {
  const next: (() => void)[] = [];
  const done: string[] = [];
  const turns = createTurns((run) => next.push(run));
  const add = (source: string, name: string, does = true): void =>
    turns.wait(source, () => {
      if (does) done.push(name);
      return does;
    });
  /** What is done in the next turn of the event loop. */
  const turn = (): string[] => {
    for (const run of next.splice(0)) run();
    return done.splice(0);
  };
  return { add, turn, isQuiet: () => next.length === 0 };
}

t.test("S22: one piece in a turn; who comes with one waits for one of each other", async (t) => {
  const { add, turn, isQuiet } = world();
  t.ok(isQuiet());
  for (let i = 0; i < 250; i++) add("greedy", `g${i}`);
  t.same(turn(), ["g0"]);
  add("modest", "m0");
  add("other", "o0");
  t.same(turn(), ["g1"]);
  t.same(turn(), ["m0"]);
  add("modest", "m1");
  t.same([turn(), turn(), turn(), turn()], [["o0"], ["g2"], ["m1"], ["g3"]]);
  const rest = Array.from({ length: 246 }, turn).flat();
  t.same(
    rest,
    Array.from({ length: 246 }, (_, i) => `g${i + 4}`),
    "in their order",
  );
  t.ok(isQuiet(), "and then nothing is scheduled");
});

t.test("what is gone by then takes no turn", async (t) => {
  const { add, turn, isQuiet } = world();
  for (let i = 0; i < 10; i++) add(`s${i % 3}`, `gone${i}`, false);
  add("s1", "here");
  add("s2", "there");
  t.same([turn(), turn()], [["here"], ["there"]]);
  t.ok(isQuiet());
  add("s1", "again");
  t.same(turn(), ["again"]);
  t.same(turn(), []);
});
