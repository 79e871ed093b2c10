/** The metric families as Prometheus reads them, through prom-client. Consul's JSON form: metrics/consul.ts. */
import { Registry, type Metric } from "prom-client";
import { asCoreDns } from "./metrics/coredns.ts";
import { families } from "./metrics/families.ts";
import type { Family, Histogram, Sources } from "./metrics/family.ts";
import type { Clock, Timers } from "./ports.ts";

/** How long a scrape may keep the main thread from DNS questions before it lets them pass. */
const TURN_MS = 1;

/**
 * Text of the Prometheus exposition format 0.0.4, read when it is asked for: family by family, with
 * pauses, since prom-client needs milliseconds for a thousand series. `corednsToo`: what CoreDNS has as
 * well is shown a second time, as CoreDNS shows it.
 */
export function createExposition(
  sources: Sources,
  { clock, timers, corednsToo = false }: { clock: Clock; timers: Timers; corednsToo?: boolean },
): () => Promise<string> {
  const registry = new Registry();
  const { now, renew } = perScrape(sources);
  const shown = corednsToo ? [...families, ...families.flatMap(asCoreDns)] : families;
  for (const family of shown) registry.registerMetric(counted(family, now));
  return async () => {
    renew();
    const texts: string[] = [];
    let turnMs = clock.monotonicMs();
    for (const { name } of shown) {
      texts.push(await registry.getSingleMetricAsString(name));
      if (clock.monotonicMs() - turnMs < TURN_MS) continue;
      await new Promise<void>((resume) => timers.after(0, resume));
      turnMs = clock.monotonicMs();
    }
    return `${texts.join("\n\n")}\n`;
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
  const { version, runtime, parts, faults, reloads, health, ready } = sources;
  const { workers, dns, tallies, servers, services, table, resolver, tcp, secure, forwarder } =
    sources;
  const { resolvConf, filters, localData, queryLog } = sources;
  const { catalog, local, external, watches, log, http, blockedQueries, lateness, process } =
    sources;
  return {
    now: {
      version,
      runtime,
      parts,
      faults,
      reloads,
      health,
      ready,
      workers,
      dns: once(dns),
      tallies: once(tallies),
      servers,
      services: once(services),
      table: once(table),
      resolver: once(resolver),
      tcp,
      secure,
      forwarder: once(forwarder),
      catalog: once(catalog),
      local: once(local),
      external: once(external),
      watches: once(watches),
      resolvConf,
      filters,
      localData: once(localData),
      queryLog,
      log: once(log),
      http: once(http),
      blockedQueries,
      lateness: once(lateness),
      process: once(process),
    },
    renew: () => void scrape++,
  };
}

/** prom-client's own classes count themselves; here somebody else has counted. */
function counted(family: Family, sources: Sources): Metric {
  const { name, help, type } = family;
  const values = () =>
    family.type === "histogram"
      ? family.read(sources).flatMap((read) => seriesOf(name, read))
      : family.read(sources);
  const get = () => Promise.resolve({ name, help, type, aggregator: "sum", values: values() });
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
