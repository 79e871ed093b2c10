/**
 * What the body of each command must look like: a log may hold anything, and what passes here is
 * applied without further questions about types.
 */
import type { Command } from "./command.ts";
import type { KvOperation } from "./kv-apply.ts";
import type { TxnOperation } from "./txn.ts";
import { DIMENSIONS } from "./coordinates.ts";

/** Is the value of the shape? It may be anything. */
export type Shape = (value: unknown) => boolean;

/** Deepest nesting of what is stored as it came (proxy, connect, definition). */
export const JSON_DEPTH_MAX = 64;

const text: Shape = (value) => typeof value === "string";
const flag: Shape = (value) => typeof value === "boolean";
const integer: Shape = (value) => Number.isSafeInteger(value);
const finite: Shape = (value) => Number.isFinite(value);
const oneOf =
  (...words: readonly string[]): Shape =>
  (value) =>
    words.some((word) => word === value);
const orNull =
  (shape: Shape): Shape =>
  (value) =>
    value === null || shape(value);

const optional =
  (shape: Shape): Shape =>
  (value) =>
    value === undefined || shape(value);

// Plain loops: every entry of a log that is replayed passes through here.
function listOf(shape: Shape): Shape {
  return (value) => {
    if (!Array.isArray(value)) return false;
    for (let i = 0; i < value.length; i++) if (!shape(value[i])) return false;
    return true;
  };
}

function mapOf(shape: Shape): Shape {
  return (value) => {
    if (!isPlain(value)) return false;
    for (const name in value) if (!shape(value[name])) return false;
    return true;
  };
}

const json: Shape = (value) => nestedAtMost(value, JSON_DEPTH_MAX);

