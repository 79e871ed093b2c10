/**
 * The messages that one question sends: how each is made, how long it is listened to, and when it is
 * given up. course.ts says who is asked next, exchange.ts judges what comes back.
 */
import type { ParsedMessage } from "../dns/message.ts";
import type { Exchange as Socket, Random } from "../ports.ts";
import { takePacket } from "./bucket.ts";
import type { UpstreamEvent } from "./events.ts";
import { noteError, noteLate, noteSilence } from "./health.ts";
import { lowerCase, mixCase } from "./mixed-case.ts";
import { encodeQuery, type Query } from "./query.ts";
import { hedgeMs, noteWait } from "./rtt.ts";
import type { GroupSettings } from "./settings.ts";
import { isStreamOnly } from "./upstream.ts";
import { rateOf, type Server } from "./upstreams.ts";

/** A server that is known to be dead may hold up a question this long, and only if no good one is left. */
export const PROBE_PATIENCE_MS = 80;
/** How long the reply to such a question is listened for, so that its return is noticed. */
const PROBE_LISTEN_MS = 2000;
/** Messages to one server for one question, whatever it answers: datagrams and connections together. */
const MAX_MESSAGES = 2;
/** Messages that may be answered at the same time: each is a chance for a forger (RFC 5452 5). */
export const OUTSTANDING = 3;
/** Answered questions that go on listening to one server for a sign of life; those above are closed. */
const MAX_LISTENERS = 16;

/** One question to one server. */
export type Attempt = {
  readonly server: Server;
  /** "tcp": through a connection, with TLS or HTTP in it if that is how the server is asked. */
  readonly transport: "udp" | "tcp";
  readonly id: number;
  /** The question section as it was sent. */
  readonly question: Uint8Array;
  /** The case of its letters was drawn: the reply must have the same. */
  readonly mixed: boolean;
  readonly withOpt: boolean;
  readonly sentAtMs: number;
  /** From then on it takes longer than nearly any before. */
  readonly lateAtMs: number;
  /** Until then this attempt may still save the question. */
  readonly untilMs: number;
  /** Sent to a dead server. */
  readonly probe: boolean;
  /** Repeats without EDNS what was refused with it. */
  readonly plainRetry: boolean;
  /** Its datagram may have been lost, and the server may be asked once more (repeats.ts). */
  repeatable: boolean;
  /** The server owed a reply to others when this was sent. */
  readonly toLate: boolean;
  open: boolean;
  late: boolean;
  /** Its time to hold up the question is over; a late reply is still welcome. */
  silent: boolean;
  /** The question is settled; only the sign of life counts. */
  listening: boolean;
  /** It was answered with an RCODE that another server may know better. */
  passedOn: boolean;
  /** What went wrong, in a few words for people; "" for nothing so far. */
  problem: string;
  /** EDNS options of a reply with an error; null: none came. */
  options: Uint8Array | null;
  /** Belongs to whoever performs the outputs. */
  socket: Socket | null;
};

/** State of one forwarded question; only this file, course.ts and exchange.ts change it. */
export type Exchange = {
  readonly query: Query;
  readonly settings: GroupSettings;
  readonly random: Random;
  readonly startedMs: number;
  readonly deadlineMs: number;
  /** Then it ends. Before `deadlineMs` if its client has waited for others of the same chain already. */
  readonly endMs: number;
  /** Servers in the order they are tried; one that is put off comes once more at the end. */
  order: readonly Server[];
  /** Gets a copy that nobody waits for, so that its round trip is known. */
  readonly measured: Server | null;
  /** Next index into `order`. */
  position: number;
  /** When the next server is asked; Infinity: not before something happens. */
  nextMs: number;
  /** Servers that were asked a second time because they kept silent. */
  repeats: number;
  /** A server was passed over because its rate was used up. */
  throttled: boolean;
  attempts: Attempt[];
  /** The one that is waited for. */
  current: Attempt | null;
  nearMisses: number;
  /** A truncated reply whose repetition over TCP failed: better than nothing. */
  truncated: Received | null;
  /** A reply that another server may know better. */
  passedOn: Received | null;
  /** The first that has said that the name does not exist, and the first that has given records of it. */
  denying: Server | null;
  knowing: Server | null;
  /** An error RCODE was received, so the failure is the servers' word and not mere silence. */
  errorReplied: boolean;
  settled: boolean;
  /** Call again with `tick` then; Infinity once nothing is open any more. */
  wakeAtMs: number;
};

/** A reply; `wire` is the message as received, with the name as it was asked. */
export type Received = { message: ParsedMessage; wire: Uint8Array; server: Server };

/** Why there is no answer. `local`: our own sockets are exhausted; `throttled`: the servers' rates are. */
export type Failure = "silence" | "error replies" | "local" | "throttled" | "looping";

