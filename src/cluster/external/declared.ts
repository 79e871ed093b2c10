/** Services that the configuration declares, as they stand in the catalog, and what is missing there. */
import type { CheckFields, Command, NodeFields, ServiceFields } from "../command.ts";
import type { CatalogReader, CheckRecord, NodeRecord, ServiceRecord } from "../model.ts";
import { SERF_CHECK_ID } from "../own-node.ts";
import { sameNode, sameService } from "../same.ts";
import { PROBE_META } from "./targets.ts";

/** Metadata of nodes and services that the configuration owns: so they are known after a restart without it. */
export const OWNER_META = "waypost-external";
const OWNER = "config";

/** One service of `external_services`. */
export type ExternalEntry = {
  readonly node: string;
  /** The entry names no node: the one that is made for it is ours, whoever wrote there. */
  readonly ownsNode: boolean;
  readonly service: ServiceFields;
  readonly checks: readonly CheckFields[];
  /** TTL of its DNS answers; undefined: that of `dns_config`. */
  readonly ttlSeconds: number | undefined;
};

/** What one node ought to be. */
export type Declared = {
  readonly node: NodeFields;
  readonly ownsNode: boolean;
  readonly entries: readonly ExternalEntry[];
};

/** By lower-case name of the node. The node has the address of the first entry that names it. */
export function declaredNodes(
  entries: readonly ExternalEntry[],
  nodeMeta: Readonly<Record<string, string>>,
): Map<string, Declared> {
  const nodes = new Map<string, ExternalEntry[]>();
  for (const entry of entries) {
    const lower = entry.node.toLowerCase();
    nodes.set(lower, [...(nodes.get(lower) ?? []), entry]);
  }
  return new Map([...nodes].map(([lower, own]) => [lower, declared(own, nodeMeta)]));
}

function declared(
  entries: readonly ExternalEntry[],
  nodeMeta: Readonly<Record<string, string>>,
): Declared {
  const { node, service } = entries[0]!;
  const isProbed = entries.some(({ checks }) => checks.length > 0);
  const meta = { ...nodeMeta, ...(isProbed ? { [PROBE_META]: "true" } : {}), [OWNER_META]: OWNER };
  return {
    node: { node, id: "", address: service.address, taggedAddresses: null, meta },
    ownsNode: entries.some(({ ownsNode }) => ownsNode),
    entries: entries.map((entry) => ({
      ...entry,
      service: { ...entry.service, meta: { ...entry.service.meta, [OWNER_META]: OWNER } },
    })),
  };
}

/** Lower-case names of the nodes that hold something of ours. Looks at the whole catalog. */
export function ownedNodes(reader: CatalogReader): string[] {
  return [...reader.nodes()].flatMap((node) =>
    isOurs(node) || reader.servicesOfNode(node.node).some(isOurs) ? [node.node.toLowerCase()] : [],
  );
}

const isOurs = ({ meta }: NodeRecord | ServiceRecord): boolean => meta?.[OWNER_META] === OWNER;

/** Is there an agent on this node, which would take our services for its own? */
export function hasAgent(reader: CatalogReader, node: string): boolean {
  return reader.check(node, SERF_CHECK_ID) !== undefined;
}

/**
 * What makes the node what is declared, in order; `wanted` undefined: nothing is. Of what others
 * registered only a service of the same id is taken over. A check keeps the status that it has.
 */
export function commandsFor(
  reader: CatalogReader,
  node: string,
  wanted: Declared | undefined,
): Command[] {
  const held = reader.node(node);
  const commands = (wanted?.entries ?? []).flatMap((entry) =>
    registration(reader, held, wanted!, entry),
  );
  if (held === undefined) return commands;
  const ids = new Set(wanted?.entries.map(({ service }) => service.id));
  const services = reader.servicesOfNode(held.node);
  const gone = services.filter((service) => isOurs(service) && !ids.has(service.id));
  if (wanted === undefined && isOurs(held) && gone.length === services.length)
    return [deregister(held.node, {})];
  return [...commands, ...gone.map(({ id }) => deregister(held.node, { serviceId: id }))];
}

function registration(
  reader: CatalogReader,
  held: NodeRecord | undefined,
  { node, ownsNode }: Declared,
  { service, checks }: ExternalEntry,
): Command[] {
  const name = node.node;
  const heldService = reader.service(name, service.id);
  const heldChecks = reader.checksOfInstance(name, service.id);
  const missing = checks.flatMap((check) => {
    const record = reader.check(name, check.checkId);
    if (record !== undefined && isSameCheck(record, check)) return [];
    const { status, output } = record?.serviceId === service.id ? record : check;
    return [{ ...check, status, output }];
  });
  const extra = heldChecks.filter(
    (check) =>
      check.serviceId === service.id &&
      isDefined(check) &&
      !checks.some(({ checkId }) => checkId === check.checkId),
  );
  // A node of others keeps its address and metadata.
  const isForeign = held !== undefined && !isOurs(held) && !ownsNode;
  const isNodeRight = isForeign || (held !== undefined && sameNode(held, node));
  const isServiceRight =
    heldService !== undefined && sameService(heldService, service, service.weights);
  const removals = extra.map(({ checkId }) => deregister(name, { checkId }));
  if (isNodeRight && isServiceRight && missing.length === 0) return removals;
  const register: Command = {
    type: "register",
    node,
    skipNodeUpdate: isForeign,
    service,
    checks: missing,
  };
  return [register, ...removals];
}

function isSameCheck(a: CheckRecord, b: CheckFields): boolean {
  return (
    a.name === b.name &&
    a.notes === b.notes &&
    a.serviceId === b.serviceId &&
    a.type === b.type &&
    JSON.stringify(a.definition) === JSON.stringify(b.definition)
  );
}

/** Would the monitor run it? Checks of others, such as maintenance, say nothing of how. */
const isDefined = ({ definition }: CheckRecord): boolean =>
  Boolean(definition["HTTP"]) || Boolean(definition["TCP"]);

function deregister(node: string, what: { serviceId?: string; checkId?: string }): Command {
  return { type: "deregister", node, serviceId: "", checkId: "", ...what };
}
