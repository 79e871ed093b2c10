/**
 * DNS over TCP (RFC 7766) on the main thread: accepts, frames, hands questions to `resolve`, writes
 * replies as they come, and keeps idle, slow and greedy clients from standing in the way of others.
 */
import type { Socket } from "node:net";
import type { Cancel, Client, Clock, Log, SocketAddress, Timers } from "../ports.ts";
import type { Resolve, ServerNumber } from "./answer.ts";
import { createCrowd, type CrowdLimits, type TcpCounters } from "./crowd.ts";
import { createFaults, servfail, unfailing, type Fault } from "./faults.ts";
import { createFraming, type Framing } from "./framing.ts";
import type { ListenPlace, TcpFront } from "./front.ts";
import type { Meter } from "./meter.ts";
import { createTcpListeners } from "./listeners/driver.ts";
import { padReply } from "./padding.ts";
import { createTurns } from "./turns.ts";

/** Bounds of the listener; the default of each, and what happens beyond it. */
export type TcpLimits = CrowdLimits & {
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
  /** The same, of answers that were under way then. Above it questions that were read get SERVFAIL. */
  maxUntakenOctets: number;
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
  maxUntakenOctets: 262_144,
  maxUntakenInAllOctets: 16_777_216,
  closeMs: 3000,
};

/** What the listener needs of the rest. */
export type TcpFrontOptions = {
  /** IP literals. Port 0: any. */
  listen: readonly ListenPlace[];
  /** Whether a client of this address (an IP literal) may ask; absent: everybody may. */
  isAnswered?: (address: string) => boolean;
  resolve: Resolve;
  /** Numbers the listeners, for who counts what arrives there; absent: nothing is counted. */
  serverOf?: Meter["serverOf"];
  clock: Clock;
  timers: Timers;
  log: Log;
  /** Hears what `resolve` throws, beside the SERVFAIL; absent: the log does. */
  fault?: Fault;
  limits?: Partial<TcpLimits>;
  /** TLS in every connection (RFC 7858); absent: clear text. */
  secure?: Securing;
};

/** Makes a connection that was accepted one with TLS in it, on the server's side. */
export type Securing = {
  /** `opened` is called when the handshake is over; if it fails, the connection is destroyed. */
  begin(raw: Socket, opened: (secured: Socket) => void): void;
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
  server: ServerNumber | undefined;
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
  const { clock, timers, log, secure } = options;
  const resolve = unfailing(
    options.resolve,
    options.fault ?? createFaults(log, () => clock.monotonicMs()).note,
  );
  const limits = { ...tcpDefaults, ...options.limits };
  const crowd = createCrowd<Connection>({
    limits,
    isIdle: ({ inFlight, unsentMs }) => inFlight === 0 && unsentMs === NEVER,
    untakenOctets: ({ socket }) => socket.writableLength,
    end: ({ socket }) => socket.destroy(),
    isAnswered: options.isAnswered,
  });
  const { counters } = crowd;
  const handshakes = createTurns(setImmediate);
  let sweeping: Cancel | undefined;
  let closing = false;

  function accept(socket: Socket, at: SocketAddress): void {
    socket.on("error", ignore);
    const admitted = crowd.admit(socket, closing);
    if (admitted === undefined) return;
    const { address, source } = admitted;
    const nowMs = clock.monotonicMs();
    const connection: Connection = {
      socket,
      client: { address, port: socket.remotePort ?? 0, transport: secure ? "tls" : "tcp" },
      server: options.serverOf?.(secure ? "tls" : "dns", at),
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
    crowd.add(connection);
    socket.setNoDelay(true);
    sweeping ??= timers.after(SWEEP_MS, sweep);
    if (secure === undefined) {
      attach(connection);
      return;
    }
    socket.on("close", () => crowd.remove(connection));
    socket.once("readable", () =>
      handshakes.wait(source, () => {
        if (socket.destroyed) return false;
        secure.begin(socket, (secured) => {
          connection.socket = secured;
          attach(connection);
        });
        return true;
      }),
    );
  }

  function attach(connection: Connection): void {
    const { socket } = connection;
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
    socket.on("close", () => crowd.remove(connection));
  }

  function touch(connection: Connection): void {
    connection.activeMs = clock.monotonicMs();
    crowd.touch(connection);
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
      connection.messageMs = NEVER;
      counters.questions++;
      connection.inFlight++;
      touch(connection);
      const { client, server } = connection;
      resolve({ query, client, server }, (wire) => {
        const fitting = wire === null || hasRoom(connection, wire.length) ? wire : servfail(query);
        const isPadded = secure !== undefined && fitting !== null;
        answer(connection, isPadded ? padReply(fitting, query) : fitting);
      });
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

  const hasRoom = ({ socket }: Connection, octets: number): boolean =>
    socket.writableLength + octets <= limits.maxUntakenOctets;

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
      crowd.gave(frame.length);
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
    // There may be questions that were read and not taken; "drain" comes by here.
    if (isYielding || !isWelcome(connection)) return;
    if ((connection.hasEnded || closing) && inFlight === 0 && !socket.destroyed) socket.end();
  }

  function sweep(): void {
    sweeping = undefined;
    const nowMs = clock.monotonicMs();
    const idleMs = crowd.isCrowded() ? limits.crowdedIdleMs : limits.idleMs;
    for (const connection of crowd) {
      // Without a "drain" event the last octets may still have gone.
      if (connection.socket.writableLength === 0) connection.unsentMs = NEVER;
      const reason = overdue(connection, nowMs, { ...limits, idleMs });
      if (reason !== undefined) crowd.drop(connection, reason);
    }
    if (counters.connections > 0) sweeping = timers.after(SWEEP_MS, sweep);
  }

  const listeners = createTcpListeners(secure ? "DNS over TLS" : "DNS over TCP", accept, log);
  await listeners.listen(options.listen);

  return {
    get addresses() {
      return listeners.addresses();
    },
    counters,
    listen: listeners.listen,
    leave: listeners.leave,
    async close() {
      closing = true;
      const closed = listeners.close();
      for (const connection of crowd) endIfDone(connection);
      const cut = timers.after(limits.closeMs, () => {
        for (const { socket } of crowd) socket.destroy();
      });
      await closed;
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
