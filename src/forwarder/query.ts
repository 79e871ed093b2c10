/** One question as it goes upstream, and whether a message that comes back is the reply to it. */
import type { ForwardRequest } from "../dns/answer.ts";
import { DO, HEADER_OCTETS, readUint16, type Opt } from "../dns/message.ts";
import { foldOctet } from "../dns/name.ts";
import { cacheKey } from "./key.ts";
import type { SentSubnet } from "./subnet.ts";
import { FLAG, RCODE, TYPE } from "../dns/rr.ts";
import type { GroupSettings } from "./settings.ts";

/** EDNS payload that does not fragment on any usual path (DNS flag day 2020). */
export const EDNS_PAYLOAD = 1232;

export type Query = {
  /** QNAME as asked, QTYPE, QCLASS. */
  question: Uint8Array;
  /** RD, CD, AD. */
  flags: number;
  transport: "udp" | "tcp";
  /** Of the second packet to a server that was silent. */
  repeatTransport: "udp" | "tcp";
  opt: Opt | null;
  /** The OPT is ours, not the client's: it may be left out if the server does not understand it. */
  ownOpt: boolean;
  /** Ask again over TCP if the reply over UDP is truncated. */
  retryTruncated: boolean;
  /** Letters of the QNAME go in random case (mixed-case.ts). */
  mixedCase: boolean;
  /** The first reply of any RCODE ends the search (Consul's resolution of CNAME targets). */
  firstReplyFinal: boolean;
};

const NO_OPTIONS = new Uint8Array(0);
const opt = (flags: number): Opt => ({
  payload: EDNS_PAYLOAD,
  extendedRcode: 0,
  version: 0,
  flags,
  options: NO_OPTIONS,
});
const plainOpt = opt(0);
const doOpt = opt(DO);

/** With our own EDNS and TCP retry; the answer may be kept for other clients. */
export function sharedQuery(
  request: ForwardRequest,
  firstReplyFinal: boolean,
  { trustAd, mixedCase }: Pick<GroupSettings, "trustAd" | "mixedCase">,
  subnet: SentSubnet | null = null,
): Query {
  const plain = request.do ? doOpt : plainOpt;
  return {
    question: questionOf(request),
    flags: (request.rd ? FLAG.RD : 0) | (request.cd ? FLAG.CD : 0) | (trustAd ? FLAG.AD : 0),
    transport: "udp",
    // Who asks over a connection cannot take a truncated answer, and no third packet could ask for the whole.
    repeatTransport: request.client.transport === "udp" ? "udp" : "tcp",
    opt: subnet === null ? plain : { ...plain, options: subnet.option },
    ownOpt: true,
    retryTruncated: true,
    mixedCase,
    firstReplyFinal,
  };
}

/** Unchanged, as Consul sends it on: transport, flags and EDNS are the client's. */
export function passedQuery(request: ForwardRequest, firstReplyFinal: boolean): Query {
  const { edns } = request;
  return {
    question: questionOf(request),
    flags: (request.rd ? FLAG.RD : 0) | (request.cd ? FLAG.CD : 0) | (request.ad ? FLAG.AD : 0),
    transport: request.client.transport === "udp" ? "udp" : "tcp",
    repeatTransport: "udp",
    opt:
      edns === null
        ? null
        : {
            payload: edns.payload,
            extendedRcode: 0,
            version: 0,
            flags: request.do ? DO : 0,
            options: edns.options,
          },
    ownOpt: false,
    retryTruncated: false,
    mixedCase: false,
    firstReplyFinal,
  };
}

/** Questions that are passed on unchanged are the same only if every octet that goes upstream is. */
export function passedKey(
  request: ForwardRequest,
  groupId: number,
  firstReplyFinal: boolean,
): string {
  const { qname, edns, client } = request;
  const flags =
    (request.rd ? 1 : 0) |
    (request.ad ? 2 : 0) |
    (firstReplyFinal ? 4 : 0) |
    (client.transport === "udp" ? 0 : 8);
  let key = `${cacheKey(request, groupId).exact}${flags} ${String.fromCharCode(...qname)}`;
  if (edns !== null) key += ` ${edns.payload} ${String.fromCharCode(...edns.options)}`;
  return key;
}

