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
import { rcodeName } from "../dns/presentation.ts";
import { FLAG, RCODE } from "../dns/rr.ts";
import {
  advance,
  close,
  closeAll,
  closeExpired,
  fail,
  finish,
  isAnyOpen,
  markSilent,
  sendAgain,
  settle,
  type Attempt,
  type Exchange,
  type Output,
} from "./attempts.ts";
import { matchReply } from "./query.ts";
import { isStreamOnly } from "./upstream.ts";
import { noteError, notePlain, noteReply } from "./upstreams.ts";

/** Messages that look like guesses before the question moves to TCP (PowerDNS gives up after one). */
const MAX_NEAR_MISSES = 5;

/** BADVERS is RCODE 0 with an extended part of 1 (RFC 6891 6.1.3). */
const BADVERS = 16;

export type Input =
  | { type: "start"; nowMs: number }
  | { type: "message"; attempt: Attempt; wire: Uint8Array; nowMs: number }
  | { type: "error"; attempt: Attempt; code: string; nowMs: number }
  | { type: "tick"; nowMs: number }
  /** The waiting client is gone or must be given up: everything is closed without a result. */
  | { type: "abort"; nowMs: number };

/** Errors of our own side; they say nothing about the server. */
const localErrors = new Set([
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
  "EADDRINUSE",
  "TOO_MANY_SOCKETS",
]);

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
  const isUsual = attempt.transport === "udp" || isStreamOnly(server.address);
  const rttMs = isUsual ? nowMs - attempt.sentAtMs : -1;
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
    noteError(server, "malformed reply", nowMs);
    heard(false);
    fail(exchange, attempt, nowMs, outputs);
    return;
  }
  const message = parsed.value;
  const rcode = (message.flags & 15) | ((message.opt?.extendedRcode ?? 0) << 4);
  const usable = rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN;
  heard(usable);
  if (!usable) {
    server.counts.errorRcodes++;
    noteError(server, rcodeName(rcode), nowMs);
  }
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
  exchange.truncated = { message, wire, server };
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
  noteError(attempt.server, code, nowMs);
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
    noteError(waited.server, "timeout", nowMs);
    markSilent(waited, nowMs, outputs);
  }
  if (nowMs < exchange.deadlineMs) advance(exchange, nowMs, outputs);
  else finish(exchange, nowMs, outputs);
}
