/** What a metric family is, and what the families read. */
import type { AnswerTable } from "../dns/answer.ts";
import type { DnsFrontCounters } from "../dns/front.ts";
import type { ForwarderStats } from "../forwarder/forward.ts";
import type { LoopLateness } from "./lateness.ts";
import type { ProcessFigures } from "./process.ts";

/** What the families read when somebody scrapes; each call is cheap and has no side effect. */
export type Sources = {
  version: string;
  /** UDP: sums over all workers. */
  dns: () => DnsFrontCounters;
  table: () => ReturnType<AnswerTable["stats"]>;
  /** DNS over TCP and what the main thread computed. */
  resolver: () => ResolverFigures;
  forwarder: () => ForwarderStats;
  catalog: () => {
    nodes: number;
    services: number;
    instances: number;
    checks: number;
    index: number;
  };
  /** Figures of the log engine by name (src/cluster/engine.ts). */
  log: () => Readonly<Record<string, number>>;
  /** HTTP answers by route, method and status. */
  http: () => readonly { route: string; method: string; status: number; count: number }[];
  blockedQueries: () => number;
  lateness: () => LoopLateness;
  process: () => ProcessFigures;
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
