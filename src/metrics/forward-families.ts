/** Families of names outside the domain: cache, questions under way, upstream servers. */
import { AGE_BOUNDS_SECONDS } from "../forwarder/cache.ts";
import { rcodeName } from "../dns/presentation.ts";
import { REPLY_TIME_BOUNDS_SECONDS } from "../forwarder/reply-times.ts";
import type { ForwarderStats } from "../forwarder/stats.ts";
import type { ServerCounts } from "../forwarder/upstreams.ts";
import {
  counter,
  gauge,
  only,
  type CoreDns,
  type Family,
  type Sample,
  type Sources,
} from "./family.ts";

const perServer = (read: (server: ForwarderStats["servers"][number]) => number) => {
  return (sources: Sources): Sample[] =>
    sources
      .forwarder()
      .servers.map((server) => ({ labels: { to: server.label }, value: read(server) }));
};

export const cacheFamilies: readonly Family[] = [
  {
    name: "waypost_cache_entries",
    help: "Forwarded answers that are kept, by kind. There is one cache, so no server is named.",
    labels: ["server", "type", "zones", "view"],
    type: "gauge",
    coredns: {},
    read: (sources) => byKind(sources, "entries").map(inTheCache),
  },
  {
    name: "waypost_cache_bytes",
    help: "Memory they take.",
    labels: ["type"],
    type: "gauge",
    read: (sources) => byKind(sources, "octets"),
  },
  gauge(
    "waypost_cache_capacity_bytes",
    "Memory they may take.",
    ({ forwarder }) => forwarder().cache?.capacityOctets ?? 0,
  ),
  counter(
    "waypost_cache_insertions_total",
    "Answers put into the cache.",
    ({ forwarder }) => forwarder().cache?.insertions ?? 0,
  ),
  counter(
    "waypost_cache_failure_hits_total",
    "Questions answered SERVFAIL because the same one failed a moment before.",
    ({ forwarder }) => forwarder().cache?.failureHits ?? 0,
  ),
  {
    name: "waypost_cache_served_stale_total",
    help: "Answers given after their TTL, by what kept a fresh one away.",
    labels: ["server", "zones", "view", "reason"],
    type: "counter",
    coredns: { labels: ["server", "zones", "view"] },
    read: ({ forwarder }) =>
      Object.entries(forwarder().stale)
        .map(([reason, value]) => ({ labels: { reason }, value }))
        .map(inTheCache),
  },
  {
    name: "waypost_cache_prefetch_total",
    help: "Questions asked again before their answers ran out.",
    labels: ["server", "zones", "view"],
    type: "counter",
    coredns: {},
    read: ({ forwarder }) => only(forwarder().prefetches.sent).map(inTheCache),
  },
  {
    name: "waypost_cache_drops_total",
    help: "Replies of upstream servers that were not kept because they are malformed.",
    labels: ["server", "zones", "view"],
    type: "counter",
    coredns: {},
    read: ({ forwarder }) =>
      only(forwarder().servers.reduce((sum, { counts }) => sum + counts.malformed, 0)).map(
        inTheCache,
      ),
  },
  counter(
    "waypost_cache_prefetch_skipped_total",
    "Questions not asked again early, so that all of that stays below a twentieth of the packets.",
    ({ forwarder }) => forwarder().prefetches.unpaid,
  ),
  {
    name: "waypost_cache_evictions_total",
    help: "Entries that left the cache, by kind and reason.",
    labels: ["server", "type", "zones", "view", "reason"],
    type: "counter",
    // There an entry that is too old stays until its room is needed.
    coredns: {
      labels: ["server", "type", "zones", "view"],
      has: ({ reason }) => reason === "capacity" || reason === "share",
    },
    read: ({ forwarder }) =>
      Object.entries(forwarder().cache?.evictionsByKind ?? {}).flatMap(([type, reasons]) =>
        Object.entries(reasons).map(([reason, value]) =>
          inTheCache({ labels: { type, reason }, value }),
        ),
      ),
  },
  {
    name: "waypost_cache_evicted_age_seconds",
    help: "Age at which entries left the cache for want of room.",
    labels: [],
    type: "histogram",
    read: ({ forwarder }) => {
      const { cache } = forwarder();
      return cache === null
        ? []
        : [{ labels: {}, bounds: AGE_BOUNDS_SECONDS, ...cache.evictedAges }];
    },
  },
];

