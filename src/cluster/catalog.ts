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
  storeNode,
  type NodeEntry,
  type Tables,
} from "./catalog-tables.ts";
import { createChange, type Change } from "./change.ts";
import type {
  CheckFields,
  DeregisterCommand,
  NodeFields,
  RegisterCommand,
  ServiceFields,
} from "./command.ts";
import { metadataProblem } from "./metadata.ts";
import type { CheckRecord, NodeRecord, ServiceRecord } from "./model.ts";
import { sameCheck, sameList, sameMap, sameNode, sameService } from "./same.ts";
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

type Stamps = { createIndex: number; modifyIndex: number };
type Stamped<F> = { fields: F; stamps: Stamps };

/**
 * Puts a node back as a snapshot holds it, indexes included. undefined, and the tables are of no
 * use any more, if it is there already or its parts contradict each other.
 */
export function restoreNode(
  tables: Tables,
  node: Stamped<NodeFields> & { index: number },
  services: readonly Stamped<ServiceFields>[],
  checks: readonly Stamped<CheckFields>[],
): NodeEntry | undefined {
  const lower = node.fields.node.toLowerCase();
  if (tables.byName.has(lower)) return undefined;
  if (node.fields.id !== "" && tables.byId.find(node.fields) !== undefined) return undefined;
  const writer = new NodeWriter(tables, undefined, createChange(node.index));
  writer.putNode(node.fields, undefined, node.stamps);
  for (const { fields, stamps } of services) {
    if (findService(writer.draft, fields.id) !== undefined) return undefined;
    writer.putService(fields, stamps);
  }
  for (const { fields, stamps } of checks) {
    if (findCheck(writer.draft, fields.checkId) !== undefined) return undefined;
    if (fields.serviceId !== "" && findService(writer.draft, fields.serviceId) === undefined)
      return undefined;
    writer.putCheck(fields, stamps);
  }
  writer.store();
  return writer.draft;
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
  dropNode(tables, writer.draft);
  tables.indexes.lastNodeRemoval = change.index;
  tables.indexes.nodes = change.index;
  tables.indexes.addresses = change.index;
  change.topics.add("nodes").add(`node:${entry.lower}`).add("addresses");
  change.removedNodes.push(entry.lower);
}

