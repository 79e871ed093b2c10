/**
 * The course of one question through the servers: who is asked next, how long one is waited for, and
 * when nothing more is to be expected. exchange.ts judges what comes back.
 */
import type { ParsedMessage } from "../dns/message.ts";
import type { Exchange as Socket, Random } from "../ports.ts";
import { encodeQuery, type Query } from "./query.ts";
import { isStreamOnly } from "./upstream.ts";
import { noteSilence, serverOrder, takeProbe, type Server, type Upstreams } from "./upstreams.ts";

/** A client gives up after 3 to 5 s; all servers together get this long (a longer `timeoutMs` wins). */
const TOTAL_MS = 3000;
/** A server that is known to be dead may hold up a question this long, and only if no good one is left. */
const PROBE_PATIENCE_MS = 80;
/** How long the reply to such a question is listened for, so that its return is noticed. */
const PROBE_LISTEN_MS = 2000;
/** The only server is asked a second time if its time allows: one lost datagram should not fail a question. */
const RESEND_FROM_TIMEOUT_MS = 1000;
/** Datagrams to one server for one question; messages, if it is asked through connections only. */
const MAX_DATAGRAMS = 2;
/** Datagrams that may be answered at the same time: each is a chance for a forger (RFC 5452 5). */
const OUTSTANDING = 3;

/** One question to one server. */
export type Attempt = {
  readonly server: Server;
  /** "tcp": through a connection, with TLS or HTTP in it if that is how the server is asked. */
  readonly transport: "udp" | "tcp";
  readonly id: number;
  readonly withOpt: boolean;
  readonly lowerCase: boolean;
  readonly sentAtMs: number;
  /** Until then this attempt may still save the question. */
  readonly untilMs: number;
  /** Sent to a dead server. */
  readonly probe: boolean;
  /** Repeats without EDNS what was refused with it. */
  readonly plainRetry: boolean;
  open: boolean;
  /** Its time to hold up the question is over; a late reply is still welcome. */
  silent: boolean;
  /** Belongs to whoever performs the outputs. */
  socket: Socket | null;
};

/** State of one forwarded question; only this file and exchange.ts change it. */
export type Exchange = {
  readonly query: Query;
  readonly order: readonly Server[];
  readonly timeoutMs: number;
  readonly startedMs: number;
  readonly deadlineMs: number;
  readonly random: Random;
  /** Next index into `order`. */
  position: number;
  resent: boolean;
  attempts: Attempt[];
  current: Attempt | null;
  nearMisses: number;
  /** A truncated reply whose repetition over TCP failed: better than nothing. */
  truncated: { message: ParsedMessage; wire: Uint8Array; server: Server } | null;
  /** An error RCODE was received, so the failure is the servers' word and not mere silence. */
  errorReplied: boolean;
  settled: boolean;
  /** Call again with `tick` then; Infinity once nothing is open any more. */
  wakeAtMs: number;
};

/** What the state machine wants done. */
export type Output =
  /** Open a socket for this attempt and send. The octets belong to the attempt. */
  | { type: "send"; attempt: Attempt; wire: Uint8Array }
  | { type: "close"; attempt: Attempt }
  /** The server just became dead. */
  | { type: "dead"; server: Server }
  /** The server was dead and has answered. */
  | { type: "revived"; server: Server }
  /** The end; comes once. `wire` is the message as received. */
  | { type: "answer"; message: ParsedMessage; wire: Uint8Array; server: Server }
  /** The end; comes once. `local`: our own sockets are exhausted. */
  | { type: "failed"; reason: "silence" | "error replies" | "local" };

export type ExchangeOptions = {
  query: Query;
  upstreams: Upstreams;
  random: Random;
  nowMs: number;
};

/** Nothing is sent before the first `start`. */
export function createExchange({ query, upstreams, random, nowMs }: ExchangeOptions): Exchange {
  const { timeoutMs } = upstreams.settings;
  const order = serverOrder(upstreams, random);
  return {
    query,
    order,
    timeoutMs,
    startedMs: nowMs,
    deadlineMs: nowMs + Math.max(timeoutMs, Math.min(TOTAL_MS, timeoutMs * order.length)),
    random,
    position: 0,
    resent: false,
    attempts: [],
    current: null,
    nearMisses: 0,
    truncated: null,
    errorReplied: false,
    settled: false,
    wakeAtMs: Infinity,
  };
}

