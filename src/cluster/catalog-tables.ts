/**
 * The tables of nodes, services and checks with their indexes. This file keeps them consistent with
 * each other; what a command may do and whom a change wakes is decided in catalog.ts.
 */
import { AddressIndex } from "./address-index.ts";
import type { Undo } from "./change.ts";
import type { CheckRecord, NodeRecord, ServiceRecord } from "./model.ts";
import { createShared, type Shared } from "./records.ts";
import { noteServiceIndex, type ServiceIndexViews } from "./service-indexes.ts";
import {
  compareText,
  findSorted,
  lowerBound,
  NOTHING,
  SortedList,
  withItem,
  withoutItem,
} from "./sorted.ts";

/**
 * A node with all that hangs on it. Its lists are never changed in place but replaced, so a change
 * costs O(services of that node) pointer copies; 10,000 services on one node copy 80 KB.
 */
export type NodeEntry = {
  /** A snapshot may hold an entry of an older generation than the tables': copy it to change it. */
  generation: number;
  record: NodeRecord;
  /** Lower-case name: the key of the node. */
  lower: string;
  /** Of the last change to the node, its services or its checks. */
  index: number;
  /** By id. */
  services: readonly ServiceRecord[];
  /** Node-level checks by check id. */
  nodeChecks: readonly CheckRecord[];
  /** The other checks by service id, then check id. */
  serviceChecks: readonly CheckRecord[];
  /** `serviceChecks` by check id, or null while there are few enough to walk through. */
  serviceChecksById: readonly CheckRecord[] | null;
};

/** All instances of one service, whatever the case of its name. */
export type ServiceEntry = {
  /** `service:<lower-case name>`, kept so that a change need not build it. */
  topic: string;
  /** By lower-case node name, then id. */
  instances: SortedList<InstanceKey, ServiceRecord>;
  index: number;
  /** Name as stored → distinct tags; null when it must be computed again. */
  names: readonly (readonly [string, readonly string[]])[] | null;
};

/** All rows of the catalog and what finds them. */
export type Tables = {
  /** Number of snapshots taken. */
  generation: number;
  shared: Shared;
  nodes: SortedList<{ lower: string }, NodeEntry>;
  byName: Map<string, NodeEntry>;
  /** Nodes that have an id. */
  byId: SortedList<{ id: string }, NodeRecord>;
  nodeAddresses: AddressIndex<{ node: string }, NodeRecord>;
  serviceAddresses: AddressIndex<InstanceKey, ServiceRecord>;
  /** By lower-case name. */
  services: Map<string, ServiceEntry>;
  /** Of the snapshots that are being drawn. */
  serviceIndexViews: ServiceIndexViews;
  /**
   * Per status but passing (which nearly all checks have): lower-case names of the nodes that have
   * such checks, and how many. Counting is cheap when checks flap; order is made when asked for.
   */
  byStatus: Map<string, Map<string, number>>;
  counts: { services: number; checks: number };
  /** Per table, and the last removals that stand in for what is gone. */
  indexes: CatalogIndexes;
};

/** Log indexes of the last change, by table. */
export type CatalogIndexes = {
  nodes: number;
  services: number;
  checks: number;
  addresses: number;
  lastNodeRemoval: number;
  lastServiceRemoval: number;
};

/** What identifies an instance: its node's name and its own id. */
export type InstanceKey = { readonly node: string; readonly id: string };

/** Empty tables. */
export function createTables(): Tables {
  return {
    generation: 0,
    shared: createShared(),
    nodes: new SortedList((a, b) => compareText(a.lower, b.lower)),
    byName: new Map(),
    byId: new SortedList((a, b) => compareText(a.id, b.id)),
    nodeAddresses: new AddressIndex(compareNodes),
    serviceAddresses: new AddressIndex(compareInstances),
    services: new Map(),
    serviceIndexViews: new Set(),
    byStatus: new Map(),
    counts: { services: 0, checks: 0 },
    indexes: {
      nodes: 0,
      services: 0,
      checks: 0,
      addresses: 0,
      lastNodeRemoval: 0,
      lastServiceRemoval: 0,
    },
  };
}

const compareNodes = (a: { node: string }, b: { node: string }) =>
  compareText(a.node.toLowerCase(), b.node.toLowerCase());
const compareInstances = (a: InstanceKey, b: InstanceKey) =>
  a.node === b.node ? compareText(a.id, b.id) : compareNodes(a, b) || compareText(a.id, b.id);
const byId = (a: { id: string }, b: { id: string }) => compareText(a.id, b.id);
const byCheckId = (a: { checkId: string }, b: { checkId: string }) =>
  compareText(a.checkId, b.checkId);
type ServiceCheckKey = { readonly serviceId: string; readonly checkId: string };
const byServiceAndCheckId = (a: ServiceCheckKey, b: ServiceCheckKey) =>
  compareText(a.serviceId, b.serviceId) || compareText(a.checkId, b.checkId);

