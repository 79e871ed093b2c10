/** What a question inside our domains is answered with: the front page of all kinds of lookups. */
import { execute } from "../cluster/query-execute.ts";
import { parseDuration } from "../duration.ts";
import { formatAddress } from "../address.ts";
import { foldName, formatName } from "./name.ts";
import { usableInstances } from "./instances.ts";
import { parseLookup, type Lookup } from "./lookup.ts";
import { nodeAnswer } from "./node-answer.ts";
import { emptyAnswer, type Answer, type Asked, type Reading } from "./reading.ts";
import { addressRecord } from "./rrset.ts";
import { RCODE, TYPE } from "./rr.ts";
import { serviceAnswer } from "./service-answer.ts";
import { nsAnswer, soaAnswer } from "./apex.ts";
import { negativeAnswer } from "./soa.ts";
import type { Trace } from "./trace.ts";

/** Answers a question for a name in `asked.zone`. Never fails: an internal error is an answer too. */
export function domainAnswer(reading: Reading, asked: Asked): Answer {
  switch (asked.qtype) {
    case TYPE.SOA:
      return soaAnswer(reading, asked.zone);
    case TYPE.NS:
      return nsAnswer(reading, asked.zone);
    case TYPE.AXFR:
      return emptyAnswer(RCODE.NOTIMP);
    default:
      return namedAnswer(reading, asked);
  }
}

function namedAnswer(reading: Reading, asked: Asked): Answer {
  const { qname, qtype, zone } = asked;
  const lookup = parseLookup(qname, qtype, zone);
  const missing = (): Answer => negativeAnswer(reading, zone, RCODE.NXDOMAIN);
  const own = reading.settings.ownDatacenter;
  if (reading.trace !== undefined) noteLookup(reading.trace, qname, lookup, own);
  if (lookup.kind === "none") return missing();
  if (lookup.kind === "addr") return addrAnswer(reading, asked, lookup.address);
  if (!isHere(lookup.datacenter, own)) return missing();
  if (reading.acl.enabled) reading.topics.push("acl");
  switch (lookup.kind) {
    case "node":
      return nodeAnswer(reading, asked, lookup.node);
    case "service": {
      const instances = usableInstances(reading, lookup.service, lookup.tag);
      if (instances.length === 0) return missing();
      reading.shuffle(instances);
      const ttl = reading.settings.serviceTtl(lookup.service);
      return serviceAnswer(reading, asked, { instances, datacenter: own, ttl });
    }
    case "query":
      return queryAnswer(reading, asked, lookup.query) ?? missing();
  }
}

function isHere(datacenter: string, own: string): boolean {
  return datacenter === "" || datacenter === own;
}

function noteLookup(trace: Trace, qname: Uint8Array, lookup: Lookup, own: string): void {
  const { kind } = lookup;
  const name = formatName(qname);
  let subject = "";
  let problem = "";
  if (lookup.kind === "none") problem = "the name has no form that stands for anything";
  else if (lookup.kind === "addr") subject = formatAddress(lookup.address);
  else {
    if (lookup.kind === "service") subject = lookup.service;
    else subject = lookup.kind === "node" ? lookup.node : lookup.query;
    if (!isHere(lookup.datacenter, own)) problem = `datacenter ${lookup.datacenter} is not known`;
  }
  trace.add({ step: "lookup", name, kind, subject, problem });
}

/** The address in the name, whatever the catalog says. A type that does not fit gets it as additional data. */
function addrAnswer({ settings }: Reading, { qname, qtype }: Asked, address: Uint8Array): Answer {
  const answer = emptyAnswer(RCODE.NOERROR);
  const own = address.length === 4 ? TYPE.A : TYPE.AAAA;
  const found = addressRecord(foldName(qname), own, settings.nodeTtlSeconds, address)!;
  if (qtype === own || qtype === TYPE.ANY) answer.answers.push(found);
  else answer.additional.push(found);
  return answer;
}

/** undefined: no such query, or it selects nothing. */
function queryAnswer(reading: Reading, asked: Asked, name: string): Answer | undefined {
  const { acl, catalog, settings, topics } = reading;
  topics.push("queries");
  const found = catalog.resolveQuery(name);
  const note = (problem: string, service = "", instances = 0): void =>
    reading.trace?.add({ step: "query", query: name, service, instances, problem });
  if (!found.ok) {
    note(found.error);
    return emptyAnswer(RCODE.SERVFAIL);
  }
  const query = found.value;
  if (query === undefined) {
    note("no query has this name or id");
    return undefined;
  }
  const authorizer = query.token === "" ? reading.authorizer : acl.authorizer(query.token);
  if (authorizer === "ACL not found") {
    note("the query's token does not exist");
    return emptyAnswer(RCODE.SERVFAIL);
  }
  const result = execute(catalog, query, {
    datacenter: settings.ownDatacenter,
    agentNode: settings.nodeName,
    clientAddress: reading.clientAddress,
    authorizer,
    random: () => reading.random(),
  });
  topics.push(...result.topics);
  note("", result.service, result.instances.length);
  if (result.instances.length === 0) return undefined;
  const { instances, datacenter, service } = result;
  const ttl = queryTtl(result.dnsTtl) ?? settings.serviceTtl(service.toLowerCase());
  const answer = serviceAnswer(reading, asked, { instances, datacenter, ttl });
  answer.dependsOnClient = true;
  // The nearest come first, for this client.
  if (query.service.near !== "") answer.oneOff = true;
  return answer;
}

/** Whole seconds of a query's `DNS.TTL`; undefined if it has none. */
function queryTtl(text: string): number | undefined {
  if (text === "") return undefined;
  const ms = parseDuration(text);
  return ms.ok ? Math.floor(ms.value / 1000) : undefined;
}
