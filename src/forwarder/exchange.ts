/**
 * One forwarded question, from the first datagram to an answer or the end of patience. A state machine:
 * `stepExchange(exchange, input)` gives what is to be done, in order. It opens nothing and waits for
 * nothing; whoever drives it performs the outputs and calls it again, at the latest at `wakeAtMs`.
 *
 * Bounds, for any behaviour of any server: two datagrams and one TCP connection per server, 3 s or one
 * `timeoutMs` in all, OUTSTANDING sockets at a time.
 */
import { assert, unreachable } from "../base.ts";
import { HEADER_OCTETS, parseMessage, type ParsedMessage } from "../dns/message.ts";
import { FLAG, RCODE } from "../dns/rr.ts";
import type { Exchange as Socket, Random } from "../ports.ts";
import { encodeQuery, matchReply, type Query } from "./query.ts";
import { notePlain, noteReply, noteSilence, takeProbe, type Server } from "./upstreams.ts";

/** A client gives up after 3 to 5 s; all servers together get this long (a longer `timeoutMs` wins). */
export const TOTAL_MS = 3000;
/** A server that is known to be dead may hold up a question this long, and only if no good one is left. */
export const PROBE_PATIENCE_MS = 80;
/** How long the reply to such a question is listened for, so that its return is noticed. */
const PROBE_LISTEN_MS = 2000;
/** The only server is asked a second time if its time allows: one lost datagram should not fail a question. */
const RESEND_FROM_TIMEOUT_MS = 1000;
/** Messages that look like guesses before the question moves to TCP (PowerDNS gives up after one). */
export const MAX_NEAR_MISSES = 5;
/** Datagrams to one server for one question. */
const MAX_DATAGRAMS = 2;
/** Datagrams that may be answered at the same time: each is a chance for a forger (RFC 5452 5). */
const OUTSTANDING = 3;

/** BADVERS is RCODE 0 with an extended part of 1 (RFC 6891 6.1.3). */
const BADVERS = 16;

