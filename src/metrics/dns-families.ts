/** Families of the DNS front: questions, replies, answer table. */
import { counter, gauge, type Family, type ResolverFigures, type Sample } from "./family.ts";

/** Names of the RCODEs that occur (RFC 6895 2.3). */
const RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
const BADVERS = 16;
function rcodeName(rcode: number): string {
  return rcode === BADVERS ? "BADVERS" : (RCODES[rcode] ?? String(rcode));
}

/** Names of the QTYPEs that are counted apart (IANA registry of resource record types). */
const QTYPES: Readonly<Record<string, string>> = {
  1: "A",
  2: "NS",
  5: "CNAME",
  6: "SOA",
  12: "PTR",
  13: "HINFO",
  15: "MX",
  16: "TXT",
  17: "RP",
  18: "AFSDB",
  24: "SIG",
  25: "KEY",
  28: "AAAA",
  29: "LOC",
  33: "SRV",
  35: "NAPTR",
  36: "KX",
  37: "CERT",
  39: "DNAME",
  41: "OPT",
  43: "DS",
  44: "SSHFP",
  45: "IPSECKEY",
  46: "RRSIG",
  47: "NSEC",
  48: "DNSKEY",
  50: "NSEC3",
  51: "NSEC3PARAM",
  52: "TLSA",
  53: "SMIMEA",
  55: "HIP",
  59: "CDS",
  60: "CDNSKEY",
  61: "OPENPGPKEY",
  62: "CSYNC",
  63: "ZONEMD",
  64: "SVCB",
  65: "HTTPS",
  99: "SPF",
  108: "EUI48",
  109: "EUI64",
  249: "TKEY",
  250: "TSIG",
  251: "IXFR",
  252: "AXFR",
  253: "MAILB",
  254: "MAILA",
  255: "ANY",
  256: "URI",
  257: "CAA",
};
const typeName = (qtype: number | string): string => QTYPES[qtype] ?? "other";

type Replies = ResolverFigures["replies"];

/** Sums of the replies that pass, one for each set of labels. */
function sums(
  replies: Replies,
  labelsOf: (reply: Replies[number]) => Sample["labels"] | undefined,
): Sample[] {
  const byLabels = new Map<string, Sample>();
  for (const reply of replies) {
    const labels = labelsOf(reply);
    if (labels === undefined) continue;
    const key = Object.values(labels).join(" ");
    const value = (byLabels.get(key)?.value ?? 0) + reply.count;
    byLabels.set(key, { labels, value });
  }
  return [...byLabels.values()];
}

export const dnsFamilies: readonly Family[] = [
  {
    name: "waypost_dns_requests_total",
    help: "Questions received, by transport and type.",
    labels: ["proto", "type"],
    type: "counter",
    read: (sources) => [
      ...[...sources.dns().requests].map(([type, value]) => ({
        labels: { proto: "udp", type: typeName(type) },
        value,
      })),
      ...sums(sources.resolver().replies, ({ transport, qtype }) =>
        transport === "tcp" ? { proto: transport, type: typeName(qtype) } : undefined,
      ),
    ],
  },
  {
    name: "waypost_dns_responses_total",
    help: "Replies sent, by transport and RCODE.",
    labels: ["proto", "rcode"],
    type: "counter",
    read: (sources) => [
      ...[...sources.dns().responses]
        .filter(([rcode, value]) => value > 0 || rcode < RCODES.length)
        .map(([rcode, value]) => ({ labels: { proto: "udp", rcode: rcodeName(rcode) }, value })),
      ...sums(sources.resolver().replies, ({ transport, rcode }) =>
        transport === "tcp" ? { proto: transport, rcode: rcodeName(rcode) } : undefined,
      ),
    ],
  },
  {
    name: "waypost_dns_computed_total",
    help: "Replies of the main thread (TCP, and what the answer table did not hold), by whose name was asked: domain, reverse, forward.",
    labels: ["zone", "type", "rcode"],
    type: "counter",
    read: (sources) =>
      sums(sources.resolver().replies, ({ zone, qtype, rcode }) => ({
        zone,
        type: typeName(qtype),
        rcode: rcodeName(rcode),
      })),
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
  {
    name: "waypost_dns_malformed_total",
    help: "Messages that hold no question we could answer, by what is wrong with them.",
    labels: ["problem"],
    type: "counter",
    read: ({ resolver }) =>
      [...resolver().malformed].map(([problem, value]) => ({ labels: { problem }, value })),
  },
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
    "waypost_dns_stale_targets_total",
    "Answers with the last known addresses of a host name that no upstream answers for.",
    ({ resolver }) => resolver().staleTargets,
  ),
  counter(
    "waypost_dns_worker_restarts_total",
    "DNS worker threads that ended and were replaced.",
    ({ dns }) => dns().workerRestarts,
  ),
  gauge("waypost_dns_workers", "DNS worker threads.", ({ workers }) => workers()),
  gauge(
    "waypost_dns_tcp_connections",
    "TCP connections of DNS clients open now.",
    ({ tcp }) => tcp().connections,
  ),
  counter(
    "waypost_dns_tcp_accepted_total",
    "TCP connections of DNS clients accepted.",
    ({ tcp }) => tcp().accepted,
  ),
  {
    name: "waypost_dns_tcp_closed_total",
    help: "TCP connections that we closed, by reason: a wait that was too long, room for another, no room.",
    labels: ["reason"],
    type: "counter",
    read: ({ tcp }) => {
      const { firstByte, message, idle, write, evicted, refused } = tcp().closed;
      const reasons = { first_byte: firstByte, message, idle, write, evicted, refused };
      return Object.entries(reasons).map(([reason, value]) => ({ labels: { reason }, value }));
    },
  },
];

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
  gauge(
    "waypost_answer_table_watched",
    "Prepared answers that a change of the catalog withdraws.",
    ({ resolver }) => resolver().publisher.watched,
  ),
  counter(
    "waypost_answer_table_withdrawn_total",
    "Prepared answers that a change withdrew.",
    ({ resolver }) => resolver().publisher.withdrawn,
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