/** More service checks than this on one node are found through an array of their own. */
const WALK_MAX = 32;

/** The instance with this id on the node. */
export function findService(entry: NodeEntry, id: string): ServiceRecord | undefined {
  return findSorted(entry.services, { id }, byId);
}

/** The check with this id on the node, of the node itself or of a service. */
export function findCheck(entry: NodeEntry, checkId: string): CheckRecord | undefined {
  const nodeCheck = findSorted(entry.nodeChecks, { checkId }, byCheckId);
  if (nodeCheck !== undefined) return nodeCheck;
  if (entry.serviceChecksById !== null)
    return findSorted(entry.serviceChecksById, { checkId }, byCheckId);
  return entry.serviceChecks.find((check) => check.checkId === checkId);
}

/** The checks of one instance, without the node-level ones. */
export function checksOfService(entry: NodeEntry, serviceId: string): readonly CheckRecord[] {
  const all = entry.serviceChecks;
  if (all.length === 0) return NOTHING;
  const start = lowerBound(all, { serviceId, checkId: "" }, byServiceAndCheckId);
  let end = start;
  while (all[end]?.serviceId === serviceId) end++;
  if (start === end) return NOTHING;
  return end - start === all.length ? all : all.slice(start, end);
}

/** All entries by name, for a snapshot: none of them changes from now on. */
export function freezeNodes(tables: Tables): readonly NodeEntry[] {
  tables.generation++;
  return tables.nodes.copy();
}

/** The entry if it may be changed, else a copy that must be stored in its place. */
export function draftOf(tables: Tables, entry: NodeEntry, undo: Undo): NodeEntry {
  const { generation } = tables;
  const draft = entry.generation === generation ? entry : { ...entry, generation };
  if (undo !== null) {
    const image = { ...draft };
    undo.push(() => Object.assign(draft, image));
  }
  return draft;
}

/** Puts a changed draft in the place of the entry that it was made of. */
export function storeNode(tables: Tables, draft: NodeEntry, undo: Undo): void {
  const held = tables.byName.get(draft.lower);
  tables.byName.set(draft.lower, draft);
  tables.nodes.put(draft);
  undo?.push(() => {
    if (held !== undefined) return storeNode(tables, held, null);
    tables.byName.delete(draft.lower);
    tables.nodes.remove(draft);
  });
}

/** Remembers the indexes of the tables as they are. */
export function recordIndexes({ indexes }: Tables, undo: Undo): void {
  if (undo === null) return;
  const image = { ...indexes };
  undo.push(() => Object.assign(indexes, image));
}

/** Puts a new node record into the draft and its indexes; `held` is the one it replaces. */
export function putNodeRecord(
  tables: Tables,
  draft: NodeEntry,
  record: NodeRecord,
  held: NodeRecord | undefined,
  undo: Undo,
): void {
  if (held !== undefined) dropNodeRecord(tables, held);
  draft.record = record;
  addNodeRecord(tables, record);
  undo?.push(() => {
    dropNodeRecord(tables, record);
    if (held !== undefined) addNodeRecord(tables, held);
  });
}

/** Takes the node out; its services and checks must be gone already. */
export function dropNode(tables: Tables, entry: NodeEntry, undo: Undo): void {
  const { record } = entry;
  dropNodeRecord(tables, record);
  tables.byName.delete(entry.lower);
  tables.nodes.remove(entry);
  undo?.push(() => {
    addNodeRecord(tables, record);
    storeNode(tables, entry, null);
  });
}

function addNodeRecord(tables: Tables, record: NodeRecord): void {
  if (record.id !== "") tables.byId.put(record);
  tables.nodeAddresses.put(record.address, record);
}

function dropNodeRecord(tables: Tables, record: NodeRecord): void {
  if (record.id !== "") tables.byId.remove(record);
  tables.nodeAddresses.remove(record.address, record);
}

/** Puts an instance into the draft and all indexes; `held` is the one it replaces. */
export function putServiceRecord(
  tables: Tables,
  draft: NodeEntry,
  record: ServiceRecord,
  held: ServiceRecord | undefined,
  undo: Undo,
): ServiceEntry {
  if (held !== undefined) dropServiceIndexes(tables, held, record, undo);
  draft.services = withItem(draft.services, record, byId);
  return addServiceIndexes(tables, record, held, undo);
}

/** Takes an instance out of the draft and all indexes; its checks must be gone already. */
export function dropServiceRecord(
  tables: Tables,
  draft: NodeEntry,
  held: ServiceRecord,
  undo: Undo,
): void {
  draft.services = withoutItem(draft.services, held, byId);
  dropServiceIndexes(tables, held, undefined, undo);
}

