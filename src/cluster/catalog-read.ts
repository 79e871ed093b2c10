/** What may be read of nodes, services and checks: the first half of CatalogReader (model.ts). */
import { createServiceNames } from "./service-names.ts";
import {
  checksOfService,
  findCheck,
  findService,
  nodesWithStatus,
  type NodeEntry,
  type Tables,
} from "./catalog-tables.ts";
import type { Catalog } from "./catalog.ts";
import type { CatalogReader, CheckRecord, NodeRecord, Topic } from "./model.ts";
import { NOTHING } from "./sorted.ts";

type NodeReads =
  | "node"
  | "nodeById"
  | "nodes"
  | "nodeByAddress"
  | "serviceByAddress"
  | "service"
  | "servicesOfNode"
  | "instancesOf"
  | "serviceNames"
  | "check"
  | "checksOfNode"
  | "checksOfInstance"
  | "checksOfService"
  | "checksInState";

/** Shorter prefixes of a node id find nothing, as in Consul. */
const ID_PREFIX_MIN = 2;

/** Reads of nodes, services and checks; all see what was applied last. */
export function createNodeReads(catalog: Catalog): Pick<CatalogReader, NodeReads> {
  const entryOf = (node: string) => catalog.tables.byName.get(node.toLowerCase());
  const serviceNames = createServiceNames(catalog);
  return {
    node: (name) => entryOf(name)?.record,
    nodeById: (idOrPrefix) => nodeById(catalog.tables, idOrPrefix.toLowerCase()),
    *nodes() {
      for (const entry of catalog.tables.nodes.items()) yield entry.record;
    },
    nodeByAddress: (ip) => catalog.tables.nodeAddresses.first(ip),
    serviceByAddress: (ip) => catalog.tables.serviceAddresses.first(ip),
    service(node, id) {
      const entry = entryOf(node);
      return entry && findService(entry, id);
    },
    servicesOfNode: (node) => entryOf(node)?.services ?? NOTHING,
    instancesOf: (service) =>
      catalog.tables.services.get(service.toLowerCase())?.instances.items() ?? NOTHING,
    serviceNames,
    check(node, checkId) {
      const entry = entryOf(node);
      return entry && findCheck(entry, checkId);
    },
    checksOfNode(node) {
      const entry = entryOf(node);
      return entry === undefined ? NOTHING : join(entry.nodeChecks, entry.serviceChecks);
    },
    checksOfInstance(node, serviceId) {
      const entry = entryOf(node);
      if (entry === undefined) return NOTHING;
      return join(entry.nodeChecks, checksOfService(entry, serviceId));
    },
    checksOfService: (service) => checksOfName(catalog.tables, service),
    checksInState(status) {
      const { tables } = catalog;
      if (status === "any") return checksOf(tables.nodes.items(), () => true);
      const nodes = status === "passing" ? tables.nodes.items() : nodesWithStatus(tables, status);
      return checksOf(nodes, (check) => check.status === status);
    },
  };
}

/**
 * Modify index of the topics `nodes`, `services`, `checks`, `addresses`, `node:…` and `service:…`.
 * A name that is not there has the index of the last removal of any such name (Consul's "missing
 * service" index), so that a waiter sees it go and come back, and is not woken by other names.
 */
export function catalogIndexOf(tables: Tables, topic: Topic): number {
  const { indexes } = tables;
  switch (topic) {
    case "nodes":
    case "services":
    case "checks":
    case "addresses":
      return indexes[topic];
  }
  if (topic.startsWith("service:")) {
    const entry = tables.services.get(topic.slice("service:".length));
    return entry?.index ?? (indexes.lastServiceRemoval || indexes.services);
  }
  const entry = tables.byName.get(topic.slice("node:".length));
  return entry?.index ?? (indexes.lastNodeRemoval || indexes.nodes);
}

function nodeById(tables: Tables, idOrPrefix: string): NodeRecord | undefined {
  if (idOrPrefix.length < ID_PREFIX_MIN) return undefined;
  const [first, second] = tables.byId.from({ id: idOrPrefix }, 2);
  if (first === undefined || !first.id.startsWith(idOrPrefix)) return undefined;
  const ambiguous = first.id !== idOrPrefix && second?.id.startsWith(idOrPrefix);
  return ambiguous ? undefined : first;
}

function join(
  nodeChecks: readonly CheckRecord[],
  serviceChecks: readonly CheckRecord[],
): readonly CheckRecord[] {
  if (serviceChecks.length === 0) return nodeChecks;
  return nodeChecks.length === 0 ? serviceChecks : nodeChecks.concat(serviceChecks);
}

function checksOfName(tables: Tables, service: string): readonly CheckRecord[] {
  const checks: CheckRecord[] = [];
  const instances = tables.services.get(service.toLowerCase())?.instances.items() ?? NOTHING;
  for (const { node, id } of instances)
    checks.push(...checksOfService(tables.byName.get(node.toLowerCase())!, id));
  return checks;
}

function checksOf(
  nodes: readonly NodeEntry[],
  wanted: (check: CheckRecord) => boolean,
): CheckRecord[] {
  const checks: CheckRecord[] = [];
  for (const entry of nodes) {
    for (const check of entry.nodeChecks) if (wanted(check)) checks.push(check);
    for (const check of entry.serviceChecks) if (wanted(check)) checks.push(check);
  }
  return checks;
}
