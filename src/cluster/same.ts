/**
 * Equality of records without their indexes: a registration that changes nothing must leave index
 * and waiters alone (Consul's IsSame).
 */
import type { CheckFields, NodeFields, QueryFields, ServiceFields } from "./command.ts";
import type { TaggedAddress } from "./model.ts";

/** The name is not compared: it found the other one. */
export function sameNode(a: NodeFields, b: NodeFields): boolean {
  return (
    a.address === b.address &&
    a.id === b.id &&
    sameMap(a.taggedAddresses, b.taggedAddresses) &&
    sameMap(a.meta, b.meta)
  );
}

/** `weights` stand in for those of `b`, which may be ones that cannot be. */
export function sameService(
  a: ServiceFields,
  b: ServiceFields,
  weights: ServiceFields["weights"] = b.weights,
): boolean {
  return (
    a.id === b.id &&
    a.service === b.service &&
    a.kind === b.kind &&
    a.address === b.address &&
    a.port === b.port &&
    a.socketPath === b.socketPath &&
    a.enableTagOverride === b.enableTagOverride &&
    a.weights.passing === weights.passing &&
    a.weights.warning === weights.warning &&
    sameList(a.tags, b.tags) &&
    sameMap(a.meta, b.meta) &&
    sameTaggedAddresses(a.taggedAddresses, b.taggedAddresses) &&
    sameJson(a.proxy, b.proxy) &&
    sameJson(a.connect, b.connect)
  );
}

/** All fields. */
export function sameCheck(a: CheckFields, b: CheckFields): boolean {
  return (
    a.checkId === b.checkId &&
    a.status === b.status &&
    a.output === b.output &&
    a.name === b.name &&
    a.notes === b.notes &&
    a.serviceId === b.serviceId &&
    a.type === b.type &&
    a.interval === b.interval &&
    a.timeout === b.timeout &&
    a.exposedPort === b.exposedPort &&
    sameJson(a.definition, b.definition)
  );
}

/** All fields. */
export function sameQuery(a: QueryFields, b: QueryFields): boolean {
  return (
    a.id === b.id &&
    a.name === b.name &&
    a.session === b.session &&
    a.token === b.token &&
    sameJson(a.template, b.template) &&
    sameJson(a.service, b.service) &&
    a.dns.ttl === b.dns.ttl
  );
}

/** Same items in the same order. */
export function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((item, i) => item === b[i]));
}

type Texts = Readonly<Record<string, string>> | null;

/** Same members in any order; null equals null only. */
export function sameMap(a: Texts, b: Texts): boolean {
  if (a === b) return true;
  if (a === null || b === null) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => a[key] === b[key]);
}

type TaggedAddresses = Readonly<Record<string, TaggedAddress>> | null;

function sameTaggedAddresses(a: TaggedAddresses, b: TaggedAddresses): boolean {
  if (a === b) return true;
  if (a === null || b === null) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => a[key]!.address === b[key]?.address && a[key]!.port === b[key]?.port);
}

/** Equality of what JSON can say; members may come in any order. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  // Narrowed to objects above; arrays are read by index like any other key.
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return keys.every((key) => Object.hasOwn(right, key) && sameJson(left[key], right[key]));
}
