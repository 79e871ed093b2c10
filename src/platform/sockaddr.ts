/** struct sockaddr_in and sockaddr_in6 of Linux ↔ text. */
import { readFileSync } from "node:fs";
import { formatAddress, parseAddress, unmapped } from "../address.ts";
import type { SocketAddress } from "../ports.ts";

/** Address family of IPv4 on Linux. */
export const AF_INET = 2;
/** Address family of IPv6 on Linux. */
export const AF_INET6 = 10;
/** Octets of the larger structure, sockaddr_in6. */
export const SOCKADDR_OCTETS = 28;

const IN_ADDRESS = 4;
const IN6_ADDRESS = 8;
const IN6_SCOPE = 24;

/** Octets of the address family's structure. */
export function sockaddrLength(family: number): number {
  return family === AF_INET ? 16 : SOCKADDR_OCTETS;
}

/** The structure for an IP literal (IPv6 with %interface, name or index, if link-local), null if it is none. */
export function toSockaddr({ address, port }: SocketAddress): Uint8Array | null {
  const [literal, scope] = address.split("%");
  const octets = parseAddress(literal!);
  if (octets === undefined) return null;
  const isIpv4 = octets.length === 4;
  const sockaddr = new Uint8Array(new ArrayBuffer(SOCKADDR_OCTETS));
  const view = new DataView(sockaddr.buffer);
  view.setUint16(0, isIpv4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  sockaddr.set(octets, isIpv4 ? IN_ADDRESS : IN6_ADDRESS);
  if (!isIpv4 && scope !== undefined) view.setUint32(IN6_SCOPE, interfaceIndex(scope), true);
  return sockaddr;
}

/** Number of an interface; 0, as for none, if there is none of that name. */
function interfaceIndex(scope: string): number {
  if (/^\d+$/.test(scope)) return Number(scope);
  try {
    return Number(readFileSync(`/sys/class/net/${scope}/ifindex`, "utf8")) || 0;
  } catch {
    return 0;
  }
}

/** Text of a structure at an octet offset; IPv4 mapped into IPv6 is given as IPv4. */
export function fromSockaddr(octets: Uint8Array, at: number): SocketAddress {
  const port = (octets[at + 2]! << 8) | octets[at + 3]!;
  const address =
    octets[at] === AF_INET
      ? octets.subarray(at + IN_ADDRESS, at + IN_ADDRESS + 4)
      : octets.subarray(at + IN6_ADDRESS, at + IN6_ADDRESS + 16);
  return { address: formatAddress(unmapped(address)), port };
}
