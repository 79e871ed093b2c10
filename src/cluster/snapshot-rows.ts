/**
 * Rows of a snapshot and the records they stand for. The first member is the kind, in this order:
 *   head     format, log index, epoch, indexes of the tables, log time
 *   service  lower-case name and index of a service, before its first instance
 *   n s c    a node, its instances, its checks: by node name, then by id
 *   session query policy role token   records by id
 *   coordinate   by node name, then by segment
 *   autopilot    the settings
 *   kv kv-tombstone kv-delay   entries of the KV store, deletions, lock delays: by key
 *   end      number of rows before it
 */
import type { AclPolicyRecord, AclRoleRecord, AclTokenRecord } from "./acl-state.ts";
import type { AutopilotRecord } from "./autopilot.ts";
import type { CatalogIndexes } from "./catalog-tables.ts";
import type { CheckFields, NodeFields, ServiceFields } from "./command.ts";
import { recordShapes, type Shape } from "./command-shapes.ts";
import type { Tombstone } from "./kv.ts";
import type {
  CheckRecord,
  CoordinateRecord,
  KvRecord,
  NodeRecord,
  QueryRecord,
  ServiceRecord,
  SessionRecord,
} from "./model.ts";
import type { Stamps } from "./records.ts";
import type { Row } from "./snapshot-frames.ts";

const FORMAT = 1;

/** First row: where the snapshot stands and the indexes of all tables. */
export type Head = {
  index: number;
  epoch: number;
  /** Log time of the newest command. */
  timeMs: number;
  indexes: CatalogIndexes & {
    queries: number;
    sessions: number;
    acl: number;
    aclBootstrap: number;
    coordinates: number;
    kv: number;
    kvDropped: number;
  };
};

/** One row, checked. Rows of services and checks belong to the node before them. */
export type Reading =
  | { kind: "head"; head: Head }
  | { kind: "service"; lower: string; index: number }
  | { kind: "n"; index: number; fields: NodeFields; stamps: Stamps }
  | { kind: "s"; fields: ServiceFields; stamps: Stamps }
  | { kind: "c"; fields: CheckFields; stamps: Stamps }
  | { kind: "session"; record: SessionRecord }
  | { kind: "query"; record: QueryRecord }
  | { kind: "autopilot"; record: AutopilotRecord }
  | { kind: "policy"; record: AclPolicyRecord }
  | { kind: "role"; record: AclRoleRecord }
  | { kind: "token"; record: AclTokenRecord }
  | { kind: "coordinate"; record: CoordinateRecord }
  | { kind: "kv"; record: KvRecord }
  | { kind: "kv-tombstone"; tombstone: Tombstone }
  | { kind: "kv-delay"; key: string; untilMs: number }
  | { kind: "end"; rows: number };

/** The first row. */
export const headRow = ({ index, epoch, indexes, timeMs }: Head): Row => [
  "head",
  FORMAT,
  index,
  epoch,
  indexes,
  timeMs,
];

/** Index of a service name, also of one that has no instances any more. */
export const serviceIndexRow = (lower: string, index: number): Row => ["service", lower, index];

/** The last row; `rows` counts those before it. */
export const endRow = (rows: number): Row => ["end", rows];

/** A node; `index` is that of what is on it. */
export function nodeRow(r: NodeRecord, index: number): Row {
  const { createIndex, modifyIndex, node, id, address, taggedAddresses, meta } = r;
  return ["n", createIndex, modifyIndex, index, node, id, address, taggedAddresses, meta];
}

/** An instance of the node before it. */
export function serviceRow(r: ServiceRecord): Row {
  const { createIndex, modifyIndex, id, service, kind, tags, address, taggedAddresses, meta } = r;
  const { port, socketPath, weights, enableTagOverride, proxy, connect } = r;
  // prettier-ignore
  return [
    "s", createIndex, modifyIndex, id, service, kind, tags, address, taggedAddresses, meta, port,
    socketPath, weights.passing, weights.warning, enableTagOverride, proxy, connect,
  ];
}

