/** Answers to questions about other people's names: what the client gets, and what workers may keep. */
import type { Topic } from "../cluster/model.ts";
import type { ExtendedError, ForwardAnswer, ForwardRequest, PublishedAnswer } from "./answer.ts";
import { OPTION_COOKIE } from "./cookie.ts";
import { EDE, replyOpt, withCookie, withErrors, withoutOption } from "./edns.ts";
import { encodeMessage, MAX_MESSAGE_OCTETS, ttlOffsets } from "./encode.ts";
import { DO, type Opt } from "./message.ts";
import { equalNames, foldName } from "./name.ts";
import type { Plugin } from "./origins.ts";
import { OPTION_PADDING } from "./padding.ts";
import { OPCODE_QUERY, type Request } from "./request.ts";
import { FLAG, RCODE, TYPE, type Message, type Rr } from "./rr.ts";
import type { Prepared } from "./settings.ts";
import type { Trace } from "./trace.ts";
import { effectivePayload, MAX_PAYLOAD, SMALL_PAYLOAD } from "./size.ts";
import type { Client } from "../ports.ts";

/** What of the catalog an answer about other people's names depends on, or gives way to. */
export type Own = {
  readonly topics: readonly Topic[];
  /** Does what was read of the catalog still hold? */
  readonly isCurrent: () => boolean;
  /** Answers where there is no server to ask; null: REFUSED. */
  readonly otherwise: (() => void) | null;
  /** See ForwardRequest. */
  readonly short?: Rr | undefined;
};

/** Names that the catalog cannot know. */
export const NOT_OURS: Own = { topics: [], isCurrent: () => true, otherwise: null };

/** RFC 6891 9: extended RCODE 1, RCODE 0. */
const BADVERS = 16;

/** The question as the forwarder wants it. */
export function forwardRequest(
  request: Request,
  client: Client,
  trace: Trace | undefined,
  short: Rr | undefined,
): ForwardRequest {
  const { qname, qtype, qclass, opt, ad } = request;
  return {
    qname,
    qtype,
    qclass,
    rd: (request.flags & FLAG.RD) !== 0,
    cd: (request.flags & FLAG.CD) !== 0,
    ad,
    do: opt !== null && (opt.flags & DO) !== 0,
    edns: opt === null ? null : { payload: opt.payload, options: onwards(opt.options, request) },
    client,
    trace,
    short,
    sinceMs: undefined,
  };
}

/** Options as they are, but for padding and a cookie that was meant for us: these are between two neighbours. */
function onwards(options: Uint8Array, { cookie }: Request): Uint8Array {
  const rest = withoutOption(options, OPTION_PADDING);
  return cookie === null ? rest : withoutOption(rest, OPTION_COOKIE);
}

/** Why a question for a foreign name is not forwarded at all; undefined if it is. */
export function refusal({ opcode, qtype, opt }: Request): number | undefined {
  if (opcode !== OPCODE_QUERY) return RCODE.NOTIMP;
  // A transfer is many messages; nothing here could carry it.
  if (qtype === TYPE.AXFR || qtype === TYPE.IXFR) return RCODE.NOTIMP;
  if (opt !== null && opt.version !== 0) return BADVERS;
  return undefined;
}

/** Reply without records: question, RD, CD and OPT of the request; RA if asked for. */
export function emptyReply(
  request: Request,
  rcode: number,
  flags: number,
  errors: readonly ExtendedError[] = [],
): Uint8Array {
  const message: Message = {
    id: request.id,
    flags: FLAG.QR | (request.opcode << 11) | request.flags | flags | (rcode & 15),
    question: request.question,
    answers: [],
    authority: [],
    additional: [],
  };
  const opt = replyOpt(request, false, 0, rcode >> 4);
  if (opt !== null) opt.options = withErrors(opt.options, errors);
  return encodeMessage(message, { compress: false, opt });
}

/** What a failure means to whoever reads extended errors, unless the forwarder says more. */
const failures = {
  "no upstream": [{ code: EDE.NOT_AUTHORITATIVE, text: "no upstream server for this name" }],
  failed: [{ code: EDE.NO_REACHABLE_AUTHORITY, text: "" }],
  refused: [{ code: EDE.NOT_READY, text: "too many questions under way" }],
};

/**
 * The client's reply. With the forwarder's cache off everything is as the upstream sent it. Over UDP,
 * what does not fit is left out from the end: additional records silently, others with TC.
 */
