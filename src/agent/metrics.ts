/** What the parts count, in the two forms in which it is read: Prometheus's and Consul's. */
import type { Engine } from "../cluster/engine.ts";
import type { LocalAgent } from "../cluster/local-agent.ts";
import type { State } from "../cluster/state.ts";
import type { LoadedConfig } from "../config.ts";
import type { Forwarder } from "../forwarder/forward.ts";
import type { Waiters } from "../http/blocking.ts";
import { createExposition } from "../metrics.ts";
import { createConsulForm, type ConsulMetrics } from "../metrics/consul.ts";
import type { Sources } from "../metrics/family.ts";
import { measureLateness } from "../metrics/lateness.ts";
import { processFigures } from "../metrics/process.ts";
import type { Cancel } from "../ports.ts";
import { version } from "../version.ts";
import type { Dns } from "./dns.ts";
import type { Health } from "./health.ts";
import type { External } from "./external.ts";
import {
  answeringParts,
  catalogFigures,
  dnsTimings,
  localFigures,
  resolverFigures,
  runtimeName,
} from "./figures.ts";
import { createRequestCounts, type RequestCounts } from "./request-counts.ts";
import { consulFormSettings } from "./settings.ts";
import type { Platform } from "./start.ts";
import type { Watches } from "./watches.ts";

/** Figures from the start of the process on. */
export type Metrics = {
  /** Text for Prometheus. */
  exposition: () => Promise<string>;
  /** JSON of agent/metrics. */
  consulForm: () => ConsulMetrics;
  /** To be called with every HTTP answer. */
  countRequest: RequestCounts["count"];
  stop: Cancel;
};

/** Reads the parts when somebody asks; of its own it measures how late timers are and times requests. */
export function startMetrics(deps: {
  loaded: LoadedConfig;
  platform: Pick<Platform, "clock" | "timers" | "hostname">;
  state: State;
  engine: Pick<Engine, "stats">;
  dns: Dns;
  forwarder: Forwarder;
  local: LocalAgent;
  external: Pick<External, "figures">;
  watches: Pick<Watches, "figures">;
  waiters: Pick<Waiters, "count">;
  secureDns: Sources["secure"];
  resolvConf: Sources["resolvConf"];
  filters: Sources["filters"];
  localData: Sources["localData"];
  queryLog: Sources["queryLog"];
  reloads: Sources["reloads"];
  faults: Sources["faults"];
  health: Pick<Health, "figures" | "whyNotReady">;
  now: () => LoadedConfig;
}): Metrics {
  const { loaded, platform, state, engine, dns, forwarder, local, external, watches, waiters } =
    deps;
  const { clock, timers, hostname } = platform;
  const { resolver, udp, tcp, meter } = dns;
  const lateness = measureLateness(clock, timers);
  const requests = createRequestCounts();
  const figures: Sources = {
    version,
    runtime: runtimeName(),
    parts: () => answeringParts(deps.now()),
    reloads: deps.reloads,
    faults: deps.faults,
    health: () => deps.health.figures(),
    ready: () => deps.health.whyNotReady() === "",
    workers: () => udp.workerCount,
    dns: () => udp.counters(),
    tallies: () => meter.tallies(),
    servers: () => meter.servers(),
    services: () => dns.services.read(udp.cells),
    table: () => udp.table.stats(),
    resolver: () => resolverFigures(resolver),
    tcp: () => tcp.counters,
    secure: deps.secureDns,
    forwarder: () => forwarder.stats(),
    catalog: () => catalogFigures(state),
    local: () => localFigures(local),
    external: () => external.figures(),
    watches: () => watches.figures(),
    resolvConf: deps.resolvConf,
    filters: deps.filters,
    localData: deps.localData,
    queryLog: deps.queryLog,
    log: () => engine.stats(),
    http: requests.read,
    blockedQueries: () => waiters.count,
    lateness: lateness.read,
    process: processFigures,
  };
  const consulForm = createConsulForm(figures, {
    ...consulFormSettings(loaded, hostname),
    timings: () => dnsTimings(resolver),
    httpTimes: requests.takeTimes,
    clock,
    timers,
  });
  return {
    exposition: createExposition(figures, {
      clock,
      timers,
      corednsToo: loaded.config["metrics.coredns_compat"],
    }),
    consulForm: consulForm.read,
    countRequest: requests.count,
    stop() {
      consulForm.stop();
      lateness.stop();
    },
  };
}
