/**
 * Transactions: operations on keys, nodes, services and checks that all happen, or none of them.
 * Consul 1.10 agent/consul/state/txn.go; spec/http.md section 10.
 */
import { fail, ok, unreachable, type Result } from "../base.ts";
import { applyDeregister, applyRegister, type Catalog } from "./catalog.ts";
import type { Change } from "./change.ts";
import { isDelayed, type Kv } from "./kv.ts";
import {
  casKey,
  deleteKey,
  deleteKeyCas,
  deleteTree,
  lockKey,
  setKey,
  unlockKey,
  type KvFields,
} from "./kv-apply.ts";
import type { CatalogReader, CheckRecord, KvRecord, NodeRecord, ServiceRecord } from "./model.ts";
import type { Sessions } from "./sessions.ts";
import {
  runCheck,
  runNode,
  runService,
  unknownVerb,
  type CatalogOperation,
  type CatalogWriter,
} from "./txn-catalog.ts";

/** Operations of one transaction at most; Consul's `maxTxnOps`. */
export const TXN_OPERATIONS_MAX = 64;

/**
 * Octets of keys and values that the results of one transaction may have, and 256 for each; beyond it
 * the transaction fails. Ours: 64 reads of a tree would otherwise be 64 times the whole store.
 */
const TXN_RESULT_OCTETS_MAX = 32 * 1024 * 1024;
const RESULT_OVERHEAD_OCTETS = 256;

/** An operation on a key. `index` and `session` are what a verb compares with; any verb may be there. */
export type KvTxnOperation = KvFields & {
  type: "kv";
  verb: string;
  index: number;
  session: string;
};

/** One operation. A verb that nobody knows is an error of the operation, found when it runs. */
export type TxnOperation = KvTxnOperation | CatalogOperation;

/** One line of the answer. `showsValue`: of a read. */
export type TxnResult =
  | { type: "kv"; record: KvRecord; showsValue: boolean }
  | { type: "node"; record: NodeRecord }
  | { type: "service"; record: ServiceRecord }
  | { type: "check"; record: CheckRecord };

/** What is wrong with the operation that stands at this place; 0 is the first. */
export type TxnError = { opIndex: number; what: string };

/** Results in the order of the operations, or why nothing was done. */
export type TxnOutcome = { results: readonly TxnResult[] } | { errors: readonly TxnError[] };

/** What a transaction works on. `followUp` does what must follow a change: sessions end, locks fall. */
export type TxnState = {
  catalog: Catalog;
  kv: Kv;
  sessions: Sessions;
  reader: CatalogReader;
  followUp(change: Change): void;
};

/**
 * All operations in order; each sees what those before it did. If any fails, all are run, all errors
 * told, and everything is taken back. Locks whose delay is running are refused before anything else.
 */
export function applyTxn(
  state: TxnState,
  operations: readonly TxnOperation[],
  change: Change,
): TxnOutcome {
  const delayed = operations.flatMap((operation, opIndex) => {
    if (operation.type !== "kv" || operation.verb !== "lock") return [];
    return isDelayed(state.kv, operation.key, change)
      ? [{ opIndex, what: delayText(operation.key) }]
      : [];
  });
  if (delayed.length > 0) return { errors: delayed };
  change.undo = [];
  const outcome = runAll(state.reader, createWriter(state, change), operations);
  if ("errors" in outcome) takeBack(change);
  change.undo = null;
  return outcome;
}

/** Does any operation write? What does not may be answered without the log. */
export function isWriting(operations: readonly TxnOperation[]): boolean {
  return operations.some(({ type, verb }) =>
    type === "kv" ? KV_WRITES.has(verb) : verb !== "get",
  );
}

/** Verbs that change keys; others, unknown ones too, count as reading. */
const KV_WRITES: ReadonlySet<string> = new Set([
  "set",
  "cas",
  "lock",
  "unlock",
  "delete",
  "delete-cas",
  "delete-tree",
]);

/** A transaction that is not `isWriting`, on the state of now. */
export function readTxn(reader: CatalogReader, operations: readonly TxnOperation[]): TxnOutcome {
  return runAll(reader, undefined, operations);
}

function takeBack(change: Change): void {
  for (const step of change.undo!.reverse()) step();
  change.topics.clear();
}

/** What the operations write with; a transaction that only reads has none. */
type Writer = CatalogWriter & {
  kv(operation: KvTxnOperation): Result<KvRecord | undefined, string>;
};

function createWriter(state: TxnState, change: Change): Writer {
  const { catalog, kv, sessions } = state;
  // An operation sees what those before it did, so sessions end before the next one.
  const finish = <T>(result: T): T => {
    state.followUp(change);
    change.brokenChecks = [];
    change.removedNodes = [];
    return result;
  };
  return {
    register: (command) => finish(applyRegister(catalog, command, change)),
    deregister: (command) => finish(applyDeregister(catalog, command, change)),
    kv: (operation) => writeKey(kv, sessions, operation, change),
  };
}

