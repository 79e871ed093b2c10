/**
 * Answers questions outside our domain: from the cache, by joining the same question under way, or from
 * the upstream servers. No timer, promise or copy per question beyond what its socket needs.
 */
import type { Forward, ForwardAnswer, ForwardRequest } from "../dns/answer.ts";
import { CLASS_IN, FLAG, RCODE } from "../dns/rr.ts";
import type { Trace } from "../dns/trace.ts";
import type { Cancel, Clock, Exchanges, Random, Timers } from "../ports.ts";
import { unreachable } from "../base.ts";
import {
  cacheKey,
  createCache,
  isCacheableType,
  lifetimeSeconds,
  type Cache,
  type Key,
  type Selection,
} from "./cache.ts";
import { createExchange, hurry, type Attempt, type Exchange, type Output } from "./attempts.ts";
import { stepExchange, type Input } from "./exchange.ts";
import { passedKey, passedQuery, sharedQuery } from "./query.ts";
import { createGroups } from "./groups.ts";
import { cachedAnswer, passedAnswer, sharedAnswer } from "./reply.ts";
import { scrub } from "./scrub.ts";
import type { ForwarderSettings } from "./settings.ts";
import type { ForwarderStats } from "./stats.ts";
import type { Upstreams } from "./upstreams.ts";
import { createWaiting, type Awaited, type Done, type Waiter } from "./waiting.ts";
import { noteCache, stepTraced } from "./trace.ts";
import { createWheel, type Timed } from "./wheel.ts";

/** Questions on their way at a time. When full, the oldest ends with SERVFAIL: it has had the most time. */
export const MAX_IN_FLIGHT = 4096;
/** Below this the limit does not shrink when the system has no more sockets for us. */
const MIN_IN_FLIGHT = 64;
/** How much of a place each answer gives back to a limit that has shrunk. */
const LIMIT_REGAIN = 0.1;
export type Forwarder = {
  /** For clients' questions: an RCODE other than NOERROR and NXDOMAIN leads to the next server. */
  forward: Forward;
  /**
   * The first reply of any RCODE is the answer; only silence leads to the next server. So Consul 1.10
   * resolves host names that stand in the catalog.
   */
  forwardFirstReply: Forward;
  /** The same, asking the servers of this group; "" is the one of `forward`. */
  forwardTo(
    group: string,
    request: ForwardRequest,
    done: (answer: ForwardAnswer) => void,
    firstReplyFinal: boolean,
  ): void;
  /** Takes effect with the next question. What is kept stays, unless the set of servers is another one. */
  reload(settings: ForwarderSettings): void;
  /** Drops entries of the cache, in slices: see Cache. */
  flush(wanted: Selection): Iterator<undefined, number>;
  list: Cache["list"];
  stats(): ForwarderStats;
  /** Ends every question with `failed` and closes all sockets. */
  close(): void;
};

export type ForwarderDeps = {
  settings: ForwarderSettings;
  clock: Clock;
  timers: Timers;
  random: Random;
  udp: Exchanges;
  /** Same contract over TCP: `send` frames a message, `datagram` gets one whole message. */
  tcp: Exchanges;
};

type Received = Extract<Output, { type: "answer" }>;

/** A question under way. */
type Pending = Timed &
  Awaited & {
    readonly exchange: Exchange;
    readonly joinKey: string;
    readonly upstreams: Upstreams;
    trace: Trace | undefined;
  };

const NO_UPSTREAM: ForwardAnswer = { ok: false, reason: "no upstream" };
const FAILED: ForwardAnswer = { ok: false, reason: "failed" };
const REFUSED: ForwardAnswer = { ok: false, reason: "refused" };

