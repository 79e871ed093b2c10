/**
 * The KV store: records by key, who holds which lock, lock delays, and tombstones by which blocking
 * queries see deletions. Everything that changes it goes through the functions of this file, which
 * emit the topics and keep the undo journal; the rules stand in kv-apply.ts.
 * Consul 1.10 agent/consul/state/{kvs,graveyard,delay}.go.
 */
import type { Change } from "./change.ts";
import { compareKeys, KeyList, type Cut } from "./key-list.ts";
import type { KvReader, KvRecord, Topic } from "./model.ts";

/** A deletion that is remembered: of a key, and of all below a prefix (`treeIndex`, 0 if never). */
export type Tombstone = {
  readonly key: string;
  readonly modifyIndex: number;
  readonly treeIndex: number;
  /** Log time of the deletion. */
  readonly timeMs: number;
};

/** The store. */
export type Kv = {
  records: KeyList<KvRecord>;
  tombstones: KeyList<Tombstone>;
  /** Prefix deleted as a whole → index; the tombstones with a treeIndex. */
  trees: Map<string, number>;
  /** Session → keys that it holds; nobody who holds nothing. */
  held: Map<string, Set<string>>;
  /** Key → log time until which nobody may lock it. */
  delays: Map<string, number>;
  /** Index of the last change of any key. */
  index: number;
  /** Index of the newest tombstone that was dropped for want of room: no prefix answers with less. */
  droppedIndex: number;
};

/** Consul's `tombstone_ttl`: who has not asked for so long has to compare for itself. */
const TOMBSTONE_TTL_MS = 15 * 60_000;
/**
 * Tombstones kept at most. When there are more, the older half goes before its time; then every
 * blocking read of a prefix answers once more than it had to, and none misses a deletion.
 */
const TOMBSTONES_MAX = 65_536;

/** No keys. */
export function createKv(): Kv {
  return {
    records: new KeyList(),
    tombstones: new KeyList(),
    trees: new Map(),
    held: new Map(),
    delays: new Map(),
    index: 0,
    droppedIndex: 0,
  };
}

/** The read side; `current` gives the store of now. */
export function createKvReader(current: () => Kv): KvReader {
  return {
    get: (key) => current().records.get(key),
    list: (prefix) => current().records.withPrefix(prefix),
    get size() {
      return current().records.size;
    },
    heldBy: (session) => [...(current().held.get(session) ?? [])].sort(compareKeys),
    isReapDue: (timeMs) => isReapDue(current(), timeMs),
  };
}

/** Modify index of `kv:<key>` and `kv*<prefix>`; undefined for other topics. */
export function kvIndexOf(kv: Kv, topic: Topic): number | undefined {
  if (topic.startsWith("kv:")) return kv.records.get(topic.slice(3))?.modifyIndex ?? kv.index;
  if (topic.startsWith("kv*")) return prefixIndex(kv, topic.slice(3));
  return undefined;
}

/** The newest record or tombstone below the prefix; of a prefix that never had any, the table's index. */
function prefixIndex(kv: Kv, prefix: string): number {
  if (prefix === "") return kv.index;
  const found = Math.max(
    kv.records.maxIndexOf(prefix),
    kv.tombstones.maxIndexOf(prefix),
    treeIndexOver(kv, prefix),
  );
  return found === 0 ? kv.index : Math.max(found, kv.droppedIndex);
}

/** Index of the newest deletion of a whole tree that this prefix is below of; 0 if there was none. */
function treeIndexOver({ trees }: Kv, prefix: string): number {
  let max = 0;
  if (trees.size < prefix.length) {
    for (const [tree, index] of trees) if (prefix.startsWith(tree)) max = Math.max(max, index);
  } else {
    for (let length = 1; length <= prefix.length; length++)
      max = Math.max(max, trees.get(prefix.slice(0, length)) ?? 0);
  }
  return max;
}

/** Adds the record, or puts it in the place of the one with its key. */
export function putRecord(kv: Kv, record: KvRecord, change: Change): void {
  const before = kv.records.put(record);
  hold(kv, before, record);
  change.undo?.push(() => {
    if (before === undefined) kv.records.remove(record.key);
    else kv.records.put(before);
    hold(kv, record, before);
  });
  touch(kv, `kv:${record.key}`, change);
}

/** Takes the record out and leaves a tombstone. */
export function removeRecord(kv: Kv, record: KvRecord, change: Change): void {
  kv.records.remove(record.key);
  hold(kv, record, undefined);
  change.undo?.push(() => {
    kv.records.put(record);
    hold(kv, undefined, record);
  });
  bury(kv, record.key, false, change);
  touch(kv, `kv:${record.key}`, change);
}

/** Takes out every record below the prefix; one tombstone stands for all. Nothing below it: nothing changes. */
export function removeTree(kv: Kv, prefix: string, change: Change): void {
  const cut = kv.records.cutPrefix(prefix);
  if (cut.size === 0) return;
  const locked = locksOf(kv, prefix, cut);
  for (const record of locked) hold(kv, record, undefined);
  change.undo?.push(() => {
    kv.records.putBack(cut);
    for (const record of locked) hold(kv, undefined, record);
  });
  // The empty prefix always answers with the table's index, and nothing is left below any other.
  if (prefix === "") replaceTombstones(kv, [], change);
  else bury(kv, prefix, true, change);
  touch(kv, `kv-tree:${prefix}`, change);
}

type Lock = Pick<KvRecord, "key" | "session">;

