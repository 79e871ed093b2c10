/** Families of the DNS front: questions, replies, answer table. */
import { counter, gauge, type Family, type Sample } from "./family.ts";

/** Names of the RCODEs that occur (RFC 6895 2.3). */
const RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
const rcodeName = (rcode: number): string => RCODES[rcode] ?? String(rcode);

const QTYPES: Readonly<Record<string, string>> = {
  1: "A",
  2: "NS",
  5: "CNAME",
  6: "SOA",
  12: "PTR",
  15: "MX",
  16: "TXT",
  28: "AAAA",
  33: "SRV",
  35: "NAPTR",
  43: "DS",
  48: "DNSKEY",
  64: "SVCB",
  65: "HTTPS",
  251: "IXFR",
  252: "AXFR",
  255: "ANY",
};

export const dnsFamilies: readonly Family[] = [
  {
    name: "waypost_dns_requests_total",
    help: "Questions received, by transport and type.",
    labels: ["proto", "type"],
    type: "counter",
    read: (sources) => [
      ...[...sources.dns().requests].map(([type, value]) => ({
        labels: { proto: "udp", type: QTYPES[type] ?? "other" },
        value,
      })),
      { labels: { proto: "tcp", type: "any" }, value: sources.resolver().tcpRequests },
    ],
  },
  {
    name: "waypost_dns_responses_total",
    help: "Replies sent, by transport and RCODE.",
    labels: ["proto", "rcode"],
    type: "counter",
    read: (sources) => [
      ...responses("udp", sources.dns().responses),
      ...responses("tcp", sources.resolver().tcpResponses),
    ],
  },
  {
    name: "waypost_dns_request_duration_seconds",
    help: "Time from receive to send of UDP questions.",
    labels: ["proto"],
    type: "histogram",
    read: (sources) => {
      const { boundsSeconds, counts, sumSeconds } = sources.dns().durations;
      return [{ labels: { proto: "udp" }, bounds: boundsSeconds, counts, sum: sumSeconds }];
    },
  },
  counter(
    "waypost_dns_ignored_total",
    "Datagrams that get no reply: too short, or replies themselves.",
    ({ dns }) => dns().ignored,
  ),
  counter(
    "waypost_dns_dropped_total",
    "Questions given up because the queue to the main thread was full.",
    ({ dns }) => dns().missesDropped,
  ),
  counter(
    "waypost_dns_malformed_total",
    "Questions that were answered with FORMERR.",
    ({ resolver }) => resolver().malformed,
  ),
  counter(
    "waypost_dns_truncated_total",
    "Computed replies from which records were cut.",
    ({ resolver }) => resolver().truncated,
  ),
  counter(
    "waypost_dns_stale_total",
    "Answers from data without contact to the leader for over 5 s.",
    ({ resolver }) => resolver().stale,
  ),
  counter(
    "waypost_dns_worker_restarts_total",
    "DNS worker threads that ended and were replaced.",
    ({ dns }) => dns().workerRestarts,
  ),
  gauge(
    "waypost_dns_tcp_connections",
    "TCP connections of DNS clients open now.",
    ({ resolver }) => resolver().tcpConnections,
  ),
  counter(
    "waypost_dns_tcp_refused_total",
    "TCP connections closed at once because of a limit.",
    ({ resolver }) => resolver().tcpRefusedConnections,
  ),
];

function responses(proto: string, counts: ReadonlyMap<number, number>): Sample[] {
  return [...counts]
    .filter(([rcode, value]) => value > 0 || rcode < RCODES.length)
    .map(([rcode, value]) => ({ labels: { proto, rcode: rcodeName(rcode) }, value }));
}

export const tableFamilies: readonly Family[] = [
  counter(
    "waypost_answer_table_hits_total",
    "Questions answered by a worker from the shared table.",
    ({ dns }) => dns().tableHits,
  ),
  counter(
    "waypost_answer_table_misses_total",
    "Questions handed to the main thread.",
    ({ dns }) => dns().tableMisses,
  ),
  counter(
    "waypost_answer_table_evictions_total",
    "Prepared answers that made room for others.",
    (sources) => sources.table().evictions,
  ),
  counter(
    "waypost_answer_table_rejected_total",
    "Answers that did not fit into the table.",
    (sources) => sources.table().rejected,
  ),
  gauge("waypost_answer_table_entries", "Prepared answers.", (sources) => sources.table().entries),
  gauge(
    "waypost_answer_table_bytes",
    "Shared memory in use for them.",
    (sources) => sources.table().octets,
  ),
  gauge(
    "waypost_answer_table_capacity_bytes",
    "Shared memory set aside for them.",
    (sources) => sources.table().capacityOctets,
  ),
  gauge(
    "waypost_answer_table_oldest_age_seconds",
    "Age of the oldest prepared answer.",
    (sources) => sources.table().oldestAgeSeconds,
  ),
];