function record(members: Readonly<Record<string, Shape>>): Shape {
  const names = Object.keys(members);
  const shapes = Object.values(members);
  return (value) => {
    if (!isPlain(value)) return false;
    for (let i = 0; i < names.length; i++) if (!shapes[i]!(value[names[i]!])) return false;
    return true;
  };
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a JSON value has at most `depth` levels of lists and objects. */
export function nestedAtMost(value: unknown, depth: number): boolean {
  if (value === undefined) return false;
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((member) => nestedAtMost(member, depth - 1));
}

const node = record({
  node: text,
  id: text,
  address: text,
  taggedAddresses: orNull(mapOf(text)),
  meta: orNull(mapOf(text)),
});

const service = record({
  id: text,
  service: text,
  kind: text,
  tags: listOf(text),
  address: text,
  taggedAddresses: orNull(mapOf(record({ address: text, port: integer }))),
  meta: orNull(mapOf(text)),
  port: integer,
  socketPath: text,
  weights: record({ passing: integer, warning: integer }),
  enableTagOverride: flag,
  proxy: json,
  connect: json,
});

const check = record({
  checkId: text,
  name: text,
  status: text,
  notes: text,
  output: text,
  serviceId: text,
  type: text,
  interval: text,
  timeout: text,
  exposedPort: integer,
  definition: (value) => isPlain(value) && json(value),
});

const query = record({
  id: text,
  name: text,
  session: text,
  token: text,
  template: record({ type: text, regexp: text, removeEmptyTags: flag }),
  service: record({
    service: text,
    failover: record({ nearestN: integer, datacenters: orNull(listOf(text)) }),
    onlyPassing: flag,
    ignoreCheckIds: orNull(listOf(text)),
    near: text,
    tags: orNull(listOf(text)),
    nodeMeta: orNull(mapOf(text)),
    serviceMeta: orNull(mapOf(text)),
    connect: flag,
  }),
  dns: record({ ttl: text }),
});

const session = record({
  id: text,
  name: text,
  node: text,
  lockDelayMs: finite,
  behavior: oneOf("release", "delete"),
  ttl: text,
  nodeChecks: listOf(text),
  serviceChecks: orNull(listOf(record({ id: text, namespace: text }))),
  checks: orNull(listOf(text)),
});

const policy = record({
  id: text,
  name: text,
  description: text,
  rules: text,
  datacenters: orNull(listOf(text)),
});

const links = listOf(record({ id: text, name: text }));
const grants = {
  policies: links,
  serviceIdentities: optional(listOf(record({ serviceName: text, datacenters: listOf(text) }))),
  nodeIdentities: optional(listOf(record({ nodeName: text, datacenter: text }))),
};

const role = record({ ...grants, id: text, name: text, description: text });

const token = record({
  ...grants,
  accessorId: text,
  secretId: text,
  description: text,
  roles: optional(links),
  local: flag,
  createTimeMs: finite,
  expirationTimeMs: optional(finite),
});

const coordinate = record({
  node: text,
  segment: text,
  coordinate: record({
    vec: (value) => listOf(finite)(value) && (value as unknown[]).length === DIMENSIONS,
    error: finite,
    adjustment: finite,
    height: finite,
  }),
});

/** An unsigned number of 64 bits, printed as it is. */
const flags: Shape = (value) => typeof value === "string" && /^\d{1,20}$/.test(value);
/** Printed as it is, too. */
const base64: Shape = (value) => typeof value === "string" && /^[A-Za-z0-9+/]*={0,2}$/.test(value);
const kvFields = { key: text, value: base64, flags };
const kvShapes: Readonly<Record<KvOperation["verb"], Shape>> = {
  set: record(kvFields),
  cas: record({ ...kvFields, index: finite }),
  lock: record({ ...kvFields, session: text }),
  unlock: record({ ...kvFields, session: text }),
  delete: record({ key: text }),
  "delete-cas": record({ key: text, index: finite }),
  "delete-tree": record({ key: text }),
};

/** One write of the KV store. */
const kvOperation: Shape = (value) =>
  isPlain(value) &&
  typeof value["verb"] === "string" &&
  Object.hasOwn(kvShapes, value["verb"]) &&
  kvShapes[value["verb"] as KvOperation["verb"]](value);

const verbed = { verb: text, index: finite };
const txnShapes: Readonly<Record<TxnOperation["type"], Shape>> = {
  kv: record({ ...verbed, ...kvFields, session: text }),
  node: record({ ...verbed, node }),
  service: record({ ...verbed, node: text, service }),
  check: record({ ...verbed, node: text, check }),
};

const txnOperation: Shape = (value) =>
  isPlain(value) &&
  typeof value["type"] === "string" &&
  Object.hasOwn(txnShapes, value["type"]) &&
  txnShapes[value["type"] as TxnOperation["type"]](value);

const counter: Shape = (value) => Number.isSafeInteger(value) && (value as number) >= 0;

const autopilot = record({
  cleanupDeadServers: flag,
  lastContactThresholdMs: finite,
  maxTrailingLogs: counter,
  minQuorum: counter,
  serverStabilizationTimeMs: finite,
  redundancyZoneTag: text,
  disableUpgradeMigration: flag,
  upgradeVersionTag: text,
});

/** Shapes of the parts of records, for snapshots. */
export const recordShapes = {
  node,
  service,
  check,
  query,
  session,
  policy,
  role,
  token,
  coordinate,
  flags,
  base64,
  counter,
  autopilot,
};

/** Shape of each command's body; `type` is checked by the codec. */
export const commandShapes: Readonly<Record<Command["type"], Shape>> = {
  register: record({
    node,
    skipNodeUpdate: flag,
    service: orNull(service),
    checks: listOf(check),
  }),
  deregister: record({ node: text, serviceId: text, checkId: text }),
  "query-set": record({ query, create: flag }),
  "query-delete": record({ id: text }),
  "session-create": record({ session }),
  "session-destroy": record({ id: text }),
  "autopilot-set": record({ config: autopilot, cas: orNull(counter) }),
  "acl-policy-set": record({ policy }),
  "acl-policy-delete": record({ id: text }),
  "acl-token-set": record({ token, mustExist: optional(flag) }),
  "acl-token-delete": record({ accessorId: text }),
  "acl-bootstrap": record({ token, resetIndex: integer }),
  "acl-role-set": record({ role }),
  "acl-role-delete": record({ id: text }),
  "acl-tokens-reap": record({ accessorIds: listOf(text), expiredMs: finite }),
  coordinates: record({ updates: listOf(coordinate) }),
  kv: record({ operation: kvOperation }),
  "kv-reap": () => true,
  txn: record({ operations: listOf(txnOperation) }),
  epoch: record({ epoch: integer }),
};
