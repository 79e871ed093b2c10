/**
 * How many octets a connection may bring beside its questions. In HTTP/2 most frames ask for nothing and
 * cost work all the same (CVE-2019-9511 to -9518, CVE-2024-27316 are such floods); whatever their kind, they
 * are octets for which no request comes.
 */

/** What a connection has at first, and at most: a handshake with certificates, and an eager client's settings. */
const MOST_OCTETS = 131_072;
/** For a connection that is kept alive by what is no question. */
const OCTETS_PER_SECOND = 4096;
/** Headers of a request, as much as HTTP/1.1 takes; ... */
const OCTETS_PER_REQUEST = 16_384;
/** ... and of its body twice as much, for it may come in small pieces. */
const OCTETS_PER_BODY_OCTET = 2;

/** The allowance of one connection. Amounts in octets, times in milliseconds of one clock. */
export type Allowance = {
  /** Notes a request whose head has come. */
  request(): void;
  /** Notes a piece of its body. */
  body(octets: number): void;
  /** Takes what has come so far in all; false: it is more than is allowed. To be called now and then. */
  take(octetsInAll: number, nowMs: number): boolean;
};

/** A full one. */
export function createAllowance(nowMs: number): Allowance {
  let left = MOST_OCTETS;
  let taken = 0;
  let lookedMs = nowMs;
  return {
    request() {
      left += OCTETS_PER_REQUEST;
    },
    body(octets) {
      left += octets * OCTETS_PER_BODY_OCTET;
    },
    take(octetsInAll, atMs) {
      left += ((atMs - lookedMs) * OCTETS_PER_SECOND) / 1000 - (octetsInAll - taken);
      taken = octetsInAll;
      lookedMs = atMs;
      const isWithin = left >= 0;
      left = Math.min(left, MOST_OCTETS);
      return isWithin;
    },
  };
}
