/** The UDP sockets of the DNS front: opened and given up while workers serve them. Main thread. */
import type { ListenPlace, ServerOf } from "../dns/front.ts";
import type { SocketAddress } from "../ports.ts";
import type { Libc } from "./libc.ts";
import { SLOTS_MAX, socketIndex, type ListenerTable } from "./listener-table.ts";
import {
  adoptListener,
  hasWaiting,
  type Listener,
  openListener,
  turnAway,
  type ListenerOptions,
} from "./listener.ts";

const SHUT_RD = 0;
/** Looks at queues that are given up, and how long that is done at most: a flood may never end. */
const LOOK_MS = 5;
const LOOKS_MAX = 200;
/** Looks in a row that find nothing: what was on its way inside the kernel has arrived by then. */
const QUIET_LOOKS = 3;
/** A socket that is given up stays open so long, for replies to what it has received. */
const LINGER_MS = 5000;

/** One address with a socket for each worker; an inherited one is a single socket for all. */
type Group = { address: SocketAddress; slot: number; members: Listener[]; isInherited: boolean };

/** The sockets that are open now. */
export type ListenerGroups = {
  addresses(): SocketAddress[];
  /** All or none; the error is one line for the operator. */
  open(places: readonly ListenPlace[], isSharing: boolean): SocketAddress[];
  /** Resolves when what had arrived there is in the hands of the workers. */
  leave: (addresses: readonly SocketAddress[]) => Promise<void>;
  /** The same for all, which stay open until `close`. */
  quiesce(): Promise<void>;
  /** Ends the sleep of workers in their sockets; only before `close`. */
  rouse(): void;
  close(): void;
};

/** `listeners[index]` is kept to be what lies behind the index in return addresses. */
export function createListenerGroups(
  libc: Libc,
  {
    workerCount,
    table,
    listeners,
    serverOf,
    wake,
  }: {
    workerCount: number;
    table: ListenerTable;
    listeners: (Listener | undefined)[];
    serverOf: ServerOf;
    wake: () => void;
  },
): ListenerGroups {
  let groups: Group[] = [];
  /** Given up, but still open for late replies. */
  const lingering = new Map<Group, ReturnType<typeof setTimeout>>();

  function publish(): void {
    table.publish();
    wake();
  }

  function freeSlot(taken: readonly Group[]): number {
    const used = new Set([...groups, ...taken, ...lingering.keys()].map(({ slot }) => slot));
    for (let slot = 0; slot < SLOTS_MAX; slot++) if (!used.has(slot)) return slot;
    throw new Error(`DNS over UDP listens on ${SLOTS_MAX} addresses, more are not possible`);
  }

  function openGroup(place: ListenPlace, slot: number, options: GroupOptions): Group {
    const { address, port, fd } = place;
    if (fd !== undefined) {
      const adopted = adoptListener(libc, fd);
      if (!adopted.ok) throw new Error(adopted.error);
      const inherited = { ...adopted.value, server: serverOf(adopted.value.address) };
      const members = Array.from({ length: workerCount }, () => inherited);
      return { address: inherited.address, slot, members, isInherited: true };
    }
    const members: Listener[] = [];
    const open = (at: SocketAddress, with_: ListenerOptions): Omit<Listener, "server"> => {
      const listener = openListener(libc, at, with_);
      if (listener.ok) return listener.value;
      for (const member of members) libc.close(member.fd);
      throw new Error(listener.error);
    };
    const { dualStack, isSharing } = options;
    let at: SocketAddress = { address, port };
    if (!isSharing) {
      // Ports are shared with a successor, but not with another program: so first see whether it is free.
      const probe = open(at, { reusePort: false, dualStack });
      libc.close(probe.fd);
      at = { address, port: probe.address.port };
    }
    for (let i = 0; i < workerCount; i++) {
      const member = open(at, { reusePort: true, dualStack });
      members.push({ ...member, server: serverOf(member.address) });
    }
    return { address: members[0]!.address, slot, members, isInherited: false };
  }

  function closeGroup({ slot, members }: Group): void {
    for (const [worker] of members.entries())
      listeners[socketIndex(slot, worker, workerCount)] = undefined;
    for (const fd of new Set(members.map((member) => member.fd))) libc.close(fd);
  }

  /** New datagrams go elsewhere from here on; resolves when the workers have taken those that are there. */
  async function empty(these: readonly Group[]): Promise<void> {
    // Whoever gave us an inherited socket keeps it, with what waits in it.
    const members = these
      .filter(({ isInherited }) => !isInherited)
      .flatMap((group) => group.members);
    for (const member of members) turnAway(libc, member);
    let quiet = 0;
    for (let look = 0; look < LOOKS_MAX && quiet < QUIET_LOOKS && members.length > 0; look++) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      quiet = members.some(({ fd }) => hasWaiting(libc, fd)) ? 0 : quiet + 1;
    }
  }

  return {
    addresses: () => groups.map(({ address }) => address),
    open(places, isSharing) {
      const opened: Group[] = [];
      const all = [...groups.map(({ address }) => address), ...places];
      // :: takes both families, unless IPv4 has listeners of its own.
      const dualStack = all.every(({ address }) => address.includes(":"));
      try {
        for (const place of places) {
          // One that was given up a moment ago still holds its port, and nobody else does.
          const holds = ({ address }: Group): boolean => isSame(address, place);
          const before = [...lingering.keys()].filter(holds);
          const isOurs = before.length > 0 && !groups.some(holds);
          // While its interface was without the address it could not be turned away.
          for (const { members, isInherited } of before)
            if (!isInherited) for (const member of members) turnAway(libc, member);
          const options = { dualStack, isSharing: isSharing || isOurs };
          opened.push(openGroup(place, freeSlot(opened), options));
        }
      } catch (error) {
        for (const group of opened) closeGroup(group);
        throw error;
      }
      for (const { slot, members } of opened)
        for (const [worker, member] of members.entries()) {
          const index = socketIndex(slot, worker, workerCount);
          listeners[index] = member;
          table.put({ ...member, index });
        }
      groups = [...groups, ...opened];
      publish();
      return opened.map(({ address }) => address);
    },
    async leave(addresses) {
      const leaving = groups.filter(({ address }) => addresses.some((at) => isSame(at, address)));
      groups = groups.filter((group) => !leaving.includes(group));
      for (const group of leaving)
        lingering.set(
          group,
          setTimeout(() => {}, 0),
        );
      await empty(leaving);
      for (const { slot, members } of leaving)
        for (const [worker] of members.entries())
          table.remove(socketIndex(slot, worker, workerCount));
      publish();
      for (const group of leaving) {
        const timer = setTimeout(() => {
          lingering.delete(group);
          closeGroup(group);
        }, LINGER_MS);
        timer.unref();
        lingering.set(group, timer);
      }
    },
    quiesce: () => empty(groups),
    rouse() {
      const own = groups.filter(({ isInherited }) => !isInherited);
      for (const { fd } of own.flatMap(({ members }) => members)) libc.shutdown(fd, SHUT_RD);
    },
    close() {
      for (const timer of lingering.values()) clearTimeout(timer);
      for (const group of [...groups, ...lingering.keys()]) closeGroup(group);
      groups = [];
      lingering.clear();
    },
  };
}

type GroupOptions = { dualStack: boolean; isSharing: boolean };

function isSame(a: SocketAddress, b: SocketAddress): boolean {
  return a.address === b.address && a.port === b.port;
}
