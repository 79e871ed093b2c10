/**
 * Records made of the fields that commands and snapshots bring. What decoding yields twice (names,
 * addresses, tags, metadata) is kept once: with 200,000 instances that is a third of the memory.
 */
import type { CheckFields, NodeFields, ServiceFields } from "./command.ts";
import type { CheckRecord, NodeRecord, ServiceRecord, TaggedAddress } from "./model.ts";
import { sameList } from "./same.ts";
import { NOTHING } from "./sorted.ts";

/** Log indexes of a record's creation and last change. */
export type Stamps = { readonly createIndex: number; readonly modifyIndex: number };

/** Strings and lists seen lately; forgotten when there are more, which only costs sharing. */
export type Shared = {
  texts: Map<string, string>;
  metas: Map<string, Readonly<Record<string, string>>>;
};

const SHARED_TEXTS_MAX = 8192;
const SHARED_METAS_MAX = 4096;
/** Longer texts and larger maps are rarely equal. */
const SHARED_LENGTH_MAX = 64;

/** Nothing shared yet. */
export function createShared(): Shared {
  return { texts: new Map(), metas: new Map() };
}

/** The record of a node, under the name as it was first spelled. */
export function nodeRecord(
  shared: Shared,
  name: string,
  { id, address, taggedAddresses, meta }: NodeFields,
  { createIndex, modifyIndex }: Stamps,
): NodeRecord {
  return {
    node: name,
    id,
    address,
    taggedAddresses: taggedAddresses && shareAddresses(taggedAddresses, address),
    meta: meta && shareMeta(shared, meta),
    createIndex,
    modifyIndex,
  };
}

/** `peer` is any other instance of the service, `node` the record of the node it stands on. */
export function serviceRecord(
  shared: Shared,
  node: NodeRecord,
  fields: ServiceFields,
  known: { held: ServiceRecord | undefined; peer: ServiceRecord | undefined },
  { createIndex, modifyIndex }: Stamps,
): ServiceRecord {
  const { peer, held } = known;
  const address = fields.address === node.address ? node.address : fields.address;
  return {
    node: node.node,
    id: fields.id,
    service: peer?.service === fields.service ? peer.service : fields.service,
    kind: fields.kind === "" ? "" : share(shared, fields.kind),
    tags: shareTags(shared, fields.tags, held, peer),
    address,
    taggedAddresses: fields.taggedAddresses && shareTagged(fields.taggedAddresses, address),
    meta: fields.meta && shareMeta(shared, fields.meta),
    port: fields.port,
    socketPath: fields.socketPath,
    weights: validWeights(fields.weights),
    enableTagOverride: fields.enableTagOverride,
    proxy: fields.proxy,
    connect: fields.connect,
    createIndex,
    modifyIndex,
  };
}

/** `service` is the instance that the check belongs to; undefined for a node-level check. */
export function checkRecord(
  shared: Shared,
  node: string,
  fields: CheckFields,
  service: ServiceRecord | undefined,
  { createIndex, modifyIndex }: Stamps,
): CheckRecord {
  return {
    node,
    checkId: fields.checkId,
    name: fields.name === fields.checkId ? fields.checkId : share(shared, fields.name),
    status: share(shared, fields.status),
    notes: share(shared, fields.notes),
    output: share(shared, fields.output),
    serviceId: service?.id ?? "",
    serviceName: service?.service ?? "",
    serviceTags: service?.tags ?? NOTHING,
    type: share(shared, fields.type),
    interval: share(shared, fields.interval),
    timeout: share(shared, fields.timeout),
    exposedPort: fields.exposedPort,
    definition: isEmpty(fields.definition) ? NO_DEFINITION : fields.definition,
    createIndex,
    modifyIndex,
  };
}

const DEFAULT_WEIGHTS = Object.freeze({ passing: 1, warning: 1 });
const NO_DEFINITION: Readonly<Record<string, unknown>> = Object.freeze({});
/** SRV weights are 16 bits wide; Consul's ValidateWeights. */
const WEIGHT_MAX = 65535;

/** Weights that cannot be are silently the default. */
export function validWeights(weights: ServiceRecord["weights"]): ServiceRecord["weights"] {
  const { passing, warning } = weights;
  if (passing < 1 || warning < 0 || passing > WEIGHT_MAX || warning > WEIGHT_MAX)
    return DEFAULT_WEIGHTS;
  return passing === 1 && warning === 1 ? DEFAULT_WEIGHTS : weights;
}

function share({ texts }: Shared, text: string): string {
  if (text.length === 0 || text.length > SHARED_LENGTH_MAX) return text;
  const known = texts.get(text);
  if (known !== undefined) return known;
  if (texts.size >= SHARED_TEXTS_MAX) texts.clear();
  texts.set(text, text);
  return text;
}

/** Instances of one service mostly have the same tags. */
function shareTags(
  shared: Shared,
  tags: readonly string[],
  held: ServiceRecord | undefined,
  peer: ServiceRecord | undefined,
): readonly string[] {
  if (tags.length === 0) return NOTHING;
  if (held !== undefined && sameList(held.tags, tags)) return held.tags;
  if (peer !== undefined && sameList(peer.tags, tags)) return peer.tags;
  return tags.map((tag) => share(shared, tag));
}

function shareMeta(
  { metas }: Shared,
  meta: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const key = JSON.stringify(meta);
  if (key.length > 4 * SHARED_LENGTH_MAX) return meta;
  const known = metas.get(key);
  if (known !== undefined) return known;
  if (metas.size >= SHARED_METAS_MAX) metas.clear();
  metas.set(key, meta);
  return meta;
}

/** Tagged addresses mostly repeat the address itself. */
function shareAddresses(
  tagged: Readonly<Record<string, string>>,
  address: string,
): Readonly<Record<string, string>> {
  const copy: Record<string, string> = {};
  for (const tag of Object.keys(tagged))
    put(copy, tag, tagged[tag] === address ? address : tagged[tag]!);
  return copy;
}

function shareTagged(
  tagged: Readonly<Record<string, TaggedAddress>>,
  own: string,
): Readonly<Record<string, TaggedAddress>> {
  const copy: Record<string, TaggedAddress> = {};
  let last: TaggedAddress | undefined;
  for (const tag of Object.keys(tagged)) {
    const { address, port } = tagged[tag]!;
    if (last?.address !== address || last.port !== port)
      last = { address: address === own ? own : address, port };
    put(copy, tag, last);
  }
  return copy;
}

/** `copy[key] = value` would set the prototype for one key that a client may send. */
function put<V>(copy: Record<string, V>, key: string, value: V): void {
  if (key === "__proto__")
    Object.defineProperty(copy, key, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  else copy[key] = value;
}

function isEmpty(value: Readonly<Record<string, unknown>>): boolean {
  for (const name in value) if (Object.hasOwn(value, name)) return false;
  return true;
}
