/**
 * One forwarded question, from the first datagram to an answer or the end of patience. A state machine:
 * `stepExchange(exchange, input)` gives what is to be done, in order. It opens nothing and waits for
 * nothing; whoever drives it performs the outputs and calls it again, at the latest at `wakeAtMs`.
 *
 * Bounds, for any behaviour of any server: two messages per server, connections included, 3 s or one
 * `timeoutMs` in all, OUTSTANDING sockets at a time.
 */
import { assert, unreachable } from "../base.ts";
import { HEADER_OCTETS, parseMessage, type ParsedMessage } from "../dns/message.ts";
import { rcodeName } from "../dns/presentation.ts";
import { FLAG, RCODE } from "../dns/rr.ts";
import {
  close,
  closeExpired,
  markSilent,
  noteTimes,
  openCount,
  sendAgain,
  settle,
  wakeForListeners,
  type Attempt,
  type Exchange,
  type Output,
} from "./attempts.ts";
import { abort, advance, begin, finish, schedule } from "./course.ts";
import { holdsAddress } from "./filter/records.ts";
import { noteCaseChange, noteError, notePlain, noteReply } from "./health.ts";
import { matchReply, strangerOf } from "./query.ts";
import { addReplyTime } from "./reply-times.ts";
import { isStreamOnly } from "./upstream.ts";
import type { Server } from "./upstreams.ts";

/** Messages that look like guesses before the question moves to TCP (PowerDNS gives up after one). */
const MAX_NEAR_MISSES = 5;

const overTcp = { transport: "tcp" } as const;

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
  const { nowMs } = input;
  switch (input.type) {
    case "start":
      begin(exchange, nowMs, outputs);
      break;
    case "message":
      if (input.attempt.open) stepMessage(exchange, input.attempt, input.wire, nowMs, outputs);
      break;
    case "error":
      if (input.attempt.open) stepError(exchange, input.attempt, input.code, nowMs, outputs);
      break;
    case "tick":
      if (nowMs >= exchange.wakeAtMs) stepTick(exchange, nowMs, outputs);
      break;
    case "abort":
      abort(exchange, outputs);
      return outputs;
    default:
      unreachable(input);
  }
  if (exchange.settled) wakeForListeners(exchange);
  else schedule(exchange, nowMs, outputs);
  return outputs;
}

function stepMessage(
  exchange: Exchange,
  attempt: Attempt,
  wire: Uint8Array,
  nowMs: number,
  outputs: Output[],
): void {
  const { server, transport } = attempt;
  const found = matchReply(wire, attempt);
  // Where the case is no secret a server may have one of its own (RFC 4343 section 4.1).
  const match = found === "case" && !attempt.mixed ? "reply" : found;
  if (match === "other") {
    server.counts.strangers[strangerOf(wire, attempt)]++;
    stepNearMiss(exchange, attempt, nowMs, outputs);
    return;
  }
  if (match === "case") {
    stepOtherCase(exchange, attempt, nowMs, outputs);
    return;
  }
  // Names that point into the question are then spelled as the client spelled them.
  if (match === "reply") wire.set(exchange.query.question, HEADER_OCTETS);
  if (match === "reply" && (wire[2]! & (FLAG.TC >> 8)) !== 0 && transport === "udp") {
    server.counts.truncated++;
    addReplyTime(server.replyTimes, wire[3]! & 15, nowMs - attempt.sentAtMs);
    if (attempt.plainRetry) notePlain(server, nowMs);
    heard(exchange, attempt, "", nowMs, outputs);
    stepTruncated(exchange, attempt, wire, nowMs, outputs);
    return;
  }
  stepReply(exchange, attempt, { wire, isWhole: match === "reply" }, nowMs, outputs);
}

/** What the server says to this question. `isWhole`: with the question; else it can only be an error. */
function stepReply(
  exchange: Exchange,
  attempt: Attempt,
  { wire, isWhole }: { wire: Uint8Array; isWhole: boolean },
  nowMs: number,
  outputs: Output[],
): void {
  const { server, transport } = attempt;
  const parsed = parseMessage(wire);
  if (!parsed.ok) {
    server.counts.malformed++;
    heard(exchange, attempt, "malformed reply", nowMs, outputs);
    fail(exchange, attempt, nowMs, outputs);
    return;
  }
  const message = parsed.value;
  const rcode = (message.flags & 15) | ((message.opt?.extendedRcode ?? 0) << 4);
  const usable = rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN;
  addReplyTime(server.replyTimes, rcode, nowMs - attempt.sentAtMs);
  heard(exchange, attempt, usable ? "" : rcodeName(rcode), nowMs, outputs);
  if (!usable) {
    server.counts.errorRcodes++;
    attempt.options = message.opt?.options ?? null;
  }
  if (usable && isWhole) compareWord(exchange, server, message, outputs);
  if (exchange.settled) {
    close(attempt, outputs);
    return;
  }
  if (usable && isIgnored(exchange, message)) {
    server.counts.ignored++;
    attempt.problem = "ignored address";
    return;
  }
  const refusesEdns = rcode === RCODE.FORMERR || rcode === RCODE.NOTIMP || rcode === BADVERS;
  if (refusesEdns && attempt.withOpt && exchange.query.ownOpt)
    if (sendAgain(exchange, attempt, { transport, plainRetry: true }, nowMs, outputs)) return;
  if (usable && attempt.plainRetry) notePlain(server, nowMs);
  if (isWhole && !leadsOn(exchange, rcode)) {
    close(attempt, outputs);
    settle(exchange, { type: "answer", message, wire, server }, nowMs, outputs);
    return;
  }
  if (usable) {
    attempt.passedOn = true;
    exchange.passedOn ??= { message, wire, server };
  } else exchange.errorReplied = true;
  fail(exchange, attempt, nowMs, outputs);
}

