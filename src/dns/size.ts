/**
 * What of an answer is sent when not all of it may be. Spec of the DNS interface, section 11; the
 * limits are Consul's (`trimUDPResponse`, `trimTCPResponse`).
 */
import { measureMessage } from "./encode.ts";
import type { Opt } from "./message.ts";
import { nameKey } from "./name.ts";
import { TYPE, type Message, type Rr } from "./rr.ts";

/** Payload without EDNS (RFC 1035 4.2.1). */
export const SMALL_PAYLOAD = 512;
/** Largest payload that a UDP datagram carries over IPv6 (RFC 768, less headers). */
export const MAX_PAYLOAD = 65467;
/** Left free in every datagram (Consul since 1.11; 1.10 leaves 7). */
export const PAYLOAD_MARGIN = 8;
/** Above this `udp_answer_limit` has no effect. */
const MAX_UDP_ANSWERS = 8;
/** TCP: octets left of 65535 for the header, and most answers to begin with. */
const MAX_TCP_OCTETS = 65523;
const MAX_TCP_ANSWERS = 4096;
const MAX_TCP_SRV_ANSWERS = 1024;
/**
 * Consul loses the OPT of every reply that it makes smaller. We keep it (RFC 6891 6.1.1), except where
 * its transcripts leave no choice: from this payload on, for chains of CNAMEs, and if only additional
 * records were dropped.
 */
export const OPT_LOST_PAYLOAD = 4096;

/** Limits on a reply's size. `mostOctets`: of a reply over UDP that must not be larger though it has one answer only. */
export type Limits = { udpAnswerLimit: number; compress: boolean; mostOctets: number };

/** Parts that may be sent. `cut`: answers are missing; TC if the settings say so, or if nothing `isLeft`. */
export type Fitted = { message: Message; opt: Opt | null; cut: boolean; isLeft: boolean };

/** Payload in force for a request: 512 without EDNS. */
export function effectivePayload(opt: Opt | null): number {
  if (opt === null) return SMALL_PAYLOAD;
  return Math.min(Math.max(opt.payload, SMALL_PAYLOAD), MAX_PAYLOAD);
}

/** Whoever asks ANY over UDP from elsewhere wants amplification (RFC 8482); TCP gets it all. */
const MOST_OCTETS_OF_ANY = 120;

/** What may be sent over UDP at all: beyond loopback never more than the payload, and little of ANY. */
export function mostOctets(request: { isGuest: boolean; qtype: number }, payload: number): number {
  if (!request.isGuest) return MAX_PAYLOAD;
  return request.qtype === TYPE.ANY ? MOST_OCTETS_OF_ANY : payload;
}

/** Most answers of any type in a reply of the small payload. */
export function smallAnswerLimit(udpAnswerLimit: number): number {
  return Math.min(MAX_UDP_ANSWERS, udpAnswerLimit);
}

/** `payload` as effectivePayload gives it. The message given is not changed. */
export function fitUdp(message: Message, opt: Opt | null, payload: number, limits: Limits): Fitted {
  let fitted = message;
  let { compress } = limits;
  const limit = smallAnswerLimit(limits.udpAnswerLimit);
  if (payload === SMALL_PAYLOAD && message.answers.length > limit) {
    // From here on counted without compression, for the sake of those who unpack and repack.
    compress = false;
    fitted = keepAnswers(message, limit, createIndex(message));
  }
  const isChain = message.answers[0]?.type === TYPE.CNAME;
  const optIfCut = payload < OPT_LOST_PAYLOAD && !isChain ? opt : null;
  const octets = payload - PAYLOAD_MARGIN;
  fitted = fitOctets(fitted, message, { octets, compress, opt, optIfCut });
  if (
    limits.mostOctets < MAX_PAYLOAD &&
    measureMessage(fitted, { compress, opt }) > limits.mostOctets
  )
    return { message: withoutRecords(message), opt, cut: true, isLeft: false };
  const cut = fitted.answers.length < message.answers.length;
  if (fitted === message) return { message, opt, cut, isLeft: true };
  return { message: fitted, opt: cut ? optIfCut : null, cut, isLeft: true };
}

const withoutRecords = (message: Message): Message => ({
  ...message,
  answers: [],
  authority: [],
  additional: [],
});

/** TC is for octets only: the bound on the number of answers cuts silently. */
export function fitTcp(
  message: Message,
  opt: Opt | null,
  qtype: number,
  compress: boolean,
): Fitted {
  const most = qtype === TYPE.SRV ? MAX_TCP_SRV_ANSWERS : MAX_TCP_ANSWERS;
  const bounded =
    message.answers.length > most
      ? { ...message, answers: message.answers.slice(0, most) }
      : message;
  const room = { octets: MAX_TCP_OCTETS, compress, opt, optIfCut: opt };
  const fitted = fitOctets(bounded, message, room);
  return { message: fitted, opt, cut: fitted !== bounded, isLeft: true };
}

/** `opt` goes with a message that fits as it is, `optIfCut` with one that had to be made smaller. */
type Room = { octets: number; compress: boolean; opt: Opt | null; optIfCut: Opt | null };

/**
 * The largest number of answers, at least one, whose message has no more than `octets`; the rest of
 * `message` if it does. Additional records are rebuilt from those of `whole`.
 */
function fitOctets(message: Message, whole: Message, room: Room): Message {
  const { octets, compress, opt, optIfCut } = room;
  if (message.answers.length <= 1) return message;
  if (surelyFits(message, opt, octets)) return message;
  if (measureMessage(message, { compress, opt }) <= octets) return message;
  const index = createIndex(whole);
  const bare = { ...message, authority: [] };
  let low = 1;
  let high = message.answers.length + 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const candidate = keepAnswers(bare, middle, index);
    if (measureMessage(candidate, { compress, opt: optIfCut }) <= octets) low = middle;
    else high = middle;
  }
  return keepAnswers(bare, low, index);
}

/** Cheap bound on the size without compression; saves most messages from being measured. */
function surelyFits(message: Message, opt: Opt | null, octets: number): boolean {
  let sum = 12 + message.question.length + (opt === null ? 0 : 11 + opt.options.length);
  for (const record of message.answers) sum += record.owner.length + 10 + record.data.length;
  for (const record of message.authority) sum += record.owner.length + 10 + record.data.length;
  for (const record of message.additional) sum += record.owner.length + 10 + record.data.length;
  return sum <= octets;
}

/** First additional record of each owner; null if there are none. */
type Index = Map<string, Rr> | null;

function createIndex({ additional }: Message): Index {
  if (additional.length === 0) return null;
  const index = new Map<string, Rr>();
  for (const record of additional) {
    const key = nameKey(record.owner);
    if (!index.has(key)) index.set(key, record);
  }
  return index;
}

/** The first `count` answers; beside them, for each SRV left, its target's record, CNAMEs followed. */
function keepAnswers(message: Message, count: number, index: Index): Message {
  const answers = message.answers.slice(0, count);
  if (index === null) return { ...message, answers };
  const additional: Rr[] = [];
  const taken = new Set<string>();
  for (const answer of answers) {
    if (answer.type !== TYPE.SRV) continue;
    let target: string | undefined = nameKey(answer.data.subarray(6));
    while (target !== undefined && !taken.has(target)) {
      taken.add(target);
      const found: Rr | undefined = index.get(target);
      if (found !== undefined) additional.push(found);
      target = found?.type === TYPE.CNAME ? nameKey(found.data) : undefined;
    }
  }
  return { ...message, answers, additional };
}
