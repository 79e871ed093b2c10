import fc from "fast-check";
import t from "tap";
import { AddressIndex } from "../../src/cluster/address-index.ts";
import { crc32 } from "../../src/crc32.ts";
import { compareText, SortedList, withItem, withoutItem } from "../../src/cluster/sorted.ts";
import { createPick } from "./state-fixtures.ts";

type Item = { key: number; value: number };
const byKey = (a: { key: number }, b: { key: number }) => a.key - b.key;

t.test("a sorted list is a sorted array without doubles", async (t) => {
  const operation = fc.tuple(fc.boolean(), fc.nat(40));
  const property = fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
    const list = new SortedList<{ key: number }, Item>(byKey);
    let items: readonly Item[] = [];
    for (const [value, [add, key]] of operations.entries()) {
      if (add) {
        list.put({ key, value });
        items = withItem(items, { key, value }, byKey);
      } else {
        const held = items.some((item) => item.key === key);
        if (list.remove({ key }) !== held) return false;
        items = withoutItem(items, { key }, byKey);
      }
      if (JSON.stringify(list.items()) !== JSON.stringify(items)) return false;
      if (list.size !== items.length || list.find({ key })?.value !== find(items, key))
        return false;
    }
    return JSON.stringify(list.from({ key: 20 }, 3)) === JSON.stringify(from(items, 20, 3));
  });
  fc.assert(property, { numRuns: 300 });
  t.pass("300 runs");
});

function find(items: readonly Item[], key: number): number | undefined {
  return items.find((item) => item.key === key)?.value;
}

function from(items: readonly Item[], key: number, count: number): Item[] {
  return items.filter((item) => item.key >= key).slice(0, count);
}

t.test("many chunks: filled in order, backwards and at random", async (t) => {
  const pick = createPick(7);
  const orders = {
    ascending: (i: number) => i,
    descending: (i: number) => 5000 - i,
    random: () => pick(5000),
  };
  for (const [name, order] of Object.entries(orders)) {
    const list = new SortedList<{ key: number }, Item>(byKey);
    const wanted = new Map<number, Item>();
    for (let i = 0; i < 5000; i++) {
      const item = { key: order(i), value: i };
      list.put(item);
      wanted.set(item.key, item);
    }
    for (let i = 0; i < 2500; i++) {
      const key = pick(5000);
      if (list.remove({ key }) !== wanted.delete(key)) t.fail(`${name}: remove ${key}`);
    }
    const sorted = [...wanted.values()].sort(byKey);
    t.same(list.items(), sorted, name);
    t.same(list.from({ key: 2500 }, 4), sorted.filter((item) => item.key >= 2500).slice(0, 4));
  }
});

t.test("a copy is not reached by later changes", async (t) => {
  const list = new SortedList<string, string>(compareText);
  for (const word of ["b", "a"]) list.put(word);
  const copy = list.copy();
  list.put("c");
  list.remove("a");
  t.same(copy, ["a", "b"]);
  t.same(list.items(), ["b", "c"]);
});

t.test("several records at one address: the first in order, down to the last", async (t) => {
  const index = new AddressIndex<{ name: string }, { name: string }>((a, b) =>
    compareText(a.name, b.name),
  );
  for (const name of ["c", "a", "b"]) index.put("10.0.0.1", { name });
  t.equal(index.first("10.0.0.1")?.name, "a");
  index.remove("10.0.0.1", { name: "a" });
  t.equal(index.first("10.0.0.1")?.name, "b");
  index.remove("10.0.0.1", { name: "x" });
  index.remove("10.0.0.1", { name: "c" });
  index.remove("10.0.0.1", { name: "b" });
  t.equal(index.first("10.0.0.1"), undefined);
});

t.test("CRC-32 (check value of the catalogue of CRC algorithms)", async (t) => {
  const octets = new TextEncoder().encode("123456789");
  t.equal(crc32(octets), 0xcbf43926);
  const long = Uint8Array.from({ length: 1000 }, (_, i) => i * 7);
  for (const at of [0, 1, 7, 8, 9, 500]) {
    t.equal(crc32(long.subarray(at), crc32(long.subarray(0, at))), crc32(long), `cut at ${at}`);
  }
});
