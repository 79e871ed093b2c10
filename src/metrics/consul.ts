/**
 * The JSON form of /v1/agent/metrics under Consul's names (1.10, go-metrics in memory): gauges of
 * now, counters and samples of the last interval of ten seconds that is complete; of the first one
 * as far as it has come. Times are milliseconds. What did not happen in the interval has no row.
 */
import type { Cancel, Clock, Timers } from "../ports.ts";
import { consulVersion } from "../version.ts";
import type { Sources } from "./family.ts";
import { standardDeviation, type Summary } from "./summary.ts";

const INTERVAL_MS = 10_000;

type Labels = Record<string, string>;

export type ConsulMetrics = {
  /** Begin of the interval. */
  Timestamp: string;
  Gauges: { Name: string; Value: number; Labels: Labels }[];
  Points: never[];
  Counters: ConsulSummary[];
  Samples: ConsulSummary[];
};

/** Min, Max and Stddev are left out where only count and sum are known. */
export type ConsulSummary = {
  Name: string;
  Count: number;
  /** Sum per second. */
  Rate: number;
  Sum: number;
  Min?: number;
  Max?: number;
  Mean: number;
  Stddev?: number;
  Labels: Labels;
};

/** Times of HTTP requests; each reading begins anew. */
export type HttpTimes = () => { route: string; method: string; milliseconds: Summary }[];

/** Time spent on questions by kind, as far as the main thread answered them; only ever grows. */
export type DnsTimings = {
  domain: { count: number; sumMs: number };
  ptr: { count: number; sumMs: number };
  stale: number;
};

export type ConsulFormOptions = {
  /** `telemetry.metrics_prefix`. */
  prefix: string;
  /** Second word of gauge names; "": none (`telemetry.disable_hostname`). */
  hostname: string;
  /** `telemetry.prefix_filter` and `telemetry.filter_default`. */
  filter: readonly string[];
  filterDefault: boolean;
  nodeName: string;
  datacenter: string;
  timings: () => DnsTimings;
  httpTimes: HttpTimes;
  clock: Clock;
  timers: Timers;
};

/** Figures that only grow, as count and sum. */
type Grown = {
  kind: "counter" | "sample";
  name: string;
  labels: Labels;
  count: number;
  sum: number;
};
type Interval = { startMs: number; counters: ConsulSummary[]; samples: ConsulSummary[] };

