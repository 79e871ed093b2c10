/**
 * Execution of a prepared query (rendered already, if it is a template), for HTTP and DNS alike.
 * Consul 1.10 agent/consul/prepared_query_endpoint.go.
 */
import type { Authorizer } from "./acl.ts";
import { sortByDistance } from "./coordinates.ts";
import type {
  CatalogReader,
  CheckRecord,
  NodeRecord,
  QueryRecord,
  ServiceRecord,
  Topic,
} from "./model.ts";

/** One usable instance: its node, and the node-level checks followed by its own. */
export type Instance = {
  readonly node: NodeRecord;
  readonly service: ServiceRecord;
  readonly checks: readonly CheckRecord[];
};

/** Who executes a query, from where, and how much is wanted. */
export type ExecuteContext = {
  /** Own datacenter. */
  datacenter: string;
  /** Name of the node of the agent that was asked: `_agent`. */
  agentNode: string;
  /** What `_ip` stands for: the client subnet's address or the client's; undefined: not known. */
  clientAddress: string | undefined;
  /** The request's own `near`, which beats the query's; undefined or "" if it has none. */
  near?: string | undefined;
  /** At most that many instances; undefined, 0 or less: all. */
  limit?: number | undefined;
  /** Whose rights count: those of the query's Token, else of the caller. */
  authorizer: Authorizer;
  /** A uniformly random integer from 0 to 2^32 - 1. */
  random: () => number;
};

/** What a query found. */
export type Executed = {
  service: string;
  instances: Instance[];
  /** Go duration as stored, "" if none. */
  dnsTtl: string;
  datacenter: string;
  /** Other datacenters that were asked: none is known today, and unknown ones are skipped. */
  failovers: number;
  /** What the answer was computed from, `queries` included. */
  topics: Topic[];
};

/** How deep Consul looks for the named node after sorting: with coordinates it cannot be further down. */
const NEAR_DEPTH = 10;

/**
 * Healthy instances in random order, or by their distance from the named node and its own first. Consul 1.10
 * `prepared_query_endpoint.go`.
 */
export function execute(
  reader: CatalogReader,
  query: QueryRecord,
  context: ExecuteContext,
): Executed {
  const { service } = query.service;
  const topics: Topic[] = ["queries", "acl", `service:${service.toLowerCase()}`];
  // Without a mesh nothing is Connect-capable.
  let instances = query.service.connect ? [] : usable(reader, query, context.authorizer);
  shuffle(instances, context.random);
  const near = context.near || query.service.near;
  if (near === "_ip") topics.push("addresses");
  const nearNode = nodeNamed(reader, near, context);
  if (nearNode !== undefined) {
    topics.push("coordinates");
    instances = sortByDistance(reader.coordinates, nearNode, instances, (one) => one.node.node);
    bringToFront(instances, nearNode);
  }
  const limit = context.limit ?? 0;
  if (limit > 0 && instances.length > limit) instances.length = limit;
  const { datacenter } = context;
  return { service, instances, dnsTtl: query.dns.ttl, datacenter, failovers: 0, topics };
}

function usable(
  reader: CatalogReader,
  { service: wanted }: QueryRecord,
  authorizer: Authorizer,
): Instance[] {
  const required: string[] = [];
  const forbidden: string[] = [];
  for (const tag of wanted.tags ?? [])
    if (tag.startsWith("!")) forbidden.push(tag.slice(1).toLowerCase());
    else required.push(tag.toLowerCase());
  const ignored = wanted.ignoreCheckIds ?? [];
  const instances: Instance[] = [];
  for (const service of reader.instancesOf(wanted.service)) {
    if (!authorizer.serviceRead(service.service) || !authorizer.nodeRead(service.node)) continue;
    if (!hasTags(service.tags, required, forbidden)) continue;
    if (!hasPairs(service.meta, wanted.serviceMeta)) continue;
    // An instance always stands on a node that is registered.
    const node = reader.node(service.node)!;
    if (!hasPairs(node.meta, wanted.nodeMeta)) continue;
    const checks = reader.checksOfInstance(service.node, service.id);
    if (isHealthy(checks, wanted.onlyPassing, ignored)) instances.push({ node, service, checks });
  }
  return instances;
}

function hasTags(
  tags: readonly string[],
  required: readonly string[],
  forbidden: readonly string[],
): boolean {
  if (required.length === 0 && forbidden.length === 0) return true;
  const lower = tags.map((tag) => tag.toLowerCase());
  return (
    required.every((tag) => lower.includes(tag)) && !forbidden.some((tag) => lower.includes(tag))
  );
}

type Pairs = Readonly<Record<string, string>> | null;

function hasPairs(meta: Pairs, wanted: Pairs): boolean {
  if (wanted === null) return true;
  return Object.entries(wanted).every(
    ([key, value]) => meta !== null && Object.hasOwn(meta, key) && meta[key] === value,
  );
}

function isHealthy(
  checks: readonly CheckRecord[],
  onlyPassing: boolean,
  ignored: readonly string[],
): boolean {
  return checks.every(
    ({ checkId, status }) =>
      ignored.includes(checkId) || (onlyPassing ? status === "passing" : status !== "critical"),
  );
}

/** Fisher and Yates; the bias of a 32-bit modulus is far below what anyone could measure. */
function shuffle(instances: Instance[], random: () => number): void {
  for (let i = instances.length - 1; i > 0; i--) {
    const j = random() % (i + 1);
    const moved = instances[i]!;
    instances[i] = instances[j]!;
    instances[j] = moved;
  }
}

/** The node that distance is measured from; undefined: the order stays random. */
function nodeNamed(
  reader: CatalogReader,
  near: string,
  { agentNode, clientAddress }: ExecuteContext,
): string | undefined {
  if (near === "") return undefined;
  if (near === "_agent") return agentNode;
  if (near !== "_ip") return near;
  return clientAddress === undefined ? undefined : reader.nodeByAddress(clientAddress)?.node;
}

function bringToFront(instances: Instance[], node: string): void {
  const lower = node.toLowerCase();
  for (let i = 0; i < Math.min(NEAR_DEPTH, instances.length); i++) {
    if (instances[i]!.node.node.toLowerCase() !== lower) continue;
    const first = instances[0]!;
    instances[0] = instances[i]!;
    instances[i] = first;
    return;
  }
}
