/** Metrics in both forms: Prometheus exposition through prom-client, and Consul's JSON. */
import { Counter, Gauge, Registry, type Metric } from "prom-client";
import { families } from "./metrics/families.ts";
import type { Family, Histogram, Sources } from "./metrics/family.ts";

export type Metrics = {
  /** Text of the Prometheus exposition format 0.0.4. */
  exposition: () => Promise<string>;
  /** Body of /v1/agent/metrics (Consul 1.10): gauges and counters under Consul's names. */
  consulJson: () => ConsulMetrics;
};

export type ConsulMetrics = {
  Timestamp: string;
  Gauges: { Name: string; Value: number; Labels: Record<string, string> }[];
  Points: never[];
  Counters: ConsulSummary[];
  Samples: ConsulSummary[];
};

type ConsulSummary = {
  Name: string;
  Count: number;
  Rate: number;
  Sum: number;
  Min: number;
  Max: number;
  Mean: number;
  Stddev: number;
  Labels: Record<string, string>;
};

/** Figures that only Consul's JSON form shows: count and time of DNS questions by kind. */
export type DnsTimings = {
  domain: { count: number; sumMs: number; maxMs: number };
  ptr: { count: number; sumMs: number; maxMs: number };
  stale: number;
};

/** `prefix` is telemetry.metrics_prefix; `hostname` "" leaves it out of gauge names. */
export function createMetrics(
  sources: Sources,
  consul: {
    prefix: string;
    hostname: string;
    nodeName: string;
    timings: () => DnsTimings;
    now: () => Date;
  },
): Metrics {
  const registry = new Registry();
  for (const family of families) register(registry, family, sources);
  return {
    exposition: () => registry.metrics(),
    consulJson: () => consulJson(sources, consul),
  };
}

function register(registry: Registry, family: Family, sources: Sources): void {
  const { name, help } = family;
  if (family.type === "histogram") {
    registry.registerMetric(histogram(family, sources));
    return;
  }
  const labelNames = [...family.labels];
  const registers = [registry];
  if (family.type === "gauge") {
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const { labels, value } of family.read(sources)) this.set(labels, value);
      },
    });
    return;
  }
  new Counter({
    name,
    help,
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const { labels, value } of family.read(sources)) this.inc(labels, value);
    },
  });
}

/** prom-client's own histogram cannot take counts that somebody else has counted. */
function histogram(family: Extract<Family, { type: "histogram" }>, sources: Sources): Metric {
  const { name, help } = family;
  const get = () =>
    Promise.resolve({
      name,
      help,
      type: "histogram",
      aggregator: "sum",
      values: family.read(sources).flatMap((read) => seriesOf(name, read)),
    });
  // A registry asks a metric for its name and calls get(); the class around it is of no use here.
  return { name, help, get, reset() {} } as unknown as Metric;
}

function seriesOf(name: string, { labels, bounds, counts, sum }: Histogram) {
  let below = 0;
  const buckets = [...bounds.map(String), "+Inf"].map((le, i) => {
    below += counts[i] ?? 0;
    return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: below };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: below },
  ];
}

function consulJson(
  sources: Sources,
  { prefix, hostname, nodeName, timings, now }: Parameters<typeof createMetrics>[1],
): ConsulMetrics {
  const figures = sources.process();
  const catalog = sources.catalog();
  const { domain, ptr, stale } = timings();
  const host = hostname === "" ? "" : `${hostname}.`;
  const gauge = (name: string, value: number) => ({
    Name: `${prefix}.${host}${name}`,
    Value: value,
    Labels: {},
  });
  const summary = (
    name: string,
    figure: { count: number; sumMs: number } & Partial<DnsTimings["domain"]>,
  ) => ({
    Name: `${prefix}.${name}`,
    Count: figure.count,
    Rate: 0,
    Sum: figure.sumMs,
    Min: 0,
    Max: figure.maxMs ?? 0,
    Mean: figure.count === 0 ? 0 : figure.sumMs / figure.count,
    Stddev: 0,
    Labels: {},
  });
  return {
    Timestamp: now().toISOString().replace("T", " ").replace(/\..*$/, " +0000 UTC"),
    Gauges: [
      gauge("runtime.alloc_bytes", figures.heapOctets),
      gauge("runtime.sys_bytes", figures.residentOctets),
      gauge("raft.last_index", catalog.index),
      gauge("state.nodes", catalog.nodes),
      gauge("state.services", catalog.services),
      gauge("state.service_instances", catalog.instances),
    ].toSorted((a, b) => (a.Name < b.Name ? -1 : 1)),
    Points: [],
    Counters: [summary("dns.stale_queries", { count: stale, sumMs: stale })],
    Samples: [
      summary(`dns.domain_query.${nodeName}`, domain),
      summary(`dns.ptr_query.${nodeName}`, ptr),
    ],
  };
}
