/** UDP listeners with batched system calls: recvmmsg and sendmmsg over fixed memory. Linux. */
import { BLOCK_CELLS, FIRST_BLOCK } from "../dns/cells.ts";
import { BATCH_DATAGRAMS, type DatagramBatch, INPUT_SLOT_OCTETS } from "../dns/worker.ts";
import type { SocketAddress } from "../ports.ts";
import { EAGAIN, EINTR, errnoOf, errorName, type Libc, pinned } from "./libc.ts";
import { type Listener, socketName } from "./listener.ts";
import { AF_INET, fromSockaddr, SOCKADDR_OCTETS, sockaddrLength } from "./sockaddr.ts";

const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const IPPROTO_IPV6 = 41;
const IPV6_PKTINFO = 50;
const MSG_DONTWAIT = 0x40;
const MSG_WAITFORONE = 0x10000;

/** Failed receptions in a row after which a worker gives up, to be replaced. */
const FAILURES_MAX = 16;

const MMSGHDR_OCTETS = 64;
const MMSGHDR_WORDS = 16;
// struct mmsghdr on 64-bit Linux, in words; pointers take two.
const NAME = 0;
const NAME_LENGTH = 2;
const IOV = 4;
const IOV_COUNT = 6;
const CONTROL = 8;
const CONTROL_LENGTH = 10;
const MESSAGE_LENGTH = 14;
const IOVEC_OCTETS = 16;

/** One cmsghdr with in_pktinfo (28) or in6_pktinfo (36), rounded up. */
const CONTROL_OCTETS = 40;
const PKTINFO_LENGTH = 28;
const PKTINFO6_LENGTH = 36;
// In words of the control block.
const PKTINFO_IFINDEX = 4;
const PKTINFO_FROM = 5;
const PKTINFO_ADDRESS = 6;
const PKTINFO6_ADDRESS = 4;
const PKTINFO6_IFINDEX = 8;

// Of a sockaddr, in octets.
const IPV4_ADDRESS = 4;
const IPV6_ADDRESS = 8;
/** The third word of ::ffff:0:0/96. */
const MAPPED = -0x10000;

// A return address in octets: index of the listener, sockaddr, in_pktinfo or in6_pktinfo.
const RETURN_SOCKADDR = 4;
const RETURN_PKTINFO = RETURN_SOCKADDR + SOCKADDR_OCTETS;
const CMSGHDR_OCTETS = 16;
const PKTINFO_OCTETS = 20;

type Pinned = ReturnType<typeof pinned>;

/** Datagrams waiting for one sendmmsg. */
export type Sender = {
  readonly queued: number;
  /** All addresses are in process memory that stays until `flush`. */
  queue(
    data: number,
    octets: number,
    name: number,
    nameOctets: number,
    control: number,
    controlOctets: number,
  ): void;
  flush(fd: number): void;
};

function createSender(libc: Libc): Sender {
  const { headers, iovecs } = createHeaders();
  const { words } = headers;
  let queued = 0;
  return {
    get queued() {
      return queued;
    },
    queue(data, octets, name, nameOctets, control, controlOctets) {
      setPointer(iovecs.words, queued * 4, data);
      iovecs.words[queued * 4 + 2] = octets;
      const header = queued * MMSGHDR_WORDS;
      setPointer(words, header + NAME, name);
      words[header + NAME_LENGTH] = nameOctets;
      setPointer(words, header + CONTROL, control);
      words[header + CONTROL_LENGTH] = controlOctets;
      queued++;
    },
    flush(fd) {
      let sent = 0;
      while (sent < queued) {
        const at = headers.address + sent * MMSGHDR_OCTETS;
        const count = libc.sendmmsg(fd, at as never, queued - sent, MSG_DONTWAIT);
        if (count > 0) sent += count;
        else {
          const errno = errnoOf(libc);
          // A full interface drops the rest, as a full queue on the way would; any other error
          // (too long, unreachable, forbidden) concerns the first datagram only.
          if (errno === EAGAIN) break;
          if (errno !== EINTR) sent++;
        }
      }
      queued = 0;
    },
  };
}

