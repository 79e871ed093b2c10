/** The course of one question through the servers: who is asked next, how long one is waited for, when it ends. */
import type { Random } from "../ports.ts";
import {
  closeAll,
  openCount,
  OUTSTANDING,
  PROBE_PATIENCE_MS,
  send,
  sentTo,
  settle,
  type Attempt,
  type Exchange,
  type Output,
} from "./attempts.ts";
import { untilNextMs } from "./bucket.ts";
import { takeProbe } from "./health.ts";
import type { Query } from "./query.ts";
import { repeat } from "./repeats.ts";
import { rateOf, serverOrder, type Server, type Upstreams } from "./upstreams.ts";

/** A client gives up after 3 to 5 s; all servers together get this long (a longer `timeoutMs` wins). */
const TOTAL_MS = 3000;
/** So long at least for a question that others went before, for the same client. */
const LEAST_MS = 200;
/** So long a question waits for a server whose rate is used up, if no other can be asked. */
const THROTTLE_PATIENCE_MS = 100;

export type ExchangeOptions = {
  query: Query;
  upstreams: Upstreams;
  random: Random;
  /** When its client began to wait. */
  sinceMs: number;
  nowMs: number;
};

/** Nothing is sent before the first `start`. */
export function createExchange({
  query,
  upstreams,
  random,
  sinceMs,
  nowMs,
}: ExchangeOptions): Exchange {
  const { settings } = upstreams;
  const { timeoutMs } = settings;
  const { servers: order, measured } = serverOrder(upstreams, random, nowMs);
  const deadlineMs = nowMs + Math.max(timeoutMs, Math.min(TOTAL_MS, timeoutMs * order.length));
  return {
    query,
    settings,
    random,
    startedMs: nowMs,
    deadlineMs,
    endMs: Math.min(
      deadlineMs,
      Math.max(sinceMs + Math.max(timeoutMs, TOTAL_MS), nowMs + LEAST_MS),
    ),
    order,
    measured,
    position: 0,
    nextMs: Infinity,
    repeats: 0,
    throttled: false,
    attempts: [],
    current: null,
    nearMisses: 0,
    truncated: null,
    passedOn: null,
    denying: null,
    knowing: null,
    errorReplied: false,
    settled: false,
    wakeAtMs: Infinity,
  };
}

/** Sends the first message, and the copy by which `fastest` learns how fast another server is now. */
export function begin(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  const { measured, query } = exchange;
  advance(exchange, nowMs, outputs);
  if (measured !== null && sentTo(exchange, measured) === 0)
    send(exchange, measured, { transport: query.transport }, nowMs, outputs);
}

/** The server lets questions wait: one that waits for it goes on with the next one. */
export function hurry(exchange: Exchange, server: Server, nowMs: number): boolean {
  const waiting = exchange.current;
  if (exchange.settled) return false;
  if (server.looping)
    for (const attempt of exchange.attempts) if (attempt.server === server) attempt.silent = true;
  if (waiting === null || waiting.server !== server || !waiting.open) return false;
  if (server.standing !== "dead" && !server.looping && !isBetterToCome(exchange)) return false;
  exchange.nextMs = Math.min(exchange.nextMs, nowMs);
  exchange.wakeAtMs = Math.min(exchange.wakeAtMs, nowMs);
  return true;
}

/** Sends to the next server that is worth waiting for, to several at once if they are asked in parallel. */
export function advance(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  const { query, settings } = exchange;
  while (exchange.position < exchange.order.length) {
    const server = exchange.order[exchange.position++]!;
    if (server.looping) continue;
    if (server.standing === "dead") {
      if (!sendProbe(exchange, server, true, nowMs, outputs) || !mayHoldUp(exchange)) continue;
      exchange.nextMs = nowMs + PROBE_PATIENCE_MS;
      return;
    }
    if ((server.late || server.demoted) && isBetterToCome(exchange)) {
      exchange.order = [...exchange.order, server];
      sendProbe(exchange, server, false, nowMs, outputs);
      continue;
    }
    const copy = openTo(exchange, server);
    if (copy === null) {
      if (sentTo(exchange, server) > 0) continue;
      if (!send(exchange, server, { transport: query.transport }, nowMs, outputs)) continue;
    }
    const waited = copy ?? exchange.attempts.at(-1)!;
    exchange.current = waited;
    exchange.nextMs = Math.min(waited.lateAtMs, waited.untilMs);
    if (settings.strategy !== "parallel" || openCount(exchange) >= OUTSTANDING) return;
  }
  if (exchange.position >= exchange.order.length) repeat(exchange, nowMs, outputs);
}