export function forwardedReply(
  request: Request,
  answer: ForwardAnswer,
  client: Client,
  { forwardCache, disableCompression }: Prepared,
): { wire: Uint8Array; rcode: number; truncated: boolean } {
  if (!answer.ok) {
    const rcode = answer.reason === "failed" ? RCODE.SERVFAIL : RCODE.REFUSED;
    // Consul, which keeps nothing, says nothing beside its SERVFAIL.
    const errors = forwardCache ? (answer.ede ?? failures[answer.reason]) : [];
    return { wire: emptyReply(request, rcode, FLAG.RA, errors), rcode, truncated: false };
  }
  const { opt: asked } = request;
  const message = messageOf(request, answer, !forwardCache || request.wantsSecurity);
  let opt = replyOpt(request, false, (asked?.flags ?? 0) & DO);
  if (!forwardCache && answer.constant !== true) opt = passedOpt(request, answer);
  else if (opt !== null) opt.extendedRcode = answer.rcode >> 4;
  if (opt !== null && answer.ede !== undefined)
    opt = { ...opt, options: withErrors(opt.options, answer.ede) };
  const limitOctets = client.transport === "udp" ? effectivePayload(asked) : MAX_MESSAGE_OCTETS;
  const options = { compress: !disableCompression, opt, limitOctets };
  let wire = encodeMessage(message, options);
  if ((wire[2]! & (FLAG.TC >> 8)) !== 0 && !answer.tc && message.additional.length > 0)
    wire = encodeMessage({ ...message, additional: [] }, options);
  return { wire, rcode: answer.rcode, truncated: (wire[2]! & (FLAG.TC >> 8)) !== 0 };
}

/** The upstream's OPT; a cookie for the client is ours, and padding is for encrypted neighbours (padding.ts). */
function passedOpt({ opt, cookie }: Request, { edns, rcode }: Good): Opt | null {
  if (opt === null || edns === null) return null;
  const rest = withoutOption(edns.options, OPTION_PADDING);
  const options = cookie === null ? rest : withCookie(withoutOption(rest, OPTION_COOKIE), cookie);
  return { ...edns, options, extendedRcode: rcode >> 4, version: 0 };
}

type Good = Extract<ForwardAnswer, { ok: true }>;

function messageOf(request: Request, answer: Good, withAd: boolean): Message {
  const flags =
    FLAG.QR |
    request.flags |
    (answer.aa ? FLAG.AA : 0) |
    (answer.tc ? FLAG.TC : 0) |
    (answer.ra ? FLAG.RA : 0) |
    (answer.ad && withAd ? FLAG.AD : 0) |
    (answer.rcode & 15);
  const { answers, authority, additional } = answer;
  return { id: request.id, flags, question: request.question, answers, authority, additional };
}

/**
 * The answer for workers to count down (or, if constant, to give as it is), or null if it must not be kept, if what this client asked for
 * is more than others do, or if names may not be compressed.
 */
export function prepareForwarded(
  request: Request,
  answer: ForwardAnswer,
  nowMs: number,
  { disableCompression }: Prepared,
): PublishedAnswer | null {
  if (!answer.ok || answer.tc || answer.rcode > 15) return null;
  const isConstant = answer.constant === true;
  if (!isConstant && answer.cacheableSeconds <= 0) return null;
  // Workers send no options, so what has something to tell is for those that could not read it.
  const isExplained = answer.ede !== undefined && answer.ede.length > 0;
  if (isExplained && request.opt !== null) return null;
  if (request.wantsSecurity || request.subnet !== null || disableCompression) return null;
  const { qname } = request;
  const question = request.question.slice();
  question.set(foldName(qname), 0);
  const message = messageOf({ ...request, id: 0, flags: 0 }, answer, false);
  const owned = {
    ...message,
    question,
    answers: ownedBy(qname, message.answers),
    authority: ownedBy(qname, message.authority),
    additional: ownedBy(qname, message.additional),
  };
  const wire = encodeMessage(owned, { compress: true, opt: null, sealed: qname });
  const octets = wire.length + 11;
  if (octets > MAX_PAYLOAD || (wire[2]! & (FLAG.TC >> 8)) !== 0) return null;
  const small = octets <= SMALL_PAYLOAD;
  if (isExplained && !small) return null;
  return {
    question,
    variants: [wire],
    minPayload: small ? SMALL_PAYLOAD : octets,
    maxPayload: MAX_PAYLOAD,
    withoutEdns: small,
    withEdns: !isExplained,
    shuffle: null,
    countdown: isConstant
      ? null
      : { ttlOffsets: ttlOffsets(wire), storedAtMs: nowMs - answer.spentMs },
    copiesDo: isConstant,
    expiresAtMs: isConstant ? Infinity : nowMs + answer.cacheableSeconds * 1000,
  };
}

/** The same records; those of the QNAME, however spelled, have the given object as owner. */
function ownedBy(qname: Uint8Array, records: Rr[]): Rr[] {
  return records.map((record) =>
    record.owner !== qname && equalNames(record.owner, qname)
      ? { ...record, owner: qname }
      : record,
  );
}

/** The part that gave an answer to what is not ours. */
export function pluginOf(answer: ForwardAnswer): Plugin {
  if (!answer.ok) return "forward";
  if (answer.constant === true) return "local";
  return answer.fromCache ? "cache" : "forward";
}

/** For these types a CNAME is the answer itself, and nothing follows it. */
export function mayHoldChain({ qtype }: Pick<Request, "qtype">): boolean {
  return qtype !== TYPE.CNAME && qtype !== TYPE.ANY;
}