function createHeaders(): { headers: Pinned; iovecs: Pinned } {
  const headers = pinned(BATCH_DATAGRAMS * MMSGHDR_OCTETS);
  const iovecs = pinned(BATCH_DATAGRAMS * IOVEC_OCTETS);
  for (let i = 0; i < BATCH_DATAGRAMS; i++) {
    setPointer(headers.words, i * MMSGHDR_WORDS + IOV, iovecs.address + i * IOVEC_OCTETS);
    headers.words[i * MMSGHDR_WORDS + IOV_COUNT] = 1;
  }
  return { headers, iovecs };
}

function setPointer(words: Int32Array, at: number, address: number): void {
  words[at] = address;
  words[at + 1] = address / 4294967296;
}

/** The memory of one thread's batches; its listeners take turns with it. */
export type BatchMemory = { input: Pinned; output: Pinned };

/**
 * The batch interface of one listener. `waits`: `receive` waits for the first datagram; else it takes
 * what is there. Throws when the socket fails FAILURES_MAX times in a row.
 */
export function createDatagramBatch(
  libc: Libc,
  listener: Pick<Listener, "fd" | "family" | "isWildcard" | "server">,
  { input, output }: BatchMemory,
  { waits, index }: { waits: boolean; index: number },
): DatagramBatch {
  const { fd, family, isWildcard } = listener;
  const isIpv4 = family === AF_INET;
  /** Blocks of the counters: IPv4, then IPv6. */
  const block = FIRST_BLOCK + listener.server * 2 * BLOCK_CELLS;
  const nameOctets = sockaddrLength(family);
  const names = pinned(BATCH_DATAGRAMS * SOCKADDR_OCTETS);
  const controls = pinned(BATCH_DATAGRAMS * CONTROL_OCTETS);
  const { headers, iovecs } = createHeaders();
  const { words } = headers;
  const sender = createSender(libc);
  const receiveFlags = waits ? MSG_WAITFORONE : MSG_DONTWAIT;
  let failures = 0;
  const own = socketName(libc, fd);
  const name = own === null ? `descriptor ${fd}` : fromSockaddr(own, 0).address;

  for (let i = 0; i < BATCH_DATAGRAMS; i++) {
    setPointer(iovecs.words, i * 4, input.address + i * INPUT_SLOT_OCTETS);
    iovecs.words[i * 4 + 2] = INPUT_SLOT_OCTETS;
    setPointer(words, i * MMSGHDR_WORDS + NAME, names.address + i * SOCKADDR_OCTETS);
    words[i * MMSGHDR_WORDS + NAME_LENGTH] = nameOctets;
    if (!isWildcard) continue;
    setPointer(words, i * MMSGHDR_WORDS + CONTROL, controls.address + i * CONTROL_OCTETS);
    words[i * MMSGHDR_WORDS + CONTROL_LENGTH] = CONTROL_OCTETS;
  }

  return {
    receive() {
      const count = libc.recvmmsg(
        fd,
        headers.address as never,
        BATCH_DATAGRAMS,
        receiveFlags,
        null,
      );
      if (count >= 0) {
        failures = 0;
        return count;
      }
      const errno = errnoOf(libc);
      if (errno !== EINTR && errno !== EAGAIN && ++failures >= FAILURES_MAX)
        throw new Error(`receiving on ${name}: ${errorName(errno)}`);
      return 0;
    },
    length: (i) => words[i * MMSGHDR_WORDS + MESSAGE_LENGTH]!,
    isLoopback: isIpv4
      ? (i) => names.octets[i * SOCKADDR_OCTETS + IPV4_ADDRESS] === 127
      : (i) => isLoopback6(names.words, (i * SOCKADDR_OCTETS + IPV6_ADDRESS) >> 2),
    blockOf: isIpv4
      ? () => block
      : (i) =>
          isMapped(names.words, (i * SOCKADDR_OCTETS + IPV6_ADDRESS) >> 2)
            ? block
            : block + BLOCK_CELLS,
    readSource(i, source) {
      readSource(names.words, (i * SOCKADDR_OCTETS) >> 2, isIpv4, source);
    },
    reply(i, out, octets) {
      const name = names.address + i * SOCKADDR_OCTETS;
      if (!isWildcard) {
        sender.queue(output.address + out, octets, name, nameOctets, 0, 0);
        return;
      }
      const header = i * MMSGHDR_WORDS;
      const controlOctets = words[header + CONTROL_LENGTH]!;
      leaveInterfaceOpen(controls.words, (i * CONTROL_OCTETS) >> 2, family);
      const control = controls.address + i * CONTROL_OCTETS;
      sender.queue(output.address + out, octets, name, nameOctets, control, controlOctets);
      words[header + CONTROL_LENGTH] = CONTROL_OCTETS;
    },
    storeReturn(i, to, at) {
      to[at] = index;
      const name = (i * SOCKADDR_OCTETS) >> 2;
      const sockaddr = at + (RETURN_SOCKADDR >> 2);
      for (let k = 0; k < SOCKADDR_OCTETS >> 2; k++) to[sockaddr + k] = names.words[name + k]!;
      if (!isWildcard) return;
      const control = (i * CONTROL_OCTETS) >> 2;
      leaveInterfaceOpen(controls.words, control, family);
      const pktinfo = at + (RETURN_PKTINFO >> 2);
      for (let k = 0; k < PKTINFO_OCTETS >> 2; k++)
        to[pktinfo + k] = controls.words[control + (CMSGHDR_OCTETS >> 2) + k]!;
      words[i * MMSGHDR_WORDS + CONTROL_LENGTH] = CONTROL_OCTETS;
    },
    flush: () => sender.flush(fd),
  };
}

