/** Answers about a node: its address and its metadata. Spec of the DNS interface, section 4.1. */
import type { NodeRecord } from "../cluster/model.ts";
import { nodeAddress } from "./address-choice.ts";
import { chainBehind } from "./chain.ts";
import { nodeTxt } from "./node-txt.ts";
import { emptyAnswer, type Answer, type Asked, type Reading } from "./reading.ts";
import { addressRecord, readAddress, readHostName, record } from "./rrset.ts";
import { RCODE, TYPE, type Rr } from "./rr.ts";
import { negativeAnswer } from "./soa.ts";

/** `node`: lower-case name, node id, or a unique prefix of an id. Health does not matter. */
export function nodeAnswer(reading: Reading, asked: Asked, node: string): Answer {
  const { qname, qtype, levels } = asked;
  const { settings } = reading;
  // Other types get an empty answer even for a node that does not exist: a quirk that clients know.
  if (qtype !== TYPE.A && qtype !== TYPE.AAAA && qtype !== TYPE.ANY && qtype !== TYPE.TXT)
    return emptyAnswer(RCODE.NOERROR);
  const found = findNode(reading, node);
  if (found === undefined) return negativeAnswer(reading, asked.zone, RCODE.NXDOMAIN);

  const ttl = settings.nodeTtlSeconds;
  const answer = emptyAnswer(RCODE.NOERROR);
  if (qtype !== TYPE.TXT)
    answer.answers = nodeAddressRecords(reading, found, { owner: qname, qtype, ttl, levels });
  // The TTLs of foreign records are those of the upstreams, and run down.
  answer.oneOff = reading.foreign.freshSeconds !== Infinity;
  if (qtype === TYPE.ANY || qtype === TYPE.TXT) answer.answers.push(...nodeTxt(found, qname, ttl));
  else if (settings.additionalNodeMetaTxt) answer.additional = nodeTxt(found, qname, ttl);
  return answer;
}

function findNode(reading: Reading, name: string): NodeRecord | undefined {
  const { catalog, topics } = reading;
  topics.push(`node:${name}`);
  let found = catalog.node(name);
  if (found === undefined) {
    topics.push("nodes");
    found = catalog.nodeById(name);
  }
  const isReadable = found !== undefined && reading.authorizer.nodeRead(found.node);
  reading.trace?.add({
    step: "node",
    node: name,
    found: found !== undefined,
    acl: found !== undefined && !isReadable,
  });
  return isReadable ? found : undefined;
}

/**
 * The node's address record, or for a host name a CNAME and what follows it with its own TTLs. Empty
 * if the address does not fit the type.
 */
export function nodeAddressRecords(
  reading: Reading,
  node: NodeRecord,
  { owner, qtype, ttl, levels }: { owner: Uint8Array; qtype: number; ttl: number; levels: number },
): Rr[] {
  const { settings } = reading;
  const text = nodeAddress(node, qtype, settings.ownDatacenter, settings);
  const address = readAddress(text);
  if (address !== undefined) {
    const found = addressRecord(owner, qtype, ttl, address);
    return found === undefined ? [] : [found];
  }
  const target = readHostName(text);
  if (target === undefined) return [];
  return [record(owner, TYPE.CNAME, ttl, target), ...chainBehind(reading, target, levels)];
}
