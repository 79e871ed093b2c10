/** The sockets of this process as the kernel knows them; Bun tells nothing of connections without a request. */
import { readdirSync, statSync } from "node:fs";
import type { SocketAddress } from "../ports.ts";
import { pinned, type Libc } from "./libc.ts";
import { AF_INET, AF_INET6, fromSockaddr, SOCKADDR_OCTETS } from "./sockaddr.ts";

const DESCRIPTORS = "/proc/self/fd";
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const SOCK_STREAM = 1;

/** A TCP socket: `peer` is null for one that listens, and for one that nobody is connected to any more. */
export type OwnSocket = {
  fd: number;
  /** Port of our side. */
  port: number;
  peer: SocketAddress | null;
  listens: boolean;
};

/** Descriptors that are open now, of all kinds; Infinity where the system does not say (Linux before 6.2). */
export function countDescriptors(): number {
  return statSync(DESCRIPTORS).size || Infinity;
}

/**
 * Every TCP socket over IP, in the order of descriptors, at about a microsecond each. Only the thread
 * that closes a socket may act on it, or another one may have taken its number by then.
 */
export function listOwnSockets(libc: Libc): OwnSocket[] {
  const address = pinned(SOCKADDR_OCTETS);
  const octets = pinned(4);
  const read = (call: typeof libc.getsockname, fd: number): SocketAddress | null => {
    octets.words[0] = SOCKADDR_OCTETS;
    if (call(fd, address.octets, octets.octets) !== 0) return null;
    const family = address.octets[0];
    return family === AF_INET || family === AF_INET6 ? fromSockaddr(address.octets, 0) : null;
  };
  const option = (fd: number, name: number): number => {
    octets.words[0] = 4;
    return libc.getsockopt(fd, SOL_SOCKET, name, address.octets, octets.octets) === 0
      ? address.words[0]!
      : 0;
  };
  const found: OwnSocket[] = [];
  for (const name of readdirSync(DESCRIPTORS)) {
    const fd = Number(name);
    const own = read(libc.getsockname, fd);
    if (own === null || option(fd, SO_TYPE) !== SOCK_STREAM) continue;
    const peer = read(libc.getpeername, fd);
    const listens = peer === null && option(fd, SO_ACCEPTCONN) === 1;
    found.push({ fd, port: own.port, peer, listens });
  }
  return found;
}