export type Attempt = {
  readonly server: Server;
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

export type Exchange = {
  readonly query: Query;
  readonly order: readonly Server[];
  readonly timeoutMs: number;
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

export type Input =
  | { type: "start"; nowMs: number }
  | { type: "message"; attempt: Attempt; wire: Uint8Array; nowMs: number }
  | { type: "error"; attempt: Attempt; code: string; nowMs: number }
  | { type: "tick"; nowMs: number }
  /** The waiting client is gone or must be given up: everything is closed without a result. */
  | { type: "abort"; nowMs: number };

export type Output =
  /** Open a socket for this attempt and send. The octets belong to the attempt. */
  | { type: "send"; attempt: Attempt; wire: Uint8Array }
  | { type: "close"; attempt: Attempt }
  /** The server just became dead. */
  | { type: "dead"; server: Server }
  /** The server was dead and has answered. */
  | { type: "revived"; server: Server }
  /** The end; comes once. `wire` is the message as received, its octets valid during the call only. */
  | { type: "answer"; message: ParsedMessage; wire: Uint8Array; server: Server }
  /** The end; comes once. `local`: our own sockets are exhausted. */
  | { type: "failed"; reason: "silence" | "error replies" | "local" };

/** Errors of our own side; they say nothing about the server. */
const localErrors = new Set([
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
  "EADDRINUSE",
  "TOO_MANY_SOCKETS",
]);

export type ExchangeOptions = {
  query: Query;
  order: readonly Server[];
  timeoutMs: number;
  random: Random;
  nowMs: number;
};

export function createExchange({
  query,
  order,
  timeoutMs,
  random,
  nowMs,
}: ExchangeOptions): Exchange {
  return {
    query,
    order,
    timeoutMs,
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

/** Advances the exchange; the outputs are to be performed in order. */
export function stepExchange(exchange: Exchange, input: Input): Output[] {
  const outputs: Output[] = [];
  switch (input.type) {
    case "start":
      advance(exchange, input.nowMs, outputs);
      break;
    case "message":
      if (input.attempt.open)
        stepMessage(exchange, input.attempt, input.wire, input.nowMs, outputs);
      break;
    case "error":
      if (input.attempt.open) stepError(exchange, input.attempt, input.code, input.nowMs, outputs);
      break;
    case "tick":
      if (input.nowMs >= exchange.wakeAtMs) stepTick(exchange, input.nowMs, outputs);
      break;
    case "abort":
      exchange.settled = true;
      closeAll(exchange, outputs);
      break;
    default:
      unreachable(input);
  }
  return outputs;
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
function advance(exchange: Exchange, nowMs: number, outputs: Output[]): void {
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
function finish(exchange: Exchange, nowMs: number, outputs: Output[]): void {
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
  { transport, probe = false, plainRetry = false }: SendOptions,
  nowMs: number,
  outputs: Output[],
): void {
  const { query } = exchange;
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
function sendAgain(
  exchange: Exchange,
  attempt: Attempt,
  options: SendOptions,
  nowMs: number,
  outputs: Output[],
): boolean {
  const limit = options.transport === "tcp" ? 1 : MAX_DATAGRAMS;
  if (sentTo(exchange, attempt.server, options.transport) >= limit) return false;
  close(attempt, outputs);
  const waitMs = patience(exchange, attempt.server, nowMs);
  send(exchange, attempt.server, { ...options, probe: attempt.probe }, nowMs, outputs);
  exchange.wakeAtMs = Math.min(nowMs + waitMs, exchange.deadlineMs);
  return true;
}

function stepMessage(
  exchange: Exchange,
  attempt: Attempt,
  wire: Uint8Array,
  nowMs: number,
  outputs: Output[],
): void {
  const { server } = attempt;
  const match = matchReply(wire, {
    id: attempt.id,
    question: exchange.query.question,
    lowerCase: attempt.lowerCase,
  });
  if (match === "other") {
    stepNearMiss(exchange, attempt, nowMs, outputs);
    return;
  }
  const rttMs = attempt.transport === "udp" ? nowMs - attempt.sentAtMs : -1;
  const heard = (usable: boolean): void => {
    if (noteReply(server, usable, rttMs, nowMs)) outputs.push({ type: "revived", server });
  };
  if (match === "case") {
    server.counts.caseMismatches++;
    server.lowerCases = true;
    heard(false);
    const { transport } = attempt;
    if (exchange.settled || !sendAgain(exchange, attempt, { transport }, nowMs, outputs))
      fail(exchange, attempt, nowMs, outputs);
    return;
  }
  if (match === "reply" && (wire[2]! & (FLAG.TC >> 8)) !== 0 && attempt.transport === "udp") {
    server.counts.truncated++;
    heard(true);
    stepTruncated(exchange, attempt, wire, nowMs, outputs);
    return;
  }
  const parsed = parseMessage(wire);
  if (!parsed.ok) {
    server.counts.malformed++;
    heard(false);
    fail(exchange, attempt, nowMs, outputs);
    return;
  }
  const message = parsed.value;
  const rcode = (message.flags & 15) | ((message.opt?.extendedRcode ?? 0) << 4);
  const usable = rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN;
  heard(usable);
  if (!usable) server.counts.errorRcodes++;
  if (exchange.settled) {
    close(attempt, outputs);
    return;
  }
  const refusesEdns = rcode === RCODE.FORMERR || rcode === RCODE.NOTIMP || rcode === BADVERS;
  if (refusesEdns && attempt.withOpt && exchange.query.ownOpt) {
    const { transport } = attempt;
    if (sendAgain(exchange, attempt, { transport, plainRetry: true }, nowMs, outputs)) return;
  }
  if (usable && attempt.plainRetry) notePlain(server, nowMs);
  if ((usable || exchange.query.firstReplyFinal) && match === "reply") {
    settle(exchange, { type: "answer", message, wire, server }, nowMs, outputs);
    return;
  }
  exchange.errorReplied = true;
  fail(exchange, attempt, nowMs, outputs);
}

/** A message that is not the reply: ignored, but not for ever (RFC 5452 9.1, the id may be guessed). */
function stepNearMiss(
  exchange: Exchange,
  attempt: Attempt,
  nowMs: number,
  outputs: Output[],
): void {
  attempt.server.counts.nearMisses++;
  exchange.nearMisses++;
  if (attempt.transport === "udp" && exchange.nearMisses < MAX_NEAR_MISSES) return;
  if (exchange.settled) {
    close(attempt, outputs);
    return;
  }
  if (!sendAgain(exchange, attempt, { transport: "tcp" }, nowMs, outputs))
    fail(exchange, attempt, nowMs, outputs);
}

/** Truncated over UDP: over TCP again (RFC 7766 5), or passed on if the query says so. */
function stepTruncated(
  exchange: Exchange,
  attempt: Attempt,
  wire: Uint8Array,
  nowMs: number,
  outputs: Output[],
): void {
  if (exchange.settled) {
    close(attempt, outputs);
    return;
  }
  const parsed = parseMessage(wire);
  const { query } = exchange;
  // Some servers cut the message in the middle of a record; its head is what matters.
  const message = parsed.ok ? parsed.value : headOf(wire, query.question);
  const { server } = attempt;
  if (!query.retryTruncated) {
    settle(exchange, { type: "answer", message, wire, server }, nowMs, outputs);
    return;
  }
  exchange.truncated = { message, wire: wire.slice(), server };
  if (!sendAgain(exchange, attempt, { transport: "tcp" }, nowMs, outputs))
    fail(exchange, attempt, nowMs, outputs);
}

function headOf(wire: Uint8Array, question: Uint8Array): ParsedMessage {
  const bare = wire.slice(0, HEADER_OCTETS + question.length);
  bare.fill(0, 6, HEADER_OCTETS);
  const parsed = parseMessage(bare);
  assert(parsed.ok, "a header and a question that matched ours can be parsed");
  return parsed.value;
}

function stepError(
  exchange: Exchange,
  attempt: Attempt,
  code: string,
  nowMs: number,
  outputs: Output[],
): void {
  if (localErrors.has(code)) {
    close(attempt, outputs);
    if (!exchange.settled && !isAnyOpen(exchange))
      settle(exchange, { type: "failed", reason: "local" }, nowMs, outputs);
    return;
  }
  attempt.server.counts.errors++;
  markSilent(attempt, nowMs, outputs);
  fail(exchange, attempt, nowMs, outputs);
}

function stepTick(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  if (exchange.settled) {
    closeExpired(exchange, nowMs, outputs);
    return;
  }
  const waited = exchange.current;
  if (waited !== null && waited.open && !waited.silent) {
    waited.server.counts.timeouts++;
    markSilent(waited, nowMs, outputs);
  }
  if (nowMs < exchange.deadlineMs) advance(exchange, nowMs, outputs);
  else finish(exchange, nowMs, outputs);
}

function markSilent(attempt: Attempt, nowMs: number, outputs: Output[]): void {
  attempt.silent = true;
  const { server } = attempt;
  if (noteSilence(server, attempt.sentAtMs, nowMs)) outputs.push({ type: "dead", server });
}

/** This attempt will give nothing. Goes on at once if it was the one waited for. */
function fail(exchange: Exchange, attempt: Attempt, nowMs: number, outputs: Output[]): void {
  close(attempt, outputs);
  if (exchange.settled) return;
  if (attempt === exchange.current || !isAnyOpen(exchange)) advance(exchange, nowMs, outputs);
}

function isAnyOpen({ attempts }: Exchange): boolean {
  for (const attempt of attempts) if (attempt.open) return true;
  return false;
}

function close(attempt: Attempt, outputs: Output[]): void {
  attempt.open = false;
  outputs.push({ type: "close", attempt });
}

function closeAll(exchange: Exchange, outputs: Output[]): void {
  for (const attempt of exchange.attempts) if (attempt.open) close(attempt, outputs);
  exchange.wakeAtMs = Infinity;
}

/** Probes stay open for a while: the answer of the others must not hide that a server is back. */
function closeExpired(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  let wakeAtMs = Infinity;
  for (const attempt of exchange.attempts) {
    if (!attempt.open) continue;
    if (attempt.probe && attempt.untilMs > nowMs) wakeAtMs = Math.min(wakeAtMs, attempt.untilMs);
    else close(attempt, outputs);
  }
  exchange.wakeAtMs = wakeAtMs;
}

function settle(
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
