/**
 * DNS over HTTPS (RFC 8484) on the main thread: HTTP/2, and HTTP/1.1 for who speaks no other. The limits
 * are those of connections over TCP; here a connection is idle while no request is under way on it.
 */
import {
  constants,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
  type SecureServerOptions,
} from "node:http2";
import type { Socket } from "node:net";
import type {
  Cancel,
  Client,
  Clock,
  HttpsIdentity,
  Log,
  SocketAddress,
  Timers,
} from "../../ports.ts";
import { type Allowance, createAllowance } from "../allowance.ts";
import type { Resolve, ServerNumber } from "../answer.ts";
import { createCrowd, type TcpCounters } from "../crowd.ts";
import {
  checkQuestion,
  DNS_MESSAGE,
  freshnessSeconds,
  MAX_QUESTION_OCTETS,
  readDohHead,
  type Refusal,
} from "../doh.ts";
import { tcpDefaults, type TcpLimits } from "../driver.ts";
import { createFaults, unfailing, type Fault } from "../faults.ts";
import type { ListenPlace, TcpFront } from "../front.ts";
import { createTcpListeners } from "../listeners/driver.ts";
import type { Meter } from "../meter.ts";
import { padReply } from "../padding.ts";
import { endOf, tlsServerOptions } from "../tls/driver.ts";
import { createTurns } from "../turns.ts";

/** What the listener needs of the rest. */
export type HttpsFrontOptions = {
  listen: readonly ListenPlace[];
  identity: HttpsIdentity;
  /** Whether a client of this address (an IP literal) may ask; absent: everybody may. */
  isAnswered?: (address: string) => boolean;
  resolve: Resolve;
  /** As of TcpFrontOptions. */
  serverOf?: Meter["serverOf"];
  clock: Clock;
  timers: Timers;
  log: Log;
  /** Hears what `resolve` throws, beside the SERVFAIL; absent: the log does. */
  fault?: Fault;
  limits?: Partial<TcpLimits>;
};

/** `renew`: new connections get this certificate; those that stand keep theirs. */
export type HttpsFront = TcpFront & {
  counters: TcpCounters;
  /** Since the start, for each listener and status that there was. */
  responses(): readonly HttpsResponses[];
  renew(identity: HttpsIdentity): void;
};

/** Responses of one status. `server`: as Meter.serverOf numbers the listener; undefined if nobody does. */
export type HttpsResponses = {
  readonly server: ServerNumber | undefined;
  readonly status: number;
  count: number;
};

/** Requests at a time on one connection; RFC 9113 6.5.2 advises against fewer. */
const MAX_STREAMS = 100;
/**
 * Streams that a client may reset at once, and in each second from then on; beyond it the connection ends
 * (CVE-2023-44487). Node's 1,000 are a third of a second of work, and clients of DNS hardly ever give up.
 */
const RESETS = { streamResetBurst: 200, streamResetRate: 33 };
/** How often deadlines are looked at. */
const SWEEP_MS = 250;

/** A request from its header to the end of its response. */
type Asking = { dueMs: number; reason: "message" | "write" };

type Connection = {
  raw: Socket;
  /** Of HTTP/2. */
  session: Http2Session | undefined;
  allowance: Allowance;
  client: Client;
  server: ServerNumber | undefined;
  source: string;
  acceptedMs: number;
  activeMs: number;
  hasAsked: boolean;
  /** Requests that are not over. */
  asking: Set<Asking>;
  /** Questions without an answer, those of streams that were reset included. */
  inFlight: number;
  untakenOctets: number;
};

