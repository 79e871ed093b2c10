/**
 * Answers questions outside our domain: from the cache, by joining the same question under way, or from
 * the upstream servers. No timer, promise or copy per question beyond what its socket needs.
 */
import type { Result } from "../base.ts";
import type { Forward, ForwardAnswer, ForwardRequest } from "../dns/answer.ts";
import { EDE } from "../dns/edns.ts";
import { rethrow, unfailingExchanges, unfailingTimers, type Fault } from "../dns/faults.ts";
import { CLASS_IN } from "../dns/rr.ts";
import type { Clock, Exchanges, Random, Timers } from "../ports.ts";
import { packetsLastSecond } from "./bucket.ts";
import { createCache, type Cache, type Entry } from "./cache.ts";
import { passedKey, questionOf } from "./query.ts";
import type { UpstreamEvent } from "./events.ts";
import type { Failure } from "./failures.ts";
import { mayBeBack } from "./health.ts";
import { createLoops } from "./loops.ts";
import { createOwnQuestions } from "./own-question.ts";
import { createProber } from "./prober.ts";
import { createGroups } from "./groups.ts";
import { cacheKey, isCacheableType, type Selection } from "./key.ts";
import { createOutcomes } from "./outcome.ts";
import { createPrefetch, reservedMs } from "./prefetch.ts";
import { cachedAnswer } from "./reply.ts";
import type { ForwarderSettings, StaleSettings } from "./settings.ts";
import { decodeSnapshot, type Restored } from "./snapshot/decode.ts";
import { encodeSnapshot } from "./snapshot/encode.ts";
import type { ForwarderStats } from "./stats.ts";
import { asPassed, isSameSubnet, subnetFor, subnetKey } from "./subnet.ts";
import { noteCache } from "./trace.ts";
import { createUnderWay, type Wanted } from "./under-way.ts";
import { rateOf, type Server, type Upstreams } from "./upstreams.ts";
import type { Done } from "./waiting.ts";

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
  /** Takes effect with the next question. What is kept of a group stays, unless its servers or limits are others. */
  reload(settings: ForwarderSettings): void;
  /** Drops entries of the cache, in slices: see Cache. */
  flush(wanted: Selection): Iterator<undefined, number>;
  list: Cache["list"];
  /**
   * What is kept, as octets for `restore` of another process: blocks in order, undefined where the
   * caller may pause.
   */
  snapshot(): Iterator<Uint8Array | undefined, void>;
  /** Puts back what a snapshot holds beside what has come since; undefined where the caller may pause. */
  restore(octets: Uint8Array): Iterator<undefined, Result<Restored, string>>;
  stats(): ForwarderStats;
  /** Names of the groups that ask each of its servers, as settings have them. */
  askedBy(): ReadonlyMap<Readonly<Server>, readonly string[]>;
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
  /** How often workers have answered this question since its answer came, as far as they count; not given: 0. */
  workerHits?: (question: Uint8Array) => number;
  /** Hears what becomes of the servers; not given: nobody does. */
  onEvent?: (event: UpstreamEvent) => void;
  /** Hears what was thrown by mistake, beside the SERVFAIL that it costs; not given: it is thrown on. */
  fault?: Fault;
};

const NO_UPSTREAM: ForwardAnswer = { ok: false, reason: "no upstream" };
const FAILED: ForwardAnswer = { ok: false, reason: "failed" };
/** It came back from a server that we asked. */
const OWN_QUESTION: ForwardAnswer = { ok: false, reason: "refused" };
const FAILED_BEFORE: ForwardAnswer = {
  ok: false,
  reason: "failed",
  ede: [{ code: EDE.CACHED_ERROR, text: "the same question failed a moment ago" }],
};

