/** Every metric family in one table: registry, JSON form and README read it. */
import type { DnsFrontCounters } from "../dns/front.ts";
import type { AnswerTable } from "../dns/answer.ts";
import type { ForwarderStats } from "../forwarder/forward.ts";
import type { LoopLateness } from "./lateness.ts";
import type { ProcessFigures } from "./process.ts";

/** What the families read when somebody scrapes; each call is cheap and has no side effect. */
export type Sources = {
  version: string;
  /** UDP: sums over all workers. */
  dns(): DnsFrontCounters;
  table(): ReturnType<AnswerTable["stats"]>;
  /** DNS over TCP and what the main thread computed. */
  resolver(): ResolverFigures;
  forwarder(): ForwarderStats;
  catalog(): { nodes: number; services: number; instances: number; checks: number; index: number };
  /** Figures of the log engine by name (src/cluster/engine.ts). */
  log(): Readonly<Record<string, number>>;
  /** HTTP answers by route, method and status. */
  http(): readonly { route: string; method: string; status: number; count: number }[];
  blockedQueries(): number;
  lateness(): LoopLateness;
  process(): ProcessFigures;
};

/** Counts of the main thread's DNS side, monotonic since the start. */
export type ResolverFigures = {
  tcpRequests: number;
  tcpResponses: ReadonlyMap<number, number>;
  tcpConnections: number;
  tcpRefusedConnections: number;
  truncated: number;
  malformed: number;
  stale: number;
};

export type Sample = { labels: Readonly<Record<string, string>>; value: number };

export type Histogram = {
  labels: Readonly<Record<string, string>>;
  /** Upper bounds; counts has one more member for what is above the last. Not cumulative. */
  bounds: readonly number[];
  counts: readonly number[];
  sum: number;
};

type Described = { name: string; help: string; labels: readonly string[] };
export type Family =
  | (Described & { type: "counter" | "gauge"; read(sources: Sources): Sample[] })
  | (Described & { type: "histogram"; read(sources: Sources): Histogram[] });

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

const only = (value: number): Sample[] => [{ labels: {}, value }];

function counter(name: string, help: string, read: (sources: Sources) => number): Family {
  return { name, help, labels: [], type: "counter", read: (sources) => only(read(sources)) };
}

function gauge(name: string, help: string, read: (sources: Sources) => number): Family {
  return { name, help, labels: [], type: "gauge", read: (sources) => only(read(sources)) };
}

const logFigure = (name: string) => (sources: Sources) => sources.log()[name] ?? 0;

const perServer = (read: (server: ForwarderStats["servers"][number]) => number) => {
  return (sources: Sources): Sample[] =>
    sources
      .forwarder()
      .servers.map((server) => ({ labels: { to: server.label }, value: read(server) }));
};

