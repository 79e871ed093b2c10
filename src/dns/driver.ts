/**
 * DNS over TCP (RFC 7766) on the main thread: accepts, frames, hands questions to `resolve`, writes
 * replies as they come, and keeps idle, slow and greedy clients from standing in the way of others.
 */
import { createServer, type Server, type Socket } from "node:net";
import { cannotListen } from "../listening.ts";
import type { Cancel, Client, Clock, Log, SocketAddress, Timers } from "../ports.ts";
import { formatAddress, parseAddress, unmapped } from "../address.ts";
import type { Resolve } from "./answer.ts";
import { createFraming, type Framing } from "./framing.ts";
import type { TcpFront } from "./front.ts";

/** Bounds of the listener; the default of each, and what happens beyond it. */
export type TcpLimits = {
  /** Connections at a time. A further one takes the place of the one that has been idle longest; if none is idle it is closed. */
  maxConnections: number;
  /** Share of them for one address (IPv6: one /64); a further one likewise, among its own. */
  maxShare: number;
  /** From accept to the first octet, then close. */
  firstByteMs: number;
  /** From the first octet of a message to its last, then close. */
  messageMs: number;
  /** Without question or answer under way, then close; `crowded` if more than half the connections are in use. */
  idleMs: number;
  crowdedIdleMs: number;
  /** From the first octet that the client does not take to the last, then close. */
  writeMs: number;
  /** Questions under way on one connection. Further ones stay unread. */
  maxInFlight: number;
  /** Octets of replies that the client has not taken. Above it further questions stay unread. */
  maxUnsentOctets: number;
  /** From `close` until connections that still owe an answer are cut. */
  closeMs: number;
};

/** Limits for a listener of a few thousand clients; RFC 7766 section 6 asks for such limits. */
export const tcpDefaults: TcpLimits = {
  maxConnections: 1024,
  maxShare: 0.25,
  firstByteMs: 3000,
  messageMs: 5000,
  idleMs: 10_000,
  crowdedIdleMs: 2000,
  writeMs: 5000,
  maxInFlight: 64,
  maxUnsentOctets: 65_536,
  closeMs: 3000,
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
    /** Idle, to make room for a new one. */
    evicted: number;
    /** No room and nobody idle. */
    refused: number;
    /** Of somebody who may not ask. */
    prohibited: number;
  };
};

/** What the listener needs of the rest. */
export type TcpFrontOptions = {
  /** IP literals. Port 0: any. */
  listen: readonly SocketAddress[];
  /** Whether a client of this address (an IP literal) may ask; absent: everybody may. */
  isAnswered?: (address: string) => boolean;
  resolve: Resolve;
  clock: Clock;
  timers: Timers;
  log: Log;
  limits?: Partial<TcpLimits>;
};

/** In place of a time. */
const NEVER = -1;
/** Questions of one connection in one turn of the event loop; then everybody else has a turn. */
const QUESTIONS_PER_TURN = 64;
/** How often deadlines are looked at. */
const SWEEP_MS = 250;

type Connection = {
  socket: Socket;
  client: Client;
  /** Whose share it is of. */
  source: string;
  framing: Framing;
  acceptedMs: number;
  /** Of the last question or answer. */
  activeMs: number;
  /** First octet of the message that is incomplete; NEVER if none is. */
  messageMs: number;
  /** When the client stopped taking octets; NEVER if all are taken. */
  unsentMs: number;
  hasSent: boolean;
  hasEnded: boolean;
  isReading: boolean;
  /** Has had its turn; the next one is scheduled, and until then nothing is read. */
  isYielding: boolean;
  inFlight: number;
};

