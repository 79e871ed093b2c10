/** The SOA record of our domains, and the answers that have nothing else. Spec of the DNS interface, section 5. */
import { emptyAnswer, type Answer, type Reading } from "./reading.ts";
import { record } from "./rrset.ts";
import { TYPE, type Rr } from "./rr.ts";
import type { Zone } from "./settings.ts";

/** The zone's SOA record; its serial is the present second, so it is never the same for long. */
export function soaRecord({ settings, wallSeconds }: Reading, zone: Zone): Rr {
  const { soa } = settings;
  const data = new Uint8Array(zone.soaNames.length + 20);
  data.set(zone.soaNames, 0);
  let at = zone.soaNames.length;
  const numbers = [
    wallSeconds,
    soa.refreshSeconds,
    soa.retrySeconds,
    soa.expireSeconds,
    soa.minTtlSeconds,
  ];
  for (const value of numbers) {
    data[at++] = value >>> 24;
    data[at++] = value >>> 16;
    data[at++] = value >>> 8;
    data[at++] = value;
  }
  return record(zone.wire, TYPE.SOA, soa.minTtlSeconds, data);
}

/** No records, and the SOA in authority (RFC 2308 3). */
export function negativeAnswer(reading: Reading, zone: Zone, rcode: number): Answer {
  const answer = emptyAnswer(rcode);
  answer.authority.push(soaRecord(reading, zone));
  return answer;
}
