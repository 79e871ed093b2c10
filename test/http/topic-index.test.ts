import t from "tap";
import { createTopicIndex } from "../../src/http/topic-index.ts";

type Waiter = { topics: string[] };

/** The rule itself, asked of everybody: does a touched topic concern somebody who waits for `watched`? */
function concerns(touched: string, watched: string): boolean {
  if (touched === watched) return true;
  const isTree = touched.startsWith("kv-tree:");
  if (!isTree && !touched.startsWith("kv:")) return false;
  const name = touched.slice(isTree ? "kv-tree:".length : "kv:".length);
  const rest = watched.slice(3);
  if (watched.startsWith("kv*")) return name.startsWith(rest) || (isTree && rest.startsWith(name));
  return watched.startsWith("kv:") && isTree && rest.startsWith(name);
}

const rules: [string, string, boolean][] = [
  ["kv:a/b", "kv:a/b", true],
  ["kv:a/b", "kv:a", false],
  ["kv:a/b", "kv:a/b/c", false],
  ["kv:a/b", "kv*a", true],
  ["kv:a/b", "kv*a/b", true],
  ["kv:a/b", "kv*", true],
  ["kv:a/b", "kv*a/b/", false],
  ["kv:a/b", "kv*b", false],
  ["kv-tree:a/", "kv:a/b", true],
  ["kv-tree:a/", "kv:a", false],
  ["kv-tree:a/", "kv*a", true],
  ["kv-tree:a/", "kv*a/x/", true],
  ["kv-tree:a/", "kv*b", false],
  ["kv-tree:", "kv:a", true],
  ["kv-tree:", "kv*x", true],
  ["kv-tree:*", "kv*a", false],
  ["service:web", "service:web", true],
  ["service:web", "service:web2", false],
  ["services", "kv*", false],
  ["kv:", "services", false],
];
t.test("whom a touched topic concerns", async (t) => {
  for (const [touched, watched, isFound] of rules) {
    const index = createTopicIndex<string>();
    index.join(watched, "me");
    const found: string[] = [];
    index.take(touched, (who) => {
      found.push(who);
      index.leave(watched, who);
    });
    t.equal(found.length === 1, isFound, `${touched} and ${watched}`);
    t.equal(concerns(touched, watched), isFound, `the model: ${touched} and ${watched}`);
    t.equal(index.size, isFound ? 0 : 1);
  }
});

t.test("the same as asking everybody", async (t) => {
  for (let seed = 1; seed <= 30; seed++) {
    let state = seed;
    const random = (below: number) =>
      ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % below;
    const name = () =>
      Array.from({ length: random(5) }, () => ["a", "b", "/", "é", "\u{1f600}"][random(5)]).join(
        "",
      );
    const watch = () =>
      random(8) === 0 ? ["nodes", "service:a"][random(2)]! : (random(2) ? "kv:" : "kv*") + name();
    const touch = () =>
      random(6) === 0
        ? ["nodes", "service:a"][random(2)]!
        : (random(3) ? "kv:" : "kv-tree:") + name();
    const index = createTopicIndex<Waiter>();
    const waiting = new Set<Waiter>();
    const leave = (waiter: Waiter) => {
      waiting.delete(waiter);
      for (const topic of waiter.topics) index.leave(topic, waiter);
    };
    for (let step = 0; step < 2000; step++) {
      const act = random(10);
      if (act < 7) {
        const waiter = { topics: Array.from({ length: 1 + random(2) }, watch) };
        waiting.add(waiter);
        for (const topic of waiter.topics) index.join(topic, waiter);
      } else if (act === 7 && waiting.size > 0) {
        leave([...waiting][random(waiting.size)]!);
      } else {
        const touched = touch();
        const expected = [...waiting].filter(({ topics }) =>
          topics.some((topic) => concerns(touched, topic)),
        );
        const found = new Set<Waiter>();
        index.take(touched, (waiter) => {
          if (found.has(waiter)) t.fail("nobody is found twice");
          found.add(waiter);
          leave(waiter);
        });
        if (found.size !== expected.length || expected.some((waiter) => !found.has(waiter)))
          t.fail(`seed ${seed}, step ${step}: ${touched}`);
      }
    }
    for (const waiter of waiting) leave(waiter);
    t.equal(index.size, 0, `seed ${seed}: nothing is left`);
  }
});

t.test("a touched topic costs nothing for those whom it does not concern", async (t) => {
  const index = createTopicIndex<string>();
  let looks = 0;
  const prefix = (n: number) => `kv*${String(n).padStart(6, "0")}/`;
  for (let n = 0; n < 20_000; n++) index.join(prefix(n), `w${n}`);
  const started = performance.now();
  const count = 10_000;
  for (let n = 0; n < count; n++) index.take(`kv:other/${n}`, () => looks++);
  for (let n = 0; n < count; n++) index.take(`kv-tree:other/${n}`, () => looks++);
  const micros = ((performance.now() - started) * 1000) / (2 * count);
  t.equal(looks, 0);
  // One look at all 20,000 would be some 100 us.
  t.ok(micros < 50, `${micros.toFixed(2)} us each`);
});
