/** Families of names outside the domain: cache, questions under way, upstream servers. */
import type { ForwarderStats } from "../forwarder/stats.ts";
import { counter, gauge, type Family, type Sample, type Sources } from "./family.ts";

const perServer = (read: (server: ForwarderStats["servers"][number]) => number) => {
  return (sources: Sources): Sample[] =>
    sources
      .forwarder()
      .servers.map((server) => ({ labels: { to: server.label }, value: read(server) }));
};

export const cacheFamilies: readonly Family[] = [
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
    labels: ["reason"],
    type: "counter",
    read: ({ forwarder }) =>
      Object.entries(forwarder().stale).map(([reason, value]) => ({ labels: { reason }, value })),
  },
  counter(
    "waypost_cache_prefetch_total",
    "Questions asked again before their answers ran out.",
    ({ forwarder }) => forwarder().prefetches.sent,
  ),
  counter(
    "waypost_cache_prefetch_skipped_total",
    "Questions not asked again early, so that all of that stays below a twentieth of the packets.",
    ({ forwarder }) => forwarder().prefetches.unpaid,
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
    name: "waypost_proxy_spoof_suspects_total",
    help: "Datagrams from an upstream address that did not match what was asked.",
    labels: ["to"],
    type: "counter",
    read: perServer(({ counts }) => counts.nearMisses),
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
