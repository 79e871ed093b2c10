/** DNS as it stands in front of catalog and forwarder: listeners with their answer table, and the resolver. */
import type { Acl } from "../cluster/acl.ts";
import type { Engine } from "../cluster/engine.ts";
import type { CatalogReader } from "../cluster/model.ts";
import type { LoadedConfig } from "../config.ts";
import type { Resolve } from "../dns/answer.ts";
import { startTcpFront } from "../dns/driver.ts";
import type { Fault } from "../dns/faults.ts";
import type { DnsFront } from "../dns/front.ts";
import { BLOCKS, createMeter, type Meter } from "../dns/meter.ts";
import { createZones } from "../dns/origins.ts";
import { createServiceCounts, type ServiceCounts } from "../dns/service-counts.ts";
import { withQueryLog, type QueryLog } from "../dns/query-log.ts";
import { createResolver, type Resolver } from "../dns/resolve.ts";
import { withChaos } from "../forwarder/chaos.ts";
import type { Forwarder } from "../forwarder/forward.ts";
import type { Pipeline } from "../forwarder/pipeline.ts";
import type { Log } from "../ports.ts";
import { version } from "../version.ts";
import type { DnsAccess } from "./dns-access.ts";
import { createDnsListeners, type DnsListeners } from "./dns-listeners.ts";
import { dnsSettings } from "./settings.ts";
import type { Platform } from "./start.ts";

/** What answers questions. */
export type Dns = {
  resolver: Resolver;
  /** For clients' questions: those that are to be logged are. */
  resolve: Resolve;
  /** Counts them. */
  meter: Meter;
  services: ServiceCounts;
  udp: DnsFront;
  tcp: Awaited<ReturnType<typeof startTcpFront>>;
  /** Nothing listens before it is opened. */
  listeners: DnsListeners;
  close: () => Promise<void>;
};

/** The fronts with their resolver, ready for listeners. */
export async function startDns(deps: {
  loaded: LoadedConfig;
  platform: Platform;
  log: Log;
  catalog: CatalogReader;
  acl: Acl;
  engine: Pick<Engine, "leadership">;
  pipeline: Pick<Pipeline, "forward" | "forwardFirstReply" | "viewOf">;
  access: DnsAccess;
  queryLog: QueryLog;
  forwarder: Pick<Forwarder, "stats">;
  /** Hears what is thrown by mistake. */
  fault: Fault;
  /** The configuration in force. */
  now: () => LoadedConfig;
}): Promise<Dns> {
  const { loaded, platform, log, catalog, acl, engine, pipeline, access, queryLog, fault } = deps;
  const { config, addresses } = loaded;
  const { clock, timers, random } = platform;
  const workerCount = config.workers || Math.max(1, Math.floor(platform.processorCount / 2));
  let resolver: Resolver | undefined;
  // The resolver needs the table of this front: who asks in between is left to ask again.
  const answer: Resolve = (question, reply) =>
    resolver === undefined ? reply(null) : resolver.resolve(question, reply);
  const zones = createZones();
  const services = createServiceCounts(config["metrics.services"]);
  let front: DnsFront | undefined;
  const meter = createMeter({ zones, clock: () => front?.clock() ?? 0, viewOf: pipeline.viewOf });
  const resolve = meter.counting(withQueryLog(answer, queryLog));
  const { isAnswered } = access.gate;
  const udp = await platform.startDnsFront({
    listen: [],
    listensLater: addresses.dns.length > 0,
    workerCount,
    tableOctets: config.answer_table_size,
    batchedSystemCalls: config.batched_system_calls,
    gate: access.gate.memory,
    resolve,
    served(reply, client) {
      try {
        queryLog.served(reply, client);
      } catch (error) {
        fault(error);
      }
    },
    serverOf: (at) => meter.serverOf("dns", at),
    blocks: BLOCKS,
    fault,
    log,
  });
  front = udp;
  for (const cells of udp.cells) meter.add(cells);
  udp.sample(queryLog.share());
  const { serverOf } = meter;
  const tcp = await startTcpFront({
    listen: [],
    isAnswered,
    resolve,
    serverOf,
    clock,
    timers,
    fault,
    log,
    limits: { maxConnections: config["dns_listen.tcp_max_connections"] },
  });
  resolver = createResolver({
    settings: dnsSettings(loaded),
    catalog,
    acl,
    // Without a cache there is nothing to tell: forwarded, as Consul does.
    forward: withChaos(
      pipeline.forward,
      () => deps.now().config["forwarder.cache"],
      () => ({
        version,
        forwarder: deps.forwarder.stats(),
        tableHits: udp.counters().tableHits,
        catalogAnswers: catalogAnswers(resolver),
      }),
    ),
    resolveTarget: pipeline.forwardFirstReply,
    viewOf: pipeline.viewOf,
    zones,
    services,
    table: udp.table,
    clock: udp.clock,
    timers,
    gate: access.gate,
    wallMs: () => clock.wallMs(),
    random: () => random.uint32(),
    freshness: () => ({ leader: engine.leadership().self, ageMs: 0 }),
    fault,
  });
  access.watchRefusals(() => udp.counters().prohibited);
  return {
    resolver,
    resolve,
    meter,
    services,
    udp,
    tcp,
    listeners: createDnsListeners({ udp, tcp }, platform.inheritedSockets, log),
    async close() {
      await tcp.close();
      await udp.close();
    },
  };
}

/** What the main thread has answered of names of the catalog. */
function catalogAnswers(resolver: Resolver | undefined): number {
  let sum = 0;
  for (const { zone, count } of resolver?.counters.replies() ?? [])
    if (zone !== "forward") sum += count;
  return sum;
}