/** QNAME as asked, QTYPE, QCLASS. */
export function questionOf({ qname, qtype, qclass }: ForwardRequest): Uint8Array {
  const octets = qname.length;
  const question = new Uint8Array(octets + 4);
  for (let i = 0; i < octets; i++) question[i] = qname[i]!;
  question[octets] = qtype >> 8;
  question[octets + 1] = qtype;
  question[octets + 2] = qclass >> 8;
  question[octets + 3] = qclass;
  return question;
}

/** How one message of it is sent; `question`: spelled as this server gets it. */
export type WireOptions = { id: number; withOpt: boolean; question: Uint8Array };

/** The complete message. */
export function encodeQuery(query: Query, { id, withOpt, question }: WireOptions): Uint8Array {
  const sent = withOpt ? query.opt : null;
  const questionEnd = HEADER_OCTETS + question.length;
  const wire = new Uint8Array(questionEnd + (sent === null ? 0 : 11 + sent.options.length));
  wire[0] = id >> 8;
  wire[1] = id;
  wire[2] = query.flags >> 8;
  wire[3] = query.flags;
  wire[5] = 1;
  for (let i = 0; i < question.length; i++) wire[HEADER_OCTETS + i] = question[i]!;
  if (sent === null) return wire;
  wire[11] = 1;
  wire[questionEnd + 2] = TYPE.OPT;
  wire[questionEnd + 3] = sent.payload >> 8;
  wire[questionEnd + 4] = sent.payload;
  wire[questionEnd + 7] = sent.flags >> 8;
  wire[questionEnd + 8] = sent.flags;
  wire[questionEnd + 9] = sent.options.length >> 8;
  wire[questionEnd + 10] = sent.options.length;
  if (sent.options.length > 0) wire.set(sent.options, questionEnd + 11);
  return wire;
}

/**
 * `reply`: id, QR, opcode and question are those of the query. `case`: only the case of the QNAME
 * differs. `error`: a header that reports an error and carries no question, as old servers send it.
 * `other`: anything else; it must not end the waiting (RFC 5452 9.1).
 */
export type Match = "reply" | "case" | "error" | "other";

/** What is wrong with a message that does not match what was asked. */
export type Stranger = "id" | "question" | "no reply";

/** The first thing that is wrong with a message of which `matchReply` says "other". */
export function strangerOf(wire: Uint8Array, { id }: Pick<WireOptions, "id">): Stranger {
  if (wire.length < HEADER_OCTETS || (wire[2]! & 0xf8) !== 0x80) return "no reply";
  return readUint16(wire, 0) === id ? "question" : "id";
}

/** Judges a message by its first octets; the records are not looked at. */
export function matchReply(wire: Uint8Array, sent: Pick<WireOptions, "id" | "question">): Match {
  if (wire.length < HEADER_OCTETS || readUint16(wire, 0) !== sent.id) return "other";
  // QR set, opcode QUERY.
  if ((wire[2]! & 0xf8) !== 0x80) return "other";
  const questionCount = readUint16(wire, 4);
  if (questionCount === 0) {
    const rcode = wire[3]! & 15;
    return rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN ? "error" : "other";
  }
  const { question } = sent;
  const end = question.length;
  if (questionCount !== 1 || wire.length < HEADER_OCTETS + end) return "other";
  for (let i = end - 4; i < end; i++) if (wire[HEADER_OCTETS + i] !== question[i]) return "other";
  let match: Match = "reply";
  for (let i = 0; i < end - 4; i++) {
    const got = wire[HEADER_OCTETS + i]!;
    const asked = question[i]!;
    if (got === asked) continue;
    if (foldOctet(got) !== foldOctet(asked)) return "other";
    match = "case";
  }
  return match;
}