/** The server has just been found dead: a question that waits for it goes on with the next one. */
export function hurry(exchange: Exchange, server: Server, nowMs: number): boolean {
  const waiting = exchange.current;
  if (exchange.settled || waiting === null || waiting.server !== server || !waiting.open)
    return false;
  exchange.wakeAtMs = Math.min(exchange.wakeAtMs, nowMs);
  return true;
}

/** Sends to the next server that is worth waiting for, or ends the exchange when none is left. */
export function advance(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  while (exchange.position < exchange.order.length) {
    const server = exchange.order[exchange.position++]!;
    if (server.standing !== "dead") {
      const waitMs = patience(exchange, server, nowMs);
      send(exchange, server, { transport: exchange.query.transport }, nowMs, outputs);
      exchange.wakeAtMs = Math.min(nowMs + waitMs, exchange.deadlineMs);
      return;
    }
    if (!takeProbe(server, nowMs)) continue;
    send(exchange, server, { transport: exchange.query.transport, probe: true }, nowMs, outputs);
    if (!mayHoldUp(exchange)) continue;
    exchange.wakeAtMs = Math.min(nowMs + PROBE_PATIENCE_MS, exchange.deadlineMs);
    return;
  }
  if (resend(exchange, nowMs, outputs)) return;
  awaitRest(exchange, nowMs, outputs);
}

/**
 * A dead server is waited for, briefly, if those that follow answer but have only errors to offer.
 * With a good one to come, or with all dead, there is nothing to be gained by asking one by one.
 */
function mayHoldUp({ order, position }: Exchange): boolean {
  let failing = false;
  for (let i = position; i < order.length; i++) {
    const { standing } = order[i]!;
    if (standing === "good") return false;
    if (standing === "failing") failing = true;
  }
  return failing;
}

/** An equal share of the time left for every live server to come, this one included. */
function patience(exchange: Exchange, server: Server, nowMs: number): number {
  let shares = 1;
  for (let i = exchange.position; i < exchange.order.length; i++)
    if (exchange.order[i]!.standing !== "dead") shares++;
  if (shares === 1 && mayResend(exchange, server)) shares = 2;
  return Math.min(exchange.timeoutMs, (exchange.deadlineMs - nowMs) / shares);
}

/** Is this the only live server, so that it gets the datagram that the next one would have got? */
function mayResend(exchange: Exchange, server: Server): boolean {
  return (
    !exchange.resent &&
    exchange.query.transport === "udp" &&
    !isStreamOnly(server.address) &&
    exchange.timeoutMs >= RESEND_FROM_TIMEOUT_MS &&
    exchange.attempts.every(({ probe, server: other }) => probe || other === server)
  );
}

function resend(exchange: Exchange, nowMs: number, outputs: Output[]): boolean {
  const silent = exchange.current;
  if (silent === null || !silent.open || silent.probe || silent.transport === "tcp") return false;
  if (!mayResend(exchange, silent.server)) return false;
  if (sentTo(exchange, silent.server, "udp") >= MAX_DATAGRAMS) return false;
  exchange.resent = true;
  send(exchange, silent.server, { transport: "udp" }, nowMs, outputs);
  exchange.wakeAtMs = exchange.deadlineMs;
  return true;
}

/** No server is left to ask: waits for those that may still answer, else fails. */
function awaitRest(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  let untilMs = -Infinity;
  for (const attempt of exchange.attempts)
    if (attempt.open)
      untilMs = Math.max(
        untilMs,
        attempt.probe ? attempt.sentAtMs + PROBE_PATIENCE_MS : attempt.untilMs,
      );
  if (untilMs > nowMs) {
    exchange.wakeAtMs = Math.min(untilMs, exchange.deadlineMs);
    return;
  }
  finish(exchange, nowMs, outputs);
}

/** Ends with what there is: a truncated reply, or failure. */
export function finish(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  if (exchange.truncated !== null) {
    const { message, wire, server } = exchange.truncated;
    settle(exchange, { type: "answer", message, wire, server }, nowMs, outputs);
    return;
  }
  const reason = exchange.errorReplied ? "error replies" : "silence";
  settle(exchange, { type: "failed", reason }, nowMs, outputs);
}

type SendOptions = { transport: "udp" | "tcp"; probe?: boolean; plainRetry?: boolean };