/** A check of the node before it. */
export function checkRow(r: CheckRecord): Row {
  const { createIndex, modifyIndex, checkId, name, status, notes, output, serviceId } = r;
  const { type, interval, timeout, exposedPort, definition } = r;
  // prettier-ignore
  return [
    "c", createIndex, modifyIndex, checkId, name, status, notes, output, serviceId, type, interval,
    timeout, exposedPort, definition,
  ];
}

/** A record that stands for itself. */
export const recordRow = (
  kind: "autopilot" | "session" | "query" | "policy" | "role" | "token",
  record:
    | AutopilotRecord
    | SessionRecord
    | QueryRecord
    | AclPolicyRecord
    | AclRoleRecord
    | AclTokenRecord,
): Row => [kind, record];

/** Where a node stands. */
export const coordinateRow = (record: CoordinateRecord): Row => ["coordinate", record];

/** One key. */
export function kvRow(r: KvRecord): Row {
  const { key, value, flags, lockIndex, session, createIndex, modifyIndex } = r;
  return ["kv", key, value, flags, lockIndex, session, createIndex, modifyIndex];
}

/** A deletion that is remembered. */
export function kvTombstoneRow({ key, modifyIndex, treeIndex, timeMs }: Tombstone): Row {
  return ["kv-tombstone", key, modifyIndex, treeIndex, timeMs];
}

/** A key that cannot be locked before a log time. */
export const kvDelayRow = (key: string, untilMs: number): Row => ["kv-delay", key, untilMs];

/** What a row says; undefined if it is none of ours. Nothing in it is trusted. */
export function readRow(row: Row): Reading | undefined {
  switch (row[0]) {
    case "head":
      return readHead(row);
    case "service": {
      const [, lower, index] = row;
      if (typeof lower !== "string" || !isCounter(index)) return undefined;
      return { kind: "service", lower, index };
    }
    case "n":
      return readNode(row);
    case "s":
      return readService(row);
    case "c":
      return readCheck(row);
    case "session":
    case "query":
    case "autopilot":
    case "policy":
    case "role":
    case "token":
      return readRecord(row[0], row[1]);
    case "coordinate": {
      const record = shaped<CoordinateRecord>(row[1], recordShapes.coordinate);
      return record && { kind: "coordinate", record };
    }
    case "kv":
      return readKv(row);
    case "kv-tombstone": {
      const [, key, modifyIndex, treeIndex, timeMs] = row;
      if (typeof key !== "string" || !isCounter(modifyIndex)) return undefined;
      if (!isCounter(treeIndex) || !isCounter(timeMs)) return undefined;
      return { kind: "kv-tombstone", tombstone: { key, modifyIndex, treeIndex, timeMs } };
    }
    case "kv-delay": {
      const [, key, untilMs] = row;
      if (typeof key !== "string" || !isCounter(untilMs)) return undefined;
      return { kind: "kv-delay", key, untilMs };
    }
    case "end":
      return isCounter(row[1]) ? { kind: "end", rows: row[1] } : undefined;
    default:
      return undefined;
  }
}

function isCounter(value: unknown): value is number {
  return recordShapes.counter(value);
}

const INDEXES: readonly (keyof Head["indexes"])[] = [
  "nodes",
  "services",
  "checks",
  "addresses",
  "lastNodeRemoval",
  "lastServiceRemoval",
  "queries",
  "sessions",
  "acl",
  "aclBootstrap",
  "coordinates",
  "kv",
  "kvDropped",
];

/** The last one of a Date. Log time goes on from there, and every entry has to be a safe integer. */
const TIME_MS_MAX = 8.64e15;