/** What the state machine wants done. */
export type Output =
  /** Open a socket for this attempt and send. The octets belong to the attempt. */
  | { type: "send"; attempt: Attempt; wire: Uint8Array }
  | { type: "close"; attempt: Attempt }
  /** The server lets questions wait: who waits for it should `hurry`. */
  | { type: "late"; server: Server }
  /** The server just became dead. */
  | { type: "dead"; server: Server }
  /** The server was dead and has answered. */
  | { type: "revived"; server: Server }
  /** For the log. */
  | { type: "event"; event: UpstreamEvent }
  /** The end; comes once. */
  | ({ type: "answer" } & Received)
  /** The end; comes once. */
  | { type: "failed"; reason: Failure };

type SendOptions = {
  transport: "udp" | "tcp";
  probe?: boolean;
  plainRetry?: boolean;
  /** Not given, or null: it is the first packet, or the answer to a reply. */
  repeated?: Attempt | null;
};

/** Sends one message; false if the server has had its share of them, or its rate is used up. */
export function send(
  exchange: Exchange,
  server: Server,
  { transport, probe = false, plainRetry = false, repeated = null }: SendOptions,
  nowMs: number,
  outputs: Output[],
): boolean {
  if (sentTo(exchange, server) >= MAX_MESSAGES) return false;
  if (!takeFrom(exchange, server, nowMs, outputs)) return false;
  const attempt = attemptTo(exchange, server, { transport, probe, plainRetry, repeated }, nowMs);
  makeRoom(exchange, repeated, outputs);
  exchange.attempts.push(attempt);
  server.lastSentMs = nowMs;
  server.counts[attempt.transport]++;
  if (probe) server.counts.probes++;
  outputs.push({ type: "send", attempt, wire: encodeQuery(exchange.query, attempt) });
  return true;
}

function attemptTo(
  { query, settings, random, deadlineMs }: Exchange,
  server: Server,
  { transport: wanted, probe, plainRetry, repeated }: Required<SendOptions>,
  nowMs: number,
): Attempt {
  const transport = isStreamOnly(server.address) ? "tcp" : wanted;
  const keepsCase = nowMs >= server.lowerCaseUntilMs;
  // Over a connection nobody can guess, so the name goes as it was asked.
  const mixed = query.mixedCase && keepsCase && transport === "udp";
  const id = random.uint32() & 0xffff;
  return {
    server,
    transport,
    id,
    question: mixed
      ? mixCase(query.question, random)
      : keepsCase
        ? query.question
        : lowerCase(query.question),
    mixed,
    withOpt: query.opt !== null && !(query.ownOpt && (plainRetry || nowMs < server.plainUntilMs)),
    sentAtMs: nowMs,
    lateAtMs: probe ? Infinity : nowMs + hedgeMs(server.roundTrips),
    // A repeat gives the server no more time than it had: it is as dead as it was before.
    untilMs: probe
      ? nowMs + PROBE_LISTEN_MS
      : (repeated?.untilMs ?? Math.min(nowMs + settings.timeoutMs, deadlineMs)),
    probe,
    plainRetry,
    toLate: server.late,
    repeatable: transport === "udp" && !probe && repeated === null,
    open: true,
    late: false,
    silent: false,
    listening: false,
    passedOn: false,
    problem: "",
    options: null,
    socket: null,
  };
}

function takeFrom(exchange: Exchange, server: Server, nowMs: number, outputs: Output[]): boolean {
  const { settings } = exchange;
  const { name: group } = settings;
  const taken = takePacket(server.bucket, rateOf(settings, server), nowMs);
  if (taken === "empty") {
    server.counts.throttled++;
    exchange.throttled = true;
    return false;
  }
  if (taken === "busy") {
    const perSecond = server.bucket.count;
    outputs.push({ type: "event", event: { type: "busy", server, group, perSecond } });
  }
  return true;
}

/**
 * Closes an open attempt when another one would be too many: what is repeated; else the oldest, one that is
 * for a sign of life first.
 */
function makeRoom({ attempts }: Exchange, repeated: Attempt | null, outputs: Output[]): void {
  let open = 0;
  let oldest: Attempt | null = null;
  for (const attempt of attempts) {
    if (!attempt.open) continue;
    if (oldest === null || (attempt.probe && !oldest.probe)) oldest = attempt;
    open++;
  }
  const least = repeated ?? oldest;
  if (open >= OUTSTANDING && least !== null) close(least, outputs);
}

/** Attempts that may still be answered. */
export function openCount({ attempts }: Exchange): number {
  let open = 0;
  for (const attempt of attempts) if (attempt.open) open++;
  return open;
}

/** Messages to this server so far. */
export function sentTo({ attempts }: Exchange, server: Server): number {
  let count = 0;
  for (const attempt of attempts) if (attempt.server === server) count++;
  return count;
}