/** Rejects if an address cannot be listened on. */
export async function startTcpFront(
  options: TcpFrontOptions,
): Promise<TcpFront & { counters: TcpCounters }> {
  const { resolve, clock, timers, log } = options;
  const limits = { ...tcpDefaults, ...options.limits };
  const maxPerSource = Math.max(1, Math.floor(limits.maxConnections * limits.maxShare));
  /** Longest idle first: a connection moves to the end whenever something happens on it. */
  const connections = new Set<Connection>();
  const bySource = new Map<string, Set<Connection>>();
  const counters: TcpCounters = {
    connections: 0,
    accepted: 0,
    questions: 0,
    closed: { firstByte: 0, message: 0, idle: 0, write: 0, evicted: 0, refused: 0, prohibited: 0 },
  };
  let sweeping: Cancel | undefined;
  let closing = false;

  function accept(socket: Socket): void {
    counters.accepted++;
    const { address, source } = readSource(socket.remoteAddress ?? "");
    if (options.isAnswered?.(address) === false) {
      counters.closed.prohibited++;
      socket.on("error", ignore);
      socket.destroy();
      return;
    }
    const own = bySource.get(source);
    const isFull =
      own !== undefined && own.size >= maxPerSource
        ? !evictIdle(own)
        : connections.size >= limits.maxConnections && !evictIdle(connections);
    if (closing || isFull) {
      counters.closed.refused++;
      socket.on("error", ignore);
      socket.destroy();
      return;
    }
    const nowMs = clock.monotonicMs();
    const connection: Connection = {
      socket,
      client: { address, port: socket.remotePort ?? 0, transport: "tcp" },
      source,
      framing: createFraming(),
      acceptedMs: nowMs,
      activeMs: nowMs,
      messageMs: NEVER,
      unsentMs: NEVER,
      hasSent: false,
      hasEnded: false,
      isReading: false,
      isYielding: false,
      inFlight: 0,
    };
    connections.add(connection);
    const sources = bySource.get(source);
    if (sources === undefined) bySource.set(source, new Set([connection]));
    else sources.add(connection);
    counters.connections = connections.size;
    socket.setNoDelay(true);
    socket.on("data", (octets: Uint8Array) => receive(connection, octets));
    socket.on("drain", () => {
      connection.unsentMs = NEVER;
      // Not at once: a kernel that takes every answer would keep this connection going for ever.
      yieldTurn(connection);
    });
    socket.on("end", () => {
      connection.hasEnded = true;
      endIfDone(connection);
    });
    // "close" follows every error.
    socket.on("error", ignore);
    socket.on("close", () => forget(connection));
    sweeping ??= timers.after(SWEEP_MS, sweep);
  }

  function forget(connection: Connection): void {
    connections.delete(connection);
    counters.connections = connections.size;
    const own = bySource.get(connection.source);
    own?.delete(connection);
    if (own?.size === 0) bySource.delete(connection.source);
  }

  function drop(connection: Connection, reason: keyof TcpCounters["closed"]): void {
    counters.closed[reason]++;
    forget(connection);
    connection.socket.destroy();
  }

  /** Closes the one that owes nothing and has been quiet longest; false if there is none. */
  function evictIdle(among: Set<Connection>): boolean {
    for (const connection of among) {
      if (connection.inFlight > 0 || connection.unsentMs !== NEVER) continue;
      drop(connection, "evicted");
      return true;
    }
    return false;
  }

  function touch(connection: Connection): void {
    connection.activeMs = clock.monotonicMs();
    if (!connections.delete(connection)) return;
    connections.add(connection);
    const own = bySource.get(connection.source);
    own?.delete(connection);
    own?.add(connection);
  }

  function receive(connection: Connection, octets: Uint8Array): void {
    connection.hasSent = true;
    connection.framing.push(octets);
    read(connection);
  }

  /** Takes questions as long as the client's share of work allows; else leaves them to the kernel. */
  function read(connection: Connection): void {
    const { socket, framing } = connection;
    if (socket.destroyed || connection.isYielding) return;
    connection.isReading = true;
    socket.cork();
    let left = QUESTIONS_PER_TURN;
    while (left > 0 && isWelcome(connection)) {
      const query = framing.take();
      if (query === undefined) break;
      left--;
      counters.questions++;
      connection.inFlight++;
      touch(connection);
      resolve({ query, client: connection.client }, (wire) => answer(connection, wire));
    }
    socket.uncork();
    connection.isReading = false;
    noteUnsent(connection);
    if (!isWelcome(connection)) {
      connection.messageMs = NEVER;
      socket.pause();
      return;
    }
    if (left === 0) {
      yieldTurn(connection);
      return;
    }
    if (socket.isPaused()) socket.resume();
    const isPartial = framing.waitingOctets > 0;
    if (!isPartial) connection.messageMs = NEVER;
    else if (connection.messageMs === NEVER) connection.messageMs = clock.monotonicMs();
    endIfDone(connection);
  }

  function yieldTurn(connection: Connection): void {
    if (connection.isYielding) return;
    connection.isYielding = true;
    connection.messageMs = NEVER;
    connection.socket.pause();
    setImmediate(() => {
      connection.isYielding = false;
      read(connection);
    });
  }

  function isWelcome({ inFlight, socket }: Connection): boolean {
    return inFlight < limits.maxInFlight && socket.writableLength <= limits.maxUnsentOctets;
  }

  function answer(connection: Connection, wire: Uint8Array | null): void {
    const { socket } = connection;
    const wasWelcome = isWelcome(connection);
    connection.inFlight--;
    if (socket.destroyed) return;
    if (wire !== null) {
      const frame = new Uint8Array(2 + wire.length);
      frame[0] = wire.length >> 8;
      frame[1] = wire.length;
      frame.set(wire, 2);
      socket.write(frame);
      noteUnsent(connection);
    }
    touch(connection);
    // Answered at once: the loop that asked goes on by itself.
    if (connection.isReading) return;
    if (!wasWelcome && isWelcome(connection)) read(connection);
    else endIfDone(connection);
  }

  function noteUnsent(connection: Connection): void {
    if (connection.socket.writableLength === 0) connection.unsentMs = NEVER;
    else if (connection.unsentMs === NEVER) connection.unsentMs = clock.monotonicMs();
  }

  /** The client has closed its side, or we are closing: nothing owed, nothing more. */
  function endIfDone(connection: Connection): void {
    const { socket, inFlight, isYielding } = connection;
    if (isYielding) return;
    if ((connection.hasEnded || closing) && inFlight === 0 && !socket.destroyed) socket.end();
  }

  function sweep(): void {
    sweeping = undefined;
    const nowMs = clock.monotonicMs();
    const crowded = connections.size > limits.maxConnections / 2;
    const idleMs = crowded ? limits.crowdedIdleMs : limits.idleMs;
    for (const connection of connections) {
      // Without a "drain" event the last octets may still have gone.
      if (connection.socket.writableLength === 0) connection.unsentMs = NEVER;
      const reason = overdue(connection, nowMs, { ...limits, idleMs });
      if (reason !== undefined) drop(connection, reason);
    }
    if (connections.size > 0) sweeping = timers.after(SWEEP_MS, sweep);
  }

  const servers: Server[] = [];
  for (const address of options.listen) {
    const server = createServer({ allowHalfOpen: true }, accept);
    // oxlint-disable-next-line no-await-in-loop -- the first failure must name its address
    await listen(server, address, options.listen).catch((error: unknown) => {
      for (const open of servers) open.close();
      throw error;
    });
    servers.push(server);
    server.on("error", (error) =>
      log("error", "dns: tcp listener failed", { error: String(error) }),
    );
  }

  return {
    addresses: servers.map(addressOf),
    counters,
    async close() {
      closing = true;
      const closed = servers.map(
        (server) => new Promise<void>((resolved) => server.close(() => resolved())),
      );
      for (const connection of connections) endIfDone(connection);
      const cut = timers.after(limits.closeMs, () => {
        for (const { socket } of connections) socket.destroy();
      });
      await Promise.all(closed);
      cut();
      sweeping?.();
    },
  };
}