/** Rejects if an address cannot be listened on. */
export async function startHttpsFront(options: HttpsFrontOptions): Promise<HttpsFront> {
  const { clock, timers, log } = options;
  const resolve = unfailing(
    options.resolve,
    options.fault ?? createFaults(log, () => clock.monotonicMs()).note,
  );
  const limits = { ...tcpDefaults, maxInFlight: MAX_STREAMS, ...options.limits };
  const crowd = createCrowd<Connection>({
    limits,
    isIdle: ({ asking, inFlight }) => asking.size === 0 && inFlight === 0,
    untakenOctets: (connection) => connection.untakenOctets,
    end: (connection, reason) => end(connection, closeCodes[reason]),
    isAnswered: options.isAnswered,
  });
  const { counters } = crowd;
  /** By listener and status: a few words for each of at most 17 listeners. */
  const responses = new Map<string, HttpsResponses>();
  const handshakes = createTurns(setImmediate);
  /** By what a socket and the TLS and HTTP in it have in common. */
  const byEnd = new Map<string, Connection>();
  let sweeping: Cancel | undefined;
  let closing = false;

  const server = createSecureServer(
    {
      ...tlsServerOptions(options.identity),
      allowHTTP1: true,
      settings: { maxConcurrentStreams: limits.maxInFlight },
      ...RESETS,
    } as SecureServerOptions,
    serve,
  );
  // Each of them ends its connection.
  server.on("tlsClientError", () => undefined);
  server.on("sessionError", () => undefined);
  server.on("session", (session) => {
    const connection = byEnd.get(endOf(session.socket));
    if (connection !== undefined) connection.session = session;
  });

  function accept(raw: Socket, at: SocketAddress): void {
    raw.on("error", () => undefined);
    const admitted = crowd.admit(raw, closing);
    if (admitted === undefined) return;
    const nowMs = clock.monotonicMs();
    const connection: Connection = {
      raw,
      session: undefined,
      allowance: createAllowance(nowMs),
      client: { address: admitted.address, port: raw.remotePort ?? 0, transport: "https" },
      server: options.serverOf?.("https", at),
      source: admitted.source,
      acceptedMs: nowMs,
      activeMs: nowMs,
      hasAsked: false,
      asking: new Set(),
      inFlight: 0,
      untakenOctets: 0,
    };
    crowd.add(connection);
    const end = endOf(raw);
    byEnd.set(end, connection);
    raw.setNoDelay(true);
    raw.on("close", () => {
      crowd.remove(connection);
      if (byEnd.get(end) === connection) byEnd.delete(end);
    });
    sweeping ??= timers.after(SWEEP_MS, sweep);
    raw.once("readable", () =>
      handshakes.wait(admitted.source, () => !raw.destroyed && server.emit("connection", raw)),
    );
  }

  function serve(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const connection = byEnd.get(endOf(request.socket));
    if (connection === undefined) {
      response.stream?.close();
      return;
    }
    const asking: Asking = { dueMs: clock.monotonicMs() + limits.messageMs, reason: "message" };
    connection.hasAsked = true;
    connection.asking.add(asking);
    connection.allowance.request();
    touch(connection);
    let isOver = false;
    let untaken = 0;
    const over = (): void => {
      isOver = true;
      connection.untakenOctets -= untaken;
      untaken = 0;
      if (connection.asking.delete(asking)) touch(connection);
      if (closing) endIfDone(connection);
    };
    request.on("error", over);
    response.on("error", over);
    response.on("finish", over);
    response.on("close", over);

    function send(
      status: number,
      headers: Record<string, string | number>,
      body: Uint8Array | string,
    ): void {
      if (isOver) return;
      untaken = body.length;
      connection!.untakenOctets += untaken;
      asking.dueMs = clock.monotonicMs() + limits.writeMs;
      asking.reason = "write";
      countResponse(connection!.server, status);
      response.writeHead(status, { ...headers, "content-length": body.length });
      response.end(request.method === "HEAD" ? "" : body);
      crowd.gave(body.length);
    }

    function refuse({ status, text }: Refusal): void {
      // What is left of the body is not waited for.
      send(
        status,
        {
          "content-type": "text/plain",
          ...(status === 405 ? { allow: "GET, HEAD, POST" } : {}),
          // Else its rest would be read.
          ...(status === 413 && request.httpVersionMajor === 1 ? { connection: "close" } : {}),
        },
        `${text}\n`,
      );
      if (status !== 413 || response.stream === undefined) request.resume();
      else response.stream.once("finish", () => response.stream.close(constants.NGHTTP2_NO_ERROR));
    }

    function ask(question: Uint8Array): void {
      const checked = checkQuestion(question);
      if (!checked.ok) return refuse(checked.error);
      if (connection!.inFlight >= limits.maxInFlight)
        return refuse({ status: 429, text: "too many questions at a time" });
      if (connection!.untakenOctets > limits.maxUntakenOctets)
        return refuse({ status: 429, text: "too many answers that are not taken" });
      counters.questions++;
      connection!.inFlight++;
      asking.dueMs = Infinity;
      const { client, server } = connection!;
      resolve({ query: checked.value, client, server }, (wire) => {
        connection!.inFlight--;
        touch(connection!);
        if (wire === null) return refuse({ status: 400, text: "not a question" });
        if (connection!.untakenOctets > limits.maxUntakenOctets)
          return refuse({ status: 503, text: "too many answers that are not taken" });
        const headers = {
          "content-type": DNS_MESSAGE,
          "cache-control": `max-age=${freshnessSeconds(wire)}`,
        };
        send(200, headers, padReply(wire, checked.value));
      });
    }

    const head = readDohHead({
      method: request.method,
      // CONNECT has none.
      target: request.url ?? "",
      contentType: request.headers["content-type"] ?? "",
    });
    if (!head.ok) return refuse(head.error);
    if (head.value !== undefined) return ask(head.value);
    if (Number(request.headers["content-length"] ?? 0) > MAX_QUESTION_OCTETS)
      return refuse(TOO_LONG);
    const pieces: Uint8Array[] = [];
    let octets = 0;
    request.on("data", (piece: Uint8Array) => {
      if (octets > MAX_QUESTION_OCTETS) return;
      octets += piece.length;
      connection.allowance.body(piece.length);
      if (octets <= MAX_QUESTION_OCTETS) pieces.push(piece);
      else refuse(TOO_LONG);
    });
    request.on("end", () => {
      if (octets <= MAX_QUESTION_OCTETS) ask(new Uint8Array(Buffer.concat(pieces)));
    });
  }

  function touch(connection: Connection): void {
    connection.activeMs = clock.monotonicMs();
    crowd.touch(connection);
  }

  /** We are closing, and nothing is owed. */
  function endIfDone({ raw, asking }: Connection): void {
    if (asking.size === 0) raw.destroy();
  }

  function sweep(): void {
    sweeping = undefined;
    const nowMs = clock.monotonicMs();
    const idleMs = crowd.isCrowded() ? limits.crowdedIdleMs : limits.idleMs;
    for (const connection of crowd) {
      const isWithin = connection.allowance.take(connection.raw.bytesRead, nowMs);
      const reason = isWithin ? overdue(connection, nowMs, { ...limits, idleMs }) : "flood";
      if (reason !== undefined) crowd.drop(connection, reason);
    }
    if (counters.connections > 0) sweeping = timers.after(SWEEP_MS, sweep);
  }

  function countResponse(number: ServerNumber | undefined, status: number): void {
    const key = `${number} ${status}`;
    const held = responses.get(key);
    if (held === undefined) responses.set(key, { server: number, status, count: 1 });
    else held.count++;
  }

  const listeners = createTcpListeners("DNS over HTTPS", accept, log);
  await listeners.listen(options.listen);
  return {
    get addresses() {
      return listeners.addresses();
    },
    counters,
    responses: () => [...responses.values()],
    listen: listeners.listen,
    leave: listeners.leave,
    renew: (identity) => server.setSecureContext(tlsServerOptions(identity)),
    async close() {
      closing = true;
      const closed = listeners.close();
      for (const connection of crowd) endIfDone(connection);
      const cut = timers.after(limits.closeMs, () => {
        for (const { raw } of crowd) raw.destroy();
      });
      await closed;
      cut();
      sweeping?.();
    },
  };
}