/** Looks at what there is less of: what was cut, or all locks there are. */
function locksOf({ held }: Kv, prefix: string, cut: Cut<KvRecord>): Lock[] {
  let lockCount = 0;
  for (const keys of held.values()) lockCount += keys.size;
  const locks: Lock[] = [];
  if (lockCount < cut.size) {
    for (const [session, keys] of held)
      for (const key of keys) if (key.startsWith(prefix)) locks.push({ key, session });
  } else {
    for (const { items } of cut.chunks)
      for (const record of items) if (record.session !== "") locks.push(record);
  }
  return locks;
}

/** From now until the log time nobody may lock the key. */
export function delayKey(kv: Kv, key: string, untilMs: number, change: Change): void {
  const before = kv.delays.get(key);
  kv.delays.set(key, untilMs);
  change.undo?.push(() => {
    if (before === undefined) kv.delays.delete(key);
    else kv.delays.set(key, before);
  });
}

/** Whether a lock delay of the key is running. */
export function isDelayed(kv: Kv, key: string, change: Pick<Change, "timeMs">): boolean {
  const untilMs = kv.delays.get(key);
  return untilMs !== undefined && change.timeMs < untilMs;
}

/** Forgets the tombstones and delays whose time has passed. Wakes nobody, changes no index. */
export function reap(kv: Kv, change: Change): void {
  for (const [key, untilMs] of kv.delays) if (untilMs <= change.timeMs) kv.delays.delete(key);
  const kept = [...kv.tombstones.view()].filter((tombstone) => !isOld(tombstone, change.timeMs));
  if (kept.length < kv.tombstones.size) replaceTombstones(kv, kept, change);
}

function isReapDue(kv: Kv, timeMs: number): boolean {
  for (const untilMs of kv.delays.values()) if (untilMs <= timeMs) return true;
  for (const tombstone of kv.tombstones.view()) if (isOld(tombstone, timeMs)) return true;
  return false;
}

function isOld(tombstone: Tombstone, timeMs: number): boolean {
  return tombstone.timeMs + TOMBSTONE_TTL_MS <= timeMs;
}

/** Adds a record that a snapshot brings; false if there is one with its key. */
export function restoreRecord(kv: Kv, record: KvRecord): boolean {
  hold(kv, undefined, record);
  return kv.records.put(record) === undefined;
}

/** Adds a tombstone that a snapshot brings; false if there is one with its key. */
export function restoreTombstone(kv: Kv, tombstone: Tombstone): boolean {
  if (tombstone.treeIndex > 0) kv.trees.set(tombstone.key, tombstone.treeIndex);
  return kv.tombstones.put(tombstone) === undefined;
}

function bury(kv: Kv, key: string, isTree: boolean, change: Change): void {
  const { index, timeMs } = change;
  const treeIndex = isTree ? index : (kv.trees.get(key) ?? 0);
  putTombstone(kv, { key, modifyIndex: index, treeIndex, timeMs }, change);
  if (kv.tombstones.size > TOMBSTONES_MAX) dropOlderHalf(kv, change);
}

function putTombstone(kv: Kv, tombstone: Tombstone, change: Change): void {
  const { tombstones, trees } = kv;
  const before = tombstones.put(tombstone);
  if (tombstone.treeIndex > 0) trees.set(tombstone.key, tombstone.treeIndex);
  change.undo?.push(() => {
    if (before === undefined) tombstones.remove(tombstone.key);
    else tombstones.put(before);
    if (before !== undefined && before.treeIndex > 0) trees.set(before.key, before.treeIndex);
    else trees.delete(tombstone.key);
  });
}

/** By index alone, never by the order in which they came here: every server must drop the same ones. */
function dropOlderHalf(kv: Kv, change: Change): void {
  const all = [...kv.tombstones.view()];
  const indexes = Float64Array.from(all, (tombstone) => tombstone.modifyIndex).sort();
  const cut = indexes[indexes.length >> 1]!;
  const kept = all.filter((tombstone) => tombstone.modifyIndex > cut);
  replaceTombstones(kv, kept, change);
  const { droppedIndex } = kv;
  kv.droppedIndex = cut;
  change.undo?.push(() => {
    kv.droppedIndex = droppedIndex;
  });
}

function replaceTombstones(kv: Kv, kept: readonly Tombstone[], change: Change): void {
  const { tombstones, trees } = kv;
  kv.tombstones = new KeyList();
  kv.trees = new Map();
  for (const tombstone of kept) restoreTombstone(kv, tombstone);
  change.undo?.push(() => {
    kv.tombstones = tombstones;
    kv.trees = trees;
  });
}

/** Keeps the book of locks: `after` stands in the place of `before`. */
function hold(kv: Kv, before: Lock | undefined, after: Lock | undefined): void {
  const was = before?.session ?? "";
  const is = after?.session ?? "";
  if (was === is) return;
  if (before !== undefined && was !== "") {
    const keys = kv.held.get(was);
    keys?.delete(before.key);
    if (keys?.size === 0) kv.held.delete(was);
  }
  if (after === undefined || is === "") return;
  const keys = kv.held.get(is);
  if (keys === undefined) kv.held.set(is, new Set([after.key]));
  else keys.add(after.key);
}

function touch(kv: Kv, topic: Topic, change: Change): void {
  const { index } = kv;
  kv.index = change.index;
  change.topics.add(topic);
  change.undo?.push(() => {
    kv.index = index;
  });
}
