/** The sockets of this process as the kernel knows them; Bun tells nothing of connections without a request. */
import { closeSync, openSync, readdirSync } from "node:fs";
import type { SocketAddress } from "../ports.ts";
import { pinned, type Libc } from "./libc.ts";
import { AF_INET, AF_INET6, fromSockaddr, SOCKADDR_OCTETS } from "./sockaddr.ts";

const DESCRIPTORS = "/proc/self/fd";
const AT_EMPTY_PATH = 0x1000;
const STATX_SIZE = 0x200;
/** stx_size stands at octet 40 of struct statx. */
const STX_SIZE_WORD = 10;
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

/** The descriptors of this process. Only the thread that closes a socket may act on it. */
export type OwnSockets = {
  /** How many of all kinds are open, in 0.6 µs; Infinity where the system does not say (Linux before 6.2). */
  count(): number;
  /** Every TCP socket over IP, in the order of descriptors, at about a microsecond each. */
  list(): OwnSocket[];
  /** Runs something that needs one descriptor, also when none is left. */
  withSpare<T>(run: () => T): T;
  close(): void;
};

/** Takes two descriptors for itself until it is closed. */
export function createOwnSockets(libc: Libc): OwnSockets {
  // Kept open: the way through the path takes five times as long, and needs a descriptor.
  const directory = openSync(DESCRIPTORS, "r");
  let spare: number | null = openSpare();
  const noPath = pinned(4); // an empty text
  const stat = pinned(256);
  const address = pinned(SOCKADDR_OCTETS);
  const octets = pinned(4);

  function read(call: typeof libc.getsockname, fd: number): SocketAddress | null {
    octets.words[0] = SOCKADDR_OCTETS;
    if (call(fd, address.octets, octets.octets) !== 0) return null;
    const family = address.octets[0];
    return family === AF_INET || family === AF_INET6 ? fromSockaddr(address.octets, 0) : null;
  }

  function option(fd: number, name: number): number {
    octets.words[0] = 4;
    return libc.getsockopt(fd, SOL_SOCKET, name, address.octets, octets.octets) === 0
      ? address.words[0]!
      : 0;
  }

  function withSpare<T>(run: () => T): T {
    if (spare !== null) closeSync(spare);
    spare = null;
    try {
      return run();
    } finally {
      spare = openSpare();
    }
  }

  return {
    count() {
      const failed = libc.statx(directory, noPath.octets, AT_EMPTY_PATH, STATX_SIZE, stat.octets);
      return failed === 0 ? stat.words[STX_SIZE_WORD]! || Infinity : Infinity;
    },
    list() {
      const found: OwnSocket[] = [];
      for (const name of withSpare(() => readdirSync(DESCRIPTORS))) {
        const fd = Number(name);
        const own = read(libc.getsockname, fd);
        if (own === null || option(fd, SO_TYPE) !== SOCK_STREAM) continue;
        const peer = read(libc.getpeername, fd);
        const listens = peer === null && option(fd, SO_ACCEPTCONN) === 1;
        found.push({ fd, port: own.port, peer, listens });
      }
      return found;
    },
    withSpare,
    close() {
      closeSync(directory);
      if (spare !== null) closeSync(spare);
    },
  };
}

function openSpare(): number | null {
  try {
    return openSync("/dev/null", "r");
  } catch {
    return null; // all are taken: the next one that becomes free is the spare
  }
}
