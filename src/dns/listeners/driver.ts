/** TCP listeners for DNS that come and go while connections stand. */
import { createServer, type Server, type Socket } from "node:net";
import { cannotListen } from "../../listening.ts";
import type { Log, SocketAddress } from "../../ports.ts";
import type { ListenPlace } from "../front.ts";

/** The listeners that are open now; see TcpFront. */
export type TcpListeners = {
  addresses(): SocketAddress[];
  listen: (
    places: readonly ListenPlace[],
    isSharing?: boolean,
  ) => Promise<readonly SocketAddress[]>;
  leave: (addresses: readonly SocketAddress[]) => Promise<void>;
  /** Resolves when every connection of every listener has ended. */
  close(): Promise<void>;
};

type Open = { server: Server; address: SocketAddress };

/** `who` says in errors what is offered there ("DNS over TCP"). */
export function createTcpListeners(
  who: string,
  accept: (socket: Socket, at: SocketAddress) => void,
  log: Log,
): TcpListeners {
  let open: Open[] = [];
  /** Given up, with connections that stand. */
  const leaving = new Set<Promise<void>>();

  async function openOne(
    place: ListenPlace,
    among: readonly SocketAddress[],
    isSharing: boolean,
  ): Promise<Open> {
    // A wildcard takes both families, unless the other one has a listener of its own.
    const ipv6Only = among.some(
      ({ address, port }) => port === place.port && !address.includes(":"),
    );
    let { port } = place;
    if (place.fd === undefined && !isSharing && port !== 0) {
      // Ports are shared with a successor, but not with another program: so first see whether it is free.
      const probe = createServer((socket) => socket.destroy());
      await begin(who, probe, { host: place.address, port, ipv6Only }, place);
      port = addressOf(probe).port;
      await new Promise<void>((closed) => probe.close(() => closed()));
    }
    const server = createServer({ allowHalfOpen: true }, (socket) => accept(socket, address));
    const at = { host: place.address, port, ipv6Only, reusePort: true };
    await begin(who, server, place.fd === undefined ? at : { fd: place.fd }, place);
    server.on("error", (error) =>
      log("error", `${who}: listener failed`, { error: String(error) }),
    );
    const address = { ...addressOf(server), address: place.address };
    return { server, address };
  }

  function giveUp({ server }: Open): void {
    const closed = new Promise<void>((resolved) => server.close(() => resolved()));
    leaving.add(closed);
    void closed.then(() => leaving.delete(closed));
  }

  return {
    addresses: () => open.map(({ address }) => address),
    async listen(places, isSharing = false) {
      const opened: Open[] = [];
      const among = [...open.map(({ address }) => address), ...places];
      try {
        // oxlint-disable-next-line no-await-in-loop -- the first failure must name its address
        for (const place of places) opened.push(await openOne(place, among, isSharing));
      } catch (error) {
        for (const { server } of opened) server.close();
        throw error;
      }
      open = [...open, ...opened];
      return opened.map(({ address }) => address);
    },
    leave(addresses) {
      const isLeaving = ({ address: { address, port } }: Open) =>
        addresses.some((at) => at.address === address && at.port === port);
      for (const each of open.filter(isLeaving)) giveUp(each);
      open = open.filter((each) => !isLeaving(each));
      return Promise.resolve();
    },
    async close() {
      for (const each of open) giveUp(each);
      open = [];
      await Promise.all(leaving);
    },
  };
}

/** `reusePort` is Node's from 23.1 on, and Bun's; older ones do without. */
type Where =
  { host: string; port: number; ipv6Only: boolean; reusePort?: boolean } | { fd: number };

function begin(who: string, server: Server, where: Where, at: SocketAddress): Promise<void> {
  return new Promise((resolved, rejected) => {
    const refuse = (error: Error): void =>
      rejected(new Error(cannotListen(who, at, error), { cause: error }));
    server.once("error", refuse);
    server.listen(where, () => {
      server.removeListener("error", refuse);
      resolved();
    });
  });
}

function addressOf(server: Server): SocketAddress {
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("not a TCP listener");
  return { address: bound.address, port: bound.port };
}