function addServiceIndexes(
  tables: Tables,
  record: ServiceRecord,
  held: ServiceRecord | undefined,
  undo: Undo,
): ServiceEntry {
  tables.counts.services++;
  const lower = record.service.toLowerCase();
  const known = tables.services.get(lower);
  let entry = known;
  if (entry === undefined) {
    const instances = new SortedList<InstanceKey, ServiceRecord>(compareInstances);
    entry = { topic: `service:${lower}`, instances, index: 0, names: null };
    tables.services.set(lower, entry);
  }
  entry.instances.put(record);
  if (held === undefined || held.tags !== record.tags || held.service !== record.service)
    entry.names = null;
  if (record.address !== "") tables.serviceAddresses.put(record.address, record);
  undo?.push(() => {
    tables.counts.services--;
    if (known === undefined) tables.services.delete(lower);
    else {
      // What `dropServiceIndexes` left to the successor.
      if (held?.service.toLowerCase() === lower) known.instances.put(held);
      else known.instances.remove(record);
      known.names = null;
    }
    if (record.address === "") return;
    if (held?.address === record.address) tables.serviceAddresses.put(held.address, held);
    else tables.serviceAddresses.remove(record.address, record);
  });
  return entry;
}

/** The name's entry stays for a successor with the same name, else it goes with the last instance. */
function dropServiceIndexes(
  tables: Tables,
  held: ServiceRecord,
  successor: ServiceRecord | undefined,
  undo: Undo,
): void {
  tables.counts.services--;
  const lower = held.service.toLowerCase();
  const entry = tables.services.get(lower)!;
  const leavesName = successor === undefined || successor.service.toLowerCase() !== lower;
  if (leavesName) {
    entry.instances.remove(held);
    entry.names = null;
    if (entry.instances.size === 0) {
      noteServiceIndex(tables.serviceIndexViews, lower, entry.index);
      tables.services.delete(lower);
    }
  }
  const leavesAddress = held.address !== "" && held.address !== successor?.address;
  if (leavesAddress) tables.serviceAddresses.remove(held.address, held);
  undo?.push(() => {
    tables.counts.services++;
    if (leavesAddress) tables.serviceAddresses.put(held.address, held);
    if (!leavesName) return;
    tables.services.set(lower, entry);
    entry.instances.put(held);
    entry.names = null;
  });
}

/** Puts a check into the draft and all indexes; `held` is the one it replaces. */
export function putCheckRecord(
  tables: Tables,
  draft: NodeEntry,
  record: CheckRecord,
  held: CheckRecord | undefined,
  undo: Undo,
): void {
  if (held !== undefined) dropCheckRecord(tables, draft, held, undo);
  if (record.serviceId === "") {
    draft.nodeChecks = withItem(draft.nodeChecks, record, byCheckId);
  } else {
    draft.serviceChecks = withItem(draft.serviceChecks, record, byServiceAndCheckId);
    if (draft.serviceChecksById !== null)
      draft.serviceChecksById = withItem(draft.serviceChecksById, record, byCheckId);
    else if (draft.serviceChecks.length > WALK_MAX)
      draft.serviceChecksById = draft.serviceChecks.slice().sort(byCheckId);
  }
  countCheck(tables, record.status, draft.lower, 1, undo);
}

/** Takes a check out of the draft and all indexes. */
export function dropCheckRecord(
  tables: Tables,
  draft: NodeEntry,
  held: CheckRecord,
  undo: Undo,
): void {
  if (held.serviceId === "") {
    draft.nodeChecks = withoutItem(draft.nodeChecks, held, byCheckId);
  } else {
    draft.serviceChecks = withoutItem(draft.serviceChecks, held, byServiceAndCheckId);
    if (draft.serviceChecks.length <= WALK_MAX) draft.serviceChecksById = null;
    else if (draft.serviceChecksById !== null)
      draft.serviceChecksById = withoutItem(draft.serviceChecksById, held, byCheckId);
  }
  countCheck(tables, held.status, draft.lower, -1, undo);
}

function countCheck(tables: Tables, status: string, lower: string, more: 1 | -1, undo: Undo): void {
  tables.counts.checks += more;
  countStatus(tables, status, lower, more);
  undo?.push(() => countCheck(tables, status, lower, more === 1 ? -1 : 1, null));
}

function countStatus({ byStatus }: Tables, status: string, lower: string, more: 1 | -1): void {
  if (status === "passing") return;
  let nodes = byStatus.get(status);
  if (nodes === undefined) {
    nodes = new Map();
    byStatus.set(status, nodes);
  }
  const count = (nodes.get(lower) ?? 0) + more;
  if (count > 0) nodes.set(lower, count);
  else nodes.delete(lower);
  // Any word is a status: without this the map would keep every word ever sent.
  if (nodes.size === 0) byStatus.delete(status);
}

/** Nodes that have checks of this status, by name; the status is not `passing`. */
export function nodesWithStatus(tables: Tables, status: string): NodeEntry[] {
  const nodes = tables.byStatus.get(status);
  if (nodes === undefined) return [];
  return [...nodes.keys()].sort().map((lower) => tables.byName.get(lower)!);
}
