/**
 * The questions under way: who joins which, what each step of their exchanges asks for, when those who
 * wait are given what is stale, and how many there may be.
 */
import { unreachable } from "../base.ts";
import type { ForwardAnswer, ForwardRequest } from "../dns/answer.ts";
import type { Fault } from "../dns/faults.ts";
import type { Trace } from "../dns/trace.ts";
import type { Cancel, Clock, Exchanges, Random, Timers } from "../ports.ts";
import type { Attempt, Exchange, Failure, Output } from "./attempts.ts";
import type { Entry } from "./cache.ts";
import { createExchange, hurry } from "./course.ts";
import type { UpstreamEvent } from "./events.ts";
import { stepExchange, type Input } from "./exchange.ts";
import { failureErrors, OVERLOAD, refusals } from "./failure-text.ts";
import type { Key } from "./key.ts";
import type { Outcomes } from "./outcome.ts";
import { createPools } from "./pools.ts";
import { passedQuery, sharedQuery } from "./query.ts";
import type { GroupSettings } from "./settings.ts";
import type { ForwarderStats } from "./stats.ts";
import type { SentSubnet } from "./subnet.ts";
import { stepTraced } from "./trace.ts";
import type { Server, Upstreams } from "./upstreams.ts";
import { clientCount, createWaiting, type Awaited, type Done } from "./waiting.ts";
import { createWheel, SLOT_MS, type Timed } from "./wheel.ts";

/** A question that the cache cannot answer, or not for long. */
export type Wanted = {
  readonly request: ForwardRequest;
  readonly key: Key | null;
  readonly joinKey: string;
  readonly upstreams: Upstreams;
  readonly firstReplyFinal: boolean;
  /** What was known of it and has expired. */
  readonly stale: Entry | null;
  /** Of a prefetch: when the answer that it replaces would have run out; else 0. */
  readonly earlyForMs: number;
  readonly subnet: SentSubnet | null;
};

/** A question under way. */
type Pending = Timed &
  Awaited &
  Omit<Wanted, "stale"> & {
    readonly exchange: Exchange;
    stale: Entry | null;
    /** Then those who wait are given what is stale; -Infinity: they have been. */
    staleAtMs: number;
    /** The same was asked again, by whomever. */
    wasJoined: boolean;
    trace: Trace | undefined;
  };

const FAILED: ForwardAnswer = { ok: false, reason: "failed" };
const REFUSED: ForwardAnswer = { ok: false, reason: "refused" };

export type UnderWay = {
  has(joinKey: string): boolean;
  /** Asks the servers, or waits with those who asked the same already. */
  join(wanted: Wanted, done: Done, nowMs: number): void;
  /** May something be asked that nobody waits for? Not in the place of what somebody waits for. */
  mayRefresh(group: GroupSettings): boolean;
  /** Asks the servers with nobody waiting. Not if the same is under way, and only as `mayRefresh` says. */
  refresh(wanted: Wanted, nowMs: number): void;
  counts(): Pick<
    ForwarderStats,
    "coalesced" | "inFlight" | "pools" | "dropped" | "allDown" | "refused" | "failures"
  >;
  /** Who waits for this server waits in vain. */
  pass(server: Server): void;
  /** Forgets the places of other groups. */
  keepGroups(groups: readonly GroupSettings[]): void;
  /** Ends every question with `failed`. */
  close(): void;
};

export type UnderWayDeps = {
  clock: Clock;
  timers: Timers;
  random: Random;
  udp: Exchanges;
  tcp: Exchanges;
  outcomes: Outcomes;
  /** A question goes to the servers because a client wants its answer. */
  asked: () => void;
  /** A server that was dead has answered. */
  revived: () => void;
  /** Something became of a server. */
  event: (event: UpstreamEvent) => void;
  /** A server is dead. `qname`: what it was asked and we were asked again while it was silent; null: nothing. */
  down: (server: Server, group: string, qname: Uint8Array | null) => void;
  /** A question joins this one. */
  joined: (exchange: Exchange, qname: Uint8Array) => void;
  /** Hears what was thrown by mistake: the question ends, and the program goes on. */
  fault: Fault;
};

