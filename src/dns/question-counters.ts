/** Counters of the main thread's share of DNS, as plain numbers; they only grow. */

import type { Transport } from "../ports.ts";

/** Whose names: our domains, reverse names answered here, everything else. */
export type QuestionZone = "domain" | "reverse" | "forward";

/** Milliseconds that questions took; `maxMs` since the start. */
export type Timing = { count: number; sumMs: number; maxMs: number };

/** What was asked of the main thread, and how it was answered. */
export type DnsCounters = {
  /** Questions with their reply: called once for each. */
  countReply(zone: QuestionZone, transport: Transport, qtype: number, rcode: number): void;
  /** Each combination that occurred. Types without a name of their own are under 65535. */
  replies(): {
    zone: QuestionZone;
    transport: Transport;
    qtype: number;
    rcode: number;
    count: number;
  }[];
  /** Requests that were refused before their question was looked at, by problem (request.ts). */
  readonly malformed: Map<string, number>;
  countMalformed(problem: string): void;
  /** Answers with fewer records than there are, or with TC. */
  truncated: number;
  /** Answers from data older than five seconds (`consul.dns.stale_queries`). */
  stale: number;
  /** Answers with the last known addresses of a host name that no upstream answers for. */
  staleTargets: number;
  /** Put into the answer table. */
  published: number;
  /** `consul.dns.domain_query`, `consul.dns.ptr_query`. */
  readonly domainQuery: Timing;
  readonly ptrQuery: Timing;
};

const OTHER_TYPE = 65535;
const TRANSPORTS: readonly Transport[] = ["udp", "tcp", "tls", "https"];
const ZONES: readonly QuestionZone[] = ["domain", "reverse", "forward"];
/** Types counted by number; the others could be made up by a client to fill our memory. */
const KNOWN_TYPES = new Set([
  1, 2, 5, 6, 12, 13, 15, 16, 17, 18, 24, 25, 28, 29, 33, 35, 36, 37, 39, 41, 43, 44, 45, 46, 47,
  48, 50, 51, 52, 53, 55, 59, 60, 61, 62, 63, 64, 65, 99, 108, 109, 249, 250, 251, 252, 253, 254,
  255, 256, 257,
]);

/** Counters that start at zero; the combinations are few, so they stay small. */
export function createDnsCounters(): DnsCounters {
  const counts = new Map<number, number>();
  const malformed = new Map<string, number>();
  return {
    countReply(zone, transport, qtype, rcode) {
      const type = KNOWN_TYPES.has(qtype) ? qtype : OTHER_TYPE;
      const place = (ZONES.indexOf(zone) << 2) | TRANSPORTS.indexOf(transport);
      const key = (place * 65536 + type) * 32 + Math.min(rcode, 31);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    },
    replies: () =>
      [...counts].map(([key, count]) => {
        const place = Math.floor(key / (65536 * 32));
        return {
          zone: ZONES[place >> 2]!,
          transport: TRANSPORTS[place & 3]!,
          qtype: Math.floor(key / 32) % 65536,
          rcode: key % 32,
          count,
        };
      }),
    malformed,
    countMalformed(problem) {
      malformed.set(problem, (malformed.get(problem) ?? 0) + 1);
    },
    truncated: 0,
    stale: 0,
    staleTargets: 0,
    published: 0,
    domainQuery: { count: 0, sumMs: 0, maxMs: 0 },
    ptrQuery: { count: 0, sumMs: 0, maxMs: 0 },
  };
}

/** Counts one question that took `elapsedMs`. */
export function addTiming(timing: Timing, elapsedMs: number): void {
  timing.count++;
  timing.sumMs += elapsedMs;
  if (elapsedMs > timing.maxMs) timing.maxMs = elapsedMs;
}
