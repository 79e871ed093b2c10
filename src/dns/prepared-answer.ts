/**
 * An answer of ours in the form that workers serve without the main thread: for every request it may
 * be sent to, what they send must be what resolve.ts would.
 */
import type { PublishedAnswer } from "./answer.ts";
import { encodeMessage } from "./encode.ts";
import type { Answer } from "./reading.ts";
import { foldName } from "./name.ts";
import { FLAG, TYPE, type Message, type Rr } from "./rr.ts";
import {
  fitUdp,
  MAX_PAYLOAD,
  OPT_LOST_PAYLOAD,
  PAYLOAD_MARGIN,
  SMALL_PAYLOAD,
  smallAnswerLimit,
} from "./size.ts";

/** Orders prepared of an answer whose records differ in size; each begins with another record. */
const MAX_VARIANTS = 8;
/** How long such an answer stands before the choice is made anew. */
const VARIANTS_LIFE_MS = 1000;
/** OPT without options. */
const OPT_OCTETS = 11;
/** Larger answers are computed for each question: the table has better use for the room. */
const MAX_PREPARED_OCTETS = 65000;

export type PreparedForm = {
  answer: PublishedAnswer;
  /** It will have to be made again within the second: worth it only for names asked often. */
  shortLived: boolean;
};

export type PrepareOptions = {
  /** As asked: owner of the records that answer. */
  qname: Uint8Array;
  /** The request had an OPT. */
  edns: boolean;
  /** As effectivePayload gives it. */
  payload: number;
  udpAnswerLimit: number;
  enableTruncate: boolean;
  /** Monotonic ms of the table's clock; the answer is not served after it. */
  expiresAtMs: number;
  nowMs: number;
};

/**
 * null if workers cannot serve it: the choice depends on more than the question, or this request got
 * a reply cut for a payload that others do not share. `message` is the whole answer, uncut, with the
 * QNAME as asked; its id, RD and CD do not matter.
 */
export function prepareAnswer(
  message: Message,
  answer: Answer,
  options: PrepareOptions,
): PreparedForm | null {
  if (answer.oneOff) return null;
  // Type and class are no letters, but the fold would take some of their octets for such.
  const question = foldName(message.question);
  for (let i = question.length - 4; i < question.length; i++) question[i] = message.question[i]!;
  const prepared: Message = {
    id: 0,
    flags: message.flags & ~(FLAG.RD | FLAG.CD),
    question,
    answers: message.answers,
    authority: message.authority,
    additional: message.additional,
  };
  if (!answer.shuffled) return prepareOne(prepared, options);
  return isUniform(prepared, answer, options.qname)
    ? prepareUniform(prepared, options)
    : prepareVariants(prepared, answer, options);
}

const seal = (message: Message, qname: Uint8Array): Uint8Array =>
  encodeMessage(message, { compress: true, opt: null, sealed: qname });

function prepareOne(message: Message, options: PrepareOptions): PreparedForm | null {
  const wire = seal(message, options.qname);
  const range = rangeOfWhole(message, wire.length, options);
  if (range === null) return null;
  return {
    answer: {
      question: message.question,
      variants: [wire],
      ...range,
      shuffle: null,
      countdown: null,
      expiresAtMs: options.expiresAtMs,
    },
    shortLived: options.expiresAtMs !== Infinity,
  };
}

type Range = Pick<PublishedAnswer, "minPayload" | "maxPayload" | "withoutEdns" | "withEdns">;

/** Requests that get the whole message; null if this request is not among them. */
function rangeOfWhole(message: Message, octets: number, options: PrepareOptions): Range | null {
  if (octets > MAX_PREPARED_OCTETS) return null;
  const count = message.answers.length;
  const needed = count <= 1 ? SMALL_PAYLOAD : octets + OPT_OCTETS + PAYLOAD_MARGIN;
  const small = count <= smallAnswerLimit(options.udpAnswerLimit);
  const minPayload =
    small && needed <= SMALL_PAYLOAD ? SMALL_PAYLOAD : Math.max(SMALL_PAYLOAD + 1, needed);
  if (options.payload < minPayload) return null;
  const withoutEdns = minPayload === SMALL_PAYLOAD;
  return { minPayload, maxPayload: MAX_PAYLOAD, withoutEdns, withEdns: true };
}

/** All answers take the same octets, so a worker can pick some of them: addresses of one family. */
function isUniform(
  { answers, authority, additional }: Message,
  { answerLimit }: Answer,
  qname: Uint8Array,
): boolean {
  if (authority.length > 0 || additional.length > 0) return false;
  if (answerLimit > 0 && answers.length > answerLimit) return false;
  const { type } = answers[0]!;
  if (type !== TYPE.A && type !== TYPE.AAAA) return false;
  return answers.every((record) => record.type === type && record.owner === qname);
}