function send(
  exchange: Exchange,
  server: Server,
  { transport: wanted, probe = false, plainRetry = false }: SendOptions,
  nowMs: number,
  outputs: Output[],
): void {
  const { query } = exchange;
  const transport = isStreamOnly(server.address) ? "tcp" : wanted;
  const attempt: Attempt = {
    server,
    transport,
    id: exchange.random.uint32() & 0xffff,
    withOpt: query.opt !== null && !(query.ownOpt && (plainRetry || nowMs < server.plainUntilMs)),
    lowerCase: server.lowerCases,
    sentAtMs: nowMs,
    untilMs: probe
      ? nowMs + PROBE_LISTEN_MS
      : Math.min(nowMs + exchange.timeoutMs, exchange.deadlineMs),
    probe,
    plainRetry,
    open: true,
    silent: false,
    socket: null,
  };
  if (!probe) makeRoom(exchange, outputs);
  exchange.attempts.push(attempt);
  exchange.current = attempt;
  server.counts[transport]++;
  outputs.push({ type: "send", attempt, wire: encodeQuery(query, attempt) });
}

/** Closes the oldest open attempt when another one would be too many. */
function makeRoom({ attempts }: Exchange, outputs: Output[]): void {
  let open = 0;
  let oldest: Attempt | null = null;
  for (const attempt of attempts) {
    if (!attempt.open || attempt.probe) continue;
    oldest ??= attempt;
    open++;
  }
  if (open >= OUTSTANDING && oldest !== null) close(oldest, outputs);
}

function sentTo({ attempts }: Exchange, server: Server, transport: "udp" | "tcp"): number {
  let count = 0;
  for (const attempt of attempts)
    if (attempt.server === server && attempt.transport === transport) count++;
  return count;
}

/** Asks the same server once more in another manner; false if it has had its share. */
export function sendAgain(
  exchange: Exchange,
  attempt: Attempt,
  options: SendOptions,
  nowMs: number,
  outputs: Output[],
): boolean {
  const limit =
    options.transport === "tcp" && !isStreamOnly(attempt.server.address) ? 1 : MAX_DATAGRAMS;
  if (sentTo(exchange, attempt.server, options.transport) >= limit) return false;
  close(attempt, outputs);
  const waitMs = patience(exchange, attempt.server, nowMs);
  send(exchange, attempt.server, { ...options, probe: attempt.probe }, nowMs, outputs);
  exchange.wakeAtMs = Math.min(nowMs + waitMs, exchange.deadlineMs);
  return true;
}

/** Notes that no reply came in time, or that none can come. */
export function markSilent(attempt: Attempt, nowMs: number, outputs: Output[]): void {
  attempt.silent = true;
  const { server } = attempt;
  if (noteSilence(server, attempt.sentAtMs, nowMs)) outputs.push({ type: "dead", server });
}

/** This attempt will give nothing. Goes on at once if it was the one waited for. */
export function fail(exchange: Exchange, attempt: Attempt, nowMs: number, outputs: Output[]): void {
  close(attempt, outputs);
  if (exchange.settled) return;
  if (attempt === exchange.current || !isAnyOpen(exchange)) advance(exchange, nowMs, outputs);
}

/** May any attempt still be answered? */
export function isAnyOpen({ attempts }: Exchange): boolean {
  for (const attempt of attempts) if (attempt.open) return true;
  return false;
}

/** Gives up one attempt. */
export function close(attempt: Attempt, outputs: Output[]): void {
  attempt.open = false;
  outputs.push({ type: "close", attempt });
}

/** Gives up everything, probes as well. */
export function closeAll(exchange: Exchange, outputs: Output[]): void {
  for (const attempt of exchange.attempts) if (attempt.open) close(attempt, outputs);
  exchange.wakeAtMs = Infinity;
}

/** Probes stay open for a while: the answer of the others must not hide that a server is back. */
export function closeExpired(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  let wakeAtMs = Infinity;
  for (const attempt of exchange.attempts) {
    if (!attempt.open) continue;
    if (attempt.probe && attempt.untilMs > nowMs) wakeAtMs = Math.min(wakeAtMs, attempt.untilMs);
    else close(attempt, outputs);
  }
  exchange.wakeAtMs = wakeAtMs;
}

/** Ends the exchange with this result; only probes go on. */
export function settle(
  exchange: Exchange,
  result: Extract<Output, { type: "answer" | "failed" }>,
  nowMs: number,
  outputs: Output[],
): void {
  exchange.settled = true;
  exchange.truncated = null;
  closeExpired(exchange, nowMs, outputs);
  outputs.push(result);
}
