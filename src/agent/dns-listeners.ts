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
   * that cannot be had is in the log, and is tried again with the next change; the others stay.
   */
  change(wanted: readonly SocketAddress[]): Promise<void>;
};

type Fronts = { udp: Pick<DnsFront, "listen" | "leave">; tcp: Pick<TcpFront, "listen" | "leave"> };

/** `inherited`: what the service manager has bound for us. */
export function createDnsListeners(
  { udp, tcp }: Fronts,
  inherited: readonly InheritedSocket[],
  log: Log,
): DnsListeners {
  /** By what was asked for; the address in force differs where the port is the system's choice. */
  const open = new Map<string, SocketAddress>();
  let work: Promise<void> = Promise.resolve();

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

  async function changeTo(wanted: readonly SocketAddress[]): Promise<void> {
    const wantedKeys = new Set(wanted.map(keyOf));
    const leaving = [...open].filter(([key]) => !wantedKeys.has(key));
    const coming = wanted.filter((at) => !open.has(keyOf(at)) && !has(inherited, at));
    for (const at of coming)
      try {
        // 0.0.0.0 and an address of its own are taken by turns: both are ours.
        const isOurs = leaving.some(([, { port }]) => port === at.port);
        // oxlint-disable-next-line no-await-in-loop -- one after the other, each may fail
        await add([at], isOurs);
        log("info", "dns: listening", printed(at));
      } catch (error) {
        log("error", "dns: cannot listen", {
          reason: error instanceof Error ? error.message : String(error),
        });
      }
    for (const [key, at] of leaving) {
      open.delete(key);
      log("info", "dns: no longer listening", printed(at));
    }
    const addresses = leaving.map(([, at]) => at);
    await Promise.all([udp.leave(addresses), tcp.leave(addresses)]);
  }

  return {
    open: (wanted, isShared = () => false) => openAll(wanted, isShared),
    change(wanted) {
      work = work.then(() => changeTo(wanted));
      return work;
    },
  };
}

const keyOf = ({ address, port }: SocketAddress): string => `${address} ${port}`;

function has(places: readonly SocketAddress[], at: SocketAddress): boolean {
  return places.some((place) => keyOf(place) === keyOf(at));
}

const printed = ({ address, port }: SocketAddress) => ({ address, port });
