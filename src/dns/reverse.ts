/** Names of addresses. Spec of the DNS interface, section 8. */
import type { NodeRecord } from "../cluster/model.ts";
import { formatAddress } from "../address.ts";
import { formatName, nameUnder, parseReverseName } from "./name.ts";
import { emptyAnswer, type Answer, type Reading } from "./reading.ts";
import { record } from "./rrset.ts";
import { RCODE, TYPE } from "./rr.ts";
import { soaRecord } from "./soa.ts";

/**
 * PTR of the first node with the address, else of the first instance with it as service address;
 * undefined if there is neither (or the name is no complete address). The type is not looked at.
 */
export function reverseAnswer(
  reading: Reading,
  qname: Uint8Array,
  qtype: number,
): Answer | undefined {
  const address = parseReverseName(qname);
  if (address === undefined) return undefined;
  reading.topics.push("addresses");
  if (reading.acl.enabled) reading.topics.push("acl");
  const text = formatAddress(address);
  const target = findTarget(reading, text);
  reading.trace?.add({
    step: "address",
    address: text,
    name: target === undefined ? "" : formatName(target),
  });
  if (target === undefined) return undefined;
  const answer = emptyAnswer(RCODE.NOERROR);
  answer.answers.push(record(qname, TYPE.PTR, 0, target));
  if (qtype === TYPE.SOA) answer.authority.push(soaRecord(reading, reading.settings.zone));
  return answer;
}

/** Always under the main domain. */
function findTarget(reading: Reading, address: string): Uint8Array | undefined {
  const { catalog, authorizer, settings } = reading;
  const { zone, ownDatacenter } = settings;
  const node = findNode(reading, address);
  if (node !== undefined) return nameUnder(node.node, zone.under("node", ownDatacenter));
  const service = catalog.serviceByAddress(address);
  if (service === undefined) return undefined;
  if (!authorizer.serviceRead(service.service) || !authorizer.nodeRead(service.node))
    return undefined;
  return nameUnder(service.service, zone.under("service", ownDatacenter));
}

function findNode({ catalog, authorizer }: Reading, address: string): NodeRecord | undefined {
  const node = catalog.nodeByAddress(address);
  return node !== undefined && authorizer.nodeRead(node.node) ? node : undefined;
}
