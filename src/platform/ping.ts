/** ICMP echo requests (RFC 792, RFC 4443 section 4) over sockets of the C library. */
import { ptr } from "bun:ffi";
import type { Ping, Random } from "../ports.ts";
import { openLibc, type Libc } from "./libc.ts";
import { AF_INET, AF_INET6, sockaddrLength, toSockaddr } from "./sockaddr.ts";

const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_FLAGS = 0o2000000 | 0o4000; // SOCK_CLOEXEC, SOCK_NONBLOCK
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;

/** Echo request, echo reply. */
const TYPES = { 4: [8, 0], 6: [128, 129] } as const;
/** Header and the octets by which a reply is known: an id would be the kernel's to choose. */
const HEADER_OCTETS = 8;
const TOKEN_OCTETS = 8;
/** A raw socket sees the IP header too (60 octets at most), and what others send and get. */
const RECEIVE_OCTETS = 128;
/** Datagrams looked at per turn: a flood of foreign ones must not hold the loop. */
const LOOKS = 32;
/** Waits between looks at the socket: short at first, because near hosts answer at once. */
const FIRST_WAIT_MS = 1;
const LONGEST_WAIT_MS = 16;

/**
 * null where this process may open neither a ping socket (net.ipv4.ping_group_range) nor a raw one
 * (CAP_NET_RAW). Each request has a socket of its own, connected to the address.
 */
export function createPing(random: Random): Ping | null {
  const libc = openLibc();
  if (libc === null) return null;
  const kind = kindOfSocket(libc);
  if (kind === undefined) return null;
  return (ip) => {
    const version = ip.includes(":") ? 6 : 4;
    const socket = openTo(libc, kind, ip, version);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const { promise, resolve } = Promise.withResolvers<{ alive: boolean; rttMs: number }>();
    let open = socket >= 0;
    const finish = (rttMs: number | undefined): void => {
      clearTimeout(timer);
      if (open) libc.close(socket);
      open = false;
      resolve({ alive: rttMs !== undefined, rttMs: rttMs ?? 0 });
    };
    const token = Uint32Array.of(random.uint32(), random.uint32());
    const sentMs = performance.now();
    if (!open || !sendRequest(libc, socket, version, new Uint8Array(token.buffer))) {
      finish(undefined);
      return { result: promise, cancel: () => {} };
    }
    let waitMs = FIRST_WAIT_MS;
    const look = (): void => {
      if (hasReply(libc, socket, version, new Uint8Array(token.buffer)))
        return finish(performance.now() - sentMs);
      timer = setTimeout(look, waitMs);
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
    };
    look();
    return { result: promise, cancel: () => (open ? finish(undefined) : undefined) };
  };
}

function kindOfSocket(libc: Libc): number | undefined {
  return [SOCK_DGRAM, SOCK_RAW].find((kind) => {
    const socket = libc.socket(AF_INET, kind | SOCK_FLAGS, IPPROTO_ICMP);
    if (socket >= 0) libc.close(socket);
    return socket >= 0;
  });
}

/** Descriptor, or -1. */
function openTo(libc: Libc, kind: number, ip: string, version: 4 | 6): number {
  const sockaddr = toSockaddr({ address: ip, port: 0 });
  if (sockaddr === null) return -1;
  const [family, protocol] = version === 4 ? [AF_INET, IPPROTO_ICMP] : [AF_INET6, IPPROTO_ICMPV6];
  const socket = libc.socket(family, kind | SOCK_FLAGS, protocol);
  if (socket < 0 || libc.connect(socket, ptr(sockaddr), sockaddrLength(family)) === 0)
    return socket;
  libc.close(socket);
  return -1;
}

function sendRequest(libc: Libc, socket: number, version: 4 | 6, token: Uint8Array): boolean {
  const message = new Uint8Array(new ArrayBuffer(HEADER_OCTETS + TOKEN_OCTETS));
  message[0] = TYPES[version][0];
  message[7] = 1; // sequence number
  message.set(token.subarray(0, 2), 4); // id, which a ping socket replaces
  message.set(token, HEADER_OCTETS);
  // Of ICMPv6, and of ping sockets, the kernel makes the checksum; of raw IPv4 it does not.
  const sum = version === 4 ? checksum(message) : 0;
  message[2] = sum >> 8;
  message[3] = sum & 0xff;
  return libc.send(socket, ptr(message), message.length, 0) === message.length;
}

/** RFC 1071. */
function checksum(message: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < message.length; i += 2) sum += (message[i]! << 8) | message[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

function hasReply(libc: Libc, socket: number, version: 4 | 6, token: Uint8Array): boolean {
  const buffer = new Uint8Array(new ArrayBuffer(RECEIVE_OCTETS));
  for (let i = 0; i < LOOKS; i++) {
    const octets = libc.recv(socket, ptr(buffer), RECEIVE_OCTETS, 0);
    if (octets < 0) return false;
    if (isReply(buffer.subarray(0, octets), version, token)) return true;
  }
  return false;
}

function isReply(datagram: Uint8Array, version: 4 | 6, token: Uint8Array): boolean {
  const hasIpHeader = version === 4 && datagram[0]! >> 4 === 4;
  const start = hasIpHeader ? (datagram[0]! & 15) * 4 : 0;
  if (datagram[start] !== TYPES[version][1]) return false;
  return token.every((octet, i) => datagram[start + HEADER_OCTETS + i] === octet);
}