/** ::1, or 127.0.0.0/8 mapped into IPv6; words as they lie in memory. */
function isLoopback6(words: Int32Array, at: number): boolean {
  if ((words[at]! | words[at + 1]!) !== 0) return false;
  const third = words[at + 2]!;
  const fourth = words[at + 3]!;
  return third === 0 ? fourth === 1 << 24 : third === MAPPED && (fourth & 0xff) === 127;
}

/** An IPv4 address within IPv6 (RFC 4291 section 2.5.5.2). */
function isMapped(words: Int32Array, at: number): boolean {
  return (words[at]! | words[at + 1]!) === 0 && words[at + 2] === MAPPED;
}

/** The address of the sockaddr at word `at`, as the gate knows it. */
function readSource(words: Int32Array, at: number, isIpv4: boolean, source: Int32Array): void {
  if (isIpv4) {
    source[0] = source[1] = 0;
    source[2] = MAPPED;
    source[3] = words[at + (IPV4_ADDRESS >> 2)]!;
    return;
  }
  for (let k = 0; k < 4; k++) source[k] = words[at + (IPV6_ADDRESS >> 2) + k]!;
}

/** Of IP_PKTINFO the reply keeps the address only: the way back is the routing table's choice. */
function leaveInterfaceOpen(words: Int32Array, control: number, family: number): void {
  if (family === AF_INET) {
    words[control + PKTINFO_IFINDEX] = 0;
    // What came to an inherited socket before IP_PKTINFO was asked for says only where it was sent to.
    if (words[control + PKTINFO_FROM] === 0)
      words[control + PKTINFO_FROM] = words[control + PKTINFO_ADDRESS]!;
  }
  // fe80::/10 needs its interface (RFC 4007 section 6).
  else if ((words[control + PKTINFO6_ADDRESS]! & 0xc0ff) !== 0x80fe)
    words[control + PKTINFO6_IFINDEX] = 0;
}

/** Replies of the main thread: to return addresses that workers stored. */
export type ReplySender = {
  /** Copies the message; it leaves with the next flush at the latest. */
  send: (returnAddress: Uint8Array, wire: Uint8Array) => void;
  flush: () => void;
  /** Who stored this address asked from here. */
  clientOf: (returnAddress: Uint8Array) => SocketAddress;
  /** The number of the listener on which it arrived; undefined: given up since. */
  serverOf: (returnAddress: Uint8Array) => number | undefined;
  /** The same as the gate knows it. */
  readSource: (returnAddress: Uint8Array, source: Int32Array) => void;
};

/** Room for replies of the main thread between two flushes; at least one message of any size. */
const REPLY_BUFFER_OCTETS = 4 * 65536;