/** A copy for a server that is down or slow; another one is asked at the same time. */
function sendProbe(
  exchange: Exchange,
  server: Server,
  probe: boolean,
  nowMs: number,
  outputs: Output[],
): boolean {
  // One place is left for a server that is worth waiting for.
  const room = probe && !isBetterToCome(exchange) ? OUTSTANDING : OUTSTANDING - 1;
  if (openCount(exchange) >= room || sentTo(exchange, server) > 0) return false;
  if (!takeProbe(server, nowMs)) return false;
  return send(exchange, server, { transport: exchange.query.transport, probe }, nowMs, outputs);
}

function openTo({ attempts }: Exchange, server: Server): Attempt | null {
  for (const attempt of attempts) if (attempt.open && attempt.server === server) return attempt;
  return null;
}

/** Is there a server to come that nothing speaks against? */
function isBetterToCome({ order, position }: Exchange): boolean {
  for (let i = position; i < order.length; i++) {
    const { standing, late, demoted, looping } = order[i]!;
    if (standing !== "dead" && !late && !demoted && !looping) return true;
  }
  return false;
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

/** Sets the time of the next step, or ends the exchange if nothing more can come of it. */
export function schedule(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  if (exchange.settled) return;
  let wakeAtMs = exchange.nextMs;
  let waiting = exchange.nextMs !== Infinity;
  for (const attempt of exchange.attempts) {
    if (!attempt.open || attempt.silent) continue;
    const { probe, late, sentAtMs, lateAtMs, untilMs } = attempt;
    const endMs = probe ? sentAtMs + PROBE_PATIENCE_MS : untilMs;
    if (endMs <= nowMs) continue;
    waiting = true;
    wakeAtMs = Math.min(wakeAtMs, endMs, late ? Infinity : lateAtMs);
  }
  if (waiting) exchange.wakeAtMs = Math.min(wakeAtMs, exchange.endMs);
  else if (!awaitRate(exchange, nowMs)) finish(exchange, nowMs, outputs);
}

/** Nobody could be asked because of their rates: tries again when there is one more packet. */
function awaitRate(exchange: Exchange, nowMs: number): boolean {
  const { order, settings, startedMs } = exchange;
  const endMs = startedMs + THROTTLE_PATIENCE_MS;
  if (!exchange.throttled || exchange.errorReplied || nowMs >= endMs) return false;
  let waitMs = Infinity;
  for (const server of order)
    if (server.standing !== "dead" && !server.looping && sentTo(exchange, server) === 0)
      waitMs = Math.min(waitMs, untilNextMs(server.bucket, rateOf(settings, server)));
  if (waitMs === Infinity) return false;
  exchange.position = 0;
  exchange.nextMs = Math.min(nowMs + Math.max(1, waitMs), endMs);
  exchange.wakeAtMs = exchange.nextMs;
  return true;
}

/** Ends with what there is: a reply that was put aside, or failure. */
export function finish(exchange: Exchange, nowMs: number, outputs: Output[]): void {
  const rest = exchange.truncated ?? (allPassedOn(exchange) ? exchange.passedOn : null);
  if (rest !== null) settle(exchange, { type: "answer", ...rest }, nowMs, outputs);
  else settle(exchange, { type: "failed", reason: failureOf(exchange) }, nowMs, outputs);
}

/** Did every server say that another one may know better? Then that is the answer. */
function allPassedOn({ order, attempts }: Exchange): boolean {
  return order.every(
    (server) => server.looping || attempts.some((each) => each.server === server && each.passedOn),
  );
}

function failureOf({ order, attempts, errorReplied, throttled }: Exchange) {
  if (errorReplied) return "error replies";
  if (order.every(({ looping }) => looping)) return "looping";
  return attempts.length === 0 && throttled ? "throttled" : "silence";
}

/** The waiting client is gone or must be given up. */
export function abort(exchange: Exchange, outputs: Output[]): void {
  exchange.settled = true;
  closeAll(exchange, outputs);
}
