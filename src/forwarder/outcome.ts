/** What the end of a question means: what is kept of the reply, and what the clients are told. */
import type { ForwardAnswer, ForwardRequest } from "../dns/answer.ts";
import { FLAG, RCODE } from "../dns/rr.ts";
import type { Output } from "./attempts.ts";
import type { Cache, Entry } from "./cache.ts";
import type { FailureReason } from "./failures.ts";
import type { Groups } from "./groups.ts";
import type { Key } from "./key.ts";
import { lifetimeSeconds } from "./lifetime.ts";
import { cachedAnswer, passedAnswer, sharedAnswer, staleAnswer } from "./reply.ts";
import { scrub, withoutStrangers, type Scrubbed } from "./scrub.ts";
import type { GroupSettings } from "./settings.ts";
import { isForAll, type SentSubnet } from "./subnet.ts";
import type { Upstreams } from "./upstreams.ts";
import { clientCount, type Awaited } from "./waiting.ts";

/** A question that has come to its end. */
export type Ended = Awaited & {
  readonly upstreams: Upstreams;
  /** What was known of it and had expired when it was asked. */
  readonly stale: Entry | null;
  /** Of a prefetch: when the answer that it replaces would have run out; else 0. */
  readonly earlyForMs: number;
  readonly subnet: SentSubnet | null;
  /** The first reply was to be the answer, whatever it says. */
  readonly firstReplyFinal: boolean;
};

type Received = Extract<Output, { type: "answer" }>;

export type Outcomes = {
  received(ended: Ended, received: Received, nowMs: number): ForwardAnswer;
  /** `null`: nothing was heard of the servers that others should know. */
  failed(
    ended: Ended,
    reason: FailureReason | null,
    failure: ForwardAnswer,
    nowMs: number,
  ): ForwardAnswer;
  /** An expired answer, counted for each client. */
  stale(
    request: ForwardRequest,
    upstreams: Upstreams,
    entry: Entry,
    reason: FailureReason,
    clients?: number,
  ): ForwardAnswer;
  readonly counts: { brokenChain: number; stale: Record<FailureReason, number> };
};

/** Where what was known goes before a denial, that of one type must not hide what is known of another. */
function asKept(scrubbed: Scrubbed, { stale }: GroupSettings): Scrubbed {
  const isOfType = scrubbed.kind === "nxdomain" && stale.enabled && stale.lastKnownGood;
  return isOfType ? { ...scrubbed, kind: "nodata" } : scrubbed;
}

const NONE = new Uint8Array(0);
const FAILED: ForwardAnswer = { ok: false, reason: "failed" };

/** `cache`: the one in use, null if answers are not kept. */
export function createOutcomes(cache: () => Cache | null, groups: Groups): Outcomes {
  const counts = { brokenChain: 0, stale: { timeout: 0, servfail: 0, nxdomain: 0, nodata: 0 } };

  /** Where it may be kept: not if the servers were replaced while it was under way. */
  function storeOf({ upstreams }: Ended): Cache | null {
    return groups.isCurrent(upstreams) ? cache() : null;
  }

  function stale(
    request: ForwardRequest,
    { settings }: Upstreams,
    entry: Entry,
    reason: FailureReason,
    clients = 1,
  ): ForwardAnswer {
    counts.stale[reason] += clients;
    return staleAnswer(request, settings, entry, reason);
  }

  function failed(
    ended: Ended,
    reason: FailureReason | null,
    failure: ForwardAnswer,
    nowMs: number,
  ): ForwardAnswer {
    const { key, request, upstreams } = ended;
    if (key !== null && reason !== null && ended.subnet?.general !== false) {
      const { recheckMs } = upstreams.settings.stale;
      const failed = ended.firstReplyFinal && reason === "servfail" ? key.firstReply : key.exact;
      storeOf(ended)?.failures.store(failed, reason, recheckMs, nowMs);
    }
    if (ended.stale === null) return failure;
    return stale(request, upstreams, ended.stale, reason ?? "timeout", clientCount(ended));
  }

  /** The answer that goes before a denial, where the settings of the group want that. */
  function lastKnownGood(
    ended: Ended,
    key: Key,
    scrubbed: Scrubbed,
    nowMs: number,
  ): ForwardAnswer | null {
    const { request, upstreams } = ended;
    const { settings } = upstreams;
    const { enabled, lastKnownGood: wanted, maxSeconds, recheckMs } = settings.stale;
    if (!enabled || !wanted) return null;
    if (scrubbed.kind !== "nxdomain" && scrubbed.kind !== "nodata") return null;
    const store = storeOf(ended);
    const known = store?.findAnswer(key, nowMs, maxSeconds * 1000);
    if (known === undefined) return null;
    store?.failures.store(key.exact, scrubbed.kind, recheckMs, nowMs);
    if (nowMs < known.expiresAtMs) return cachedAnswer(request, settings, known, nowMs);
    return stale(request, upstreams, known, scrubbed.kind, clientCount(ended));
  }

  return {
    counts,
    stale,
    failed,
    received(ended, { message, wire, server }, nowMs) {
      const { key, upstreams, earlyForMs } = ended;
      const limits = upstreams.settings;
      const hasAd = (message.flags & FLAG.AD) !== 0;
      // One of those who wait may have asked for AD: the others are told without.
      const request = hasAd && limits.trustAd ? { ...ended.request, ad: true } : ended.request;
      if (key === null) {
        // Where nothing is kept at all everything is as it came, AD too.
        if (cache() === null) return passedAnswer(message);
        const passed = passedAnswer(withoutStrangers(message, request));
        return limits.trustAd ? passed : { ...passed, ad: false };
      }
      const rcode = message.flags & 15;
      // Without an OPT of its own a client would read an extended RCODE as another one.
      if ((message.opt?.extendedRcode ?? 0) > 0) return failed(ended, "servfail", FAILED, nowMs);
      const tc = (message.flags & FLAG.TC) !== 0;
      if (tc || (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN)) {
        const told = sharedAnswer(request, limits, {
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
        return failed(ended, tc ? null : "servfail", told, nowMs);
      }
      const scrubbed = scrub(message, request);
      if (scrubbed.kind === "broken") {
        counts.brokenChain++;
        return failed(ended, "servfail", FAILED, nowMs);
      }
      const known = lastKnownGood(ended, key, scrubbed, nowMs);
      if (known !== null) return known;
      const isGeneral =
        ended.subnet === null || isForAll(message.opt?.options ?? NONE, ended.subnet);
      const store = isGeneral ? storeOf(ended) : null;
      const seconds = lifetimeSeconds(scrubbed, limits);
      store?.store(
        key,
        { message, wire, server: server.label },
        asKept(scrubbed, limits),
        seconds,
        nowMs,
        earlyForMs,
      );
      if (ended.firstReplyFinal) store?.failures.forget(key.firstReply);
      const { answers, authority, soa } = scrubbed;
      return sharedAnswer(request, limits, {
        rcode,
        ad: hasAd,
        tc: false,
        answers,
        authority,
        ageMs: 0,
        denialSeconds: soa === null ? -1 : seconds,
        cacheableSeconds: store === null ? 0 : seconds,
        fromCache: false,
      });
    },
  };
}
