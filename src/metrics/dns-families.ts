/** Families of the DNS front: questions, replies, answer table. */
import type { TcpCounters } from "../dns/crowd.ts";
import { RCODE_NAMES, TYPE_NAMES } from "../dns/presentation.ts";
import { counter, gauge, type Family, type ResolverFigures, type Sample } from "./family.ts";

const rcodeName = (rcode: number): string => RCODE_NAMES[rcode] ?? String(rcode);
const typeName = (qtype: number | string): string => TYPE_NAMES[Number(qtype)] ?? "other";

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

/** Reasons as labels spell them. */
function closedByReason({ firstByte, ...closed }: TcpCounters["closed"]): [string, number][] {
  return Object.entries({ first_byte: firstByte, ...closed });
}

export const dnsFamilies: readonly Family[] = [
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
    "waypost_dns_prohibited_total",
    "Questions over UDP refused because of who asked.",
    ({ dns }) => dns().prohibited,
  ),
  {
    name: "waypost_dns_rate_limited_total",
    help: "Answers withheld from clients that had too many; instead: nothing (drop), TC (slip), a cookie (badcookie).",
    labels: ["sent"],
    type: "counter",
    read: ({ dns }) => {
      const { rateDropped, rateSlipped, badCookies } = dns();
      const sent = { drop: rateDropped, slip: rateSlipped, badcookie: badCookies };
      return Object.entries(sent).map(([what, value]) => ({ labels: { sent: what }, value }));
    },
  },
  counter(
    "waypost_dns_cookies_total",
    "Questions over UDP with a server cookie of this process.",
    ({ dns }) => dns().goodCookies,
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
    help: "TCP connections that we closed, by reason: a wait that was too long, room for another, no room, a client that may not ask.",
    labels: ["reason"],
    type: "counter",
    read: ({ tcp }) => {
      const reasons = closedByReason(tcp().closed);
      return reasons.map(([reason, value]) => ({ labels: { reason }, value }));
    },
  },
  {
    name: "waypost_dns_secure_connections",
    help: "Connections of DNS clients with TLS or HTTPS in them open now.",
    labels: ["proto"],
    type: "gauge",
    read: ({ secure }) =>
      secure().map(({ proto, counters: { connections } }) => ({
        labels: { proto },
        value: connections,
      })),
  },
  {
    name: "waypost_dns_secure_accepted_total",
    help: "Connections for DNS over TLS or HTTPS accepted.",
    labels: ["proto"],
    type: "counter",
    read: ({ secure }) =>
      secure().map(({ proto, counters: { accepted } }) => ({ labels: { proto }, value: accepted })),
  },
  {
    name: "waypost_dns_secure_closed_total",
    help: "Connections for DNS over TLS or HTTPS that we closed; reasons as for TCP, and a flood of what is no question.",
    labels: ["proto", "reason"],
    type: "counter",
    read: ({ secure }) =>
      secure().flatMap(({ proto, counters: { closed } }) =>
        closedByReason(closed).map(([reason, value]) => ({ labels: { proto, reason }, value })),
      ),
  },
  {
    name: "waypost_dns_https_responses_total",
    help: "Responses to requests of DNS over HTTPS, by HTTP status.",
    labels: ["server", "status"],
    type: "counter",
    coredns: {},
    read: ({ secure, servers }) => {
      const names = servers();
      return secure().flatMap(({ responses = [] }) =>
        responses.map(({ server, status, count }) => ({
          labels: {
            server: (server === undefined ? undefined : names[server]) ?? "other",
            status: String(status),
          },
          value: count,
        })),
      );
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
