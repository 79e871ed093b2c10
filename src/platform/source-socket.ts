/** Sockets that leave by an interface, from an address or from a port that was chosen for them. */
import { ptr } from "bun:ffi";
import type { OpenStreamFrom, Upstream } from "../ports.ts";
import { errnoOf, errorName, type Libc, openLibc } from "./libc.ts";
import { AF_INET, sockaddrLength, toSockaddr } from "./sockaddr.ts";

const SOL_SOCKET = 1;
const SO_REUSEPORT = 15;
const SO_BINDTODEVICE = 25;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const EINPROGRESS = 115;

type Source = NonNullable<Upstream["source"]>;

/**
 * Binds a fresh socket to interface, address and port (0: the system's choice); undefined if it worked,
 * else a word for the error, with the reason where the word alone would not tell.
 */
export function bindSource(
  libc: Libc,
  fd: number,
  { family, source, port }: { family: number; source: Source | undefined; port: number },
): string | undefined {
  const device = source?.interface;
  if (device !== undefined) {
    const name = Buffer.from(`${device}\0`);
    if (libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ptr(name), name.length) !== 0) {
      const word = errorName(errnoOf(libc));
      if (word === "EPERM") return `EPERM: asking through ${device} needs CAP_NET_RAW`;
      return word === "ENODEV" ? `ENODEV: no interface ${device}` : word;
    }
  }
  const address = source?.address;
  if (address === undefined && port === 0) return undefined;
  if (source?.port !== undefined) {
    // Sockets to several servers share the port; each is connected, so each gets its own replies.
    const one = new Int32Array([1]);
    libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, ptr(one), 4);
  }
  const any = family === AF_INET ? "0.0.0.0" : "::";
  const sockaddr = toSockaddr({ address: address ?? any, port });
  if (sockaddr === null) return "EINVAL";
  if (libc.bind(fd, ptr(sockaddr), sockaddrLength(family)) === 0) return undefined;
  const word = errorName(errnoOf(libc));
  return word === "EADDRNOTAVAIL" && address !== undefined
    ? `EADDRNOTAVAIL: ${address} is not an address of this machine`
    : word;
}

/** For servers with an interface: a stream whose connection is under way. The port is the system's choice. */
export const openStreamFrom: OpenStreamFrom = (server) => {
  const libc = openLibc();
  const to = toSockaddr(server);
  if (libc === null) return { error: "ENOTSUP: interfaces cannot be chosen on this system" };
  if (to === null) return { error: "EINVAL" };
  const family = to[0]!;
  const fd = libc.socket(family, SOCK_STREAM_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) return { error: errorName(errnoOf(libc)) };
  const refusal = bindSource(libc, fd, { family, source: withoutPort(server.source), port: 0 });
  if (refusal === undefined) {
    if (libc.connect(fd, ptr(to), sockaddrLength(family)) === 0) return { fd };
    const errno = errnoOf(libc);
    if (errno === EINPROGRESS) return { fd };
    libc.close(fd);
    return { error: errorName(errno) };
  }
  libc.close(fd);
  return { error: refusal };
};

function withoutPort(source: Source | undefined): Source | undefined {
  if (source === undefined) return undefined;
  const { port: _port, ...rest } = source;
  return rest;
}
