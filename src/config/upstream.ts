import { isIP } from "node:net";
import { isUnspecified } from "../address.ts";
import { fail, ok, type Result } from "../base.ts";
import type { SocketAddress } from "../ports.ts";

/** Port of a DNS server that gives none. */
const dnsPort = 53;

/**
 * An upstream server as `recursors` writes it: `ip`, `ip:port`, `[v6]:port`, IPv6 without brackets,
 * or a host name with or without a port. The address may still be a host name.
 */
export function parseUpstream(text: string): Result<SocketAddress, string> {
  const refused = (why: string) => fail(`"${text}" ${why}`);
  const server = splitPort(text.trim());
  if (server === undefined) return refused("is not an address such as 192.0.2.1 or 192.0.2.1:53");
  const { address, port } = server;
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535)
    return refused("has a port that is not from 1 to 65535");
  if (isUnspecified(address)) return refused("is the unspecified address");
  if (isIP(address) === 0 && !/^(?!-)[A-Za-z0-9_.-]{1,253}$/.test(address))
    return refused("is neither an IP address nor a host name");
  if (isIP(address) === 0 && /^[\d.]+$/.test(address)) return refused("is not an IP address");
  return ok({ address, port: Number(port) });
}

function splitPort(text: string): { address: string; port: string } | undefined {
  if (isIP(text) !== 0) return { address: text, port: String(dnsPort) };
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) {
    const [, address = "", port = String(dnsPort)] = bracketed;
    return isIP(address) === 6 ? { address, port } : undefined;
  }
  const [address = "", port = String(dnsPort), more] = text.split(":");
  return address === "" || more !== undefined ? undefined : { address, port };
}

function isSame(a: SocketAddress, b: SocketAddress): boolean {
  return a.address.toLowerCase() === b.address.toLowerCase() && a.port === b.port;
}

/** The same servers, each once, in order. */
export function withoutDuplicates(servers: readonly SocketAddress[]): SocketAddress[] {
  return servers.filter((server, i) => servers.findIndex((other) => isSame(other, server)) === i);
}
