/**
 * State machine of nodes, services and checks: what a register or deregister command does and whom
 * it wakes. Consul 1.10 agent/consul/state/catalog.go; spec of /v1/catalog/register.
 */
import { fail, ok, type Result } from "../base.ts";
import {
  checksOfService,
  draftOf,
  dropCheckRecord,
  dropNode,
  dropServiceRecord,
  findCheck,
  findService,
  putCheckRecord,
  putNodeRecord,
  putServiceRecord,
  recordIndexes,
  storeNode,
  type NodeEntry,
  type ServiceEntry,
  type Tables,
} from "./catalog-tables.ts";
import type { Change } from "./change.ts";
import type {
  CheckFields,
  DeregisterCommand,
  NodeFields,
  RegisterCommand,
  ServiceFields,
} from "./command.ts";
import { metadataProblem } from "./metadata.ts";
import type { CheckRecord, NodeRecord, ServiceRecord } from "./model.ts";
import { checkRecord, nodeRecord, serviceRecord, validWeights, type Stamps } from "./records.ts";
import { sameCheck, sameMap, sameNode, sameService } from "./same.ts";
import { noteServiceIndex } from "./service-indexes.ts";
import { NOTHING } from "./sorted.ts";

/** Holder of the tables: an installed snapshot swaps them, so nobody keeps them. */
export type Catalog = { readonly tables: Tables };

/** Node, then service, then checks; a refusal leaves everything untouched. */
export function applyRegister(
  catalog: Catalog,
  command: RegisterCommand,
  change: Change,
): Result<true, string> {
  const { tables } = catalog;
  const plan = planNode(tables, command);
  if (!plan.ok) return plan;
  const { held, renamed, update } = plan.value;
  const problem =
    (command.service && serviceProblem(command.service, held, command)) ??
    checksProblem(command, held);
  if (problem !== undefined) return fail(problem);

  if (renamed !== undefined) removeNode(tables, renamed, change);
  const writer = new NodeWriter(tables, held, change);
  if (update) writer.putNode(command.node, renamed?.record ?? held?.record);
  if (command.service !== null) writer.putService(command.service);
  for (const check of command.checks) writer.putCheck(check);
  writer.store();
  return ok(true);
}

/** Unknown targets are fine; with both ids the service goes. */
export function applyDeregister(
  catalog: Catalog,
  command: DeregisterCommand,
  change: Change,
): Result<true, string> {
  const { tables } = catalog;
  const entry = tables.byName.get(command.node.toLowerCase());
  if (entry === undefined) return ok(true);
  const writer = new NodeWriter(tables, entry, change);
  if (command.serviceId !== "") {
    const service = findService(entry, command.serviceId);
    if (service !== undefined) writer.removeService(service);
  } else if (command.checkId !== "") {
    const check = findCheck(entry, command.checkId);
    if (check !== undefined) writer.removeCheck(check);
  } else {
    removeNode(tables, entry, change);
    return ok(true);
  }
  writer.store();
  return ok(true);
}

type Stamped<F> = { fields: F; stamps: Stamps };

/**
 * Puts a node back as a snapshot holds it, indexes included. undefined, and the tables are of no
 * use any more, if it is there already, is out of order, or its parts contradict each other.
 */
export function restoreNode(
  tables: Tables,
  node: Stamped<NodeFields> & { index: number },
  services: readonly Stamped<ServiceFields>[],
  checks: readonly Stamped<CheckFields>[],
): NodeEntry | undefined {
  const { shared } = tables;
  const { id, node: name } = node.fields;
  if (tables.byName.has(name.toLowerCase())) return undefined;
  if (id !== "" && tables.byId.find(node.fields) !== undefined) return undefined;
  const record = nodeRecord(shared, name, node.fields, node.stamps);
  const entry = emptyEntry(record, tables.generation);
  entry.index = node.index;
  putNodeRecord(tables, entry, record, undefined, null);
  for (const { fields, stamps } of services) {
    if (findService(entry, fields.id) !== undefined) return undefined;
    const peer = tables.services.get(fields.service.toLowerCase())?.instances.first();
    const known = { held: undefined, peer };
    putServiceRecord(
      tables,
      entry,
      serviceRecord(shared, record, fields, known, stamps),
      undefined,
      null,
    );
  }
  for (const { fields, stamps } of checks) {
    if (findCheck(entry, fields.checkId) !== undefined) return undefined;
    const service = findService(entry, fields.serviceId);
    if (fields.serviceId !== "" && service === undefined) return undefined;
    const made = checkRecord(shared, name, fields, service, stamps);
    putCheckRecord(tables, entry, made, undefined, null);
  }
  storeNode(tables, entry, null);
  return entry;
}

type NodePlan = {
  /** The node as it is now. */
  held: NodeEntry | undefined;
  /** The node of another name whose id the command brings: it goes, with all it has. */
  renamed: NodeEntry | undefined;
  update: boolean;
};

