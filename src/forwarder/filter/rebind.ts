/**
 * Names of others that lead to addresses inside: a web page could use one to reach what its visitor's
 * browser may reach (DNS rebinding). The same addresses as dnsmasq's `stop-dns-rebind`.
 */
import { unmapped } from "../../address.ts";
import type { ForwardRequest } from "../../dns/answer.ts";
import { formatName, isWithin } from "../../dns/name.ts";
import { TYPE, type Rr } from "../../dns/rr.ts";
import type { RebindSettings } from "./settings.ts";

const SVCB = 64;
const HTTPS = 65;
/** Keys of SvcParams (RFC 9460 14.3.2) whose values are addresses, and octets of each. */
const hintOctets = new Map([
  [4, 4],
  [6, 16],
]);

/** The owner, as text, of the first record that leads inside; undefined if the answer may pass. */
export function leadsInside(
  { qname }: ForwardRequest,
  records: readonly Rr[],
  settings: RebindSettings,
): string | undefined {
  const found = records.find((rr) => isInward(rr, settings));
  return found === undefined || isExempt(qname, settings) ? undefined : formatName(found.owner);
}

function isExempt(qname: Uint8Array, { domainsOk }: RebindSettings): boolean {
  for (const domain of domainsOk)
    if (domain.length > 1 ? isWithin(qname, domain) : qname.length === qname[0]! + 2) return true;
  return false;
}

function isInward({ type, data }: Rr, { localhostOk, ownDomains }: RebindSettings): boolean {
  if (type === TYPE.A || type === TYPE.AAAA) return isPrivate(data, localhostOk);
  if (type === TYPE.CNAME) return ownDomains.some((domain) => isWithin(data, domain));
  return (type === SVCB || type === HTTPS) && hints(data).some((at) => isPrivate(at, localhostOk));
}

/** Is it an address that only means something nearby? `localhostOk`: those of this very machine are not. */
export function isPrivate(address: Uint8Array, localhostOk: boolean): boolean {
  const plain = unmapped(address);
  const a = plain[0]!;
  const b = plain[1]!;
  const c = plain[2]!;
  if (plain.length === 4) {
    if (a === 127 || a === 0) return !localhostOk;
    if (a === 10 || (a === 172 && (b & 0xf0) === 16) || (a === 192 && b === 168)) return true;
    if (a === 169 && b === 254) return true;
    // What documents use as examples (RFC 5737), and the broadcast address.
    if (a === 192 && b === 0 && c === 2) return true;
    if ((a === 198 && b === 51 && c === 100) || (a === 203 && b === 0 && c === 113)) return true;
    return plain.every((octet) => octet === 255);
  }
  let zeros = 0;
  while (plain[zeros] === 0) zeros++;
  if (zeros === 16 || (zeros === 15 && plain[15] === 1)) return !localhostOk;
  // fe80::/10 and fec0::/10 (link and site), fd00::/8 (unique local), 2001:db8::/32 (documentation).
  if (a === 0xfe && b >= 0x80) return true;
  return a === 0xfd || (a === 0x20 && b === 0x01 && c === 0x0d && plain[3] === 0xb8);
}

/** Addresses in the hints of a SVCB or HTTPS record; none of one that is cut. */
function hints(data: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  let at = 2;
  while (at < data.length && data[at]! !== 0) at += data[at]! + 1;
  at++;
  while (at + 4 <= data.length) {
    const key = (data[at]! << 8) | data[at + 1]!;
    const end = at + 4 + ((data[at + 2]! << 8) | data[at + 3]!);
    if (end > data.length) return found;
    const octets = hintOctets.get(key);
    if (octets !== undefined)
      for (let i = at + 4; i + octets <= end; i += octets) found.push(data.subarray(i, i + octets));
    at = end;
  }
  return found;
}
