/**
 * Which of its addresses a node or an instance is known by: tagged ones before the plain one, and
 * from another datacenter the WAN ones. Consul 1.10 `TranslateAddress` and `TranslateServiceAddress`.
 */
import type { NodeRecord, ServiceRecord } from "../cluster/model.ts";
import { TYPE } from "./rr.ts";
import type { Prepared } from "./settings.ts";

/** "" if there is none. May be of the wrong family: then no record comes of it. */
export function nodeAddress(
  { address, taggedAddresses }: NodeRecord,
  qtype: number,
  datacenter: string,
  settings: Prepared,
): string {
  if (taggedAddresses === null) return address;
  const tagged = taggedAddresses;
  return choose(qtype, address, (tag) => tagged[tag], isWan(datacenter, settings));
}

/** Address of the instance itself; "" means: that of its node. */
export function serviceAddress(
  { address, taggedAddresses }: ServiceRecord,
  qtype: number,
  datacenter: string,
  settings: Prepared,
): string {
  if (taggedAddresses === null) return address;
  const tagged = taggedAddresses;
  return choose(qtype, address, (tag) => tagged[tag]?.address, isWan(datacenter, settings));
}

/** Own port, or that of the WAN address for an instance of another datacenter. */
export function servicePort(
  { port, taggedAddresses }: ServiceRecord,
  datacenter: string,
  settings: Prepared,
): number {
  if (taggedAddresses === null || !isWan(datacenter, settings)) return port;
  return taggedAddresses["wan"]?.port || port;
}

function isWan(datacenter: string, settings: Prepared): boolean {
  return settings.translateWanAddrs && datacenter !== settings.ownDatacenter;
}

/** For neither A nor AAAA any family will do, and IPv6 comes first. */
function choose(
  qtype: number,
  address: string,
  tagged: (tag: string) => string | undefined,
  wan: boolean,
): string {
  const plain = (wan && tagged("wan")) || address;
  const v4 = (wan && tagged("wan_ipv4")) || tagged("lan_ipv4");
  const v6 = (wan && tagged("wan_ipv6")) || tagged("lan_ipv6");
  if (qtype !== TYPE.A && v6) return v6;
  if (qtype !== TYPE.AAAA && v4) return v4;
  return plain;
}
