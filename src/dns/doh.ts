/** DNS in HTTP (RFC 8484): which question a request holds, and for how long its answer may be kept. */
import { fail, ok, type Result } from "../base.ts";
import { HEADER_OCTETS, parseMessage, readUint32 } from "./message.ts";
import { RCODE, TYPE } from "./rr.ts";

/** The media type of DNS messages. */
export const DNS_MESSAGE = "application/dns-message";
/** Where clients look for DNS unless told otherwise. */
const DOH_PATH = "/dns-query";
/** Longest question that is taken; a DNS message is never longer. */
export const MAX_QUESTION_OCTETS = 65_535;

/** Why a request gets no answer: status, and a sentence for whoever reads it. */
export type Refusal = { status: 400 | 404 | 405 | 413 | 415 | 429 | 503; text: string };

/** The head of a request. Which media types the client accepts does not matter: there is one (RFC 8484 4.1). */
export type DohHead = { method: string; target: string; contentType: string };

/**
 * The question in a GET or HEAD, or undefined for a POST whose body holds it. The refusals are those of RFC 9110:
 * another path, another method, no `dns` parameter, another media type.
 */
export function readDohHead(head: DohHead): Result<Uint8Array | undefined, Refusal> {
  const mark = head.target.indexOf("?");
  const path = mark < 0 ? head.target : head.target.slice(0, mark);
  if (path !== DOH_PATH) return fail({ status: 404, text: `DNS is at ${DOH_PATH}` });
  if (head.method === "GET" || head.method === "HEAD")
    return readParameter(mark < 0 ? "" : head.target.slice(mark + 1));
  if (head.method !== "POST")
    return fail({ status: 405, text: "GET, HEAD and POST are understood" });
  const type = head.contentType.split(";", 1)[0]!.trim().toLowerCase();
  return type === DNS_MESSAGE
    ? ok(undefined)
    : fail({ status: 415, text: `the body has to be ${DNS_MESSAGE}` });
}

/** `dns=` in base64url without padding (RFC 8484 4.1.1); padding is let through. */
function readParameter(query: string): Result<Uint8Array, Refusal> {
  const pair = query.split("&").find((each) => each.startsWith("dns="));
  if (pair === undefined) return fail({ status: 400, text: "the parameter dns is missing" });
  const octets = fromBase64url(pair.slice("dns=".length).replace(/(%3[dD]|=){1,2}$/, ""));
  return octets === undefined
    ? fail({ status: 400, text: "the parameter dns is not base64url" })
    : ok(octets);
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function fromBase64url(text: string): Uint8Array | undefined {
  if (text.length % 4 === 1) return undefined;
  const octets = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let value = 0;
  let at = 0;
  for (const digit of text) {
    const six = DIGITS.indexOf(digit);
    if (six < 0) return undefined;
    value = ((value << 6) | six) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    octets[at++] = value >> bits;
  }
  return octets;
}

/** A question that is worth handing on: at least a header, at most a message. */
export function checkQuestion(question: Uint8Array): Result<Uint8Array, Refusal> {
  if (question.length < HEADER_OCTETS)
    return fail({ status: 400, text: "shorter than the header of a DNS message" });
  return question.length > MAX_QUESTION_OCTETS
    ? fail({ status: 413, text: "longer than a DNS message" })
    : ok(question);
}

/**
 * Seconds for which HTTP caches may keep an answer (RFC 8484 5.1): the least TTL of its answer section, for
 * a denial what RFC 2308 says of its SOA record, else 0.
 */
export function freshnessSeconds(reply: Uint8Array): number {
  const parsed = parseMessage(reply);
  if (!parsed.ok) return 0;
  const { flags, answers, authority } = parsed.value;
  const rcode = flags & 15;
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return 0;
  let seconds = Infinity;
  for (const { ttl } of answers) seconds = Math.min(seconds, ttl);
  if (answers.length === 0 || rcode === RCODE.NXDOMAIN) {
    const soa = authority.find(({ type }) => type === TYPE.SOA);
    if (soa === undefined) return 0;
    const minimum = readUint32(soa.data, soa.data.length - 4);
    seconds = Math.min(seconds, soa.ttl, minimum);
  }
  return seconds;
}
