/** Where DNS is offered over UDP and TCP, and how that changes while the agent runs. */
import type { DnsFront, ListenPlace, TcpFront } from "../dns/front.ts";
import { startOnSamePorts } from "../dns/same-ports.ts";
import type { InheritedSocket, Log, SocketAddress } from "../ports.ts";

/** The addresses of both transports. */
export type DnsListeners = {
  /**
   * Listens on all of them, or rejects and listens on none. Sockets that were left open for this process
   * take the place of those that would be opened at their addresses; the others of them serve as well.
   */
  open(wanted: readonly SocketAddress[], isShared?: (at: SocketAddress) => boolean): Promise<void>;
  /**
   * From here on these are wanted: opens what is new, then leaves what is not wanted any more. An address
   * that cannot be had is in the log, and is tried again with the next change; the others stay. Resolves
   * with the number of those.
   */
  change(wanted: readonly SocketAddress[], options?: ChangeOptions): Promise<number>;
};

/**
 * `isShared`: another process of ours listens there, and is about to leave. `isFollowing`: there is a next
 * change soon, so an address that is not quite there yet is not told of before the LATE_LOOKS-th time.
 */
export type ChangeOptions = {
  isShared?: (at: SocketAddress) => boolean;
  isFollowing?: boolean;
};

/** Duplicate address detection of IPv6 takes a second or two (RFC 4862 5.4). */
const LATE_LOOKS = 5;

type Fronts = { udp: Pick<DnsFront, "listen" | "leave">; tcp: Pick<TcpFront, "listen" | "leave"> };

/** `inherited`: what the service manager has bound for us. */
export function createDnsListeners(
  { udp, tcp }: Fronts,
  inherited: readonly InheritedSocket[],
  log: Log,
): DnsListeners {
  /** By what was asked for; the address in force differs where the port is the system's choice. */
  const open = new Map<string, SocketAddress>();
  let work: Promise<number> = Promise.resolve(0);
  /** Why each cannot be had, and for how many looks: told once. */
  const failures = new Map<string, { reason: string; looks: number }>();

  const own = (transport: "udp" | "tcp"): ListenPlace[] =>
    inherited.filter((socket) => socket.transport === transport);

  /** Both transports at these addresses, or neither. */
  async function add(places: readonly SocketAddress[], isSharing: boolean): Promise<void> {
    const { udp: bound } = await startOnSamePorts(places, {
      async udp(listen) {
        const addresses = await udp.listen(listen, isSharing);
        return { addresses, close: () => udp.leave(addresses) };
      },
      tcp: (listen) => tcp.listen(listen, isSharing),
    });
    for (const [i, at] of places.entries()) open.set(keyOf(at), bound.addresses[i]!);
  }

  async function openAll(
    wanted: readonly SocketAddress[],
    isShared: (at: SocketAddress) => boolean,
  ): Promise<void> {
    const [datagrams, streams] = [own("udp"), own("tcp")];
    await udp.listen(datagrams);
    await tcp.listen(streams);
    const given = [...datagrams, ...streams];
    for (const socket of given) log("info", "dns: a socket was left open for us", printed(socket));
    const left = wanted.filter((at) => !given.some((socket) => keyOf(socket) === keyOf(at)));
    await add(
      left.filter((at) => !isShared(at)),
      false,
    );
    await add(left.filter(isShared), true);
    // One transport was given and the other was not: it is opened.
    const onlyUdp = wanted.filter((at) => has(datagrams, at) && !has(streams, at));
    const onlyTcp = wanted.filter((at) => has(streams, at) && !has(datagrams, at));
    for (const at of onlyUdp) await tcp.listen([at], isShared(at));
    for (const at of onlyTcp) await udp.listen([at], isShared(at));
  }

  async function changeTo(
    wanted: readonly SocketAddress[],
    { isShared = () => false, isFollowing = false }: ChangeOptions,
  ): Promise<number> {
    const wantedKeys = new Set(wanted.map(keyOf));
    const leaving = [...open].filter(([key]) => !wantedKeys.has(key));
    const coming = wanted.filter((at) => !open.has(keyOf(at)) && !has(inherited, at));
    for (const at of coming)
      try {
        // 0.0.0.0 and an address of its own are taken by turns: both are ours.
        const isOurs = leaving.some(([, { port }]) => port === at.port);
        // oxlint-disable-next-line no-await-in-loop -- one after the other, each may fail
        await add([at], isOurs || isShared(at));
        log("info", "dns: listening", printed(at));
        failures.delete(keyOf(at));
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        const before = failures.get(keyOf(at));
        const looks = before?.reason === reason ? before.looks + 1 : 1;
        const toldAt = isFollowing && reason.includes("EADDRNOTAVAIL") ? LATE_LOOKS : 1;
        if (looks === toldAt) log("error", "dns: cannot listen", { reason });
        failures.set(keyOf(at), { reason, looks });
      }
    for (const key of failures.keys()) if (!wantedKeys.has(key)) failures.delete(key);
    for (const [key, at] of leaving) {
      open.delete(key);
      log("info", "dns: no longer listening", printed(at));
    }
    const addresses = leaving.map(([, at]) => at);
    await Promise.all([udp.leave(addresses), tcp.leave(addresses)]);
    return failures.size;
  }

  return {
    open: (wanted, isShared = () => false) => openAll(wanted, isShared),
    change(wanted, options = {}) {
      work = work.then(() => changeTo(wanted, options));
      return work;
    },
  };
}

/**
 * Listens for the first time. `follows`: an address that cannot be had may be there a moment later, so one
 * of them is enough; else it rejects and nothing listens.
 */
export async function openListeners(
  listeners: DnsListeners,
  wanted: readonly SocketAddress[],
  { follows, isShared }: { follows: boolean; isShared: (at: SocketAddress) => boolean },
): Promise<void> {
  if (!follows) return listeners.open(wanted, isShared);
  await listeners.open([]);
  const missing = await listeners.change(wanted, { isShared, isFollowing: true });
  if (missing > 0 && missing === wanted.length)
    throw new Error("DNS cannot listen on any of its addresses");
}

const keyOf = ({ address, port }: SocketAddress): string => `${address} ${port}`;

function has(places: readonly SocketAddress[], at: SocketAddress): boolean {
  return places.some((place) => keyOf(place) === keyOf(at));
}

const printed = ({ address, port }: SocketAddress) => ({ address, port });