function prepareUniform(message: Message, options: PrepareOptions): PreparedForm | null {
  const { question, answers } = message;
  const wire = seal(message, options.qname);
  if (wire.length > MAX_PREPARED_OCTETS) return null;
  const offset = 12 + question.length;
  const stride = 12 + answers[0]!.data.length;
  const counts = countSmall(message, stride, options.udpAnswerLimit);
  const smallCount = options.edns ? counts.withEdns : counts.withoutEdns;
  // Where the OPT costs a record, requests with and without one get answers of their own.
  const common = counts.withEdns === counts.withoutEdns;
  // Consul loses the OPT of replies that it cuts from OPT_LOST_PAYLOAD on; workers always append it.
  const whole = wire.length + OPT_OCTETS + PAYLOAD_MARGIN;
  const maxPayload = whole <= OPT_LOST_PAYLOAD ? MAX_PAYLOAD : OPT_LOST_PAYLOAD - 1;
  // Not even one record: a limit of 0 asks for empty answers.
  const minPayload = smallCount === 0 ? SMALL_PAYLOAD + 1 : SMALL_PAYLOAD;
  if (options.payload < minPayload || options.payload > maxPayload) return null;
  return {
    answer: {
      question,
      variants: [wire],
      minPayload,
      maxPayload,
      withoutEdns: smallCount > 0 && (common || !options.edns),
      withEdns: common || options.edns,
      shuffle: {
        offset,
        stride,
        count: answers.length,
        smallCount,
        truncateBit: options.enableTruncate,
      },
      countdown: null,
      expiresAtMs: options.expiresAtMs,
    },
    shortLived: options.expiresAtMs !== Infinity,
  };
}

/** Answers that a reply of the small payload has room for. */
function countSmall(
  { question, answers }: Message,
  stride: number,
  udpAnswerLimit: number,
): { withEdns: number; withoutEdns: number } {
  const limit = smallAnswerLimit(udpAnswerLimit);
  const struck = answers.length > limit;
  const each = struck ? question.length - 4 + stride - 2 : stride;
  const room = SMALL_PAYLOAD - PAYLOAD_MARGIN - 12 - question.length;
  const count = (octets: number): number =>
    Math.min(answers.length, limit, Math.max(1, Math.floor(octets / each)));
  return { withEdns: count(room - OPT_OCTETS), withoutEdns: count(room) };
}

/**
 * Several orders of the same records. Each record leads one of them if there are no more records than
 * variants, so the choice is even from the first second on.
 */
function prepareVariants(
  message: Message,
  { answerLimit }: Answer,
  options: PrepareOptions,
): PreparedForm | null {
  const count = Math.min(MAX_VARIANTS, message.answers.length);
  const limits = {
    udpAnswerLimit: options.udpAnswerLimit,
    compress: true,
    mostOctets: MAX_PAYLOAD,
  };
  const variants: Uint8Array[] = [];
  let largest = 0;
  let cut = false;
  for (let i = 0; i < count; i++) {
    const answers = rotate(message.answers, Math.floor((i * message.answers.length) / count));
    const limited = answerLimit > 0 ? answers.slice(0, answerLimit) : answers;
    const fitted = fitUdp({ ...message, answers: limited }, null, options.payload, limits);
    cut ||= fitted.message.answers.length < limited.length;
    const flags = fitted.cut && options.enableTruncate ? message.flags | FLAG.TC : message.flags;
    const wire = seal({ ...fitted.message, flags }, options.qname);
    largest = Math.max(largest, wire.length);
    variants.push(wire);
  }
  // A cut reply fits its own payload only; with an OPT it would have been cut shorter.
  if (cut && options.edns) return null;
  const range: Range | null = cut
    ? { minPayload: SMALL_PAYLOAD, maxPayload: SMALL_PAYLOAD, withoutEdns: true, withEdns: false }
    : rangeOfWhole(
        { ...message, answers: message.answers.slice(0, answerLimit || undefined) },
        largest,
        options,
      );
  if (range === null || largest > MAX_PREPARED_OCTETS) return null;
  return {
    answer: {
      question: message.question,
      variants,
      ...range,
      shuffle: null,
      countdown: null,
      expiresAtMs: Math.min(options.expiresAtMs, options.nowMs + VARIANTS_LIFE_MS),
    },
    shortLived: true,
  };
}

function rotate(records: readonly Rr[], by: number): Rr[] {
  return [...records.slice(by), ...records.slice(0, by)];
}
