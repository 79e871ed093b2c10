/** The metric families as Prometheus reads them, through prom-client. Consul's JSON form: metrics/consul.ts. */
import { Counter, Gauge, Registry, type Metric } from "prom-client";
import { families } from "./metrics/families.ts";
import type { Family, Histogram, Sources } from "./metrics/family.ts";

/** Text of the Prometheus exposition format 0.0.4, read when it is asked for. */
export function createExposition(sources: Sources): () => Promise<string> {
  const registry = new Registry();
  const { now, renew } = perScrape(sources);
  for (const family of families) register(registry, family, now);
  return () => {
    renew();
    return registry.metrics();
  };
}

/** Several families read one source, and some sources walk over tables: each is read once per scrape. */
function perScrape(sources: Sources): { now: Sources; renew: () => void } {
  let scrape = 0;
  const once = <T>(read: () => T): (() => T) => {
    let kept: { scrape: number; value: T } | undefined;
    return () => {
      if (kept?.scrape !== scrape) kept = { scrape, value: read() };
      return kept.value;
    };
  };
  const { version, workers, dns, table, resolver, tcp, forwarder } = sources;
  const { catalog, local, log, http, blockedQueries, lateness, process } = sources;
  return {
    now: {
      version,
      workers,
      dns: once(dns),
      table: once(table),
      resolver: once(resolver),
      tcp,
      forwarder: once(forwarder),
      catalog: once(catalog),
      local: once(local),
      log: once(log),
      http: once(http),
      blockedQueries,
      lateness: once(lateness),
      process: once(process),
    },
    renew: () => void scrape++,
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
