/** From what upstream said, or the cache holds, to what one client is told. */
import { assert } from "../base.ts";
import type { ForwardAnswer, ForwardRequest } from "../dns/answer.ts";
import { DO, parseMessage, type ParsedMessage } from "../dns/message.ts";
import { equalNames } from "../dns/name.ts";
import { EDE } from "../dns/edns.ts";
import { FLAG, RCODE, TYPE, type Rr } from "../dns/rr.ts";
import type { Entry } from "./cache.ts";
import type { FailureReason } from "./failures.ts";
import { usableTtl, type TtlLimits } from "./lifetime.ts";
import { EDNS_PAYLOAD } from "./query.ts";
import type { GroupSettings } from "./settings.ts";

export type Answered = Extract<ForwardAnswer, { ok: true }>;

/** Unchanged, as Consul passes replies on: all sections, flags and the OPT. */
export function passedAnswer({
  flags,
  answers,
  authority,
  additional,
  opt,
}: Pick<ParsedMessage, "flags" | "answers" | "authority" | "additional" | "opt">): Answered {
  return {
    ok: true,
    rcode: (flags & 15) | ((opt?.extendedRcode ?? 0) << 4),
    aa: (flags & FLAG.AA) !== 0,
    ad: (flags & FLAG.AD) !== 0,
    ra: (flags & FLAG.RA) !== 0,
    answers,
    authority,
    additional,
    cacheableSeconds: 0,
    spentMs: 0,
    fromCache: false,
    edns: opt === null ? null : { payload: opt.payload, flags: opt.flags, options: opt.options },
    tc: (flags & FLAG.TC) !== 0,
  };
}

export type SharedAnswerOptions = {
  rcode: number;
  /** AD of the upstream's reply. */
  ad: boolean;
  tc: boolean;
  answers: Rr[];
  authority: Rr[];
  /** Since the records were received. */
  ageMs: number;
  /** TTL of the SOA of a denial when it was received; -1 for answers. */
  denialSeconds: number;
  cacheableSeconds: number;
  fromCache: boolean;
};

const NO_OPTIONS = new Uint8Array(0);
const plainEdns = { payload: EDNS_PAYLOAD, flags: 0, options: NO_OPTIONS };
const doEdns = { payload: EDNS_PAYLOAD, flags: DO, options: NO_OPTIONS };

/**
 * What may be told to any client that asks this question: AA clear, RA set, an OPT of our own, TTLs
 * counted down. The records are changed in place.
 */
export function sharedAnswer(
  request: ForwardRequest,
  settings: GroupSettings,
  options: SharedAnswerOptions,
): Answered {
  const { answers, authority, ageMs, denialSeconds } = options;
  const ageSeconds = Math.floor(ageMs / 1000);
  countDown(answers, request.qname, settings, ageSeconds);
  if (authority.length > 0) countDown(authority, request.qname, settings, ageSeconds);
  if (denialSeconds >= 0)
    for (const rr of authority)
      if (rr.type === TYPE.SOA) rr.ttl = Math.max(0, denialSeconds - ageSeconds);
  if (answers.length > 1) levelTtls(answers, request.qtype);
  return {
    ok: true,
    rcode: options.rcode,
    aa: false,
    ad: options.ad && settings.trustAd && (request.ad || request.do),
    ra: true,
    answers,
    authority,
    additional: [],
    cacheableSeconds: options.cacheableSeconds,
    spentMs: ageMs - ageSeconds * 1000,
    fromCache: options.fromCache,
    edns: request.edns === null ? null : request.do ? doEdns : plainEdns,
    tc: options.tc,
    staleSeconds: settings.stale.enabled ? settings.stale.maxSeconds : 0,
  };
}

/**
 * The answer that the cache holds. In its last `reservedMs` it may not be served again, and if nothing is
 * reserved not in its last second: then the next question comes here.
 */
export function cachedAnswer(
  request: ForwardRequest,
  settings: GroupSettings,
  entry: Entry,
  nowMs: number,
  reservedMs = 0,
): Answered {
  const parsed = parseMessage(entry.wire);
  assert(parsed.ok, "what the cache holds was parsed or encoded by us");
  const { flags, answers, authority } = parsed.value;
  return sharedAnswer(request, settings, {
    rcode: flags & 15,
    ad: (flags & FLAG.AD) !== 0,
    tc: false,
    answers,
    authority,
    ageMs: nowMs - entry.storedAtMs,
    denialSeconds: entry.denialSeconds,
    cacheableSeconds: secondsLeft(entry.expiresAtMs - reservedMs - nowMs, reservedMs > 0),
    fromCache: true,
  });
}

/** `exact`: what is asked for in a part of a second that was cut off would find the reserved time not begun. */
function secondsLeft(leftMs: number, exact: boolean): number {
  return Math.max(0, exact ? leftMs / 1000 : Math.floor(leftMs / 1000));
}

/**
 * The answer that the cache holds although it has expired (RFC 8767): with the TTL for that, marked for
 * clients that understand extended errors, and not to be served again by others.
 */
export function staleAnswer(
  request: ForwardRequest,
  settings: GroupSettings,
  entry: Entry,
  reason: FailureReason,
): Answered {
  const answer = cachedAnswer(request, settings, entry, entry.expiresAtMs);
  for (const rr of [...answer.answers, ...answer.authority]) rr.ttl = settings.stale.ttlSeconds;
  const isNxdomain = answer.rcode === RCODE.NXDOMAIN;
  return {
    ...answer,
    // Its signatures may have run out.
    ad: false,
    cacheableSeconds: 0,
    spentMs: 0,
    ede: [
      { code: isNxdomain ? EDE.STALE_NXDOMAIN_ANSWER : EDE.STALE_ANSWER, text: reasons[reason] },
    ],
  };
}

const reasons: Readonly<Record<FailureReason, string>> = {
  timeout: "no upstream server answers in time",
  servfail: "all upstream servers report errors",
  nxdomain: "upstream servers deny the name now",
  nodata: "upstream servers deny the record now",
};

/** The same answer for another client that spelled the QNAME in other case. */
export function respelled(answer: Answered, request: ForwardRequest): Answered {
  const { qname } = request;
  const respell = (rr: Rr): Rr => ({ ...rr, owner: spelledAs(rr.owner, qname) });
  return {
    ...answer,
    answers: answer.answers.map(respell),
    authority: answer.authority.map(respell),
  };
}

function countDown(records: Rr[], qname: Uint8Array, limits: TtlLimits, ageSeconds: number): void {
  for (const rr of records) {
    rr.ttl = Math.max(0, usableTtl(rr.ttl, limits) - ageSeconds);
    rr.owner = spelledAs(rr.owner, qname);
  }
}

/** The name in the client's spelling if it is the QNAME or above it: servers repeat the random case of the question. */
function spelledAs(owner: Uint8Array, qname: Uint8Array): Uint8Array {
  const at = qname.length - owner.length;
  if (owner === qname || at < 0) return owner;
  const asked = at === 0 ? qname : qname.subarray(at);
  return equalNames(owner, asked) ? asked : owner;
}

/** One RRset has one TTL, the smallest of those received (RFC 2181 5.2). */
function levelTtls(answers: Rr[], qtype: number): void {
  let ttl = Infinity;
  for (const rr of answers) if (rr.type === qtype) ttl = Math.min(ttl, rr.ttl);
  for (const rr of answers) if (rr.type === qtype) rr.ttl = ttl;
}
