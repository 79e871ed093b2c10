/**
 * Names of one label that stand for services of the catalog (`forwarder.short_names`): `web` leads to
 * `web.service.<domain>`. What else is known of such a name goes before; see the forwarder's decide.ts.
 */
import { zoneOf } from "./chain.ts";
import { NOT_OURS, type Own } from "./forwarded.ts";
import { parseLookup } from "./lookup.ts";
import { MAX_NAME_OCTETS } from "./name.ts";
import type { Reading } from "./reading.ts";
import type { Request } from "./request.ts";
import { record } from "./rrset.ts";
import { CLASS_IN, TYPE, type Rr } from "./rr.ts";

const SERVICE = Uint8Array.from([7, ...new TextEncoder().encode("service")]);

/** May this question be one for a service by its short name, if the settings have such names? */
export function mayBeShort({ qname, qclass }: Request): boolean {
  return qclass === CLASS_IN && qname[0]! > 0 && qname[qname[0]! + 1] === 0;
}

/**
 * What of the catalog an answer for a name of one label depends on, whether or not the name is a
 * service: it may become one, or stop being one.
 */
export function shortOwn(reading: Reading, { qname }: Request): Own {
  const link = serviceLink(reading, qname);
  return {
    ...NOT_OURS,
    short: link,
    topics: reading.topics,
    isCurrent: () => (serviceLink(reading, qname) === undefined) === (link === undefined),
  };
}

/** The CNAME from the label to its service; undefined if the catalog has none of that name that may be read. */
function serviceLink(reading: Reading, qname: Uint8Array): Rr | undefined {
  const { acl, authorizer, catalog, settings, topics } = reading;
  const label = qname.subarray(0, qname[0]! + 1);
  const target = Uint8Array.from([...label, ...SERVICE, ...settings.zone.wire]);
  if (target.length > MAX_NAME_OCTETS || zoneOf(target, settings) !== settings.zone)
    return undefined;
  const lookup = parseLookup(target, TYPE.A, settings.zone);
  if (lookup.kind !== "service") return undefined;
  const { service } = lookup;
  topics.push(`service:${service}`);
  if (acl.enabled) topics.push("acl");
  const isKnown = catalog
    .instancesOf(service)
    .some((each) => authorizer.serviceRead(each.service) && authorizer.nodeRead(each.node));
  return isKnown ? record(qname, TYPE.CNAME, settings.serviceTtl(service), target) : undefined;
}
