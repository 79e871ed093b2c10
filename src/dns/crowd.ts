/** The connections of a listener: how many there may be, of whom, and whose place a new one takes. */
import { formatAddress, parseAddress, unmapped } from "../address.ts";

/** Bounds of a listener's connections. */
export type CrowdLimits = {
  /**
   * At a time. A further one takes the place of the one that has been idle longest; if none is idle, that of
   * one of the source with the most, if these are two more than its own; else it is closed.
   */
  maxConnections: number;
  /** Share of them for one address (IPv6: one /64); a further one likewise, among its own. */
  maxShare: number;
  /**
   * Octets of replies in all that clients have not taken, never more. Three quarters may stay; beyond them
   * the connections with the most are closed.
   */
  maxUntakenInAllOctets: number;
};

/** Connections now, and what happened since the start. */
export type TcpCounters = {
  connections: number;
  accepted: number;
  /** Questions read. */
  questions: number;
  /** Closed by us, by reason. */
  closed: {
    firstByte: number;
    message: number;
    idle: number;
    write: number;
    /** To make room for a new one: idle, or of a source with many. */
    evicted: number;
    /** No room and nobody idle. */
    refused: number;
    /** Clients of other networks than those that are served. */
    prohibited: number;
    /** More octets than its questions account for (allowance.ts). */
    flood: number;
  };
};

/** Who is there: the address, and the part of it that counts as one source. */
export type Admitted = { address: string; source: string };

/** Iterates over the connections, longest idle first. */
export type Crowd<C> = Iterable<C> & {
  counters: TcpCounters;
  /** Counts a socket that was accepted; undefined: there is no place for it, and it was destroyed. */
  admit(
    socket: { remoteAddress?: string | undefined; destroy(): void },
    closing: boolean,
  ): Admitted | undefined;
  add(connection: C): void;
  remove(connection: C): void;
  /** Something has happened on it. */
  touch(connection: C): void;
  /** Notes octets of a reply that a connection has been given. */
  gave(octets: number): void;
  /** Ends it for this reason. */
  drop(connection: C, reason: keyof TcpCounters["closed"]): void;
  /** More than half of the places are taken. */
  isCrowded(): boolean;
};

export function createCrowd<C extends { readonly source: string }>(options: {
  limits: CrowdLimits;
  /** Owes nothing, so that another may have its place. */
  isIdle: (connection: C) => boolean;
  /** Octets that it was given, and has not taken. */
  untakenOctets: (connection: C) => number;
  end: (connection: C, reason: keyof TcpCounters["closed"]) => void;
  /** Whether a client of this address may ask; absent: everybody may. */
  isAnswered?: ((address: string) => boolean) | undefined;
}): Crowd<C> {
  const { limits, isIdle, untakenOctets, end, isAnswered } = options;
  const maxPerSource = Math.max(1, Math.floor(limits.maxConnections * limits.maxShare));
  const all = new Set<C>();
  /** Not below what is untaken: what was so at the last look, and all that was given since. */
  let mostUntaken = 0;
  const bySource = new Map<string, Set<C>>();
  const counters: TcpCounters = {
    connections: 0,
    accepted: 0,
    questions: 0,
    closed: {
      firstByte: 0,
      message: 0,
      idle: 0,
      write: 0,
      evicted: 0,
      refused: 0,
      prohibited: 0,
      flood: 0,
    },
  };

  function add(connection: C): void {
    all.add(connection);
    const own = bySource.get(connection.source);
    if (own === undefined) bySource.set(connection.source, new Set([connection]));
    else own.add(connection);
    counters.connections = all.size;
  }

  function remove(connection: C): void {
    all.delete(connection);
    counters.connections = all.size;
    const own = bySource.get(connection.source);
    own?.delete(connection);
    if (own?.size === 0) bySource.delete(connection.source);
  }

  function drop(connection: C, reason: keyof TcpCounters["closed"]): void {
    counters.closed[reason]++;
    remove(connection);
    end(connection, reason);
  }

  /** Looks at all, but no more often than a quarter of the limit has been given. */
  function gave(octets: number): void {
    mostUntaken += octets;
    if (mostUntaken <= limits.maxUntakenInAllOctets) return;
    const owing = Array.from(all, (connection) => ({
      connection,
      octets: untakenOctets(connection),
    }));
    owing.sort((one, other) => other.octets - one.octets);
    mostUntaken = owing.reduce((sum, each) => sum + each.octets, 0);
    for (const { connection, octets: untaken } of owing) {
      if (mostUntaken <= 0.75 * limits.maxUntakenInAllOctets) return;
      mostUntaken -= untaken;
      drop(connection, "write");
    }
  }

  /** Closes the one that owes nothing and has been quiet longest; false if there is none. */
  function evictIdle(among: Set<C>): boolean {
    for (const connection of among) {
      if (!isIdle(connection)) continue;
      drop(connection, "evicted");
      return true;
    }
    return false;
  }

  /**
   * Whoever has every place in use, and always something under way, shuts out no others: closes the one that
   * has been quiet longest of the source with the most; false if the new one's has as many.
   */
  function evictOfMost(ownCount: number): boolean {
    let most: Set<C> | undefined;
    for (const each of bySource.values()) if (each.size > (most?.size ?? 0)) most = each;
    if (most === undefined || most.size < ownCount + 2) return false;
    for (const connection of most) {
      drop(connection, "evicted");
      return true;
    }
    return false;
  }

  return {
    counters,
    add,
    remove,
    gave,
    drop,
    [Symbol.iterator]: () => all.values(),
    admit(socket, closing) {
      counters.accepted++;
      const who = readSource(socket.remoteAddress ?? "");
      if (isAnswered?.(who.address) === false) {
        counters.closed.prohibited++;
        socket.destroy();
        return undefined;
      }
      const own = bySource.get(who.source);
      const isFull =
        own !== undefined && own.size >= maxPerSource
          ? !evictIdle(own)
          : all.size >= limits.maxConnections && !evictIdle(all) && !evictOfMost(own?.size ?? 0);
      if (!closing && !isFull) return who;
      counters.closed.refused++;
      socket.destroy();
      return undefined;
    },
    touch(connection) {
      if (!all.delete(connection)) return;
      all.add(connection);
      const own = bySource.get(connection.source);
      own?.delete(connection);
      own?.add(connection);
    },
    isCrowded: () => all.size > limits.maxConnections / 2,
  };
}

/** The client's address (IPv4-mapped as IPv4), and the part of it that counts as one source. */
function readSource(text: string): Admitted {
  const parsed = parseAddress(text.split("%", 1)[0]!);
  if (parsed === undefined) return { address: text, source: text };
  const octets = unmapped(parsed);
  const source = octets.length === 4 ? octets : octets.slice(0, 8);
  return { address: formatAddress(octets), source: source.join(" ") };
}