/** One cache serves every listener, zone and view. */
function inTheCache({ labels, value }: Sample): Sample {
  const { type, ...others } = labels;
  const place = { zones: ".", view: "" };
  return type === undefined
    ? { labels: { server: "", ...place, ...others }, value }
    : { labels: { server: "", type, ...place, ...others }, value };
}

/** CoreDNS's words for the transports that have connections. */
const protoNames = { udp: "tcp", tcp: "tcp", tls: "tcp-tls", https: "https" } as const;

function connections(
  { forwarder }: Sources,
  read: (counts: Readonly<ServerCounts>) => number,
): Sample[] {
  return forwarder().servers.map(({ label, address, counts }) => ({
    labels: { proxy_name: "forward", to: label, proto: protoNames[address.transport ?? "udp"] },
    value: read(counts),
  }));
}

function byKind({ forwarder }: Sources, figure: "entries" | "octets"): Sample[] {
  const stats = forwarder().cache;
  if (stats === null) return [];
  return [
    { labels: { type: "success" }, value: stats.answers[figure] },
    { labels: { type: "denial" }, value: stats.denials[figure] },
  ];
}

/** CoreDNS's `to` is address and port alone: servers that differ in transport, name or source are added up. */
const byAddress: CoreDns = {
  inItsWords: ({ to = "", ...labels }) => ({
    ...labels,
    to: to.replace(/^[a-z]+:\/\//, "").replace(/[/#@].*$/, ""),
  }),
};

export const forwardFamilies: readonly Family[] = [
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
  {
    name: "waypost_forward_in_flight_limit",
    help: "Questions of a group of upstream servers that may wait at a time.",
    labels: ["group"],
    type: "gauge",
    read: ({ forwarder }) =>
      forwarder().pools.map(({ group, limit }) => ({ labels: { group }, value: limit })),
  },
  {
    name: "waypost_forward_sockets",
    help: "Sockets open to upstream servers now, by transport.",
    labels: ["proto"],
    type: "gauge",
    read: ({ forwarder }) => [
      { labels: { proto: "udp" }, value: forwarder().udpSockets },
      { labels: { proto: "tcp" }, value: forwarder().tcpSockets },
    ],
  },
  counter(
    "waypost_forward_generations_total",
    "Times the set of upstream servers was replaced by another one.",
    ({ forwarder }) => forwarder().generation,
  ),
  {
    name: "waypost_forward_dropped_total",
    help: "Questions given up because the places of their group of upstream servers were taken.",
    labels: ["group"],
    type: "counter",
    read: ({ forwarder }) =>
      forwarder().pools.map(({ group, dropped }) => ({ labels: { group }, value: dropped })),
  },
  {
    name: "waypost_forward_forgone_total",
    help: "Prefetches and refreshes, which nobody waits for, given up or not begun because the places of their group were taken.",
    labels: ["group"],
    type: "counter",
    read: ({ forwarder }) =>
      forwarder().pools.map(({ group, forgone }) => ({ labels: { group }, value: forgone })),
  },
  {
    ...counter(
      "waypost_forward_max_concurrent_rejects_total",
      "Questions refused or given up because of a limit.",
      ({ forwarder }) => forwarder().refused + forwarder().dropped,
    ),
    coredns: {},
  },
  {
    ...counter(
      "waypost_forward_healthcheck_broken_total",
      "Questions that found every server of their group down.",
      ({ forwarder }) => forwarder().allDown,
    ),
    coredns: {},
  },
  {
    name: "waypost_forward_failures_total",
    help: "Questions that no upstream server answered usably, by reason.",
    labels: ["reason"],
    type: "counter",
    read: ({ forwarder }) => {
      const { silence, errorReplies, brokenChain, throttled, looping } = forwarder().failures;
      return [
        { labels: { reason: "silence" }, value: silence },
        { labels: { reason: "error_replies" }, value: errorReplies },
        { labels: { reason: "broken_chain" }, value: brokenChain },
        { labels: { reason: "throttled" }, value: throttled },
        { labels: { reason: "looping" }, value: looping },
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
    name: "waypost_proxy_request_duration_seconds",
    help: "Time from a question to an upstream server to its reply, by RCODE.",
    labels: ["proxy_name", "to", "rcode"],
    type: "histogram",
    coredns: byAddress,
    read: ({ forwarder }) =>
      forwarder().servers.flatMap(({ label, replyTimes }) =>
        [...replyTimes].map(([rcode, { counts, sum }]) => ({
          labels: { proxy_name: "forward", to: label, rcode: rcodeName(rcode) },
          bounds: REPLY_TIME_BOUNDS_SECONDS,
          counts,
          sum,
        })),
      ),
  },
  {
    name: "waypost_proxy_healthcheck_failures_total",
    help: "Questions of our own to an upstream server that is down without a reply in time.",
    labels: ["proxy_name", "to"],
    type: "counter",
    coredns: byAddress,
    read: ({ forwarder }) =>
      forwarder().servers.map(({ label, counts }) => ({
        labels: { proxy_name: "forward", to: label },
        value: counts.probeFailures,
      })),
  },
  {
    name: "waypost_proxy_conn_cache_hits_total",
    help: "Questions to an upstream server on a connection that stood already.",
    labels: ["proxy_name", "to", "proto"],
    type: "counter",
    coredns: byAddress,
    read: (sources) => connections(sources, ({ connectionsReused }) => connectionsReused),
  },
  {
    name: "waypost_proxy_conn_cache_misses_total",
    help: "Connections opened to an upstream server. Questions over UDP have a socket each, on purpose: their ports are random.",
    labels: ["proxy_name", "to", "proto"],
    type: "counter",
    coredns: byAddress,
    read: (sources) => connections(sources, ({ connectionsOpened }) => connectionsOpened),
  },
  {
    name: "waypost_proxy_spoof_suspects_total",
    help: "Messages from an upstream address that are not the reply, by what is wrong: id, question, or no reply at all. What comes from another address the kernel drops.",
    labels: ["to", "reason"],
    type: "counter",
    read: ({ forwarder }) =>
      forwarder().servers.flatMap(({ label, counts }) =>
        Object.entries(counts.strangers).map(([reason, value]) => ({
          labels: { to: label, reason: reason.replace(" ", "_") },
          value,
        })),
      ),
  },
  {
    name: "waypost_proxy_case_mismatches_total",
    help: "Replies of an upstream server that spell the name otherwise than it was asked.",
    labels: ["to"],
    type: "counter",
    read: perServer(({ counts }) => counts.caseMismatches),
  },
  {
    name: "waypost_proxy_replies_total",
    help: "Replies of an upstream server that matched what was asked.",
    labels: ["to"],
    type: "counter",
    read: perServer(({ counts }) => counts.replies),
  },
  {
    name: "waypost_proxy_truncated_total",
    help: "Truncated UDP replies of an upstream server.",
    labels: ["to"],
    type: "counter",
    read: perServer(({ counts }) => counts.truncated),
  },
  {
    name: "waypost_proxy_probes_total",
    help: "Packets among them that were to show whether an upstream server is back, or leads back to us.",
    labels: ["to"],
    type: "counter",
    read: perServer(({ counts }) => counts.probes),
  },
  {
    name: "waypost_proxy_disagreements_total",
    help: "Names that the server denied while another one of its group had records of them.",
    labels: ["to"],
    type: "counter",
    read: perServer(({ counts }) => counts.disagreements),
  },
  {
    name: "waypost_proxy_throttled_total",
    help: "Times an upstream server was not asked because its packets per second were used up.",
    labels: ["to"],
    type: "counter",
    read: perServer(({ counts }) => counts.throttled),
  },
  {
    name: "waypost_proxy_packets_per_second",
    help: "Packets sent to an upstream server in the last whole second.",
    labels: ["to"],
    type: "gauge",
    read: perServer(({ bucket }) => bucket.before),
  },
  {
    name: "waypost_proxy_looping",
    help: "1 while an upstream server is not asked because it sends questions back to this agent.",
    labels: ["to"],
    type: "gauge",
    read: perServer(({ looping }) => (looping ? 1 : 0)),
  },
  {
    name: "waypost_proxy_last_resort",
    help: "1 while an upstream server is asked last because most of its replies are errors.",
    labels: ["to"],
    type: "gauge",
    read: perServer(({ demoted }) => (demoted ? 1 : 0)),
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