const ignore = (): void => {};

/** Which deadline has passed, if any. */
function overdue(
  connection: Connection,
  nowMs: number,
  limits: TcpLimits,
): "firstByte" | "message" | "idle" | "write" | undefined {
  const { acceptedMs, activeMs, messageMs, unsentMs, hasSent, inFlight } = connection;
  if (!hasSent) return nowMs - acceptedMs > limits.firstByteMs ? "firstByte" : undefined;
  if (unsentMs !== NEVER && nowMs - unsentMs > limits.writeMs) return "write";
  if (messageMs !== NEVER && nowMs - messageMs > limits.messageMs) return "message";
  const isIdle = inFlight === 0 && unsentMs === NEVER && messageMs === NEVER;
  return isIdle && nowMs - activeMs > limits.idleMs ? "idle" : undefined;
}

/** The client's address (IPv4-mapped as IPv4), and the part of it that counts as one source. */
function readSource(text: string): { address: string; source: string } {
  const parsed = parseAddress(text.split("%", 1)[0]!);
  if (parsed === undefined) return { address: text, source: text };
  const octets = unmapped(parsed);
  const source = octets.length === 4 ? octets : octets.slice(0, 8);
  return { address: formatAddress(octets), source: source.join(" ") };
}

function listen(
  server: Server,
  { address, port }: SocketAddress,
  all: readonly SocketAddress[],
): Promise<void> {
  // A wildcard takes both families, unless the other one has a listener of its own.
  const ipv6Only = all.some((other) => other.port === port && !other.address.includes(":"));
  return new Promise((resolved, rejected) => {
    const refuse = (error: Error): void =>
      rejected(new Error(cannotListen("DNS over TCP", { address, port }, error), { cause: error }));
    server.once("error", refuse);
    server.listen({ host: address, port, ipv6Only }, () => {
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
