/** Answers that are made here, without any server. */
import type { ExtendedError, ForwardAnswer } from "../../dns/answer.ts";
import { readUint32 } from "../../dns/message.ts";
import { CLASS_IN, RCODE, TYPE, type Rr } from "../../dns/rr.ts";

/** An answer that is no failure. */
export type Good = Extract<ForwardAnswer, { ok: true }>;

/** Records of our own; the caller may change the lists. TTLs are constant (`constant` of ForwardAnswer). */
export function ownAnswer(answers: Rr[], rcode: number, authority: Rr[] = []): Good {
  return {
    ok: true,
    rcode,
    aa: true,
    ad: false,
    ra: true,
    answers,
    authority,
    additional: [],
    cacheableSeconds: 0,
    spentMs: 0,
    fromCache: false,
    edns: null,
    tc: false,
    constant: true,
  };
}

/** No records: NXDOMAIN, or NODATA with NOERROR. The SOA record is that of `zone` (RFC 2308 section 3). */
export function denial(zone: Uint8Array, rcode: number, ttl: number): Good {
  return ownAnswer([], rcode, [localSoa(zone, ttl)]);
}

/** The same with the SOA record that a zone has; its TTL is the smaller of its own and its MINIMUM (RFC 2308 section 5). */
export function denialWith(soa: Rr, rcode: number): Good {
  const ttl = Math.min(soa.ttl, readUint32(soa.data, soa.data.length - 4));
  return ownAnswer([], rcode, [{ ...soa, ttl }]);
}

/** REFUSED or NXDOMAIN, and why (RFC 8914). */
export function blockedAnswer(answer: Good, error: ExtendedError): Good {
  return { ...answer, ede: [error] };
}

/** A or AAAA records of the name. */
export function addressRecords(
  owner: Uint8Array,
  addresses: readonly Uint8Array[],
  ttl: number,
): Rr[] {
  return addresses.map((data) => {
    const type = data.length === 4 ? TYPE.A : TYPE.AAAA;
    return { owner, type, class: CLASS_IN, ttl, data };
  });
}

/** An MX record of preference 1. */
export function mxRecord(owner: Uint8Array, target: Uint8Array, ttl: number): Rr {
  const data = new Uint8Array(2 + target.length);
  data[1] = 1;
  data.set(target, 2);
  return { owner, type: TYPE.MX, class: CLASS_IN, ttl, data };
}

const RNAME = new TextEncoder().encode("\x06nobody\x07invalid\0");
/** SERIAL, REFRESH, RETRY and EXPIRE of RFC 6303 section 3. */
const NUMBERS = [1, 3600, 1200, 604_800];

/** The SOA record of an empty zone, as RFC 6303 section 3 has it; MINIMUM is its TTL. */
function localSoa(zone: Uint8Array, ttl: number): Rr {
  const data = new Uint8Array(zone.length + RNAME.length + 20);
  data.set(zone);
  data.set(RNAME, zone.length);
  const view = new DataView(data.buffer, zone.length + RNAME.length);
  for (const [i, value] of [...NUMBERS, ttl].entries()) view.setUint32(4 * i, value);
  return { owner: zone, type: TYPE.SOA, class: CLASS_IN, ttl, data };
}

/** No such name, or no such data, by what else is known of the name. */
export function denialRcode(hasData: boolean): number {
  return hasData ? RCODE.NOERROR : RCODE.NXDOMAIN;
}