/** `listeners[index]` is the socket on which a reply to a return address of that index leaves; none: it is lost. */
export function createReplySender(
  libc: Libc,
  listeners: readonly (Listener | undefined)[],
): ReplySender {
  const output = pinned(REPLY_BUFFER_OCTETS);
  const names = pinned(BATCH_DATAGRAMS * SOCKADDR_OCTETS);
  const controls = pinned(BATCH_DATAGRAMS * CONTROL_OCTETS);
  const sender = createSender(libc);
  let out = 0;
  let fd = -1;

  function flush(): void {
    if (sender.queued === 0) return;
    sender.flush(fd);
    out = 0;
  }

  const listenerOf = (returnAddress: Uint8Array): Listener | undefined =>
    listeners[returnAddress[0]! | (returnAddress[1]! << 8)];

  return {
    send(returnAddress, wire) {
      const listener = listenerOf(returnAddress);
      if (listener === undefined) return; // given up since
      const isFull = sender.queued === BATCH_DATAGRAMS || out + wire.length > REPLY_BUFFER_OCTETS;
      if (isFull || listener.fd !== fd) flush();
      fd = listener.fd;
      const i = sender.queued;
      output.octets.set(wire, out);
      const name = i * SOCKADDR_OCTETS;
      for (let k = 0; k < SOCKADDR_OCTETS; k++)
        names.octets[name + k] = returnAddress[RETURN_SOCKADDR + k]!;
      let controlOctets = 0;
      if (listener.isWildcard)
        controlOctets = writePktinfo(controls, i * CONTROL_OCTETS, returnAddress);
      sender.queue(
        output.address + out,
        wire.length,
        names.address + i * SOCKADDR_OCTETS,
        sockaddrLength(listener.family),
        controlOctets === 0 ? 0 : controls.address + i * CONTROL_OCTETS,
        controlOctets,
      );
      out += wire.length;
    },
    flush,
    clientOf: createClientReader(),
    serverOf: (returnAddress) => listenerOf(returnAddress)?.server,
    readSource(from, source) {
      const words = new Int32Array(from.buffer, from.byteOffset, from.length >> 2);
      const isIpv4 = from[RETURN_SOCKADDR] === AF_INET;
      readSource(words, RETURN_SOCKADDR >> 2, isIpv4, source);
    },
  };
}

/** IPv4 clients whose text is remembered, so that a question builds no string. When full: forgotten. */
const CLIENT_TEXTS = 1024;

function createClientReader(): (returnAddress: Uint8Array) => SocketAddress {
  const texts = new Map<number, string>();
  return (from) => {
    if (from[RETURN_SOCKADDR] !== AF_INET) return fromSockaddr(from, RETURN_SOCKADDR);
    const at = RETURN_SOCKADDR + 4;
    const key = (from[at]! << 24) | (from[at + 1]! << 16) | (from[at + 2]! << 8) | from[at + 3]!;
    let address = texts.get(key);
    if (address === undefined) {
      if (texts.size === CLIENT_TEXTS) texts.clear();
      address = fromSockaddr(from, RETURN_SOCKADDR).address;
      texts.set(key, address);
    }
    return { address, port: (from[at - 2]! << 8) | from[at - 1]! };
  };
}

/** A control block that names the source address of a reply; returns the octets to announce. */
function writePktinfo(controls: Pinned, at: number, returnAddress: Uint8Array): number {
  const isIpv4 = returnAddress[RETURN_SOCKADDR] === AF_INET;
  const header = at >> 2;
  controls.words[header] = isIpv4 ? PKTINFO_LENGTH : PKTINFO6_LENGTH;
  controls.words[header + 1] = 0;
  controls.words[header + 2] = isIpv4 ? IPPROTO_IP : IPPROTO_IPV6;
  controls.words[header + 3] = isIpv4 ? IP_PKTINFO : IPV6_PKTINFO;
  for (let k = 0; k < PKTINFO_OCTETS; k++)
    controls.octets[at + CMSGHDR_OCTETS + k] = returnAddress[RETURN_PKTINFO + k]!;
  return isIpv4 ? 32 : CONTROL_OCTETS;
}
