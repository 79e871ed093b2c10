/** The UDP sockets that DNS listens on: opened, taken over from others, given up. Linux. */
import { ptr } from "bun:ffi";
import { fail, ok, type Result } from "../base.ts";
import { cannotListen } from "../listening.ts";
import type { SocketAddress } from "../ports.ts";
import { errnoOf, errorName, type Libc } from "./libc.ts";
import {
  AF_INET,
  AF_INET6,
  fromSockaddr,
  SOCKADDR_OCTETS,
  sockaddrLength,
  toSockaddr,
} from "./sockaddr.ts";

const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_RCVTIMEO = 20;
const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_OMIT = 5;
const IPPROTO_IPV6 = 41;
const IPV6_MTU_DISCOVER = 23;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const MSG_PEEK = 2;
const MSG_DONTWAIT = 0x40;

/** Asked for; the system's rmem_max and wmem_max may allow less. Holds a burst while a worker restarts. */
const SOCKET_BUFFER_OCTETS = 4 << 20;

/** How long a worker sleeps in one system call at most: then it sees that its sockets have changed. */
const RECEIVE_TIMEOUT_MS = 250;

/** A bound socket. Plain data: handed to workers, whose descriptors are the process's. */
export type Listener = {
  fd: number;
  family: number;
  /** Bound to 0.0.0.0 or ::, so every reply names the address that was asked. */
  isWildcard: boolean;
  address: SocketAddress;
  /** Under which its questions are counted (DnsFrontOptions.serverOf). */
  server: number;
};

/** `reusePort`: others of this user may bind the same address. `dualStack`: :: takes IPv4 as well. */
export type ListenerOptions = { reusePort: boolean; dualStack: boolean };

/** Binds a socket. The error is one line for the operator. */
export function openListener(
  libc: Libc,
  address: SocketAddress,
  { reusePort, dualStack }: ListenerOptions,
): Result<Omit<Listener, "server">, string> {
  const sockaddr = toSockaddr(address);
  if (sockaddr === null) return fail(`${address.address} is not an IP address`);
  const family = sockaddr[0]!;
  const isWildcard = isUnspecified(sockaddr);
  const fd = libc.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const failure = (): Result<never, string> => {
    const word = errorName(errnoOf(libc));
    if (fd >= 0) libc.close(fd);
    return fail(cannotListen("DNS over UDP", address, word));
  };
  if (fd < 0) return failure();
  const set = (level: number, option: number, value: number): boolean =>
    libc.setsockopt(fd, level, option, ptr(new Int32Array([value])), 4) === 0;
  if (reusePort && !set(SOL_SOCKET, SO_REUSEPORT, 1)) return failure();
  if (family === AF_INET6) set(IPPROTO_IPV6, IPV6_V6ONLY, dualStack ? 0 : 1);
  if (!prepare(libc, { fd, family, isWildcard })) return failure();
  if (libc.bind(fd, ptr(sockaddr), sockaddrLength(family)) !== 0) return failure();
  const length = new Int32Array([SOCKADDR_OCTETS]);
  libc.getsockname(fd, ptr(sockaddr), ptr(length));
  const bound = { address: address.address, port: fromSockaddr(sockaddr, 0).port };
  return ok({ fd, family, isWildcard, address: bound });
}

/** Sets what every listener needs; false: it cannot answer from the address that was asked. */
function prepare(
  libc: Libc,
  { fd, family, isWildcard }: Pick<Listener, "fd" | "family" | "isWildcard">,
): boolean {
  const set = (level: number, option: number, value: number): boolean =>
    libc.setsockopt(fd, level, option, ptr(new Int32Array([value])), 4) === 0;
  if (isWildcard && family === AF_INET && !set(IPPROTO_IP, IP_PKTINFO, 1)) return false;
  if (isWildcard && family === AF_INET6 && !set(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)) return false;
  set(SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER_OCTETS);
  set(SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER_OCTETS);
  const timeval = new BigInt64Array([0n, BigInt(RECEIVE_TIMEOUT_MS * 1000)]);
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, ptr(timeval), 16);
  // A forged ICMP "fragmentation needed" must not make us fragment (RFC 9715 section 3.1).
  set(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
  if (family === AF_INET6) set(IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_OMIT);
  return true;
}

function isUnspecified(sockaddr: Uint8Array): boolean {
  const end = sockaddr[0] === AF_INET ? 8 : 24;
  return sockaddr.subarray(sockaddr[0] === AF_INET ? 4 : 8, end).every((octet) => octet === 0);
}

/** A UDP socket that somebody else has bound and left open for us. The error is one line for the operator. */
export function adoptListener(libc: Libc, fd: number): Result<Omit<Listener, "server">, string> {
  const type = new Int32Array(1);
  const octets = new Int32Array([4]);
  const isDatagram =
    libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, ptr(type), ptr(octets)) === 0 &&
    type[0] === SOCK_DGRAM;
  const sockaddr = socketName(libc, fd);
  if (!isDatagram || sockaddr === null) return fail(`descriptor ${fd} is no UDP socket`);
  // Workers sleep in it; where that is not possible they would turn without end.
  const flags = libc.fcntl(fd, F_GETFL, 0);
  if (flags < 0 || libc.fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
    return fail(`descriptor ${fd}: ${errorName(errnoOf(libc))}`);
  const family = sockaddr[0]!;
  const isWildcard = isUnspecified(sockaddr);
  if (!prepare(libc, { fd, family, isWildcard }))
    return fail(`descriptor ${fd}: ${errorName(errnoOf(libc))}`);
  return ok({ fd, family, isWildcard, address: fromSockaddr(sockaddr, 0) });
}

/** What a socket over IP is bound to; null if it is none. */
export function socketName(libc: Libc, fd: number): Uint8Array | null {
  const sockaddr = new Uint8Array(new ArrayBuffer(SOCKADDR_OCTETS));
  const length = new Int32Array([SOCKADDR_OCTETS]);
  if (libc.getsockname(fd, ptr(sockaddr), ptr(length)) !== 0) return null;
  return sockaddr[0] === AF_INET || sockaddr[0] === AF_INET6 ? sockaddr : null;
}

/** RFC 863: nothing is ever asked from there. */
const DISCARD_PORT = 9;

/**
 * New datagrams are not for this socket any more: they go to another one of the same address, if there
 * is one. A connected socket takes those of its peer alone, and is passed over when the kernel chooses
 * among several. What has arrived stays to be read, and replies to others can still be sent.
 */
export function turnAway(libc: Libc, { fd, family }: Pick<Listener, "fd" | "family">): void {
  const own = socketName(libc, fd);
  if (own === null) return;
  if (isUnspecified(own)) {
    const loopback = family === AF_INET ? "127.0.0.1" : "::1";
    own.set(toSockaddr({ address: loopback, port: 0 })!);
  }
  new DataView(own.buffer).setUint16(2, DISCARD_PORT);
  libc.connect(fd, ptr(own), sockaddrLength(family));
}

/** Does a datagram wait there to be read? */
export function hasWaiting(libc: Libc, fd: number): boolean {
  return libc.recv(fd, ptr(new Uint8Array(1)), 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}