function planNode(tables: Tables, command: RegisterCommand): Result<NodePlan, string> {
  const { node } = command;
  const lower = node.node.toLowerCase();
  const held = tables.byName.get(lower);
  const update = held === undefined || (!command.skipNodeUpdate && !sameNode(held.record, node));
  if (!update || node.id === "") return ok({ held, renamed: undefined, update });
  const owner = tables.byId.find(node);
  const renamed = owner && tables.byName.get(owner.node.toLowerCase());
  if (renamed?.lower === lower) return ok({ held, renamed: undefined, update });
  const taken = held && nameTaken(held, node, renamed === undefined);
  if (taken === undefined) return ok({ held, renamed, update });
  const address = renamed === undefined ? "" : ` (${node.address})`;
  return fail(
    `failed inserting node: Error while renaming Node ID: "${node.id}"${address}: ${taken}`,
  );
}

/** A name may be taken over from a node that is dead, has no health, or (if allowed) has no id. */
function nameTaken(held: NodeEntry, node: NodeFields, allowWithoutId: boolean): string | undefined {
  if (held.record.id === node.id) return undefined;
  const health = findCheck(held, "serfHealth");
  if (health === undefined || health.status === "critical") return undefined;
  if (held.record.id === "" && allowWithoutId) return undefined;
  const { id, node: name, address } = held.record;
  return `Node name ${node.node} is reserved by node ${id} with name ${name} (${address})`;
}

function serviceProblem(
  service: ServiceFields,
  held: NodeEntry | undefined,
  command: RegisterCommand,
): string | undefined {
  const problem = metadataProblem(service.meta);
  if (problem === undefined) return undefined;
  const node = held?.record.node ?? command.node.node;
  return `failed inserting service: Invalid Service Meta for node ${node} and serviceID ${service.id}: ${problem}`;
}

function checksProblem(command: RegisterCommand, held: NodeEntry | undefined): string | undefined {
  for (const { checkId, serviceId } of command.checks) {
    const node = held?.record.node ?? command.node.node;
    if (checkId === "") return `failed inserting check: Missing CheckID on node "${node}"`;
    if (serviceId === "" || serviceId === command.service?.id) continue;
    if (held === undefined || findService(held, serviceId) === undefined)
      return `failed inserting check: Missing service registration on node "${node}"`;
  }
  return undefined;
}

function removeNode(tables: Tables, entry: NodeEntry, change: Change): void {
  const writer = new NodeWriter(tables, entry, change);
  writer.clear();
  dropNode(tables, writer.draft, change.undo);
  tables.indexes.lastNodeRemoval = change.index;
  tables.indexes.nodes = change.index;
  tables.indexes.addresses = change.index;
  change.topics.add("nodes").add(`node:${entry.lower}`).add("addresses");
  change.removedNodes.push(entry.lower);
}

/**
 * Changes to one node by one command. A class because it owns the entry that it works on, which is
 * looked up, or copied if a snapshot holds it, once; nothing of it outlives the command.
 */
class NodeWriter {
  readonly #tables: Tables;
  readonly #change: Change;
  #held: NodeEntry | undefined;
  #draft: NodeEntry | undefined;

  constructor(tables: Tables, held: NodeEntry | undefined, change: Change) {
    this.#tables = tables;
    this.#held = held;
    this.#change = change;
    recordIndexes(tables, change.undo);
  }

  /** What the node is after the changes so far. */
  get #now(): NodeEntry {
    return (this.#draft ?? this.#held)!;
  }

  get draft(): NodeEntry {
    this.#draft ??= draftOf(this.#tables, this.#held!, this.#change.undo);
    return this.#draft;
  }