export function createForwarder(deps: ForwarderDeps): Forwarder {
  const { clock, udp, tcp, fault = rethrow } = deps;
  const timers = unfailingTimers(deps.timers, fault);
  let settings = deps.settings;
  const groups = createGroups(settings);
  let cache = cacheFor(settings, deps.random);
  const outcomes = createOutcomes(() => cache, groups);
  const prefetch = createPrefetch();
  const underWay = createUnderWay({
    ...deps,
    timers,
    fault,
    outcomes,
    asked: () => prefetch.earn(),
    revived,
    event,
    down(server, group, qname) {
      // A question that was under way at a reload may have been to a server that is no more.
      if (!groups.servers().includes(server)) return;
      prober.down(server, group);
      if (qname !== null) loops.suspect(server, group, qname);
    },
    joined: (exchange, qname) => loops.joined(exchange, qname),
  });
  const own = createOwnQuestions({
    ...deps,
    timers,
    udp: unfailingExchanges(udp, fault),
    tcp: unfailingExchanges(tcp, fault),
  });
  const ownDeps = { ...deps, timers, own, rateOf: rateIn, event };
  const prober = createProber({ ...ownDeps, revived }, settings.probeName);
  const loops = createLoops(ownDeps, settings.loopDetection);
  const { workerHits = noHits } = deps;
  let closed = false;
  let requests = 0;

  function revived(): void {
    cache?.failures.clear();
  }

  function event(happened: UpstreamEvent): void {
    deps.onEvent?.(happened);
    if (happened.type === "loop") underWay.pass(happened.server);
  }

  function rateIn(server: Server, group: string): number {
    const upstreams = groups.get(group);
    return upstreams === undefined ? 0 : rateOf(upstreams.settings, server);
  }

  function accept(
    name: string,
    request: ForwardRequest,
    done: Done,
    firstReplyFinal: boolean,
  ): void {
    requests++;
    const upstreams = groups.get(name);
    if (upstreams === undefined || upstreams.servers.length === 0 || closed) {
      done(closed ? FAILED : NO_UPSTREAM);
      return;
    }
    if (loops.isOwn(request.qname)) {
      done(OWN_QUESTION);
      return;
    }
    const nowMs = clock.monotonicMs();
    request.sinceMs ??= nowMs;
    prober.interest(nowMs);
    const { trace } = request;
    if (cache === null || !upstreams.settings.keep || !isShared(request)) {
      if (trace !== undefined) noteCache(trace, request, "not kept", nowMs);
      const passed = settings.subnet === null ? request : asPassed(request, settings.subnet);
      const joinKey = passedKey(passed, upstreams.groupId, firstReplyFinal);
      const wanted = { request: passed, key: null, joinKey, upstreams, firstReplyFinal };
      underWay.join({ ...wanted, stale: null, earlyForMs: 0, subnet: null }, done, nowMs);
    } else acceptKept(cache, upstreams, request, done, firstReplyFinal, nowMs);
  }

  function acceptKept(
    store: Cache,
    upstreams: Upstreams,
    request: ForwardRequest,
    done: Done,
    firstReplyFinal: boolean,
    nowMs: number,
  ): void {
    const { trace } = request;
    const { stale: limits } = upstreams.settings;
    const key = cacheKey(request, upstreams.groupId);
    const entry = store.find(key, nowMs, staleMsOf(limits)) ?? null;
    const isFresh = entry !== null && nowMs < entry.expiresAtMs;
    const { failures: known } = store;
    const isFailing =
      entry === null &&
      (known.isFailing(key.exact, nowMs) ||
        (firstReplyFinal && known.isFailing(key.firstReply, nowMs))) &&
      !mayBeBack(upstreams, nowMs);
    if (trace !== undefined)
      noteCache(trace, request, entry ?? (isFailing ? "failing" : "none"), nowMs);
    const subnet = settings.subnet === null ? null : subnetFor(settings.subnet, request);
    const joinKey = subnet?.general === false ? key.exact + subnetKey(subnet) : key.exact;
    const wanted: Wanted = {
      request,
      key,
      joinKey: firstReplyFinal ? `${joinKey}!` : joinKey,
      upstreams,
      firstReplyFinal,
      stale: isFresh ? null : entry,
      earlyForMs: isFresh ? entry.expiresAtMs : 0,
      subnet,
    };
    if (isFailing) done(FAILED_BEFORE);
    else if (isFresh) giveFresh(store, wanted, entry, done, nowMs);
    else if (entry === null || !giveAtOnce(store, wanted, entry, done, nowMs))
      underWay.join(wanted, done, nowMs);
  }

  /** Gives what is kept, and asks again if it is in demand and about to run out. */
  function giveFresh(store: Cache, wanted: Wanted, entry: Entry, done: Done, nowMs: number): void {
    const { request, upstreams, joinKey, key } = wanted;
    const limits = upstreams.settings;
    if (!settings.prefetch || entry.denialSeconds >= 0) {
      done(cachedAnswer(request, limits, entry, nowMs));
      return;
    }
    if (entry.earlyForMs > 0 && key !== null) {
      prefetch.settle(entry, nowMs);
      store.settleEarly(key);
    }
    const reserved = reservedMs(entry);
    if (entry.expiresAtMs - nowMs > reserved) {
      done(cachedAnswer(request, limits, entry, nowMs, reserved));
      return;
    }
    const isAsked = underWay.has(joinKey);
    const failure = lastFailure(store, wanted);
    const isDue =
      !isAsked &&
      (failure === undefined || nowMs >= failure.untilMs) &&
      prefetch.isDue(
        entry,
        nowMs,
        () => workerHits(questionOf(request)),
        () => underWay.mayRefresh(limits),
      );
    // With another answer on its way this one is not left to the workers any more.
    done(cachedAnswer(request, limits, entry, nowMs, isAsked || isDue ? Infinity : 0));
    if (isDue) underWay.refresh(wanted, nowMs);
  }

  /** Gives what is stale if the last attempt failed a moment ago, and asks again if it is time for that. */
  function giveAtOnce(
    store: Cache,
    wanted: Wanted,
    stale: Entry,
    done: Done,
    nowMs: number,
  ): boolean {
    const { request, upstreams, joinKey } = wanted;
    const failure = lastFailure(store, wanted);
    const mayAsk = failure === undefined || nowMs >= failure.untilMs;
    if (mayAsk) {
      // A denial only as long as nobody asks: the name may have come to exist.
      if (stale.denialSeconds >= 0) return false;
      const { clientTimeoutMs } = upstreams.settings.stale;
      if (clientTimeoutMs > 0 && (failure === undefined || nowMs >= failure.recheckAtMs))
        return false;
    }
    done(outcomes.stale(request, upstreams, stale, failure?.reason ?? "timeout"));
    if (mayAsk && !underWay.has(joinKey) && underWay.mayRefresh(upstreams.settings))
      underWay.refresh(wanted, nowMs);
    return true;
  }

  /** Between two slices questions are answered; nobody finds what is still there, by its key. */
  function sweep(slices: Iterator<undefined>): void {
    if (slices.next().done !== true && !closed) timers.after(0, () => sweep(slices));
  }

  const wallOffsetMs = (): number => clock.wallMs() - clock.monotonicMs();

  return {
    forward: (request, done) => accept("", request, done, false),
    forwardFirstReply: (request, done) => accept("", request, done, true),
    forwardTo: accept,
    reload(changed) {
      const otherCache =
        changed.cacheEnabled !== settings.cacheEnabled ||
        changed.cacheOctets !== settings.cacheOctets ||
        !isSameSubnet(changed.subnet, settings.subnet);
      settings = changed;
      const { hasLeft, isRenumbered } = groups.use(changed);
      underWay.keepGroups(changed.groups);
      prober.use(changed.probeName, groups.servers());
      loops.use(changed.loopDetection, groups.servers());
      if (otherCache || isRenumbered) cache = cacheFor(changed, deps.random);
      else if (cache !== null && hasLeft) sweep(cache.flushGroups((id) => !groups.isId(id)));
    },
    flush: (wanted) => cache?.flush(wanted) ?? nothingToFlush,
    list: (wanted) => cache?.list(wanted) ?? [],
    snapshot: () =>
      encodeSnapshot({
        entries: cache?.list(everything) ?? [],
        groups: groups.prints(),
        wallOffsetMs: wallOffsetMs(),
      }),
    restore(octets) {
      const store = cache;
      const longest = Math.max(...settings.groups.map(({ stale }) => staleMsOf(stale)));
      return decodeSnapshot(octets, {
        groups: groups.prints(),
        nowMs: clock.monotonicMs(),
        wallOffsetMs: wallOffsetMs(),
        staleMs: longest,
        // After a reload that began another cache the rest is of no use.
        restore: (key, kept, zone) => void (store === cache && store?.restore(key, kept, zone)),
      });
    },
    stats: () => ({
      requests,
      ...underWay.counts(),
      stale: { ...outcomes.counts.stale },
      prefetches: { ...prefetch.counts },
      udpSockets: udp.openCount,
      tcpSockets: tcp.openCount,
      generation: groups.get("")?.groupId ?? 0,
      cache: cache?.stats() ?? null,
      servers: counted(groups.servers(), clock.monotonicMs()),
    }),
    askedBy: () => groups.askedBy(),
    close() {
      closed = true;
      underWay.close();
      prober.close();
      loops.close();
      own.close();
      udp.close();
      tcp.close();
    },
  };
}

