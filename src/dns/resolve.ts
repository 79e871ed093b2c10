/**
 * The whole decision for one question that the workers left to the main thread: which of our domains
 * it belongs to, what it is answered with, what fits, and what the workers may serve from now on.
 */
import type { Acl } from "../cluster/acl.ts";
import type { CatalogReader, Topic } from "../cluster/model.ts";
import type { Client, Timers } from "../ports.ts";
import type {
  AnswerTable,
  Forward,
  ForwardAnswer,
  Question,
  Reply,
  Resolve,
  SharedClock,
} from "./answer.ts";
import { createAskedLately } from "./asked-lately.ts";
import { catalogReply } from "./catalog-reply.ts";
import {
  CHAIN_LEVELS,
  endedHere,
  inwardChain,
  noForeignNames,
  UpstreamNames,
  zoneOf,
  type ForeignNames,
  type Inward,
} from "./chain.ts";
import { addTiming, createDnsCounters, type DnsCounters } from "./question-counters.ts";
import { createKeptByView } from "./kept-targets.ts";
import { rethrow, servfail, unfailing, type Fault } from "./faults.ts";
import {
  emptyReply,
  forwardedReply,
  forwardRequest,
  mayHoldChain,
  NOT_OURS,
  pluginOf,
  prepareForwarded,
  refusal,
  type Own,
} from "./forwarded.ts";
import type { GateOwner } from "./gate-writer.ts";
import { ARPA, formatName, isWithin } from "./name.ts";
import {
  createZones,
  originOf,
  REVERSE,
  tableOrigin,
  zoneFinder,
  type FindZone,
  type Plugin,
  type Zones,
} from "./origins.ts";
import { noteEnd, noteForwarded, Trace, traced } from "./trace.ts";
import { prepareAnswer } from "./prepared-answer.ts";
import { createPublisher, type Publisher } from "./publish.ts";
import { emptyAnswer, Reading, type Answer, type Asked, type World } from "./reading.ts";
import { domainAnswer } from "./records.ts";
import { askerAddress, errorReply, OPCODE_QUERY, parseRequest, type Request } from "./request.ts";
import { reverseAnswer } from "./reverse.ts";
import { FLAG, RCODE, TYPE, type Message } from "./rr.ts";
import { prepareSettings, type DnsSettings, type Prepared, type Zone } from "./settings.ts";
import type { ServiceCounts } from "./service-counts.ts";
import { mayBeShort, shortOwn } from "./short-names.ts";
import { effectivePayload } from "./size.ts";
import { negativeAnswer } from "./soa.ts";

export type ResolverDeps = {
  settings: DnsSettings;
  catalog: CatalogReader;
  acl: Acl;
  /** For what clients ask. */
  forward: Forward;
  /** For host names that stand as addresses: the first reply of any RCODE is final (Consul `resolveCNAME`). */
  resolveTarget: Forward;
  /** null: nothing is prepared for workers. */
  table: AnswerTable | null;
  clock: SharedClock;
  timers: Timers;
  /** How answers are told apart that are counted; absent: by nobody else. */
  zones?: Zones;
  /** The name of the view that a client sees, "" for none; absent: there are no views. */
  viewOf?: (client: Client) => string;
  /** Counts replies for services; absent: nobody does. */
  services?: ServiceCounts;
  /** What clients beyond loopback get otherwise; absent: nothing. */
  gate?: Pick<GateOwner, "receive">;
  wallMs: () => number;
  /** An integer from 0 to 2^32 - 1. */
  random: () => number;
  /** Whether a leader is known, and how old the data here may be (0 on the leader). */
  freshness: () => { leader: boolean; ageMs: number };
  /** Hears what was thrown by mistake, beside the SERVFAIL that it costs; absent: it is thrown on. */
  fault?: Fault;
};

export type Resolver = {
  resolve: Resolve;
  /** Applies to the next question; nothing under way is dropped. */
  reload(settings: DnsSettings): void;
  /** Call with what `apply` touched, before the change is acknowledged. */
  touch(topics: Iterable<Topic>): void;
  /** For what no topic tells: a change of leadership, a restored snapshot. */
  withdrawAll(): void;
  /** The forwarder's cache was flushed of these names: nothing made from it is served any more. */
  flush(wanted: { name: Uint8Array | null; subtree: boolean }): void;
  readonly counters: DnsCounters;
  publishStats(): ReturnType<Publisher["stats"]>;
};

/** Nothing is asked of others, and nothing is random. */
const AS_IT_IS = { foreign: noForeignNames, seed: 1, trace: undefined };