  store(): void {
    if (this.#draft === undefined) return;
    this.#draft.index = this.#change.index;
    this.#change.topics.add(`node:${this.#draft.lower}`);
    if (this.#draft !== this.#held) storeNode(this.#tables, this.#draft, this.#change.undo);
  }

  putNode(fields: NodeFields, predecessor: NodeRecord | undefined): void {
    const held = this.#held?.record;
    // The first spelling of the name stays: services and checks of the node carry it too.
    const name = held?.node ?? fields.node;
    const record = nodeRecord(this.#tables.shared, name, fields, this.#stamps(predecessor));
    if (this.#held === undefined) this.#draft = emptyEntry(record, this.#tables.generation);
    putNodeRecord(this.#tables, this.draft, record, held, this.#change.undo);
    this.#touch("nodes");
    if (held?.address !== record.address || !sameMap(held.taggedAddresses, record.taggedAddresses))
      this.#touch("addresses");
    this.#touchAllServices();
  }

  putService(fields: ServiceFields): void {
    const held = findService(this.#now, fields.id);
    if (held !== undefined && sameService(held, fields, validWeights(fields.weights))) return;
    const { draft } = this;
    const lower = fields.service.toLowerCase();
    const peer = this.#tables.services.get(lower)?.instances.first();
    const stamps = this.#stamps(held);
    const { shared } = this.#tables;
    const record = serviceRecord(shared, draft.record, fields, { held, peer }, stamps);
    if (held !== undefined && held.service.toLowerCase() !== lower) this.#leaveService(held);
    this.#touchEntry(putServiceRecord(this.#tables, draft, record, held, this.#change.undo));
    this.#touch("services");
    if (held?.address !== record.address || held.service !== record.service)
      if ((held?.address ?? "") !== "" || record.address !== "") this.#touch("addresses");
    if (held !== undefined && (held.service !== record.service || held.tags !== record.tags))
      // They show its name and tags, but nobody changed them: their modify index stays.
      for (const check of checksOfService(draft, record.id))
        this.#putCheck(check, record, check, check);
  }

  /** A record that takes the place of another keeps its create index. */
  #stamps(predecessor: Stamps | undefined): Stamps {
    const { index } = this.#change;
    return { createIndex: predecessor?.createIndex ?? index, modifyIndex: index };
  }

  removeService(held: ServiceRecord): void {
    for (const check of checksOfService(this.draft, held.id)) this.removeCheck(check);
    this.#leaveService(held);
    dropServiceRecord(this.#tables, this.draft, held, this.#change.undo);
    this.#touch("services");
    if (held.address !== "") this.#touch("addresses");
  }

  /** Before the instance leaves its name: wakes the name's readers, keeps the index of the last one. */
  #leaveService(held: ServiceRecord): void {
    const entry = this.#tables.services.get(held.service.toLowerCase())!;
    this.#touchEntry(entry);
    if (entry.instances.size === 1) this.#tables.indexes.lastServiceRemoval = this.#change.index;
  }

  putCheck(fields: CheckFields): void {
    const wanted = fields.status === "" ? { ...fields, status: "critical" } : fields;
    const held = findCheck(this.#now, wanted.checkId);
    const service = wanted.serviceId === "" ? undefined : findService(this.#now, wanted.serviceId)!;
    if (held !== undefined && sameCheck(held, wanted)) return;
    this.#putCheck(wanted, service, held);
    if (wanted.status === "critical") this.#broken(wanted.checkId);
  }

  #putCheck(
    fields: CheckFields,
    service: ServiceRecord | undefined,
    held: CheckRecord | undefined,
    stamps = this.#stamps(held),
  ): void {
    const { draft } = this;
    const { shared } = this.#tables;
    const record = checkRecord(shared, draft.record.node, fields, service, stamps);
    if (held !== undefined && held.serviceId !== record.serviceId) this.#touchServiceOf(held);
    putCheckRecord(this.#tables, draft, record, held, this.#change.undo);
    this.#touch("checks");
    this.#touchServiceOf(record);
  }

  removeCheck(held: CheckRecord): void {
    dropCheckRecord(this.#tables, this.draft, held, this.#change.undo);
    this.#touch("checks");
    this.#touchServiceOf(held);
    this.#broken(held.checkId);
  }

  /** Takes away all services and checks. */
  clear(): void {
    const { draft } = this;
    const { nodeChecks, serviceChecks, services } = draft;
    // Emptied beforehand: one by one each list would be copied as often as it is long.
    draft.nodeChecks = NOTHING;
    for (const check of nodeChecks) this.removeCheck(check);
    draft.serviceChecks = NOTHING;
    draft.serviceChecksById = null;
    for (const check of serviceChecks) this.removeCheck(check);
    draft.services = NOTHING;
    for (const service of services) this.removeService(service);
  }

  #broken(checkId: string): void {
    this.#change.brokenChecks.push({ node: this.#now.lower, checkId });
  }

  #touch(table: "nodes" | "services" | "checks" | "addresses"): void {
    this.#tables.indexes[table] = this.#change.index;
    this.#change.topics.add(table);
  }

  /** A node-level check counts for every service of the node. */
  #touchServiceOf(check: CheckRecord): void {
    if (check.serviceId === "") this.#touchAllServices();
    else this.#touchService(check.serviceName);
  }

  #touchAllServices(): void {
    for (const { service } of this.#now.services) this.#touchService(service);
  }

  #touchService(name: string): void {
    this.#touchEntry(this.#tables.services.get(name.toLowerCase())!);
  }

  #touchEntry(entry: ServiceEntry): void {
    const { index, topics, undo } = this.#change;
    const was = entry.index;
    undo?.push(() => {
      entry.index = was;
    });
    const { serviceIndexViews } = this.#tables;
    if (serviceIndexViews.size > 0)
      noteServiceIndex(serviceIndexViews, entry.topic.slice("service:".length), was);
    entry.index = index;
    topics.add(entry.topic);
  }
}

function emptyEntry(record: NodeRecord, generation: number): NodeEntry {
  return {
    generation,
    record,
    lower: record.node.toLowerCase(),
    index: 0,
    services: NOTHING,
    nodeChecks: NOTHING,
    serviceChecks: NOTHING,
    serviceChecksById: null,
  };
}