function readHead([, format, index, epoch, indexes, timeMs = 0]: Row): Reading | undefined {
  if (format !== FORMAT || !isCounter(index) || !isCounter(epoch)) return undefined;
  if (!isCounter(timeMs) || timeMs > TIME_MS_MAX) return undefined;
  if (typeof indexes !== "object" || indexes === null) return undefined;
  // Older snapshots have no coordinates and no keys.
  const given: Record<string, unknown> = { coordinates: 0, kv: 0, kvDropped: 0, ...indexes };
  if (!INDEXES.every((name) => isCounter(given[name]))) return undefined;
  // Every member was just seen to be a number.
  return { kind: "head", head: { index, epoch, timeMs, indexes: given as Head["indexes"] } };
}

function stampsOf(createIndex: unknown, modifyIndex: unknown): Stamps | undefined {
  return isCounter(createIndex) && isCounter(modifyIndex)
    ? { createIndex, modifyIndex }
    : undefined;
}

/** The fields, if the shape says that they are what their type claims. */
function shaped<T>(fields: unknown, shape: Shape): T | undefined {
  return shape(fields) ? (fields as T) : undefined;
}

function readNode(row: Row): Reading | undefined {
  const [, createIndex, modifyIndex, index, node, id, address, taggedAddresses, meta] = row;
  const stamps = stampsOf(createIndex, modifyIndex);
  const given = { node, id, address, taggedAddresses, meta };
  const fields = shaped<NodeFields>(given, recordShapes.node);
  if (stamps === undefined || fields === undefined || !isCounter(index)) return undefined;
  return { kind: "n", index, fields, stamps };
}

function readService(row: Row): Reading | undefined {
  const [, createIndex, modifyIndex, id, service, kind, tags, address, taggedAddresses, meta] = row;
  const [port, socketPath, passing, warning, enableTagOverride, proxy, connect] = row.slice(10);
  const stamps = stampsOf(createIndex, modifyIndex);
  // prettier-ignore
  const given = {
    id, service, kind, tags, address, taggedAddresses, meta, port, socketPath,
    weights: { passing, warning }, enableTagOverride, proxy, connect,
  };
  const fields = shaped<ServiceFields>(given, recordShapes.service);
  if (stamps === undefined || fields === undefined) return undefined;
  return { kind: "s", fields, stamps };
}

function readCheck(row: Row): Reading | undefined {
  const [, createIndex, modifyIndex, checkId, name, status, notes, output, serviceId] = row;
  const [type, interval, timeout, exposedPort, definition] = row.slice(9);
  const stamps = stampsOf(createIndex, modifyIndex);
  // prettier-ignore
  const given = {
    checkId, name, status, notes, output, serviceId, type, interval, timeout, exposedPort,
    definition,
  };
  const fields = shaped<CheckFields>(given, recordShapes.check);
  if (stamps === undefined || fields === undefined) return undefined;
  return { kind: "c", fields, stamps };
}

/** Flags and session are nearly always the same text: one copy of it for all records. */
const NO_FLAGS = "0";

function readKv(row: Row): Reading | undefined {
  const [, key, value, flags, lockIndex, session, createIndex, modifyIndex] = row;
  if (typeof key !== "string") return undefined;
  if (typeof value !== "string" || !recordShapes.base64(value)) return undefined;
  if (typeof flags !== "string" || !recordShapes.flags(flags)) return undefined;
  if (typeof session !== "string" || !/^[\w-]*$/.test(session)) return undefined;
  if (!isCounter(lockIndex)) return undefined;
  if (!isCounter(createIndex) || !isCounter(modifyIndex)) return undefined;
  const record: KvRecord = {
    key,
    value,
    flags: flags === NO_FLAGS ? NO_FLAGS : flags,
    lockIndex,
    session,
    createIndex,
    modifyIndex,
  };
  return { kind: "kv", record };
}

function readRecord(
  kind: "autopilot" | "session" | "query" | "policy" | "role" | "token",
  record: unknown,
): Reading | undefined {
  if (!recordShapes[kind](record)) return undefined;
  const { createIndex, modifyIndex } = record as Record<string, unknown>;
  if (stampsOf(createIndex, modifyIndex) === undefined) return undefined;
  // The shape and the stamps are all that the record's type says.
  return { kind, record } as Reading;
}