const everything: Selection = { name: null, subtree: true, type: null };

/** How long after its end an answer may be given. */
function staleMsOf({ enabled, maxSeconds }: StaleSettings): number {
  return enabled ? maxSeconds * 1000 : 0;
}

/** What is known to have failed; what the first server alone has said is for those who ask no other. */
function lastFailure(
  { failures }: Cache,
  { key, firstReplyFinal }: Pick<Wanted, "key" | "firstReplyFinal">,
): Failure | undefined {
  if (key === null) return undefined;
  const ofAll = failures.find(key.exact);
  const ofFirst = firstReplyFinal ? failures.find(key.firstReply) : undefined;
  if (ofAll === undefined || ofFirst === undefined) return ofAll ?? ofFirst;
  return ofAll.untilMs > ofFirst.untilMs ? ofAll : ofFirst;
}

const nothingToFlush: Iterator<undefined, number> = {
  next: () => ({ done: true, value: 0 }),
};

/** With their packets per second up to date. */
function counted(servers: readonly Server[], nowMs: number): readonly Server[] {
  for (const { bucket } of servers) packetsLastSecond(bucket, nowMs);
  return servers;
}

const noHits = (): number => 0;

function cacheFor(settings: ForwarderSettings, random: Random): Cache | null {
  return settings.cacheEnabled && settings.cacheOctets > 0 ? createCache(settings, random) : null;
}

/**
 * May the answer be given to others? Not for questions without RD (the reply may be a referral, or tell
 * what upstream has in its cache), of other classes, or of types that are not data.
 */
function isShared({ rd, qclass, qtype }: ForwardRequest): boolean {
  return rd && qclass === CLASS_IN && isCacheableType(qtype);
}
