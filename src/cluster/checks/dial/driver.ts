/** What probes over the network share: where they may go, addresses, Go's words for failures. */
import { lookup as systemLookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { isLinkLocal } from "../../../address.ts";

/** What a check may reach. */
export type DialOptions = {
  /** `deny_link_local_checks`: neither by address, nor by name, nor after a redirect. */
  denyLinkLocal: boolean;
};

/** How a probe finds the address of a name; undefined: as the system does. */
export type Lookup = LookupFunction | undefined;

/** The way to addresses that these options leave. */
export function lookupOf({ denyLinkLocal }: DialOptions): Lookup {
  return denyLinkLocal ? lookupElsewhere : undefined;
}

/** Why a link-local address is not connected to. */
export const denied = new Error("link-local addresses are denied (deny_link_local_checks)");

/** Resolves as the system does, but not to link-local addresses: what is looked up is what is connected to. */
const lookupElsewhere: LookupFunction = (host, options, callback) =>
  systemLookup(host, { ...options, all: true }, (error, addresses) => {
    const first = addresses?.[0];
    if (error !== null || first === undefined) callback(error, "", 0);
    else if (addresses.some(({ address }) => isLinkLocal(address))) callback(denied, "", 0);
    else if (options.all === true) callback(null, addresses);
    else callback(null, first.address, first.family);
  });

/** An address is never looked up, so `lookup` alone does not see it. */
export function isDeniedLiteral(host: string, lookup: Lookup): boolean {
  const literal = host.replace(/^\[|\]$/g, "");
  return lookup !== undefined && isIP(literal) !== 0 && isLinkLocal(literal);
}

/** "host:port" or "[v6]:port"; undefined if it is neither. */
export function parseHostPort(address: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  if (match === null || Number(match[3]) > 65535) return undefined;
  return { host: match[1] ?? match[2] ?? "", port: Number(match[3]) };
}

/** Go's words for what Node and Bun report by code; `network` is `tcp` or `udp`. */
export function dialError(address: string, error: unknown, network = "tcp"): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ECONNREFUSED" || code === "ConnectionRefused")
    return `dial ${network} ${address}: connect: connection refused`;
  if (code === "ENOTFOUND")
    return `dial ${network}: lookup ${address.replace(/:\d+$/, "")}: no such host`;
  if (code === "ENETUNREACH") return `dial ${network} ${address}: connect: network is unreachable`;
  if (code === "EHOSTUNREACH") return `dial ${network} ${address}: connect: no route to host`;
  return error instanceof Error ? error.message : String(error);
}