export function createForwarder(deps: ForwarderDeps): Forwarder {
  const { clock, timers, random, udp, tcp } = deps;
  let settings = deps.settings;
  const groups = createGroups(settings);
  const waiting = createWaiting();
  let cache = cacheFor(settings);
  let closed = false;
  let inFlightLimit = MAX_IN_FLIGHT;
  const counts = { requests: 0, dropped: 0, refused: 0 };
  const failures = { silence: 0, errorReplies: 0, brokenChain: 0 };
  /** In order of their start: the first is the oldest. */
  const inFlight = new Map<string, Pending>();
  /** Holds also what has been answered but still listens for a dead server. */
  const wheel = createWheel<Pending>();
  let disarm: Cancel | null = null;
  let armedForMs = Infinity;

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
  }

  function accept(
    name: string,
    request: ForwardRequest,
    done: Done,
    firstReplyFinal: boolean,
  ): void {
    counts.requests++;
    const upstreams = groups.get(name);
    if (upstreams === undefined || upstreams.servers.length === 0 || closed) {
      done(closed ? FAILED : NO_UPSTREAM);
      return;
    }
    const nowMs = clock.monotonicMs();
    const { trace } = request;
    if (cache === null || !upstreams.settings.keep || !isShared(request)) {
      if (trace !== undefined) noteCache(trace, request, "not kept", nowMs);
      const joinKey = passedKey(request, upstreams.groupId, firstReplyFinal);
      join(joinKey, null, upstreams, request, done, firstReplyFinal, nowMs);
      return;
    }
    const key = cacheKey(request, upstreams.groupId);
    const entry = cache.find(key, nowMs);
    const isFailing = entry === undefined && cache.isFailing(key, nowMs);
    if (trace !== undefined)
      noteCache(trace, request, entry ?? (isFailing ? "failing" : "none"), nowMs);
    if (entry !== undefined) done(cachedAnswer(request, upstreams.settings, entry, nowMs));
    else if (isFailing) done(FAILED);
    else
      join(
        firstReplyFinal ? `${key.exact}!` : key.exact,
        key,
        upstreams,
        request,
        done,
        firstReplyFinal,
        nowMs,
      );
  }

  function join(
    joinKey: string,
    key: Key | null,
    upstreams: Upstreams,
    request: ForwardRequest,
    done: Done,
    firstReplyFinal: boolean,
    nowMs: number,
  ): void {
    const same = inFlight.get(joinKey);
    if (same === undefined) {
      start(joinKey, key, upstreams, { request, done }, firstReplyFinal, nowMs);
      return;
    }
    if (!waiting.join(same, { request, done })) {
      counts.refused++;
      done(REFUSED);
      return;
    }
    request.trace?.add({ step: "joined", ageMs: nowMs - same.exchange.startedMs });
    same.trace ??= request.trace;
  }

  function start(
    joinKey: string,
    key: Key | null,
    upstreams: Upstreams,
    first: Waiter,
    firstReplyFinal: boolean,
    nowMs: number,
  ): void {
    if (inFlight.size >= inFlightLimit) dropOldest(nowMs);
    const pending: Pending = {
      wheelSlot: -1,
      wheelNext: null,
      wheelPrevious: null,
      exchange: createExchange({
        query:
          key === null
            ? passedQuery(first.request, firstReplyFinal)
            : sharedQuery(first.request, firstReplyFinal, upstreams.settings.trustAd),
        upstreams,
        random,
        nowMs,
      }),
      joinKey,
      key,
      first,
      upstreams,
      joined: null,
      trace: first.request.trace,
    };
    inFlight.set(joinKey, pending);
    run(pending, { type: "start", nowMs });
  }

  function dropOldest(nowMs: number): void {
    for (const oldest of inFlight.values()) {
      counts.dropped++;
      run(oldest, { type: "abort", nowMs });
      finish(oldest, FAILED);
      return;
    }
  }

  /** One step of an exchange, and everything that follows from it. */
  function run(pending: Pending, input: Input): void {
    const { exchange, trace } = pending;
    const outputs =
      trace === undefined ? stepExchange(exchange, input) : stepTraced(trace, exchange, input);
    for (const output of outputs) perform(pending, output, input.nowMs);
    if (exchange.wakeAtMs === Infinity) wheel.clear(pending);
    else arm(wheel.set(pending, exchange.wakeAtMs, input.nowMs), input.nowMs);
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
      case "dead":
        for (const other of inFlight.values())
          if (other !== pending && hurry(other.exchange, output.server, nowMs))
            arm(wheel.set(other, nowMs, nowMs), nowMs);
        return;
      case "revived":
        cache?.forgetFailures();
        return;
      case "answer":
        answer(pending, output, nowMs);
        return;
      case "failed":
        fail(pending, output.reason, nowMs);
        return;
      default:
        unreachable(output);
    }
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

  function answer(pending: Pending, received: Received, nowMs: number): void {
    if (inFlightLimit < MAX_IN_FLIGHT) inFlightLimit += LIMIT_REGAIN;
    const { key, first } = pending;
    finish(
      pending,
      key === null
        ? passedAnswer(received.message)
        : keep(first.request, key, pending.upstreams, received, nowMs),
    );
  }

  /** Stores what may be stored; the answer for the first that asked. */
  function keep(
    request: ForwardRequest,
    key: Key,
    asked: Upstreams,
    { message, wire, server }: Received,
    nowMs: number,
  ): ForwardAnswer {
    const limits = asked.settings;
    const rcode = message.flags & 15;
    // The servers may have been replaced while this was under way; then it is not for the others.
    const store = groups.isCurrent(asked) ? cache : null;
    const tc = (message.flags & FLAG.TC) !== 0;
    if (tc || (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN)) {
      if (!tc) store?.storeFailure(key, true, nowMs);
      return sharedAnswer(request, limits, {
        rcode,
        ad: false,
        tc,
        answers: [],
        authority: [],
        ageMs: 0,
        denialSeconds: -1,
        cacheableSeconds: 0,
        fromCache: false,
      });
    }
    const scrubbed = scrub(message, request);
    if (scrubbed.kind === "broken") {
      failures.brokenChain++;
      store?.storeFailure(key, true, nowMs);
      return FAILED;
    }
    const seconds = lifetimeSeconds(scrubbed, limits);
    store?.store(key, { message, wire, server: server.label }, scrubbed, seconds, nowMs);
    const { answers, authority, soa } = scrubbed;
    return sharedAnswer(request, limits, {
      rcode,
      ad: (message.flags & FLAG.AD) !== 0,
      tc: false,
      answers,
      authority,
      ageMs: 0,
      denialSeconds: soa === null ? -1 : seconds,
      cacheableSeconds: store === null ? 0 : seconds,
      fromCache: false,
    });
  }

  function fail(
    pending: Pending,
    reason: Extract<Output, { type: "failed" }>["reason"],
    nowMs: number,
  ): void {
    if (reason === "local") {
      // Fewer questions at a time from now on, so that listeners keep getting their sockets.
      inFlightLimit = Math.max(MIN_IN_FLIGHT, Math.floor(inFlight.size * 0.9));
      counts.refused++;
      finish(pending, REFUSED);
      return;
    }
    if (reason === "silence") failures.silence++;
    else failures.errorReplies++;
    const { key } = pending;
    if (key !== null && groups.isCurrent(pending.upstreams))
      cache?.storeFailure(key, reason === "error replies", nowMs);
    finish(pending, FAILED);
  }

  /** Tells everyone who waits. */
  function finish(pending: Pending, result: ForwardAnswer): void {
    if (inFlight.get(pending.joinKey) === pending) inFlight.delete(pending.joinKey);
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
    wheel.advance(nowMs, (pending) => run(pending, { type: "tick", nowMs }));
    if (wheel.size > 0) arm(wheel.nextMs(), nowMs);
  }

  return {
    forward: (request, done) => accept("", request, done, false),
    forwardFirstReply: (request, done) => accept("", request, done, true),
    forwardTo: accept,
    reload(changed) {
      const otherCache =
        changed.cacheEnabled !== settings.cacheEnabled ||
        changed.cacheOctets !== settings.cacheOctets;
      settings = changed;
      const { otherServers, otherLimits } = groups.use(changed);
      if (otherCache || otherLimits) cache = cacheFor(changed);
      else if (otherServers) cache?.clear();
    },
    flush: (wanted) => cache?.flush(wanted) ?? nothingToFlush,
    list: (wanted) => cache?.list(wanted) ?? [],
    stats: () => ({
      ...counts,
      coalesced: waiting.joinedCount(),
      inFlight: inFlight.size,
      inFlightLimit: Math.floor(inFlightLimit),
      failures: { ...failures },
      udpSockets: udp.openCount,
      tcpSockets: tcp.openCount,
      generation: groups.get("")?.groupId ?? 0,
      cache: cache?.stats() ?? null,
      servers: groups.servers(),
    }),
    close() {
      closed = true;
      const nowMs = clock.monotonicMs();
      for (const pending of inFlight.values()) {
        run(pending, { type: "abort", nowMs });
        finish(pending, FAILED);
      }
      disarm?.();
      udp.close();
      tcp.close();
    },
  };
}

const nothingToFlush: Iterator<undefined, number> = {
  next: () => ({ done: true, value: 0 }),
};

function cacheFor(settings: ForwarderSettings): Cache | null {
  return settings.cacheEnabled && settings.cacheOctets > 0 ? createCache(settings) : null;
}

/**
 * May the answer be given to others? Not for questions without RD (the reply may be a referral, or tell
 * what upstream has in its cache), of other classes, or of types that are not data.
 */
function isShared({ rd, qclass, qtype }: ForwardRequest): boolean {
  return rd && qclass === CLASS_IN && isCacheableType(qtype);
}
