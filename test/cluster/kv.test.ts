// What the random workload does not reach: the undo journal, and bounds in size and time.
import t from "tap";
import { createChange } from "../../src/cluster/change.ts";
import { createKv, kvIndexOf, type Kv } from "../../src/cluster/kv.ts";
import { applyKv, endLocks, type KvOperation } from "../../src/cluster/kv-apply.ts";
import type { SessionRecord } from "../../src/cluster/model.ts";
import { createLog, createPick, session } from "./state-fixtures.ts";

const KEYS = ["a", "a/b", "a/b/c", "ab", "b"];
const sessionOf = (id: string, behavior: "release" | "delete"): SessionRecord => ({
  ...session(id, "n", { behavior, lockDelayMs: 5000 }).session,
  createIndex: 1,
  modifyIndex: 1,
});
const sessions = {
  byId: new Map(
    [sessionOf("s1", "release"), sessionOf("s2", "delete")].map((one) => [one.id, one]),
  ),
};

function dump(kv: Kv): string {
  const sorted = (entries: Iterable<unknown>) => [...entries].map((e) => JSON.stringify(e)).sort();
  return JSON.stringify([
    [...kv.records.view()],
    [...kv.tombstones.view()],
    sorted(kv.trees),
    sorted([...kv.held].map(([id, keys]) => [id, [...keys].sort()])),
    sorted(kv.delays),
    kv.index,
    kv.droppedIndex,
  ]);
}

t.test("what was done with a journal can be taken back", async (t) => {
  const pick = createPick(7);
  const kv = createKv();
  let index = 0;
  let undone = 0;
  const random = (): KvOperation => {
    const one = <T>(list: readonly T[]): T => list[pick(list.length)]!;
    const fields = { key: one(KEYS), value: one(["", "YQ=="]), flags: "0" };
    const verbs: KvOperation[] = [
      { verb: "set", ...fields },
      { verb: "cas", index: pick(2) * (kv.records.get(fields.key)?.modifyIndex ?? 0), ...fields },
      { verb: "lock", session: one(["s1", "s2"]), ...fields },
      { verb: "lock", session: one(["s1", "s2"]), ...fields },
      { verb: "unlock", session: one(["s1", "s2"]), ...fields },
      { verb: "delete", key: fields.key },
      { verb: "delete-tree", key: one(["", "a", "a/", "zzz"]) },
    ];
    return one(verbs);
  };
  for (let i = 0; i < 3000; i++) {
    const change = createChange(++index, index * 1000);
    const before = dump(kv);
    if (pick(2) === 0) change.undo = [];
    for (let n = 1 + pick(4); n > 0; n--) {
      if (pick(8) === 0) endLocks(kv, [...sessions.byId.values()][pick(2)]!, change);
      else applyKv(kv, sessions, random(), change);
    }
    if (change.undo === null) continue;
    if (change.undo.length > 0) undone++;
    for (const step of change.undo.reverse()) step();
    if (dump(kv) !== before) {
      t.equal(dump(kv), before, `step ${i}`);
      return;
    }
  }
  t.ok(undone > 500, `${undone} changes taken back`);
});

t.test(
  "tombstones are bounded: the older half goes, and no prefix answers with less",
  async (t) => {
    const kv = createKv();
    const set = (key: string, index: number) =>
      applyKv(kv, sessions, { verb: "set", key, value: "", flags: "0" }, createChange(index, 1));
    const remove = (key: string, index: number, undo: (() => void)[] | null = null) =>
      applyKv(kv, sessions, { verb: "delete", key }, { ...createChange(index, 1), undo });
    set("kept/1", 1);
    set("gone/1", 2);
    remove("gone/1", 3);
    let index = 3;
    for (let i = 0; i < 65_535; i++) {
      set(`churn/${i}`, ++index);
      remove(`churn/${i}`, ++index);
    }
    t.equal(kv.tombstones.size, 65_536);
    t.equal(kvIndexOf(kv, "kv*gone/"), 3);
    t.equal(kvIndexOf(kv, "kv*kept/"), 1);
    set("one/more", ++index);
    const journal: (() => void)[] = [];
    remove("one/more", ++index, journal);
    t.ok(kv.tombstones.size <= 32_769 && kv.tombstones.size > 32_700, `${kv.tombstones.size} left`);
    t.equal(kvIndexOf(kv, "kv*kept/"), kv.droppedIndex);
    t.ok(kv.droppedIndex > 3);
    t.equal(kvIndexOf(kv, "kv*one/"), index, "the newest is there");
    for (const step of journal.reverse()) step();
    t.equal(kv.tombstones.size, 65_536, "also that can be taken back");
    t.equal(kvIndexOf(kv, "kv*kept/"), 1);
  },
);

t.test("tombstones and delays go when their time has passed", async (t) => {
  const { state, run } = createLog();
  const { reader } = state;
  const kv = (operation: KvOperation, timeMs: number) => run({ type: "kv", operation }, timeMs);
  kv({ verb: "set", key: "a/1", value: "", flags: "0" }, 1000);
  kv({ verb: "set", key: "a/2", value: "", flags: "0" }, 1000);
  kv({ verb: "delete", key: "a/2" }, 2000);
  kv({ verb: "set", key: "z", value: "", flags: "0" }, 2000);
  const dueMs = 2000 + 15 * 60_000;
  t.equal(reader.kv.isReapDue(dueMs - 1), false);
  run({ type: "kv-reap" }, dueMs - 1);
  t.equal(reader.indexOf("kv*a/"), 3, "not yet");
  t.equal(reader.kv.isReapDue(dueMs), true);
  t.same(run({ type: "kv-reap" }, dueMs).topics, [], "nobody is woken");
  t.equal(reader.indexOf("kv*a/"), 1);
  t.equal(reader.indexOf("kv:none"), 4, "the table's index stays");
  t.equal(reader.kv.isReapDue(dueMs * 2), false);
});