const TOO_LONG: Refusal = { status: 413, text: "longer than a DNS message" };

/** What a client of HTTP/2 is told of why its connection ends (RFC 9113 section 7). */
const closeCodes: Partial<Record<keyof TcpCounters["closed"], number>> = {
  flood: constants.NGHTTP2_ENHANCE_YOUR_CALM,
  write: constants.NGHTTP2_ENHANCE_YOUR_CALM,
  message: constants.NGHTTP2_ENHANCE_YOUR_CALM,
};

/** GOAWAY, where there is somebody to hear it, and the end. */
function end({ raw, session }: Connection, code: number = constants.NGHTTP2_NO_ERROR): void {
  if (session === undefined || session.destroyed) {
    raw.destroy();
    return;
  }
  // Not `destroy`, whose GOAWAY under Bun says that all is well.
  session.goaway(code);
  setImmediate(() => raw.destroy());
}

/** Which deadline has passed, if any. */
function overdue(
  { acceptedMs, activeMs, hasAsked, asking, inFlight }: Connection,
  nowMs: number,
  limits: TcpLimits,
): "firstByte" | "message" | "write" | "idle" | undefined {
  if (!hasAsked) return nowMs - acceptedMs > limits.firstByteMs ? "firstByte" : undefined;
  for (const { dueMs, reason } of asking) if (nowMs > dueMs) return reason;
  const isIdle = asking.size === 0 && inFlight === 0;
  return isIdle && nowMs - activeMs > limits.idleMs ? "idle" : undefined;
}