/**
 * Changes to one node by one command, gathered in a draft that replaces the node's entry once. A
 * class because it owns that draft; nothing of it outlives the command.
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
  }

  /** What the node is after the changes so far. */
  get #now(): NodeEntry {
    return (this.#draft ?? this.#held)!;
  }

  get draft(): NodeEntry {
    this.#draft ??= draftOf(this.#held!);
    return this.#draft;
  }

  store(): void {
    if (this.#draft === undefined) return;
    this.#draft.index = this.#change.index;
    this.#change.topics.add(`node:${this.#draft.lower}`);
    storeNode(this.#tables, this.#draft);
  }

  putNode(fields: NodeFields, predecessor: NodeRecord | undefined, stamps?: Stamps): void {
    const { index } = this.#change;
    const held = this.#held?.record;
    const record: NodeRecord = {
      // The first spelling stays: services and checks of the node carry it too.
      node: held?.node ?? fields.node,
      id: fields.id,
      address: fields.address,
      taggedAddresses: fields.taggedAddresses,
      meta: fields.meta,
      createIndex: stamps?.createIndex ?? predecessor?.createIndex ?? index,
      modifyIndex: stamps?.modifyIndex ?? index,
    };
    if (this.#held === undefined) this.#draft = emptyEntry(record);
    putNodeRecord(this.#tables, this.draft, record, held);
    this.#touch("nodes");
    if (held?.address !== record.address || !sameMap(held.taggedAddresses, record.taggedAddresses))
      this.#touch("addresses");
    this.#touchAllServices();
  }

  putService(fields: ServiceFields, stamps?: Stamps): void {
    const held = findService(this.#now, fields.id);
    const weights = validWeights(fields.weights);
    if (held !== undefined && sameService(held, fields, weights)) return;
    const { draft } = this;
    const { index } = this.#change;
    const peer = this.#tables.services.get(fields.service.toLowerCase())?.instances.first();
    const record: ServiceRecord = {
      node: draft.record.node,
      id: fields.id,
      // Equal strings, lists and maps of instances of one service are kept once.
      service: peer?.service === fields.service ? peer.service : fields.service,
      kind: fields.kind,
      tags: shareList(fields.tags, held?.tags, peer?.tags),
      address: fields.address,
      taggedAddresses: fields.taggedAddresses,
      meta: peer !== undefined && sameMap(peer.meta, fields.meta) ? peer.meta : fields.meta,
      port: fields.port,
      socketPath: fields.socketPath,
      weights,
      enableTagOverride: fields.enableTagOverride,
      proxy: fields.proxy,
      connect: fields.connect,
      createIndex: stamps?.createIndex ?? held?.createIndex ?? index,
      modifyIndex: stamps?.modifyIndex ?? index,
    };
    if (held !== undefined && held.service.toLowerCase() !== fields.service.toLowerCase())
      this.#leaveService(held);
    const entry = putServiceRecord(this.#tables, draft, record, held);
    entry.index = index;
    this.#change.topics.add(entry.topic);
    this.#touch("services");
    if (held?.address !== record.address || held.service !== record.service)
      if ((held?.address ?? "") !== "" || record.address !== "") this.#touch("addresses");
    if (held !== undefined && (held.service !== record.service || held.tags !== record.tags))
      for (const check of checksOfService(draft, record.id)) this.#putCheck(check, record, check);
  }

  removeService(held: ServiceRecord): void {
    for (const check of checksOfService(this.draft, held.id)) this.removeCheck(check);
    this.#leaveService(held);
    dropServiceRecord(this.#tables, this.draft, held);
    this.#touch("services");
    if (held.address !== "") this.#touch("addresses");
  }

  /** Before the instance leaves its name: wakes the name's readers, keeps the index of the last one. */
  #leaveService(held: ServiceRecord): void {
    const entry = this.#tables.services.get(held.service.toLowerCase())!;
    entry.index = this.#change.index;
    this.#change.topics.add(entry.topic);
    if (entry.instances.size === 1) this.#tables.indexes.lastServiceRemoval = this.#change.index;
  }

  putCheck(fields: CheckFields, stamps?: Stamps): void {
    const wanted = fields.status === "" ? { ...fields, status: "critical" } : fields;
    const held = findCheck(this.#now, wanted.checkId);
    const service = wanted.serviceId === "" ? undefined : findService(this.#now, wanted.serviceId)!;
    const same =
      held !== undefined &&
      sameCheck(held, wanted) &&
      (service === undefined || held.serviceTags === service.tags);
    if (same) return;
    this.#putCheck(wanted, service, held, stamps);
    if (wanted.status === "critical") this.#broken(wanted.checkId);
  }

  #putCheck(
    fields: CheckFields,
    service: ServiceRecord | undefined,
    held: CheckRecord | undefined,
    stamps?: Stamps,
  ): void {
    const { draft } = this;
    const { index } = this.#change;
    const record: CheckRecord = {
      node: draft.record.node,
      checkId: fields.checkId,
      name: fields.name === fields.checkId ? fields.checkId : fields.name,
      status: fields.status,
      notes: fields.notes,
      output: fields.output,
      serviceId: service?.id ?? "",
      serviceName: service?.service ?? "",
      serviceTags: service?.tags ?? NOTHING,
      type: fields.type,
      interval: fields.interval,
      timeout: fields.timeout,
      exposedPort: fields.exposedPort,
      definition: isEmpty(fields.definition) ? NO_DEFINITION : fields.definition,
      createIndex: stamps?.createIndex ?? held?.createIndex ?? index,
      modifyIndex: stamps?.modifyIndex ?? index,
    };
    if (held !== undefined && held.serviceId !== record.serviceId) this.#touchServiceOf(held);
    putCheckRecord(this.#tables, draft, record, held);
    this.#touch("checks");
    this.#touchServiceOf(record);
  }

  removeCheck(held: CheckRecord): void {
    dropCheckRecord(this.#tables, this.draft, held);
    this.#touch("checks");
    this.#touchServiceOf(held);
    this.#broken(held.checkId);
  }

  /** Takes away all services and checks. */
  clear(): void {
    for (const check of this.draft.nodeChecks) this.removeCheck(check);
    for (const service of this.draft.services) this.removeService(service);
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
    const entry = this.#tables.services.get(name.toLowerCase())!;
    entry.index = this.#change.index;
    this.#change.topics.add(entry.topic);
  }
}

function emptyEntry(record: NodeRecord): NodeEntry {
  return {
    record,
    lower: record.node.toLowerCase(),
    index: 0,
    services: NOTHING,
    nodeChecks: NOTHING,
    serviceChecks: NOTHING,
    serviceChecksById: null,
  };
}

const DEFAULT_WEIGHTS = Object.freeze({ passing: 1, warning: 1 });
const NO_DEFINITION: Readonly<Record<string, unknown>> = Object.freeze({});
/** SRV weights are 16 bits wide; Consul's ValidateWeights. */
const WEIGHT_MAX = 65535;

/** Weights that cannot be are silently the default. */
function validWeights(weights: ServiceRecord["weights"]): ServiceRecord["weights"] {
  const { passing, warning } = weights;
  if (passing < 1 || warning < 0 || passing > WEIGHT_MAX || warning > WEIGHT_MAX)
    return DEFAULT_WEIGHTS;
  return passing === 1 && warning === 1 ? DEFAULT_WEIGHTS : weights;
}

function shareList(
  list: readonly string[],
  ...known: readonly (readonly string[] | undefined)[]
): readonly string[] {
  if (list.length === 0) return NOTHING;
  return known.find((other) => other !== undefined && sameList(other, list)) ?? list;
}

function isEmpty(value: Readonly<Record<string, unknown>>): boolean {
  for (const _ in value) return false;
  return true;
}
