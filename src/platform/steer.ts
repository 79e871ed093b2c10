/** New connections at a port that several processes share go to this one. */
import type { Log } from "../ports.ts";
import { errnoOf, errorName, openLibc, pinned } from "./libc.ts";
import { createOwnSockets } from "./own-sockets.ts";

const SOL_SOCKET = 1;
const SO_ATTACH_REUSEPORT_CBPF = 51;
const SO_DETACH_REUSEPORT_BPF = 68;

/** BPF_RET | BPF_K: the number of a listener among those of the port, in the order of their listen(). */
const RETURN = 0x06;

/**
 * Takes all new connections at our TCP listeners on these ports, where one other process has one
 * listener each and had it first. The function returned ends it; to be called when the other one has
 * left, since the numbers change then. Where the system cannot do it the connections are divided between
 * the two, and the log says so once.
 */
export function steerToUs(ports: ReadonlySet<number>, log: Log): () => void {
  const libc = openLibc();
  if (libc === null) return () => {};
  const program = pinned(8);
  const view = new DataView(program.octets.buffer);
  view.setUint16(0, RETURN, true);
  view.setUint32(4, 1, true); // the second
  const sockFprog = pinned(16);
  const described = new DataView(sockFprog.octets.buffer);
  described.setUint16(0, 1, true);
  described.setBigUint64(8, BigInt(program.address), true);
  const sockets = createOwnSockets(libc);
  const ours = sockets.list().filter(({ listens, port }) => listens && ports.has(port));
  sockets.close();
  const steered: number[] = [];
  let error: string | undefined;
  for (const { fd } of ours)
    if (libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, sockFprog.octets, 16) === 0)
      steered.push(fd);
    else error = errorName(errnoOf(libc));
  if (error !== undefined)
    log("warn", "takeover: new connections are divided with the process before", {
      error,
      listeners: ours.length - steered.length,
    });
  return () => {
    for (const fd of steered)
      libc.setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, sockFprog.octets, 4);
  };
}
