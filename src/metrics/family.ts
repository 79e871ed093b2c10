/** What a metric family is, and what the families read. */
import type { SyncCounts } from "../cluster/sync.ts";
import type { KindFigures } from "../cluster/checks/figures.ts";
import type { AnswerTable } from "../dns/answer.ts";
import type { TcpCounters } from "../dns/crowd.ts";
import type { DnsFrontCounters } from "../dns/front.ts";
import type { Tally } from "../dns/meter.ts";
import type { DnsCounters } from "../dns/question-counters.ts";
import type { ServiceReplies } from "../dns/service-counts.ts";
import type { Resolver } from "../dns/resolve.ts";
import type { MonitorFigures } from "../cluster/external/monitor.ts";
import type { FilterCounts } from "../forwarder/filter/settings.ts";
import type { PipelineStats } from "../forwarder/pipeline.ts";
import type { ForwarderStats } from "../forwarder/stats.ts";
import type { HttpsResponses } from "../dns/https/driver.ts";
import type { Transport } from "../ports.ts";
import type { LoopLateness } from "./lateness.ts";
import type { ProcessFigures } from "./process.ts";

/** What the families read when somebody scrapes, each at most once per scrape; no call has a side effect. */
export type Sources = {
  version: string;
  /** Name and version of what runs the program. */
  runtime: string;
  /** Parts of the program that answer, with the zones that they answer for. */
  parts: () => readonly { zone: string; name: string }[];
  /** Questions that failed by a mistake of ours. */
  faults: () => number;
  /** Refused reloads, and the digest of the configuration in force. */
  reloads: () => { failed: number; digest: () => string };
  health: () => HealthFigures | null;
  ready: () => boolean;
  /** DNS worker threads. */
  workers: () => number;
  /** UDP: sums over all workers. */
  dns: () => DnsFrontCounters;
  /** All transports: questions with their replies, and the listeners that there have been. */
  tallies: () => readonly Tally[];
  servers: () => readonly string[];
  /** Questions for services, with `metrics.services`. */
  services: () => readonly ServiceReplies[];
  table: () => ReturnType<AnswerTable["stats"]>;
  /** What the main thread computed. */
  resolver: () => ResolverFigures;
  /** Connections of DNS over TCP. */
  tcp: () => TcpCounters;
  /** Connections of DNS over TLS and HTTPS, as far as these are on. */
  secure: () => SecureFigures[];
  forwarder: () => ForwarderStats;
  catalog: () => {
    nodes: number;
    services: number;
    instances: number;
    checks: number;
    index: number;
  };
  local: () => LocalFigures;
  external: () => ExternalFigures;
  watches: () => WatchFigures;
  resolvConf: () => ResolvConfFigures;
  filters: () => Readonly<FilterCounts>;
  localData: () => LocalDataFigures;
  queryLog: () => QueryLogFigures;
  /** Figures of the log engine by name (src/cluster/engine.ts). */
  log: () => Readonly<Record<string, number>>;
  /** HTTP answers by route, method and status. */
  http: () => readonly { route: string; method: string; status: number; count: number }[];
  blockedQueries: () => number;
  lateness: () => LoopLateness;
  process: () => ProcessFigures;
};

/** Names that are answered without a server. */
export type LocalDataFigures = Pick<PipelineStats, "followed" | "brokenChains" | "names"> & {
  /** By what answered, one word each. */
  answers: Readonly<Record<string, number>>;
  blockedNames: number;
  blockedOctets: number;
  /** By domain in presentation form. */
  searchDomains: readonly { domain: string; denied: number; missed: number }[];
};

/** Counts of the main thread's DNS side, monotonic since the start. */
export type ResolverFigures = Pick<
  DnsCounters,
  "malformed" | "truncated" | "stale" | "staleTargets"
> & {
  /** Questions with their reply, over TCP and those that workers could not answer. */
  replies: ReturnType<DnsCounters["replies"]>;
  publisher: ReturnType<Resolver["publishStats"]>;
};

/** This agent's own services and checks; `checks` has one row for each pair that occurs. */
export type LocalFigures = {
  services: number;
  checks: { kind: string; status: string; count: number }[];
  runningProbes: number;
  waitingProbes: number;
  runs: readonly KindFigures[];
  sync: SyncCounts;
};

/** What is probed without an agent, and the services that the configuration declares. */
export type ExternalFigures = MonitorFigures & { restored: number };

/** Watches of the configuration: how many now, handlers under way, counts since the start. */
export type WatchFigures = {
  followed: number;
  running: number;
  runs: number;
  failedQueries: number;
  failedRuns: number;
};

/** Lines of the query log: written, left out for being too many, lost for want of disk; questions unheard of. */
export type QueryLogFigures = { lines: number; overRate: number; lost: number; unlogged: number };

/** `forwarder.resolv_conf`: how often it named other servers, and how many of the last ones are this agent. */
export type ResolvConfFigures = { generation: number; ownServers: number };

/** How our own questions to /health of `metrics.address` went; times as of HEALTH_BOUNDS_SECONDS. */
export type HealthFigures = {
  durations: { counts: readonly number[]; sum: number };
  failures: number;
};

export type Sample = { labels: Readonly<Record<string, string>>; value: number };

export type Histogram = {
  labels: Readonly<Record<string, string>>;
  /** Upper bounds; counts has one more member for what is above the last. Not cumulative. */
  bounds: readonly number[];
  counts: readonly number[];
  sum: number;
};

type Described = {
  name: string;
  help: string;
  labels: readonly string[];
  /** CoreDNS has it too: shown once more under its name with `metrics.coredns_compat`. */
  coredns?: CoreDns;
};

/** Connections of one kind of encrypted DNS; of HTTPS also what it was answered with. */
export type SecureFigures = {
  proto: Transport;
  counters: TcpCounters;
  responses?: readonly HttpsResponses[];
};

/** What CoreDNS shows of a family. */
export type CoreDns = {
  /** Its name, if it is not ours with the other first word. */
  name?: string;
  /** Its labels, over whose absence is summed; absent: ours. */
  labels?: readonly string[];
  /** Which samples are in it; absent: all. */
  has?: (labels: Sample["labels"]) => boolean;
  /** The labels with CoreDNS's words for what they say; absent: ours. */
  inItsWords?: (labels: Sample["labels"]) => Sample["labels"];
  /** Bounds of its histogram, some of ours; absent: all. */
  bounds?: readonly number[];
};

export type Family =
  | (Described & { type: "counter" | "gauge"; read(sources: Sources): Sample[] })
  | (Described & { type: "histogram"; read(sources: Sources): Histogram[] });

/** A figure without labels. */
export const only = (value: number): Sample[] => [{ labels: {}, value }];

/** One figure that only rises. */
export function counter(name: string, help: string, read: (sources: Sources) => number): Family {
  return { name, help, labels: [], type: "counter", read: (sources) => only(read(sources)) };
}

/** One figure of now. */
export function gauge(name: string, help: string, read: (sources: Sources) => number): Family {
  return { name, help, labels: [], type: "gauge", read: (sources) => only(read(sources)) };
}
