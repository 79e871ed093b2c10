// The ordered list of keys against an array that is sorted by the octets of the keys.
import fc from "fast-check";
import t from "tap";
import { compareKeys, KeyList, type Keyed } from "../../src/cluster/key-list.ts";
import { createPick } from "./state-fixtures.ts";

const octets = (key: string): Buffer => Buffer.from(key, "utf8");
/** Code units on both sides of the surrogates, which UTF-16 sorts otherwise than UTF-8. */
const LETTERS = ["a", "b", "/", "é", "\ud7ff", "\ue000", "\uffee", "😀", "𐀀"];

t.test("keys compare as their UTF-8 octets do", async (t) => {
  const unit = fc.constantFrom(...LETTERS);
  const key = fc.oneof(
    fc.string({ unit, maxLength: 6 }),
    fc.string({ unit: "binary", maxLength: 6 }),
  );
  fc.assert(
    fc.property(key, key, (a, b) => {
      const expected = Buffer.compare(octets(a), octets(b));
      const list = new KeyList<Keyed>();
      for (const k of [a, b]) list.put({ key: k, modifyIndex: 1 });
      const [first] = [...list.withPrefix("")];
      return Math.sign(compareKeys(a, b)) === expected && first!.key === (expected <= 0 ? a : b);
    }),
    { numRuns: 5000 },
  );
  t.pass("5000 pairs");
});

/** The same list, slowly. */
class Model {
  items = new Map<string, number>();

  withPrefix(prefix: string): Keyed[] {
    return [...this.items]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => Buffer.compare(octets(a), octets(b)))
      .map(([key, modifyIndex]) => ({ key, modifyIndex }));
  }
}

t.test("10,000 changes give what a sorted array gives, views stay as they were", async (t) => {
  for (const seed of [1, 2, 3]) {
    const pick = createPick(seed);
    const list = new KeyList<Keyed>();
    const model = new Model();
    const keyOf = () =>
      Array.from({ length: 1 + pick(5) }, () => LETTERS[pick(LETTERS.length)]).join("");
    const views: [Iterable<Keyed>, Keyed[]][] = [];
    for (let i = 1; i <= 10_000; i++) {
      const key = keyOf();
      const kind = pick(1000);
      if (kind < 700) {
        list.put({ key, modifyIndex: i });
        model.items.set(key, i);
      } else if (kind < 990) {
        const was = model.items.get(key);
        if (list.remove(key)?.modifyIndex !== was) t.fail(`seed ${seed} step ${i}: remove`);
        model.items.delete(key);
      } else if (kind < 996) {
        const prefix = key.slice(0, 2);
        const below = model.withPrefix(prefix);
        const cut = list.cutPrefix(prefix);
        const found = cut.chunks.flatMap(({ items }) => items);
        t.same(found, below, `seed ${seed} step ${i}: below a prefix`);
        if (i % 2 === 0) {
          list.putBack(cut);
          t.same(
            [...list.withPrefix("")],
            model.withPrefix(""),
            `seed ${seed} step ${i}: back again`,
          );
          list.cutPrefix(prefix);
        }
        for (const item of below) model.items.delete(item.key);
      } else views.push([list.view(), model.withPrefix("")]);
      if (list.get(key)?.modifyIndex !== model.items.get(key))
        t.fail(`seed ${seed} step ${i}: get`);
      if (i % 500 === 0) {
        for (const prefix of ["", keyOf().slice(0, 1), keyOf()]) {
          const expected = model.withPrefix(prefix);
          t.same([...list.withPrefix(prefix)], expected, `seed ${seed} step ${i}: ${prefix}`);
          const max = Math.max(0, ...expected.map((item) => item.modifyIndex));
          t.equal(list.maxIndexOf(prefix), max, `seed ${seed} step ${i}: index of ${prefix}`);
        }
        t.equal(list.size, model.items.size);
      }
    }
    for (const [view, was] of views) t.same([...view], was, "as of its moment");
    t.ok(list.size > 1000 && views.length > 10, `${list.size} items, ${views.length} views`);
  }
});