function runAll(
  reader: CatalogReader,
  writer: Writer | undefined,
  operations: readonly TxnOperation[],
): TxnOutcome {
  const results: TxnResult[] = [];
  const errors: TxnError[] = [];
  let octets = 0;
  for (const [opIndex, operation] of operations.entries()) {
    const done = run(reader, writer, operation);
    if (!done.ok) errors.push({ opIndex, what: done.error });
    else
      for (const result of done.value) {
        octets += octetsOf(result);
        if (octets > TXN_RESULT_OCTETS_MAX) return { errors: [...errors, tooMuch(opIndex)] };
        results.push(result);
      }
  }
  return errors.length > 0 ? { errors } : { results };
}

/** About what a result takes in memory; values count where they are shown. */
function octetsOf(result: TxnResult): number {
  if (result.type !== "kv") return RESULT_OVERHEAD_OCTETS;
  const { record, showsValue } = result;
  return RESULT_OVERHEAD_OCTETS + record.key.length + (showsValue ? record.value.length : 0);
}

function tooMuch(opIndex: number): TxnError {
  return { opIndex, what: `results are larger than ${TXN_RESULT_OCTETS_MAX} octets` };
}

/** The lines that the operation adds to the answer. */
function run(
  reader: CatalogReader,
  writer: Writer | undefined,
  operation: TxnOperation,
): Result<Iterable<TxnResult>, string> {
  switch (operation.type) {
    case "kv":
      return runKey(reader, writer, operation);
    case "node":
      return lineOf("node", runNode(reader, writer, operation));
    case "service":
      return lineOf("service", runService(reader, writer, operation));
    case "check":
      return lineOf("check", runCheck(reader, writer, operation));
    default:
      return unreachable(operation);
  }
}

function lineOf<T extends "node" | "service" | "check", R>(
  type: T,
  found: Result<R | undefined, string>,
): Result<{ type: T; record: R }[], string> {
  if (!found.ok) return found;
  return ok(found.value === undefined ? [] : [{ type, record: found.value }]);
}

function runKey(
  { kv }: CatalogReader,
  writer: Writer | undefined,
  operation: KvTxnOperation,
): Result<Iterable<TxnResult>, string> {
  const { verb, key, index, session } = operation;
  const held = kv.get(key);
  const name = JSON.stringify(key);
  switch (verb) {
    case "get":
      return held === undefined ? fail(`key ${name} doesn't exist`) : ok([lineOfKey(held, true)]);
    case "get-tree":
      return ok(linesOfKeys(kv.list(key)));
    case "check-index":
      if (held === undefined) return fail(`failed to check index, key ${name} doesn't exist`);
      return held.modifyIndex === index
        ? ok([lineOfKey(held)])
        : fail(
            `failed index check for key ${name}, current modify index ${held.modifyIndex} != ${index}`,
          );
    case "check-session":
      if (held === undefined) return fail(`failed to check session, key ${name} doesn't exist`);
      return held.session === session
        ? ok([lineOfKey(held)])
        : fail(
            `failed session check for key ${name}, current session ${JSON.stringify(held.session)} != ${JSON.stringify(session)}`,
          );
    case "check-not-exists":
      return held === undefined ? ok([]) : fail(`key ${name} exists`);
  }
  if (writer === undefined || !KV_WRITES.has(verb)) return fail(unknownVerb("KV", verb));
  const written = writer.kv(operation);
  if (!written.ok) return written;
  return ok(written.value === undefined ? [] : [lineOfKey(written.value)]);
}

const lineOfKey = (record: KvRecord, showsValue = false): TxnResult => ({
  type: "kv",
  record,
  showsValue,
});

/** Lazily: a tree may be the whole store. */
function* linesOfKeys(records: Iterable<KvRecord>): Iterable<TxnResult> {
  for (const record of records) yield lineOfKey(record, true);
}

const delayText = (key: string) => `failed to lock key ${JSON.stringify(key)} due to lock delay`;

/** The record that the verb leaves; none where it deletes. */
function writeKey(
  kv: Kv,
  sessions: Sessions,
  operation: KvTxnOperation,
  change: Change,
): Result<KvRecord | undefined, string> {
  const { verb, key } = operation;
  const name = JSON.stringify(key);
  switch (verb) {
    case "set":
      return ok(setKey(kv, operation, change));
    case "cas": {
      const set = casKey(kv, operation, change);
      return set === undefined ? fail(`failed to set key ${name}, index is stale`) : ok(set);
    }
    case "lock": {
      const locked = lockKey(kv, sessions, operation, change);
      if (!locked.ok) return locked;
      if (locked.value === "delayed") return fail(delayText(key));
      if (locked.value === "held") return fail(`failed to lock key ${name}, lock is already held`);
      return ok(locked.value);
    }
    case "unlock": {
      const unlocked = unlockKey(kv, operation, change);
      if (!unlocked.ok || unlocked.value !== undefined) return unlocked;
      return fail(`failed to unlock key ${name}, lock isn't held, or is held by another session`);
    }
    case "delete":
      deleteKey(kv, key, change);
      return ok(undefined);
    case "delete-cas":
      return deleteKeyCas(kv, operation, change)
        ? ok(undefined)
        : fail(`failed to delete key ${name}, index is stale`);
    case "delete-tree":
      deleteTree(kv, key, change);
      return ok(undefined);
    default:
      return fail(unknownVerb("KV", verb));
  }
}
