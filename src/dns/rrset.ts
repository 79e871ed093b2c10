/** Resource records made of what the catalog holds. */
import { hexAddress, parseAddress, unmapped } from "../address.ts";
import { nameUnder, parseName } from "./name.ts";
import { CLASS_IN, TYPE, type Rr } from "./rr.ts";

/** A record of class IN. */
export function record(owner: Uint8Array, type: number, ttl: number, data: Uint8Array): Rr {
  return { owner, type, class: CLASS_IN, ttl, data };
}

/**
 * A or AAAA if the address fits the question: A for IPv4, AAAA for IPv6, and either for ANY, TXT and
 * SRV (whose glue it is). undefined otherwise.
 */
export function addressRecord(
  owner: Uint8Array,
  qtype: number,
  ttl: number,
  address: Uint8Array,
): Rr | undefined {
  const type = address.length === 4 ? TYPE.A : TYPE.AAAA;
  const fits = qtype === type || qtype === TYPE.ANY || qtype === TYPE.TXT || qtype === TYPE.SRV;
  return fits ? record(owner, type, ttl, address) : undefined;
}

/** 4 or 16 octets of an address literal, IPv4-mapped ones as IPv4; undefined for a host name. */
export function readAddress(text: string): Uint8Array | undefined {
  const address = parseAddress(text);
  return address === undefined || address.length === 4 ? address : unmapped(address);
}

/** A stored host name, made fully qualified; undefined if it is no domain name. */
export function readHostName(text: string): Uint8Array | undefined {
  if (text === "" || text === ".") return undefined;
  const parsed = parseName(text);
  return parsed.ok ? parsed.value : undefined;
}

/** `<hex>.addr.<dc>.<domain>` for the suffix from `addr` on; undefined under a very long domain. */
export function addrName(address: Uint8Array, suffix: Uint8Array): Uint8Array | undefined {
  return nameUnder(hexAddress(address), suffix);
}

/** RFC 2782; the priority is 1, as Consul's. */
export function srvRecord(
  owner: Uint8Array,
  ttl: number,
  srv: { weight: number; port: number; target: Uint8Array },
): Rr {
  const data = new Uint8Array(6 + srv.target.length);
  data[1] = 1; // priority, always 1 in Consul
  data[2] = srv.weight >> 8;
  data[3] = srv.weight;
  data[4] = srv.port >> 8;
  data[5] = srv.port;
  data.set(srv.target, 6);
  return record(owner, TYPE.SRV, ttl, data);
}
