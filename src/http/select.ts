/** What reads have in common when they pick records: node-meta, tags, near, filter, rights. */
import type { Authorizer } from "../cluster/acl.ts";
import { sortByDistance } from "../cluster/coordinates.ts";
import type { CatalogReader, CheckRecord, NodeRecord, ServiceRecord } from "../cluster/model.ts";
import { HttpError, type Call } from "./call.ts";
import { createFilter, type Fields, type Filter } from "./filter.ts";
import { parseReadOptions, type ReadOptions } from "./read.ts";

/**
 * What every read checks first, in Consul's order: its parameters, that the path names something
 * (`argument` says what; undefined: the path has none), the datacenter, the token.
 */
export function beginRead(call: Call, argument?: string): ReadOptions {
  const options = parseReadOptions(call);
  if (argument !== undefined && call.argument === "")
    throw new HttpError(400, `Missing ${argument}`);
  call.requireDatacenter();
  call.authorizer();
  return options;
}

/** `?filter=`; throws 500 with Consul's text, also when nothing would be filtered. */
export function filterOf(call: Call, fields: Fields): Filter {
  const filter = createFilter(call.query("filter"), fields);
  if (!filter.ok) throw new HttpError(500, filter.error);
  return filter.value;
}

/** `?node-meta=k:v`, repeatable: does a node have all the pairs? undefined: not asked. */
export function nodeMetaFilter(call: Call): ((node: NodeRecord) => boolean) | undefined {
  const wanted = call.queryAll("node-meta").map((pair): [string, string] => {
    const colon = pair.indexOf(":");
    return colon < 0 ? [pair, ""] : [pair.slice(0, colon), pair.slice(colon + 1)];
  });
  if (wanted.length === 0) return undefined;
  return ({ meta }) =>
    meta !== null &&
    wanted.every(([key, value]) => Object.hasOwn(meta, key) && meta[key] === value);
}

/** `?near=`: sorted by the distance from the node that it names; `_agent` is our own. */
export function sortNear<T>(call: Call, found: T[], nodeOf: (one: T) => string): T[] {
  const near = call.query("near");
  if (near === "") return found;
  const { reader, info } = call.deps;
  return sortByDistance(
    reader.coordinates,
    near === "_agent" ? info.nodeName : near,
    found,
    nodeOf,
  );
}

/** `?tag=`, repeatable: does the service have all of them? Case does not matter. */
function hasTags(service: ServiceRecord, wanted: readonly string[]): boolean {
  return wanted.every((tag) => {
    const folded = tag.toLowerCase();
    return service.tags.some((own) => own.toLowerCase() === folded);
  });
}

/**
 * Instances of a service with their nodes, those of `?tag=` and `?node-meta=` that the caller may
 * read, those `?near=` first.
 */
export function selectInstances(
  call: Call,
  name: string,
  rights: Authorizer,
): { node: NodeRecord; service: ServiceRecord }[] {
  const { reader } = call.deps;
  const tags = call.queryAll("tag");
  const isWanted = nodeMetaFilter(call);
  const selected: { node: NodeRecord; service: ServiceRecord }[] = [];
  for (const service of reader.instancesOf(name)) {
    if (tags.length > 0 && !hasTags(service, tags)) continue;
    const node = reader.node(service.node);
    if (node === undefined || (isWanted && !isWanted(node))) continue;
    if (rights.nodeRead(node.node) && rights.serviceRead(service.service))
      selected.push({ node, service });
  }
  return sortNear(call, selected, ({ node }) => node.node);
}

/** May the caller see this check? Its node, and its service if it has one. */
export function mayReadCheck(rights: Authorizer, check: CheckRecord): boolean {
  return (
    rights.nodeRead(check.node) &&
    (check.serviceName === "" || rights.serviceRead(check.serviceName))
  );
}

/** Checks whose node matches `?node-meta=` and which the caller may read, those `?near=` first. */
export function selectChecks(
  call: Call,
  checks: readonly CheckRecord[],
  rights: Authorizer,
): CheckRecord[] {
  const { reader }: { reader: CatalogReader } = call.deps;
  const isWanted = nodeMetaFilter(call);
  const selected = checks.filter((check) => {
    if (!mayReadCheck(rights, check)) return false;
    if (isWanted === undefined) return true;
    const node = reader.node(check.node);
    return node !== undefined && isWanted(node);
  });
  return sortNear(call, selected, ({ node }) => node);
}
