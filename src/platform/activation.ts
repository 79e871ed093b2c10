/** Sockets that the service manager has bound for this process: sd_listen_fds(3), without its library. */
import { ptr } from "bun:ffi";
import type { InheritedSocket } from "../ports.ts";
import { openLibc, type Libc } from "./libc.ts";
import { socketName } from "./listener.ts";
import { fromSockaddr } from "./sockaddr.ts";

/** The first of them; the others follow. */
const FIRST = 3;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** Set for a successor that this program starts itself: its process id is not known before. */
const OURS = "WAYPOST_LISTEN_FDS";

/**
 * Takes them out of the environment, so that no program of a check believes they were its own. `problems`:
 * descriptors that are of no use here.
 */
export function takeInherited(environment: NodeJS.ProcessEnv): {
  sockets: InheritedSocket[];
  problems: string[];
} {
  const { LISTEN_PID: pid, LISTEN_FDS: given, [OURS]: passed } = environment;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", OURS]) delete environment[name];
  const count = Number(passed ?? (pid === String(process.pid) ? given : "0"));
  const sockets: InheritedSocket[] = [];
  const problems: string[] = [];
  const libc = openLibc();
  if (!Number.isInteger(count) || count < 1 || libc === null) return { sockets, problems };
  for (let fd = FIRST; fd < FIRST + count; fd++) {
    libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
    const socket = describe(libc, fd);
    if (socket === undefined)
      problems.push(`descriptor ${fd} is left alone: no UDP socket and no TCP listener`);
    else sockets.push(socket);
  }
  return { sockets, problems };
}

/** What a successor needs to have them too: further descriptors for its standard ones, and their number. */
export function passInherited(sockets: readonly InheritedSocket[]): {
  descriptors: number[];
  environment: Record<string, string>;
} {
  const descriptors = sockets.map(({ fd }) => fd);
  return {
    descriptors,
    environment: sockets.length === 0 ? {} : { [OURS]: String(sockets.length) },
  };
}

function describe(libc: Libc, fd: number): InheritedSocket | undefined {
  const option = (name: number): number => {
    const value = new Int32Array(1);
    const octets = new Int32Array([4]);
    return libc.getsockopt(fd, SOL_SOCKET, name, ptr(value), ptr(octets)) === 0 ? value[0]! : -1;
  };
  const name = socketName(libc, fd);
  const type = option(SO_TYPE);
  if (name === null) return undefined;
  const at = { ...fromSockaddr(name, 0), fd };
  if (type === SOCK_DGRAM) return { ...at, transport: "udp" };
  if (type === SOCK_STREAM && option(SO_ACCEPTCONN) === 1) return { ...at, transport: "tcp" };
  return undefined;
}