/** Counts from now on. `stop` ends its timer. */
export function createConsulForm(
  sources: Sources,
  options: ConsulFormOptions,
): { read: () => ConsulMetrics; stop: Cancel } {
  const { prefix, hostname, clock, timers, datacenter, nodeName } = options;
  const isKept = prefixFilter(options.filter, options.filterDefault);
  const startOf = (ms: number) => ms - (ms % INTERVAL_MS);
  let startMs = startOf(clock.wallMs());
  let before = grown();
  /** Of the interval under way: reading the times takes them away. */
  let times: ReturnType<HttpTimes> = [];
  let complete: Interval | undefined;
  let cancel: Cancel = () => {};

  function grown(): Grown[] {
    const { domain, ptr, stale } = options.timings();
    const log = sources.log();
    const node = { node: nodeName };
    const sample = (name: string, count = 0, sum = 0, labels: Labels = {}): Grown => {
      return { kind: "sample", name, labels, count, sum };
    };
    const counter = (name: string, count = 0): Grown => {
      return { kind: "counter", name, labels: {}, count, sum: count };
    };
    const ms = (seconds = 0) => seconds * 1000;
    return [
      counter("dns.stale_queries", stale),
      counter("raft.apply", log["committed_total"]),
      sample("dns.domain_query", domain.count, domain.sumMs, node),
      sample("dns.ptr_query", ptr.count, ptr.sumMs, node),
      sample("raft.leader.dispatchLog", log["batch_total"], ms(log["commit_wait_seconds_sum"])),
      sample("raft.fsm.apply", log["committed_total"], ms(log["apply_seconds_sum"])),
    ];
  }

  function takeTimes(): void {
    for (const row of options.httpTimes()) {
      const known = times.find(({ route, method }) => route === row.route && method === row.method);
      if (known === undefined) times.push(row);
      else known.milliseconds = joined(known.milliseconds, row.milliseconds);
    }
  }

  function underWay(now: readonly Grown[]): Interval {
    takeTimes();
    const rows = (kind: Grown["kind"]) =>
      now.flatMap((figure, i) => {
        const count = figure.count - before[i]!.count;
        if (figure.kind !== kind || count === 0) return [];
        return [summaryOf(figure, count, figure.sum - before[i]!.sum)];
      });
    const requests = times.map(({ route, method, milliseconds }) => ({
      ...summaryOf(
        { kind: "sample", name: "api.http", labels: { method, path: pathLabel(route) } },
        milliseconds.count,
        milliseconds.sum,
      ),
      Min: milliseconds.min,
      Max: milliseconds.max,
      Stddev: standardDeviation(milliseconds),
    }));
    return { startMs, counters: rows("counter"), samples: [...rows("sample"), ...requests] };
  }

  function summaryOf(
    { kind, name, labels }: Pick<Grown, "kind" | "name" | "labels">,
    count: number,
    sum: number,
  ): ConsulSummary {
    const figures = {
      Name: `${prefix}.${name}`,
      Count: count,
      Rate: (sum * 1000) / INTERVAL_MS,
      Sum: sum,
      Mean: sum / count,
      Labels: labels,
    };
    // Each event adds 1 to a counter.
    return kind === "counter" ? { ...figures, Min: 1, Max: 1, Stddev: 0 } : figures;
  }

  function rotate(): void {
    const now = grown();
    complete = underWay(now);
    before = now;
    times = [];
    startMs = startOf(clock.wallMs());
    arm();
  }

  function arm(): void {
    const nextMs = startOf(clock.wallMs()) + INTERVAL_MS;
    cancel = timers.after(nextMs - clock.wallMs(), rotate);
  }

  function gauges(): ConsulMetrics["Gauges"] {
    const { heapOctets, residentOctets } = sources.process();
    const { index, nodes, services, instances } = sources.catalog();
    const host = hostname === "" ? "" : `${hostname}.`;
    const gauge = (name: string, value: number, labels: Labels = {}) => ({
      Name: `${prefix}.${host}${name}`,
      Value: value,
      Labels: labels,
    });
    const here = { datacenter };
    return [
      gauge("consul.members.clients", 0, here),
      gauge("consul.members.servers", 1, here),
      gauge("consul.state.nodes", nodes, here),
      gauge("consul.state.service_instances", instances, here),
      gauge("consul.state.services", services, here),
      gauge("raft.applied_index", index),
      gauge("raft.fsm.lastRestoreDuration", (sources.log()["load_seconds"] ?? 0) * 1000),
      gauge("raft.last_index", sources.log()["last_index"] ?? index),
      gauge("raft.peers", 1),
      gauge("rpc.queries_blocking", sources.blockedQueries()),
      gauge("runtime.alloc_bytes", heapOctets),
      gauge("runtime.sys_bytes", residentOctets),
      gauge("version", 1, { version: consulVersion, pre_release: "" }),
    ];
  }

  arm();
  return {
    read() {
      const { startMs: beginMs, counters, samples } = complete ?? underWay(grown());
      const kept = <T extends { Name: string }>(rows: readonly T[]) =>
        rows.filter(({ Name }) => isKept(Name)).toSorted((a, b) => (a.Name < b.Name ? -1 : 1));
      return {
        Timestamp: goTime(beginMs),
        Gauges: kept(gauges()),
        Points: [],
        Counters: kept(counters),
        Samples: kept(samples),
      };
    },
    stop: () => cancel(),
  };
}

/** `2026-11-02 10:11:10 +0000 UTC`. */
function goTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace("T", " ").replace(/\..*$/, " +0000 UTC");
}

/** Consul's label for a pattern of its router: `/v1/catalog/node/` → `v1_catalog_node_`. */
function pathLabel(route: string): string {
  return route.slice(1).replaceAll("/", "_");
}

function joined(a: Summary, b: Summary): Summary {
  return {
    count: a.count + b.count,
    sum: a.sum + b.sum,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
    squares: a.squares + b.squares,
  };
}

/** Rules `+prefix` and `-prefix`: the longest that fits decides, without one `otherwise`. */
function prefixFilter(rules: readonly string[], otherwise: boolean): (name: string) => boolean {
  const byLength = rules
    .filter((rule) => /^[+-]./.test(rule))
    .map((rule) => ({ keeps: rule.startsWith("+"), prefix: rule.slice(1) }))
    .toSorted((a, b) => b.prefix.length - a.prefix.length);
  return (name) => byLength.find(({ prefix }) => name.startsWith(prefix))?.keeps ?? otherwise;
}