/** Data older than this counts as stale (Consul `staleCounterThreshold`). */
const STALE_MS = 5000;

export function createResolver(deps: ResolverDeps): Resolver {
  const { clock, wallMs, random, table, viewOf = () => "", fault = rethrow } = deps;
  const publisher = table && createPublisher(table);
  const counters = createDnsCounters();
  const askedLately = createAskedLately();
  const keptTargets = createKeptByView();
  const world: World = { catalog: deps.catalog, acl: deps.acl, wallMs, answer: domainAnswer };
  const zones = deps.zones ?? createZones();
  let settings = prepareSettings(deps.settings);
  let findZone: FindZone = zoneFinder(settings.foreignZones ?? [], zones);

  /** One request on its way to its reply. */
  type Work = {
    query: Uint8Array;
    request: Request;
    client: Client;
    reply: Reply;
    /** 0 for what is forwarded at once: how long that takes is not counted here. */
    startMs: number;
    settings: Prepared;
    trace: Trace | undefined;
    /** Of whose answer it is (origins.ts), while it is the catalog's. */
    origin: number;
    /** As of ForwardRequest. */
    sinceMs?: number | undefined;
  };

  const resolve: Resolve = ({ query, client, trace }: Question, reply) => {
    const parsed = parseRequest(query);
    const request = ("qname" in parsed && deps.gate?.receive(parsed, client.address)) || parsed;
    if (!("qname" in request)) {
      counters.countMalformed(request.problem);
      trace?.add({ step: "malformed", problem: request.problem });
      reply(errorReply(query, request));
      return;
    }
    const held = settingsOf(client);
    const asked = { query, request, client, reply, trace };
    const work: Work = { ...asked, settings: held, startMs: 0, origin: 0 };
    const zone = zoneOf(request.qname, held);
    // DS belongs to the parent's side of a zone cut (RFC 4035 3.1.4.1).
    const asksParent = request.qtype === TYPE.DS && held.recursorsConfigured;
    if (zone !== undefined && !asksParent) answerDomain(work, zone);
    else if (zone === undefined && isWithin(request.qname, ARPA)) answerReverse(work);
    else if (held.shortNames === true && mayBeShort(request))
      forwardQuestion(work, shortOwn(readingOf(work, AS_IT_IS), request));
    else forwardQuestion(work);
  };

  /** What holds for the client: a view may send names below our domains elsewhere. */
  const settingsOf = (client: Client): Prepared =>
    settings.byView.size === 0 ? settings : (settings.byView.get(viewOf(client)) ?? settings);

  /** For what throws after `resolve` has returned; who has its reply gets no other. */
  function failed(work: Work, error: unknown): void {
    fault(error);
    work.reply(servfail(work.query), work.origin);
  }

  /** false: there is no leader to vouch for the data, and the settings want one. */
  function isReadable({ settings: { allowStale, maxStaleMs }, trace }: Work): boolean {
    const { leader, ageMs } = deps.freshness();
    if (!leader && (!allowStale || ageMs > maxStaleMs)) {
      trace?.add({ step: "no leader" });
      return false;
    }
    if (ageMs > STALE_MS) counters.stale++;
    return true;
  }

  function answerDomain(work: Work, zone: Zone): void {
    const { request } = work;
    work.startMs = clock();
    work.origin = originOf(zones.own(zone.wire), "catalog");
    work.trace?.add({ step: "scope", scope: "domain", zone: formatName(zone.wire) });
    if (!isReadable(work)) {
      finish(work, emptyAnswer(RCODE.SERVFAIL), null);
      return;
    }
    const asked: Asked = {
      qname: request.qname,
      qtype: request.qtype,
      edns: request.opt !== null,
      zone,
      levels: CHAIN_LEVELS,
    };
    computeWithForeign(work, asked, (answer, reading) => finish(work, answer, reading));
  }

  /** Computes once, and again whenever foreign names have arrived: with the same seed, so the same choice. */
  function computeWithForeign(
    work: Work,
    asked: Asked,
    done: (answer: Answer, reading: Reading) => void,
  ): void {
    const seed = random();
    const { client, trace: outer } = work;
    const tracedFrom = outer?.notes.length ?? 0;
    const again = (): void => {
      try {
        compute();
      } catch (error) {
        failed(work, error);
      }
    };
    const compute = (): void => {
      const trace = outer && new Trace();
      const reading = readingOf(work, { foreign, seed, trace });
      const answer = domainAnswer(reading, asked);
      if (foreign.pendingCount > 0) return;
      if (trace !== undefined) outer?.insert(tracedFrom, trace);
      done(answer, reading);
    };
    const foreign = work.settings.recursorsConfigured
      ? new UpstreamNames({
          forward: outer === undefined ? deps.resolveTarget : traced(deps.resolveTarget, outer),
          client,
          kept: work.settings.forwardCache ? keptTargets.of(viewOf(client)) : null,
          stale: work.settings.staleTargets,
          clock,
          timers: deps.timers,
          sinceMs: work.sinceMs,
          whenAll: again,
        })
      : noForeignNames;
    compute();
  }

  function answerReverse(work: Work): void {
    const { request, trace } = work;
    work.startMs = clock();
    work.origin = originOf(REVERSE, "catalog");
    trace?.add({ step: "scope", scope: "reverse", zone: "" });
    if (!isReadable(work)) {
      finish(work, emptyAnswer(RCODE.SERVFAIL), null);
      return;
    }
    const reading = readingOf(work, { ...AS_IT_IS, trace });
    const found = reverseAnswer(reading, request.qname, request.qtype);
    const unknown = (): void =>
      finish(work, negativeAnswer(reading, work.settings.zone, RCODE.NXDOMAIN), reading, true);
    if (found !== undefined) finish(work, found, reading, true);
    else if (work.settings.recursorsConfigured)
      forwardQuestion(work, {
        topics: reading.topics,
        otherwise: unknown,
        // A node that took the address meanwhile goes before what the upstream says.
        isCurrent: () => reverseAnswer(reading, request.qname, request.qtype) === undefined,
      });
    else unknown();
  }

  function readingOf(
    { settings, request, client }: Work,
    { foreign, seed, trace }: { foreign: ForeignNames; seed: number; trace: Trace | undefined },
  ): Reading {
    const clientAddress = (): string => askerAddress(request, client);
    return new Reading(world, { settings, foreign, clientAddress, seed, trace });
  }

  /** Cuts to size, replies, and prepares the answer for workers. `reading`: null for what failed. */
  function finish(work: Work, answer: Answer, reading: Reading | null, isReverse = false): void {
    const { request, client, trace } = work;
    const isStream = client.transport !== "udp";
    const isStale = reading?.foreign.isStale === true;
    if (isStale) counters.staleTargets++;
    const about = { settings: work.settings, isStream, isStale };
    const { wire, whole, sent, isCut } = catalogReply(request, answer, about);
    if (isCut) counters.truncated++;
    if (trace !== undefined) noteEnd(trace, answer, { isStale, sent });
    const scope = isReverse ? "reverse" : "domain";
    counters.countReply(scope, client.transport, request.qtype, answer.rcode);
    work.reply(wire, work.origin);
    if (reading !== null) deps.services?.count(reading, wire);
    addTiming(isReverse ? counters.ptrQuery : counters.domainQuery, clock() - work.startMs);
    if (reading !== null && !isStream && !work.settings.disableCompression)
      publish(work, whole, answer, reading);
  }

  function publish(work: Work, message: Message, answer: Answer, reading: Reading): void {
    const { request } = work;
    // What is stale is counted and marked in each answer.
    if (reading.foreign.isStale) return;
    // After a reload while foreign names were under way the answer is of the old settings.
    if (publisher === null || work.settings !== settings) return;
    if (
      request.opcode !== OPCODE_QUERY ||
      request.qtype === TYPE.AXFR ||
      request.qtype === TYPE.IXFR
    )
      return;
    const nowMs = clock();
    const { freshSeconds, lentSeconds } = reading.foreign;
    // Whoever gets it last keeps it for its TTL.
    let expiresAtMs = nowMs + (freshSeconds - lentSeconds) * 1000;
    // The serial of an SOA record is the present second.
    if (answer.authority.length > 0)
      expiresAtMs = Math.min(expiresAtMs, nowMs + 1000 - (wallMs() % 1000));
    if (expiresAtMs <= nowMs) return;
    const isBrief =
      expiresAtMs <= nowMs + 1000 || (answer.shuffled && answer.additional.length > 0);
    if (isBrief && !askedLately(request.question, nowMs)) return;
    const prepared = prepareAnswer(message, answer, {
      qname: request.qname,
      edns: request.opt !== null,
      payload: effectivePayload(request.opt),
      udpAnswerLimit: work.settings.udpAnswerLimit,
      enableTruncate: work.settings.enableTruncate,
      expiresAtMs,
      nowMs,
    });
    if (prepared === null) return;
    counters.published++;
    prepared.answer.origin = tableOrigin(work.origin);
    prepared.answer.service = deps.services?.numberOf(reading) ?? 0;
    publisher.publish(prepared.answer, reading.topics);
    work.trace?.add({ step: "prepared" });
  }

  /** `own`: what of the catalog a kept answer depends on; names that cannot be ours depend on nothing. */
  function forwardQuestion(work: Work, own: Own = NOT_OURS): void {
    const { request, client, trace } = work;
    trace?.add({ step: "scope", scope: "foreign", zone: "" });
    const zone = findZone(request.qname);
    const from = (plugin: Plugin): number => originOf(zone, plugin);
    const count = (rcode: number): void =>
      counters.countReply("forward", client.transport, request.qtype, rcode);
    if (!work.settings.recursorsConfigured) {
      count(RCODE.REFUSED);
      trace?.add({ step: "refused", problem: "no upstream servers are configured" });
      // Without OPT even if there was one, as Consul.
      work.reply(emptyReply({ ...request, opt: null }, RCODE.REFUSED, 0), from(""));
      return;
    }
    const refused = refusal(request);
    if (refused !== undefined) {
      count(refused);
      trace?.add({ step: "refused", problem: "this kind of question is not forwarded" });
      work.reply(emptyReply(request, refused, FLAG.RA), from(""));
      return;
    }
    const send = (answer: ForwardAnswer): void => {
      const { wire, rcode, truncated } = forwardedReply(request, answer, client, work.settings);
      if (trace !== undefined) noteForwarded(trace, answer, { rcode, truncated });
      count(rcode);
      if (truncated) counters.truncated++;
      work.reply(wire, from(pluginOf(answer)));
    };
    const take = (answer: ForwardAnswer): void => {
      if (!answer.ok && answer.reason === "no upstream" && own.otherwise !== null) {
        own.otherwise();
        return;
      }
      const isRead = answer.ok && (work.settings.forwardCache || answer.constant === true);
      const inward =
        isRead && mayHoldChain(request)
          ? inwardChain(request.qname, answer.answers, work.settings)
          : undefined;
      if (answer.ok && inward !== undefined) {
        answerInward(work, answer, inward, send);
        return;
      }
      send(answer);
      if (!answer.ok) return;
      // Names made up once each would push out of the table what is asked often.
      const isWorthIt = answer.constant ? askedLately(request.question, clock()) : answer.fromCache;
      if (!isWorthIt) return;
      if (publisher === null || work.settings !== settings || !own.isCurrent()) return;
      const prepared = prepareForwarded(request, answer, clock(), work.settings);
      if (prepared === null) return;
      counters.published++;
      prepared.origin = tableOrigin(from(answer.constant === true ? "local" : "cache"));
      publisher.publish(prepared, own.topics);
      trace?.add({ step: "prepared" });
    };
    const asked = forwardRequest(request, client, trace, own.short);
    deps.forward(asked, (answer) => {
      work.sinceMs = asked.sinceMs;
      try {
        take(answer);
      } catch (error) {
        failed(work, error);
      }
    });
  }

  /** An upstream's chain that ends at a name of ours: the catalog says what stands there. */
  function answerInward(
    work: Work,
    answer: Extract<ForwardAnswer, { ok: true }>,
    { records, target }: Inward,
    send: (answer: ForwardAnswer) => void,
  ): void {
    if (!isReadable(work)) {
      send({ ok: false, reason: "failed" });
      return;
    }
    const { qtype, opt } = work.request;
    const zone = zoneOf(target, work.settings)!;
    const asked = { qname: target, qtype, edns: opt !== null, zone, levels: CHAIN_LEVELS };
    computeWithForeign(work, asked, (own, reading) => {
      if (reading.foreign.isStale) counters.staleTargets++;
      send(endedHere(answer, records, own));
    });
  }

  return {
    resolve: unfailing(resolve, fault),
    reload(next) {
      settings = prepareSettings(next);
      findZone = zoneFinder(settings.foreignZones ?? [], zones);
      publisher?.withdrawAll();
    },
    touch(topics) {
      publisher?.touch(topics);
    },
    withdrawAll() {
      publisher?.withdrawAll();
    },
    flush(wanted) {
      keptTargets.flush(wanted);
      // What was forwarded depends on no topic.
      publisher?.withdrawAll();
    },
    counters,
    publishStats: () => publisher?.stats() ?? { watched: 0, topics: 0, withdrawn: 0 },
  };
}