/**
 * Notices when one server denies the name that another one has records of. Who asks them in turns gets
 * now this, now that; which of them knows better only people can say.
 */
function compareWord(
  exchange: Exchange,
  server: Server,
  { flags, answers }: ParsedMessage,
  outputs: Output[],
): void {
  const hadBoth = exchange.denying !== null && exchange.knowing !== null;
  if ((flags & 15) === RCODE.NXDOMAIN) exchange.denying ??= server;
  else if (answers.length > 0) exchange.knowing ??= server;
  const { denying, knowing, query, settings } = exchange;
  if (hadBoth || denying === null || knowing === null || denying === knowing) return;
  denying.counts.disagreements++;
  const qname = query.question.subarray(0, query.question.length - 4);
  const group = settings.name;
  outputs.push({ type: "event", event: { type: "disagree", denying, knowing, group, qname } });
}

/** Does it hold an address that no true reply has? Then another one is waited for (dnsmasq `ignore-address`). */
function isIgnored(
  { settings: { ignoredAddresses } }: Exchange,
  { answers }: ParsedMessage,
): boolean {
  return ignoredAddresses.length > 0 && holdsAddress(answers, ignoredAddresses);
}

/** Does this RCODE make the question go on with the next server? */
function leadsOn({ settings: { nextOn }, query }: Exchange, rcode: number): boolean {
  if (nextOn !== null) return nextOn.includes(rcode);
  return rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN && !query.firstReplyFinal;
}

/** The server has answered what it was asked; `error` "": usably. */
function heard(
  { settings: { name: group } }: Exchange,
  attempt: Attempt,
  error: string,
  nowMs: number,
  outputs: Output[],
): void {
  const { server } = attempt;
  attempt.problem = error;
  server.answeredSentMs = Math.max(server.answeredSentMs, attempt.sentAtMs);
  if (error !== "") noteError(server, error, nowMs);
  const isUsual = attempt.transport === "udp" || isStreamOnly(server.address);
  const downMs = nowMs - server.changedAtMs;
  const turn = noteReply(server, error === "", isUsual ? nowMs - attempt.sentAtMs : -1, nowMs);
  if (turn === "up")
    outputs.push(
      { type: "revived", server },
      { type: "event", event: { type: "up", server, group, downMs } },
    );
  else if (turn === "demoted")
    outputs.push({ type: "event", event: { type: "demoted", server, group, reason: error } });
  else if (turn === "restored")
    outputs.push({ type: "event", event: { type: "restored", server, group } });
}

/** This attempt will give nothing. Goes on at once if it was one that is waited for. */
function fail(exchange: Exchange, attempt: Attempt, nowMs: number, outputs: Output[]): void {
  close(attempt, outputs);
  if (exchange.settled) return;
  const { current, settings } = exchange;
  if (attempt === current || settings.strategy === "parallel" || openCount(exchange) === 0)
    advance(exchange, nowMs, outputs);
}

/** Only the case of the name differs: not used, and asked once more in lower case. */
function stepOtherCase(
  exchange: Exchange,
  attempt: Attempt,
  nowMs: number,
  outputs: Output[],
): void {
  const { server, transport } = attempt;
  const { name: group } = exchange.settings;
  server.counts.caseMismatches++;
  if (noteCaseChange(server, nowMs))
    outputs.push({ type: "event", event: { type: "case", server, group } });
  heard(exchange, attempt, "changed case", nowMs, outputs);
  if (exchange.settled || !sendAgain(exchange, attempt, { transport }, nowMs, outputs))
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
  if (attempt.transport === "tcp" || !sendAgain(exchange, attempt, overTcp, nowMs, outputs))
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
    close(attempt, outputs);
    settle(exchange, { type: "answer", message, wire, server }, nowMs, outputs);
    return;
  }
  exchange.truncated = { message, wire, server };
  if (sendAgain(exchange, attempt, overTcp, nowMs, outputs)) return;
  // It has had its share of packets. What it says to the other datagram will be cut as well.
  for (const other of exchange.attempts)
    if (other.server === server && other.transport === "udp") close(other, outputs);
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
    if (!exchange.settled && openCount(exchange) === 0)
      settle(exchange, { type: "failed", reason: "local" }, nowMs, outputs);
    return;
  }
  attempt.server.counts.errors++;
  markSilent(exchange, attempt, code, nowMs, outputs);
  fail(exchange, attempt, nowMs, outputs);
}

function stepTick(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  noteTimes(exchange, nowMs, outputs);
  if (exchange.settled) closeExpired(exchange, nowMs, outputs);
  else if (nowMs >= exchange.endMs) finish(exchange, nowMs, outputs);
  else if (nowMs >= exchange.nextMs) advance(exchange, nowMs, outputs);
}