export function createUnderWay(deps: UnderWayDeps): UnderWay {
  const { clock, timers, random, udp, tcp, outcomes, asked, revived, event, down, joined, fault } =
    deps;
  const waiting = createWaiting(fault);
  const inFlight = new Map<string, Pending>();
  const pools = createPools<Pending>();
  /** Holds also what has been answered but still listens for a dead server. */
  const wheel = createWheel<Pending>();
  let closed = false;
  const counts = { dropped: 0, allDown: 0, refused: 0 };
  const failures = { silence: 0, errorReplies: 0, throttled: 0, looping: 0 };
  let disarm: Cancel | null = null;
  let armedForMs = Infinity;
  /** The group that gives up a question at this moment; null: none. */
  let dropping: string | null = null;

  /** What comes to the socket of one attempt; a class because one is made per datagram. */
  class Replies {
    readonly #pending: Pending;
    readonly #attempt: Attempt;

    constructor(pending: Pending, attempt: Attempt) {
      this.#pending = pending;
      this.#attempt = attempt;
    }

    datagram(wire: Uint8Array): void {
      const nowMs = clock.monotonicMs();
      run(this.#pending, { type: "message", attempt: this.#attempt, wire, nowMs });
    }

    error(code: string): void {
      const nowMs = clock.monotonicMs();
      run(this.#pending, { type: "error", attempt: this.#attempt, code, nowMs });
    }

    carried(isReused: boolean): void {
      const { counts: ofServer } = this.#attempt.server;
      if (isReused) ofServer.connectionsReused++;
      else ofServer.connectionsOpened++;
    }
  }

  function join(wanted: Wanted, done: Done, nowMs: number): void {
    const { request, stale } = wanted;
    const same = inFlight.get(wanted.joinKey);
    if (same === undefined) {
      asked();
      start(wanted, done, nowMs);
      return;
    }
    if (stale !== null && same.staleAtMs === -Infinity) {
      done(staleOf(wanted, stale));
      return;
    }
    if (!waiting.join(same, { request, done })) {
      counts.refused++;
      done(stale === null ? REFUSED : staleOf(wanted, stale));
      return;
    }
    same.wasJoined = true;
    pools.await(same.upstreams.settings, same, true);
    same.stale ??= stale;
    awaitStale(same, nowMs);
    joined(same.exchange, request.qname);
    request.trace?.add({ step: "joined", ageMs: nowMs - same.exchange.startedMs });
    same.trace ??= request.trace;
  }

  /** `first` null: nobody waits for it. */
  function start(wanted: Wanted, first: Done | null, nowMs: number): void {
    const { request, key, joinKey, upstreams, firstReplyFinal, subnet } = wanted;
    if (first !== null && upstreams.servers.every(({ standing }) => standing === "dead"))
      counts.allDown++;
    if (dropping === upstreams.settings.name) {
      // Who was dropped asks something else instead (DNS64): that is no way to a place.
      counts.dropped++;
      first?.(wanted.stale === null ? OVERLOAD : staleOf(wanted, wanted.stale));
      return;
    }
    const overdue = pools.overdue(upstreams.settings);
    if (overdue !== undefined) {
      const { name: group, maxInFlight: places } = upstreams.settings;
      if (drop(overdue, nowMs))
        event({ type: "full", group, client: request.client.address, places });
    }
    const pending: Pending = {
      wheelSlot: -1,
      wheelNext: null,
      wheelPrevious: null,
      exchange: createExchange({
        query:
          key === null
            ? passedQuery(request, firstReplyFinal)
            : sharedQuery(request, firstReplyFinal, upstreams.settings, subnet),
        upstreams,
        random,
        sinceMs: request.sinceMs ?? nowMs,
        nowMs,
      }),
      request,
      key,
      joinKey,
      upstreams,
      firstReplyFinal,
      stale: wanted.stale,
      staleAtMs: Infinity,
      earlyForMs: wanted.earlyForMs,
      subnet,
      first,
      joined: null,
      wasJoined: false,
      trace: first === null ? undefined : request.trace,
    };
    inFlight.set(joinKey, pending);
    pools.enter(upstreams.settings, pending, first !== null);
    if (first === null) pending.staleAtMs = wanted.stale === null ? Infinity : -Infinity;
    else awaitStale(pending, nowMs);
    run(pending, { type: "start", nowMs });
  }

  /** The client response timer of RFC 8767 section 5: so long a fresh answer is waited for. */
  function awaitStale(pending: Pending, nowMs: number): void {
    const { stale, staleAtMs, upstreams } = pending;
    // A denial is given only when the question has failed: until then the name may come to exist.
    if (stale === null || stale.denialSeconds >= 0 || staleAtMs !== Infinity) return;
    // The wheel may be a slot late.
    pending.staleAtMs = nowMs + Math.max(0, upstreams.settings.stale.clientTimeoutMs - SLOT_MS);
    schedule(pending, nowMs);
  }

  function giveStale(pending: Pending): void {
    const { request, upstreams, stale } = pending;
    pending.staleAtMs = -Infinity;
    if (stale === null) return;
    const clients = clientCount(pending);
    waiting.tell(pending, outcomes.stale(request, upstreams, stale, "timeout", clients));
    pools.await(upstreams.settings, pending, clientCount(pending) > 0);
  }

  /** The places of its group are all taken, and it has had the most time. Did anybody wait for it? */
  function drop(oldest: Pending, nowMs: number): boolean {
    const isAwaited = clientCount(oldest) > 0;
    if (isAwaited) counts.dropped++;
    const before = dropping;
    dropping = oldest.upstreams.settings.name;
    run(oldest, { type: "abort", nowMs });
    finish(oldest, outcomes.failed(oldest, null, OVERLOAD, nowMs), false);
    dropping = before;
    return isAwaited;
  }

  function staleOf({ request, upstreams }: Wanted, stale: Entry): ForwardAnswer {
    return outcomes.stale(request, upstreams, stale, "timeout");
  }

  /** One step; a question whose step throws has failed. */
  function run(pending: Pending, input: Input): void {
    try {
      step(pending, input);
    } catch (error) {
      fault(error);
      giveUp(pending);
    }
  }

  /** Nothing is relied on but what every question has. */
  function giveUp(pending: Pending): void {
    for (const attempt of pending.exchange.attempts) {
      attempt.open = false;
      attempt.socket?.close();
      attempt.socket = null;
    }
    pending.exchange.settled = true;
    wheel.clear(pending);
    finish(pending, FAILED, false);
  }

  /** One step of an exchange, and everything that follows from it. */
  function step(pending: Pending, input: Input): void {
    const { exchange, trace } = pending;
    const outputs =
      trace === undefined ? stepExchange(exchange, input) : stepTraced(trace, exchange, input);
    for (const output of outputs) perform(pending, output, input.nowMs);
    schedule(pending, input.nowMs);
  }

  function schedule(pending: Pending, nowMs: number): void {
    const { exchange, staleAtMs } = pending;
    const wakeAtMs =
      staleAtMs === -Infinity ? exchange.wakeAtMs : Math.min(exchange.wakeAtMs, staleAtMs);
    if (wakeAtMs === Infinity) wheel.clear(pending);
    else arm(wheel.set(pending, wakeAtMs, nowMs), nowMs);
  }

  function wake(pending: Pending, nowMs: number): void {
    try {
      if (pending.staleAtMs !== -Infinity && nowMs >= pending.staleAtMs) giveStale(pending);
    } catch (error) {
      fault(error);
    }
    if (nowMs >= pending.exchange.wakeAtMs) run(pending, { type: "tick", nowMs });
    else schedule(pending, nowMs);
  }

  function perform(pending: Pending, output: Output, nowMs: number): void {
    switch (output.type) {
      case "send":
        send(pending, output.attempt, output.wire);
        return;
      case "close":
        output.attempt.socket?.close();
        output.attempt.socket = null;
        return;
      case "late":
        pass(output.server, pending, nowMs);
        return;
      case "dead":
        dead(pending, output.server, nowMs);
        return;
      case "revived":
        revived();
        return;
      case "event":
        event(output.event);
        return;
      case "answer":
        finish(pending, outcomes.received(pending, output, nowMs), true);
        return;
      case "failed":
        fail(pending, output.reason, nowMs);
        return;
      default:
        unreachable(output);
    }
  }

  /** A question that was asked again meanwhile may be the one we sent, come back to us. */
  function dead(pending: Pending, server: Server, nowMs: number): void {
    let again: Pending | null = pending.wasJoined ? pending : null;
    for (const other of inFlight.values())
      if (other.wasJoined && other.exchange.attempts.some((each) => each.server === server))
        again ??= other;
    pass(server, pending, nowMs);
    down(server, pending.upstreams.settings.name, again && again.request.qname);
  }

  /** Those who wait for this server go on with the next one. */
  function pass(server: Server, except: Pending | null, nowMs: number): void {
    for (const other of inFlight.values())
      if (other !== except && hurry(other.exchange, server, nowMs))
        arm(wheel.set(other, nowMs, nowMs), nowMs);
  }

  function send(pending: Pending, attempt: Attempt, wire: Uint8Array): void {
    // An error of a socket opened just before may already have ended this attempt.
    if (!attempt.open) return;
    const exchanges = attempt.transport === "udp" ? udp : tcp;
    const socket = exchanges.open(attempt.server.address, new Replies(pending, attempt));
    if (!attempt.open) {
      socket.close();
      return;
    }
    attempt.socket = socket;
    socket.send(wire);
  }

  function fail(pending: Pending, reason: Failure, nowMs: number): void {
    if (reason === "local") {
      counts.refused++;
      finish(pending, outcomes.failed(pending, null, REFUSED, nowMs), false);
      // Fewer questions at a time from now on, so that others and listeners keep getting their sockets.
      for (const oldest of pools.shrink()) drop(oldest, nowMs);
      return;
    }
    if (reason === "throttled" || reason === "looping") {
      failures[reason]++;
      finish(pending, outcomes.failed(pending, null, refusals[reason], nowMs), false);
      return;
    }
    if (reason === "silence") failures.silence++;
    else failures.errorReplies++;
    const { endMs, deadlineMs } = pending.exchange;
    // One that was given less time than others says nothing about its servers.
    const silence = endMs < deadlineMs ? null : "timeout";
    const why = reason === "silence" ? silence : "servfail";
    const told: ForwardAnswer = {
      ok: false,
      reason: "failed",
      ede: failureErrors(pending.exchange, reason),
    };
    finish(pending, outcomes.failed(pending, why, told, nowMs), false);
  }

  /** Tells everyone who waits. */
  function finish(pending: Pending, result: ForwardAnswer, isAnswered: boolean): void {
    if (inFlight.get(pending.joinKey) === pending) inFlight.delete(pending.joinKey);
    pools.leave(pending.upstreams.settings, pending, isAnswered);
    pending.staleAtMs = -Infinity;
    waiting.tell(pending, result);
  }

  function arm(atMs: number, nowMs: number): void {
    if (atMs >= armedForMs || closed) return;
    disarm?.();
    armedForMs = atMs;
    disarm = timers.after(Math.max(1, Math.ceil(atMs - nowMs)), tick);
  }

  function tick(): void {
    disarm = null;
    armedForMs = Infinity;
    const nowMs = clock.monotonicMs();
    wheel.advance(nowMs, (pending) => wake(pending, nowMs));
    if (wheel.size > 0) arm(wheel.nextMs(), nowMs);
  }

  return {
    has: (joinKey) => inFlight.has(joinKey),
    join,
    mayRefresh: (group) => dropping !== group.name && pools.hasRoom(group),
    refresh: (wanted, nowMs) => start(wanted, null, nowMs),
    counts: () => ({
      ...counts,
      coalesced: waiting.joinedCount(),
      inFlight: inFlight.size,
      pools: pools.stats(),
      failures: { ...failures, brokenChain: outcomes.counts.brokenChain },
    }),
    pass: (server) => pass(server, null, clock.monotonicMs()),
    keepGroups: (groups) => pools.keep(groups),
    close() {
      closed = true;
      const nowMs = clock.monotonicMs();
      for (const pending of inFlight.values()) {
        run(pending, { type: "abort", nowMs });
        finish(pending, FAILED, false);
      }
      disarm?.();
    },
  };
}
