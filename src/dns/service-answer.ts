/** Answers about instances of a service or of a prepared query. Spec of the DNS interface, 4.2 to 4.4. */
import type { Instance } from "../cluster/query-execute.ts";
import { nodeAddress, serviceAddress, servicePort } from "./address-choice.ts";
import { chainBehind } from "./chain.ts";
import { instanceWeight } from "./instances.ts";
import { equalOctets, nameUnder } from "./name.ts";
import { nodeTxt } from "./node-txt.ts";
import { emptyAnswer, type Answer, type Asked, type Reading } from "./reading.ts";
import { addressRecord, addrName, readAddress, readHostName, record, srvRecord } from "./rrset.ts";
import { RCODE, TYPE, type Rr } from "./rr.ts";
import { soaRecord } from "./soa.ts";

/** Records of a chain behind a service without EDNS (Consul `maxRecurseRecords`). */
const MAX_CHAIN_RECORDS = 5;

/** Instances that an answer is made of. */
export type Instances = {
  /** In the order of the answer. At least one. */
  instances: readonly Instance[];
  /** Of the instances; lower case. */
  datacenter: string;
  ttl: number;
};

/** Records for the instances; without any, NODATA with the SOA record. */
export function serviceAnswer(reading: Reading, asked: Asked, found: Instances): Answer {
  const answer =
    asked.qtype === TYPE.SRV
      ? srvAnswer(reading, asked, found)
      : plainAnswer(reading, asked, found);
  if (answer.answers.length === 0) answer.authority.push(soaRecord(reading, asked.zone));
  return answer;
}

/** Where an instance is: an address (`named`: that of its node, so the node's name will do) or a host name. */
type Place = { address: Uint8Array; named: boolean } | { address: undefined; host: Uint8Array };

/** undefined if it has no address at all, or a host name that is none. Consul `nodeServiceRecords`. */
function placeOf(
  { settings }: Reading,
  { qname, qtype }: Asked,
  { node, service }: Instance,
  datacenter: string,
): Place | undefined {
  const own = serviceAddress(service, qtype, datacenter, settings);
  if (own !== "") {
    const address = readAddress(own);
    if (address !== undefined) return { address, named: false };
  }
  const ofNode = nodeAddress(node, qtype, datacenter, settings);
  if (own === "") {
    const address = readAddress(ofNode);
    if (address !== undefined) return { address, named: ofNode === node.address };
    const host = readHostName(ofNode);
    return host && { address: undefined, host };
  }
  const host = readHostName(own);
  if (host === undefined) return undefined;
  if (!equalOctets(host, qname)) return { address: undefined, host };
  // An instance whose address is the name asked for: the node must help out.
  const address = readAddress(ofNode);
  return address === undefined ? { address: undefined, host } : { address, named: true };
}

/**
 * Every type but SRV: distinct address records. Only if there is none, the CNAME of the first
 * instance that has a host name, whatever type was asked.
 */
function plainAnswer(
  reading: Reading,
  asked: Asked,
  { instances, datacenter, ttl }: Instances,
): Answer {
  const { qname, qtype } = asked;
  const answer = emptyAnswer(RCODE.NOERROR);
  const hosts: Uint8Array[] = [];
  const seen = instances.length > 1 ? new Set<string | number>() : undefined;
  for (const instance of instances) {
    const place = placeOf(reading, asked, instance, datacenter);
    if (place === undefined) continue;
    if (place.address === undefined) {
      hosts.push(place.host);
      continue;
    }
    const found = addressRecord(qname, qtype, ttl, place.address);
    if (found === undefined) continue;
    if (seen !== undefined) {
      const key = keyOf(place.address);
      if (seen.has(key)) continue;
      seen.add(key);
    }
    answer.answers.push(found);
  }
  if (answer.answers.length > 0) {
    answer.shuffled = answer.answers.length > 1;
    answer.answerLimit = reading.settings.aRecordLimit;
  } else if (hosts.length > 0) {
    const host = hosts[0]!;
    answer.oneOff = hosts.some((other) => !equalOctets(other, host));
    answer.answers.push(
      record(qname, TYPE.CNAME, ttl, host),
      ...serviceChain(reading, asked, host, ttl),
    );
  }
  return answer;
}

function keyOf(address: Uint8Array): string | number {
  if (address.length === 4)
    return (address[0]! << 24) | (address[1]! << 16) | (address[2]! << 8) | address[3]!;
  return String.fromCharCode(...address);
}

/** CNAME, A and AAAA records behind a host name, with the service's TTL or what is left of the upstreams'. */
function serviceChain(reading: Reading, asked: Asked, host: Uint8Array, ttl: number): Rr[] {
  const chain: Rr[] = [];
  const behind = chainBehind(reading, host, asked.levels);
  const lent = reading.foreign.lend(ttl);
  for (const { owner, type, data } of behind) {
    if (type !== TYPE.CNAME && type !== TYPE.A && type !== TYPE.AAAA) continue;
    chain.push(record(owner, type, lent, data));
    if (chain.length === MAX_CHAIN_RECORDS && !asked.edns) break;
  }
  return chain;
}

/** One SRV per node, address and port; glue of each target and metadata of each node beside it. */
function srvAnswer(
  reading: Reading,
  asked: Asked,
  { instances, datacenter, ttl }: Instances,
): Answer {
  const { settings } = reading;
  const { qname, zone } = asked;
  const answer = emptyAnswer(RCODE.NOERROR);
  const nodeSuffix = zone.under("node", datacenter);
  const addrSuffix = zone.under("addr", datacenter);
  const seen = instances.length > 1 ? new Set<string>() : undefined;
  for (const instance of instances) {
    const { node, service } = instance;
    const port = servicePort(service, datacenter, settings);
    if (seen !== undefined) {
      const own = serviceAddress(service, TYPE.SRV, datacenter, settings);
      const key = `${node.node} ${own} ${port}`;
      if (seen.has(key)) continue;
      seen.add(key);
    }
    const weight = instanceWeight(instance);
    const nodeName = nameUnder(node.node, nodeSuffix);
    const place = placeOf(reading, asked, instance, datacenter);
    if (place === undefined) continue;
    if (place.address === undefined) {
      answer.answers.push(srvRecord(qname, ttl, { weight, port, target: place.host }));
      answer.additional.push(...serviceChain(reading, asked, place.host, ttl));
    } else {
      // A node name that is no domain name cannot be a target; its address can.
      const target = (place.named ? nodeName : undefined) ?? addrName(place.address, addrSuffix);
      if (target === undefined) continue;
      answer.answers.push(srvRecord(qname, ttl, { weight, port, target }));
      answer.additional.push(addressRecord(target, TYPE.SRV, ttl, place.address)!);
    }
    if (settings.additionalNodeMetaTxt && nodeName !== undefined)
      answer.additional.push(...nodeTxt(node, nodeName, ttl));
  }
  answer.shuffled = answer.answers.length > 1;
  return answer;
}