/** Asks the same server once more in another manner, instead; false if it may not be. */
export function sendAgain(
  exchange: Exchange,
  attempt: Attempt,
  options: SendOptions,
  nowMs: number,
  outputs: Output[],
): boolean {
  const { server } = attempt;
  // One that has answered meanwhile is worth waiting for.
  const probe = attempt.probe && server.standing === "dead";
  // Closed first, so that it takes the place of no other.
  if (sentTo(exchange, server) < MAX_MESSAGES) close(attempt, outputs);
  if (!send(exchange, server, { ...options, probe }, nowMs, outputs)) return false;
  if (exchange.current === attempt) {
    const again = exchange.attempts.at(-1)!;
    exchange.current = again;
    exchange.nextMs = Math.min(again.lateAtMs, again.untilMs);
  }
  return true;
}

/** Marks what has become late or silent by now. */
export function noteTimes(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  for (const attempt of exchange.attempts) {
    if (!attempt.open) continue;
    const { server } = attempt;
    if (!attempt.late && nowMs >= attempt.lateAtMs) {
      attempt.late = true;
      if (noteLate(server, attempt.sentAtMs)) outputs.push({ type: "late", server });
    }
    if (attempt.silent || nowMs < attempt.untilMs) continue;
    server.counts.timeouts++;
    markSilent(exchange, attempt, "timeout", nowMs, outputs);
  }
}

/** Notes that no reply came in time, or that none can come. */
export function markSilent(
  { settings: { name: group }, order }: Exchange,
  attempt: Attempt,
  reason: string,
  nowMs: number,
  outputs: Output[],
): void {
  attempt.silent = true;
  if (attempt.problem === "") attempt.problem = reason;
  const { server, sentAtMs } = attempt;
  noteError(server, reason, nowMs);
  if (!noteSilence(server, sentAtMs, nowMs)) return;
  const elapsedMs = nowMs - sentAtMs;
  outputs.push(
    { type: "dead", server },
    { type: "event", event: { type: "down", server, group, reason, elapsedMs } },
  );
  if (order.every(({ standing, looping }) => standing === "dead" || looping))
    outputs.push({ type: "event", event: { type: "all down", group, reason } });
}

/** Gives up one attempt. */
export function close(attempt: Attempt, outputs: Output[]): void {
  if (!attempt.open) return;
  attempt.open = false;
  if (attempt.listening) attempt.server.listeners--;
  outputs.push({ type: "close", attempt });
}

/** Gives up everything, what listens for a sign of life as well. */
export function closeAll(exchange: Exchange, outputs: Output[]): void {
  for (const attempt of exchange.attempts) if (attempt.open) close(attempt, outputs);
  exchange.wakeAtMs = Infinity;
}

/** Ends the exchange with this result; only what listens for a sign of life goes on. */
export function settle(
  exchange: Exchange,
  result: Extract<Output, { type: "answer" | "failed" }>,
  nowMs: number,
  outputs: Output[],
): void {
  exchange.settled = true;
  exchange.truncated = null;
  exchange.passedOn = null;
  exchange.nextMs = Infinity;
  for (const attempt of exchange.attempts) {
    if (!attempt.open) continue;
    if (isWorthListening(attempt, nowMs)) {
      attempt.listening = true;
      attempt.server.listeners++;
      continue;
    }
    if (attempt.late && !attempt.silent && !isOvertaken(attempt))
      noteWait(attempt.server.roundTrips, nowMs - attempt.sentAtMs);
    close(attempt, outputs);
  }
  wakeForListeners(exchange);
  outputs.push(result);
}

/**
 * The server has answered what it was asked after this: the datagram was lost, or that name takes its time.
 * As round trips such waits would grow by themselves, for each is as long as we wait, and a little more.
 */
function isOvertaken({ server, sentAtMs }: Attempt): boolean {
  return server.answeredSentMs >= sentAtMs;
}

/** The answer of one server must not hide whether another, asked as well, is there at all. */
function isWorthListening({ server, sentAtMs, untilMs, silent }: Attempt, nowMs: number): boolean {
  if (silent || untilMs <= nowMs || server.listeners >= MAX_LISTENERS) return false;
  return server.lastHeardMs < sentAtMs;
}

/** After the end: closes what was listened to for long enough. */
export function closeExpired(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  for (const attempt of exchange.attempts)
    if (attempt.open && attempt.untilMs <= nowMs) close(attempt, outputs);
  wakeForListeners(exchange);
}

/** After the end: when there is something to do again. */
export function wakeForListeners(exchange: Exchange): void {
  let wakeAtMs = Infinity;
  for (const attempt of exchange.attempts)
    if (attempt.open) {
      const { late, lateAtMs, untilMs } = attempt;
      wakeAtMs = Math.min(wakeAtMs, late ? untilMs : lateAtMs, untilMs);
    }
  exchange.wakeAtMs = wakeAtMs;
}