const dns: Family[] = [
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

const table: Family[] = [
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

const cache: Family[] = [
  {
    name: "waypost_cache_entries",
    help: "Forwarded answers that are kept, by kind.",
    labels: ["type"],
    type: "gauge",
    read: (sources) => byKind(sources, "entries"),
  },
  {
    name: "waypost_cache_bytes",
    help: "Memory they take.",
    labels: ["type"],
    type: "gauge",
    read: (sources) => byKind(sources, "octets"),
  },
  counter(
    "waypost_cache_hits_total",
    "Forwarded questions answered from the cache by the main thread.",
    ({ forwarder }) => forwarder().cache?.hits ?? 0,
  ),
  counter(
    "waypost_cache_misses_total",
    "Forwarded questions that were not in the cache.",
    ({ forwarder }) => forwarder().cache?.misses ?? 0,
  ),
  {
    name: "waypost_cache_evictions_total",
    help: "Entries that left the cache, by reason.",
    labels: ["reason"],
    type: "counter",
    read: ({ forwarder }) =>
      Object.entries(forwarder().cache?.evictions ?? {}).map(([reason, value]) => ({
        labels: { reason },
        value,
      })),
  },
];

function byKind({ forwarder }: Sources, figure: "entries" | "octets"): Sample[] {
  const stats = forwarder().cache;
  if (stats === null) return [];
  return [
    { labels: { type: "success" }, value: stats.answers[figure] },
    { labels: { type: "denial" }, value: stats.denials[figure] },
  ];
}

const forward: Family[] = [
  counter(
    "waypost_forward_requests_total",
    "Questions for names outside the domain, after the answer table.",
    ({ forwarder }) => forwarder().requests,
  ),
  counter(
    "waypost_forward_coalesced_total",
    "Questions that joined an identical one under way.",
    ({ forwarder }) => forwarder().coalesced,
  ),
  gauge(
    "waypost_forward_in_flight",
    "Questions waiting for an upstream server now.",
    ({ forwarder }) => forwarder().inFlight,
  ),
  counter(
    "waypost_forward_max_concurrent_rejects_total",
    "Questions refused or given up because of a limit.",
    ({ forwarder }) => forwarder().refused + forwarder().dropped,
  ),
  {
    name: "waypost_forward_failures_total",
    help: "Questions that no upstream server answered usably, by reason.",
    labels: ["reason"],
    type: "counter",
    read: ({ forwarder }) => {
      const { silence, errorReplies, brokenChain } = forwarder().failures;
      return [
        { labels: { reason: "silence" }, value: silence },
        { labels: { reason: "error_replies" }, value: errorReplies },
        { labels: { reason: "broken_chain" }, value: brokenChain },
      ];
    },
  },
  {
    name: "waypost_proxy_requests_total",
    help: "Packets sent to an upstream server, by transport.",
    labels: ["to", "proto"],
    type: "counter",
    read: ({ forwarder }) =>
      forwarder().servers.flatMap(({ label, counts }) => [
        { labels: { to: label, proto: "udp" }, value: counts.udp },
        { labels: { to: label, proto: "tcp" }, value: counts.tcp },
      ]),
  },
  {
    name: "waypost_proxy_failures_total",
    help: "What an upstream server did not answer usably, by reason.",
    labels: ["to", "reason"],
    type: "counter",
    read: ({ forwarder }) =>
      forwarder().servers.flatMap(({ label, counts }) => [
        { labels: { to: label, reason: "timeout" }, value: counts.timeouts },
        { labels: { to: label, reason: "transport" }, value: counts.errors },
        { labels: { to: label, reason: "rcode" }, value: counts.errorRcodes },
        { labels: { to: label, reason: "malformed" }, value: counts.malformed },
      ]),
  },
  {
    name: "waypost_proxy_spoof_suspects_total",
    help: "Datagrams from an upstream address that did not match what was asked.",
    labels: ["to"],
    type: "counter",
    read: perServer(({ counts }) => counts.nearMisses),
  },
  {
    name: "waypost_proxy_truncated_total",
    help: "Truncated UDP replies of an upstream server.",
    labels: ["to"],
    type: "counter",
    read: perServer(({ counts }) => counts.truncated),
  },
  {
    name: "waypost_proxy_up",
    help: "1 while an upstream server is taken for alive.",
    labels: ["to"],
    type: "gauge",
    read: perServer(({ standing }) => (standing === "dead" ? 0 : 1)),
  },
  {
    name: "waypost_proxy_smoothed_rtt_seconds",
    help: "Mean round trip of an upstream server; 0 while unknown.",
    labels: ["to"],
    type: "gauge",
    read: perServer(({ srttMs }) => Math.max(0, srttMs) / 1000),
  },
];

const catalog: Family[] = [
  gauge("waypost_catalog_nodes", "Nodes in the catalog.", ({ catalog }) => catalog().nodes),
  gauge(
    "waypost_catalog_services",
    "Distinct service names in the catalog.",
    ({ catalog }) => catalog().services,
  ),
  gauge(
    "waypost_catalog_instances",
    "Service instances in the catalog.",
    ({ catalog }) => catalog().instances,
  ),
  gauge("waypost_catalog_checks", "Checks in the catalog.", ({ catalog }) => catalog().checks),
  gauge(
    "waypost_catalog_index",
    "Index of the last applied log entry.",
    ({ catalog }) => catalog().index,
  ),
];

const log: Family[] = [
  gauge("waypost_log_last_index", "Last index in the log.", logFigure("last_index")),
  gauge("waypost_log_term", "Current term.", logFigure("term")),
  gauge("waypost_log_leader", "1 while this server leads.", logFigure("leader")),
  gauge(
    "waypost_log_queue_entries",
    "Proposals waiting to be written.",
    logFigure("queue_entries"),
  ),
  gauge(
    "waypost_log_uncommitted_bytes",
    "Octets of proposals not yet committed.",
    logFigure("uncommitted_octets"),
  ),
  counter("waypost_log_proposals_total", "Commands proposed.", logFigure("propose_total")),
  counter("waypost_log_committed_total", "Commands committed.", logFigure("committed_total")),
  counter("waypost_log_refused_total", "Proposals refused.", logFigure("refused_total")),
  counter(
    "waypost_log_unknown_total",
    "Proposals whose outcome is unknown.",
    logFigure("unknown_total"),
  ),
  counter(
    "waypost_log_commits_total",
    "Durable writes (one fsync each).",
    logFigure("batch_total"),
  ),
  counter(
    "waypost_log_commit_wait_seconds_total",
    "Time that batches waited for their fsync.",
    logFigure("commit_wait_seconds_sum"),
  ),
  counter("waypost_log_snapshots_total", "Snapshots written.", logFigure("snapshot_total")),
  gauge("waypost_log_store_bytes", "Size of the store on disk.", logFigure("store_octets")),
];

const process: Family[] = [
  {
    name: "waypost_http_requests_total",
    help: "HTTP answers, by route, method and status.",
    labels: ["route", "method", "status"],
    type: "counter",
    read: ({ http }) =>
      http().map(({ route, method, status, count }) => ({
        labels: { route, method, status: String(status) },
        value: count,
      })),
  },
  gauge("waypost_http_blocked_queries", "Blocking queries waiting now.", ({ blockedQueries }) =>
    blockedQueries(),
  ),
  {
    name: "waypost_event_loop_lateness_seconds",
    help: "How late the main thread's timers fired.",
    labels: [],
    type: "histogram",
    read: ({ lateness }) => {
      const { boundsSeconds, counts, sumSeconds } = lateness();
      return [{ labels: {}, bounds: boundsSeconds, counts, sum: sumSeconds }];
    },
  },
  {
    name: "waypost_build_info",
    help: "Always 1; the version is in the label.",
    labels: ["version"],
    type: "gauge",
    read: ({ version }) => [{ labels: { version }, value: 1 }],
  },
  counter(
    "process_cpu_seconds_total",
    "CPU time of the process, user and system.",
    (sources) => sources.process().cpuSeconds,
  ),
  gauge(
    "process_resident_memory_bytes",
    "Resident memory of the process.",
    (sources) => sources.process().residentOctets,
  ),
  gauge(
    "process_start_time_seconds",
    "Start of the process, seconds since 1970.",
    (sources) => sources.process().startSeconds,
  ),
  gauge("process_open_fds", "Open descriptors.", (sources) => sources.process().openDescriptors),
];

/** All families in the order of the README. */
export const families: readonly Family[] = [
  ...dns,
  ...table,
  ...cache,
  ...forward,
  ...catalog,
  ...log,
  ...process,
];
