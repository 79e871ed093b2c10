/** SOA and NS questions, for any name in our domains. Spec of the DNS interface, section 5. */
import { CHAIN_LEVELS } from "./chain.ts";
import { usableInstances } from "./instances.ts";
import { nameUnder } from "./name.ts";
import { nodeAddressRecords } from "./node-answer.ts";
import { emptyAnswer, type Answer, type Reading } from "./reading.ts";
import { record } from "./rrset.ts";
import { RCODE, TYPE, type Rr } from "./rr.ts";
import type { Zone } from "./settings.ts";
import { soaRecord } from "./soa.ts";

/** As many name servers as an answer without EDNS holds. */
const MAX_NAME_SERVERS = 3;

/** SOA question: the record, with the name servers beside it. Any name at or below the zone. */
export function soaAnswer(reading: Reading, zone: Zone): Answer {
  const answer = emptyAnswer(RCODE.NOERROR);
  const servers = nameServers(reading, zone);
  answer.answers.push(soaRecord(reading, zone));
  answer.authority = servers.records;
  answer.additional = servers.glue;
  answer.oneOff = true;
  return answer;
}

/** NS question. */
export function nsAnswer(reading: Reading, zone: Zone): Answer {
  const answer = emptyAnswer(RCODE.NOERROR);
  const servers = nameServers(reading, zone);
  answer.answers = servers.records;
  answer.additional = servers.glue;
  answer.oneOff = true;
  return answer;
}

/** Usable instances of service `consul` whose node name is a host name, at most three, shuffled. */
function nameServers(reading: Reading, zone: Zone): { records: Rr[]; glue: Rr[] } {
  const { settings } = reading;
  const suffix = zone.under("node", settings.ownDatacenter);
  const ttl = settings.nodeTtlSeconds;
  const instances = usableInstances(reading, "consul", "");
  reading.shuffle(instances);
  const records: Rr[] = [];
  const glue: Rr[] = [];
  for (const { node } of instances) {
    if (records.length === MAX_NAME_SERVERS) break;
    if (!/^[A-Za-z0-9-]+$/.test(node.node)) continue;
    const target = nameUnder(node.node.toLowerCase(), suffix);
    if (target === undefined) continue;
    records.push(record(zone.wire, TYPE.NS, ttl, target));
    const asked = { owner: target, qtype: TYPE.ANY, ttl, levels: CHAIN_LEVELS };
    glue.push(...nodeAddressRecords(reading, node, asked));
  }
  return { records, glue };
}
