import t from "tap";
import { createListTexts } from "../../src/http/kv-json.ts";
import type { KvRecord } from "../../src/cluster/model.ts";

const record = (key: string, modifyIndex: number): KvRecord => ({
  key,
  value: "dg==",
  flags: "0",
  lockIndex: 0,
  session: "",
  createIndex: 1,
  modifyIndex,
});
const keysOf = (text: string) =>
  (JSON.parse(text) as { Key: string; ModifyIndex: number }[]).map(
    ({ Key, ModifyIndex }) => `${Key}@${ModifyIndex}`,
  );

t.test("a list that was seen has the text of its records, not of those before", async (t) => {
  const texts = createListTexts();
  let state = 3;
  const random = (below: number) =>
    ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % below;
  const all = Array.from({ length: 30 }, (_, i) => record(`k${i}`, 1));
  for (let n = 0; n < 3_000; n++) {
    // Some rounds change a record, some see fewer of them, as other rights or a deletion do.
    if (n % 3 === 0) all[random(30)] = record(`k${random(30)}`, n);
    const hidden = random(4) === 0 ? random(30) : -1;
    const list = all.slice(0, random(3) === 0 ? random(31) : 30).filter((_, i) => i !== hidden);
    const expected = list.map(({ key, modifyIndex }) => `${key}@${modifyIndex}`);
    const shown = keysOf(texts(list).text);
    if (shown.join() !== expected.join()) t.same(shown, expected, `round ${n}`);
  }
});

t.test("a text is kept while its records live, up to a bound", async (t) => {
  const lists = Array.from({ length: 4 }, (_, n) =>
    Array.from({ length: 10 }, (_, i) => record(`${n}/${i}`, 1)),
  );
  const units = createListTexts()(lists[0]!).text.length;
  const texts = createListTexts(4 * units);
  const first = texts(lists[0]!);
  t.equal(texts([...lists[0]!]), first);
  for (const list of lists) texts(list);
  t.equal(texts(lists[0]!), first, "four have room");
  texts(Array.from({ length: 10 }, (_, i) => record(`5/${i}`, 1)));
  t.not(texts(lists[0]!), first, "the fifth makes all forgotten");
  const small = createListTexts(4 * units - 1);
  t.not(small(lists[0]!), small(lists[0]!), "too large to be kept");
});
