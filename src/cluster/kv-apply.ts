/**
 * What the verbs of the KV store do, for `/v1/kv` and for transactions alike. A write that changes
 * nothing (same value, flags, lock) leaves the record and every index as they are.
 * Consul 1.10 agent/consul/state/kvs.go.
 */
import { fail, ok, type Result } from "../base.ts";
import type { Change } from "./change.ts";
import { delayKey, isDelayed, putRecord, removeRecord, removeTree, type Kv } from "./kv.ts";
import type { KvRecord, SessionRecord } from "./model.ts";
import type { Sessions } from "./sessions.ts";
import { idProblem } from "./uuid.ts";

/** What a write brings: see KvRecord. */
export type KvFields = Pick<KvRecord, "key" | "value" | "flags">;

/** One write, as a log entry holds it. `index` is the modify index that the record must have. */
export type KvOperation =
  | ({ verb: "set" } & KvFields)
  | ({ verb: "cas"; index: number } & KvFields)
  | ({ verb: "lock" | "unlock"; session: string } & KvFields)
  | { verb: "delete"; key: string }
  | { verb: "delete-cas"; key: string; index: number }
  | { verb: "delete-tree"; key: string };

/** `held`: another session holds the lock. `delayed`: a lock delay is running. */
export type Unlocked = "held" | "delayed";

/** Consul's `MaxLockDelay`: a session may ask for more, and gets this. */
const LOCK_DELAY_MAX_MS = 60_000;

/** The command of `/v1/kv`: whether the write was done. The error is the client's text. */
export function applyKv(
  kv: Kv,
  sessions: Pick<Sessions, "byId">,
  operation: KvOperation,
  change: Change,
): Result<boolean, string> {
  switch (operation.verb) {
    case "set":
      setKey(kv, operation, change);
      return ok(true);
    case "cas":
      return ok(casKey(kv, operation, change) !== undefined);
    case "lock": {
      const locked = lockKey(kv, sessions, operation, change);
      return locked.ok ? ok(typeof locked.value !== "string") : applyFailed(locked);
    }
    case "unlock": {
      const unlocked = unlockKey(kv, operation, change);
      return unlocked.ok ? ok(unlocked.value !== undefined) : applyFailed(unlocked);
    }
    case "delete":
      deleteKey(kv, operation.key, change);
      return ok(true);
    case "delete-cas":
      return ok(deleteKeyCas(kv, operation, change));
    case "delete-tree":
      deleteTree(kv, operation.key, change);
      return ok(true);
  }
}

const applyFailed = ({ error }: { error: string }) => fail(`raft apply failed: ${error}`);

/** Creates or replaces value and flags. A lock stays, but its count starts again at 0. */
export function setKey(kv: Kv, fields: KvFields, change: Change): KvRecord {
  const held = kv.records.get(fields.key);
  return store(kv, held, fields, { lockIndex: 0, session: held?.session ?? "" }, change);
}

/** Sets if the record has this modify index (0: if there is none); undefined: it has another. */
export function casKey(
  kv: Kv,
  operation: KvFields & { index: number },
  change: Change,
): KvRecord | undefined {
  const index = kv.records.get(operation.key)?.modifyIndex ?? 0;
  return index === operation.index ? setKey(kv, operation, change) : undefined;
}

/** Sets and locks. A running delay comes first, as with Consul, whose leader looks there before the log. */
export function lockKey(
  kv: Kv,
  sessions: Pick<Sessions, "byId">,
  operation: KvFields & { session: string },
  change: Change,
): Result<KvRecord | Unlocked, string> {
  const { key } = operation;
  if (isDelayed(kv, key, change)) return ok("delayed");
  if (operation.session === "") return fail("missing session");
  const session = sessionIdOf(operation);
  if (!sessions.byId.has(session)) return fail(unknownSession(operation.session));
  const held = kv.records.get(key);
  if (held !== undefined && held.session !== "" && held.session !== session) return ok("held");
  const lockIndex = (held?.lockIndex ?? 0) + (held?.session === session ? 0 : 1);
  return ok(store(kv, held, operation, { lockIndex, session }, change));
}

/** Sets and gives the lock up; undefined: the session does not hold it. */
export function unlockKey(
  kv: Kv,
  operation: KvFields & { session: string },
  change: Change,
): Result<KvRecord | undefined, string> {
  const session = sessionIdOf(operation);
  if (session === "") return fail("missing session");
  const held = kv.records.get(operation.key);
  if (held?.session !== session) return ok(undefined);
  return ok(store(kv, held, operation, { lockIndex: held.lockIndex, session: "" }, change));
}

/** Ids are in lower case; Consul finds them in any. */
const sessionIdOf = ({ session }: { session: string }) => session.toLowerCase();

function unknownSession(id: string): string {
  const problem = idProblem(id);
  if (problem !== undefined) return `failed session lookup: ${problem}`;
  return `invalid session ${JSON.stringify(id)}`;
}

/** Deletes, lock included. */
export function deleteKey(kv: Kv, key: string, change: Change): void {
  const held = kv.records.get(key);
  if (held !== undefined) removeRecord(kv, held, change);
}

/** Deletes if the record has this modify index; false: it has another. An absent one counts as deleted. */
export function deleteKeyCas(
  kv: Kv,
  { key, index }: { key: string; index: number },
  change: Change,
): boolean {
  const held = kv.records.get(key);
  if (held === undefined) return true;
  if (held.modifyIndex !== index) return false;
  removeRecord(kv, held, change);
  return true;
}

/** Deletes all keys that start with the prefix. */
export function deleteTree(kv: Kv, prefix: string, change: Change): void {
  removeTree(kv, prefix, change);
}

/** A session has ended: what it holds is released or deleted, and cannot be locked for its lock delay. */
export function endLocks(kv: Kv, session: SessionRecord, change: Change): void {
  const keys = kv.held.get(session.id);
  if (keys === undefined) return;
  const delayMs = Math.min(session.lockDelayMs, LOCK_DELAY_MAX_MS);
  for (const key of keys) {
    const record = kv.records.get(key)!; // whoever is in the book of locks is there
    if (session.behavior === "delete") removeRecord(kv, record, change);
    else putRecord(kv, { ...record, session: "", modifyIndex: change.index }, change);
    if (delayMs > 0) delayKey(kv, key, change.timeMs + Math.ceil(delayMs), change);
  }
}

function store(
  kv: Kv,
  held: KvRecord | undefined,
  { key, value, flags }: KvFields,
  { lockIndex, session }: Pick<KvRecord, "lockIndex" | "session">,
  change: Change,
): KvRecord {
  const modifyIndex = change.index;
  if (held === undefined) {
    const created = {
      key,
      value,
      flags,
      lockIndex,
      session,
      createIndex: modifyIndex,
      modifyIndex,
    };
    putRecord(kv, created, change);
    return created;
  }
  const isSame =
    held.value === value &&
    held.flags === flags &&
    held.lockIndex === lockIndex &&
    held.session === session;
  if (isSame) return held;
  const { createIndex } = held;
  // The text of the key that is there already: the one that came can go.
  const changed = { key: held.key, value, flags, lockIndex, session, createIndex, modifyIndex };
  putRecord(kv, changed, change);
  return changed;
}
