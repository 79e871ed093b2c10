/**
 * The wiring diagram: builds all parts in order, connects them, and stops them in reverse.
 *
 *   questions → DNS front (workers, answer table) → resolver → catalog, or forwarder → upstreams
 *   requests  → HTTP app → propose → log engine → state machine → touched topics → DNS, waiters
 */
import { createAcls } from "./agent/acl.ts";
import { openCatalogLog } from "./agent/catalog-log.ts";
import { createConfiguration } from "./agent/configuration.ts";
import { startCoordinates } from "./agent/coordinate-updates.ts";
import { startDns } from "./agent/dns.ts";
import { openListeners } from "./agent/dns-listeners.ts";
import { createDnsAccess } from "./agent/dns-access.ts";
import { createDnsInspection } from "./agent/dns-inspection.ts";
import { createExternal } from "./agent/external.ts";
import { followInterfaces } from "./agent/follow-interfaces.ts";
import { createForwarding } from "./agent/forwarding.ts";
import { startHealth } from "./agent/health.ts";
import { startKvReaper } from "./agent/kv-reaper.ts";
import { createLocal } from "./agent/local.ts";
import { followLocalFiles } from "./agent/local-files.ts";
import { ownMembers, ownStats } from "./agent/members.ts";
import { startMetrics } from "./agent/metrics.ts";
import { tellReady } from "./agent/ready-line.ts";
import { createOperator } from "./agent/operator.ts";
import { createAgentQueryLog } from "./agent/query-log.ts";
import { createOwnEvents } from "./agent/own-events.ts";
import { createAskSelf } from "./agent/own-requests.ts";
import type { Parts } from "./agent/parts.ts";
import { startRemoteExec } from "./agent/remote-exec.ts";
import { startSessionTimer } from "./agent/session-timer.ts";
import {
  dnsSettings,
  httpListenerSettings,
  httpSettings,
  shownConfig,
  staleTargets,
} from "./agent/settings.ts";
import { startSecureDns } from "./agent/secure-dns.ts";
import { leavesOn, listenToSignals } from "./agent/signals.ts";
import { createSnapshots } from "./agent/snapshots.ts";
import type { AgentStart, Platform } from "./agent/start.ts";
import { beginSuccession } from "./agent/succession.ts";
import { startWarmStart } from "./agent/warm-start.ts";
import { createWatches } from "./agent/watches.ts";
import { loadNodeId } from "./cluster/local/driver.ts";
import { createFaults } from "./dns/faults.ts";
import { createHostAddresses } from "./dns/host-addresses.ts";
import { agentRoutes } from "./http/agent.ts";
import { tokenRoutes } from "./http/agent-token.ts";
import { createHttpApp } from "./http/app.ts";
import { dnsRoutes } from "./http/dns.ts";
import { createWaiters } from "./http/blocking.ts";
import { collectHostInfo } from "./http/host/driver.ts";
import { operatorRoutes } from "./http/operator.ts";
import { readyRoutes } from "./http/ready.ts";
import { snapshotRoutes } from "./http/snapshot.ts";
import { consulVersion } from "./version.ts";

/** Exit codes as Consul's: an agent that is stopped by a signal ends with 1, one that left with 0. */
const STOPPED = 1;
const LEFT = 0;

type Closer = () => Promise<void> | void;

/** Runs until a signal, a leave or a failed store; resolves with the exit code. Rejects if it cannot start. */
export async function runAgent(start: AgentStart, platform: Platform): Promise<number> {
  const closers: Closer[] = [];
  try {
    const { promise: ended, resolve: end } = Promise.withResolvers<number>();
    const parts: Parts = {};
    closers.push(
      listenToSignals(platform, start.log, {
        stop(signal) {
          parts.isStopping = true;
          end(leavesOn(signal, start.loaded.config) ? LEFT : STOPPED);
        },
        atOnce: () => platform.exit(STOPPED),
        reload: () => void parts.reload?.(),
        reopen: () => parts.reopen?.(),
        succeed: () => platform.startSuccessor(),
      }),
    );
    await build(start, platform, parts, closers, end);
    const code = await ended;
    parts.announceEnd?.();
    await parts.health?.leave();
    return code;
  } finally {
    for (const close of closers.toReversed()) await close();
    start.log("info", "stopped");
  }
}

/** Starts every part; each that started has its closer in the list, so a failed start leaves nothing. */
async function build(
  start: AgentStart,
  platform: Platform,
  parts: Parts,
  closers: Closer[],
  end: (code: number) => void,
): Promise<void> {
  const { clock, timers, random, hostname } = platform;
  const { log, loaded } = start;
  const { config, addresses } = loaded;
  const configuration = createConfiguration(start);

  // Catalog and log.
  const dataDir = loaded.dev ? undefined : config.data_dir;
  const cacheFile = config["forwarder.cache_file"];
  const succession = await beginSuccession({
    dataDir,
    wanted: start.takeOver,
    cacheFile,
    maxHeaderOctets: httpListenerSettings(loaded).maxHeaderOctets,
    platform,
    timers,
    log,
  });
  closers.push(succession.close);
  const { lending, isShared } = succession;
  parts.announceEnd = succession.announceEnd;
  const hasLeader = (): boolean => parts.hasLeader?.() ?? false;
  const health = await startHealth(loaded, platform, { isShared, hasLeader, log });
  parts.health = health;
  closers.push(health.stop);
  const nodeId = await loadNodeId(dataDir, config.node_id, random);
  const serverAddress = `${bracketed(addresses.advertise)}:${config["ports.server"]}`;
  const waiters = createWaiters({ clock, timers });
  const catalogLog = await openCatalogLog({
    config,
    dataDir,
    lending,
    serverAddress,
    progress: () => succession.progress(),
    on: {
      // While the log is replayed nobody has read anything yet: there is nothing to call.
      touched(topics) {
        parts.resolver?.touch(topics);
        waiters.wake(topics);
        parts.sessions?.touched(topics);
        parts.coordinates?.touched(topics);
        parts.local?.catalogChanged(topics);
        parts.external?.touched(topics);
      },
      replaced() {
        parts.resolver?.withdrawAll();
        waiters.wakeAll();
        parts.sessions?.restart();
        parts.local?.catalogReplaced();
        parts.external?.replaced();
        parts.coordinates?.touched(["nodes"]);
      },
    },
    platform,
    log,
  });
  const { state, machine, engine, logTime, propose } = catalogLog;
  const { reader } = state;
  closers.push(() => engine.close());
  parts.hasLeader = () => engine.leadership().leader !== undefined;

  // Rights, and what the leader removes when its time is over.
  const tokensChanged = () => parts.resolver?.withdrawAll();
  const about = { config, dataDir, reader: state.acl, propose, tokensChanged };
  const acls = await createAcls({ ...about, clock, timers, random, log });
  const { acl } = acls;
  closers.push(acls.stop);
  const sessions = startSessionTimer({ reader, propose, clock, timers });
  parts.sessions = sessions;
  closers.push(sessions.stop);
  closers.push(startKvReaper({ kv: reader.kv, propose, logTime, timers }));

  // DNS, and names outside the domain.
  const faults = createFaults(log, () => clock.monotonicMs());
  const forwarding = createForwarding(loaded, platform, log, {
    workerHits: (question) => parts.table?.hitsOf(question) ?? 0,
    fault: faults.note,
  });
  closers.push(forwarding.close);
  const { forwarder, pipeline } = forwarding;
  const localFiles = followLocalFiles(loaded, {
    pipeline,
    clock,
    timers,
    log,
    changed: () => parts.resolver?.withdrawAll(),
  });
  closers.push(localFiles.stop);
  await localFiles.ready();
  closers.push(startWarmStart({ path: cacheFile, forwarder, timers, log }).stop);
  const access = createDnsAccess(loaded, { clock, timers, random, log });
  closers.push(access.stop);
  const catalog = reader;
  const queries = createAgentQueryLog(loaded, { clock, random, log });
  closers.push(queries.stop);
  parts.reopen = queries.reopen;
  const { queryLog } = queries;
  const fault = faults.note;
  const around = { pipeline, access, queryLog, forwarder, fault, now: configuration.now };
  const dns = await startDns({ loaded, platform, log, catalog, acl, engine, ...around });
  closers.push(dns.close);
  parts.resolver = dns.resolver;
  const follows = start.followedDnsAddresses(config) !== undefined;
  const openDns = () => openListeners(dns.listeners, addresses.dns, { follows, isShared });
  parts.table = dns.udp.table;
  const secureDns = await startSecureDns(loaded, {
    isAnswered: (address) => access.gate.isAnswered(address),
    resolve: dns.resolve,
    serverOf: dns.meter.serverOf,
    fault,
    limits: { maxConnections: config["dns_listen.tcp_max_connections"] },
    clock,
    timers,
    log,
    isShared,
    follows,
  });
  closers.push(secureDns.close);

  const findAddresses = createHostAddresses({
    forward: pipeline.forwardFirstReply,
    domains: [config.domain, config.alt_domain],
    clock: () => clock.monotonicMs(),
    timers,
    stale: () => staleTargets(configuration.now()),
  });

  // This agent's own services and checks, coordinate and events.
  const { local, probe, journal } = createLocal({
    nodeId,
    dataDir,
    lending,
    now: configuration.now,
    reader,
    propose,
    writerOf: acls.writerOf,
    wake: (topics) => waiters.wake(topics),
    platform,
    findAddresses,
    log,
  });
  parts.local = local;
  closers.push(() => local.stop());
  const coordinates = startCoordinates({ loaded, reader, propose, timers, log });
  parts.coordinates = coordinates;
  closers.push(coordinates.stop);
  const external = createExternal({
    loaded,
    platform,
    reader,
    engine,
    propose,
    probe,
    findAddresses,
    updateCoordinate: (update) => coordinates.update(update),
    log,
  });
  parts.external = external;
  closers.push(() => external.stop());
  const events = createOwnEvents({ nodeName: config.node_name, local, random, waiters });
  const { openPipe } = platform;
  const watches = createWatches({ programs: { openPipe }, timers, random, log });
  engine.onLeadership(({ leader }) => {
    dns.resolver.withdrawAll();
    local.leadershipChanged(leader !== undefined);
  });

  // Reload: the same files and flags once more.
  let httpNow = httpSettings(loaded, hostname);
  const {
    reload,
    resolvConf,
    reloads,
    stop: stopFollowing,
  } = configuration.follow({
    prepare: forwarding.prepare,
    changed(next) {
      access.reload(next);
      queries.reload(next);
      dns.udp.sample(queryLog.share());
      dns.resolver.reload(dnsSettings(next));
      localFiles.reload(next);
      forwarding.reload(next);
      httpNow = httpSettings(next, hostname);
      external.reload(next);
    },
    async reloaded(next) {
      acls.reloadTokens(next.config);
      await dns.listeners.change(next.addresses.dns);
      await local.reload(next);
      watches.reload(next.watches);
      if (next.https !== undefined) parts.http?.renew(next.https);
      await secureDns.reload(next);
    },
  });
  closers.push(stopFollowing);
  parts.reload = () => succession.reload(reload);

  // Metrics.
  const counted = { state, engine, dns, forwarder, local, external, watches, waiters, resolvConf };
  const metrics = startMetrics({
    loaded,
    platform,
    ...counted,
    filters: () => forwarding.filterCounts,
    localData: localFiles.figures,
    queryLog: () => ({ ...queries.figures(), unlogged: dns.udp.unlogged() }),
    secureDns: () => secureDns.counters(),
    faults: faults.count,
    reloads,
    health,
    now: configuration.now,
  });
  closers.push(metrics.stop);

  // HTTP.
  const inspection = createDnsInspection({
    dns,
    forwarder,
    localData: localFiles.figures,
    now: configuration.now,
    clock: platform.ttlClock,
    random,
  });
  const operator = await createOperator({ state, engine, config, dataDir, clock, log });
  const { asNewLeader } = acls;
  const snapshots = createSnapshots({ machine, engine, folder: dataDir, asNewLeader });
  const agent = agentRoutes({
    local,
    members: (pool) => ownMembers(configuration.now(), nodeId, pool),
    nodeMeta: () => configuration.now().config.node_meta,
    primaryDatacenter: config.primary_datacenter,
    debugConfig: () => shownConfig(configuration.now().config),
    stats: () => ownStats(configuration.now(), engine),
    reload,
    leave() {
      log("info", "leaving");
      end(LEFT);
    },
    hostInfo: () => collectHostInfo(dataDir ?? ".", clock.wallMs()),
    metricsSnapshot: metrics.consulForm,
    prometheusRetentionMs: () => config["telemetry.prometheus_retention_time"],
    prometheusText: metrics.exposition,
    followLog: start.followLog,
  });
  const app = createHttpApp(
    {
      reader,
      propose,
      barrier: (mode) => engine.barrier(mode),
      leadership: () => engine.leadership(),
      acl,
      aclReader: state.acl,
      bootstrapReset: acls.bootstrapReset,
      sessionExpiry: sessions.expiry,
      events,
      updateCoordinate: (update) => coordinates.update(update),
      waiters,
      random,
      clock,
      info: {
        datacenter: config.datacenter,
        nodeName: config.node_name,
        nodeId,
        version: consulVersion,
        serverAddress,
      },
      settings: () => httpNow,
      log,
      exposition: metrics.exposition,
      onAnswer: metrics.countRequest,
    },
    [
      ...snapshotRoutes(snapshots),
      ...operatorRoutes(operator),
      ...tokenRoutes(acls),
      ...dnsRoutes(inspection),
      ...readyRoutes(health),
      ...agent,
    ],
  );
  await local.start(loaded, { takesOver: succession.isSuccessor });
  external.start();
  // Not before this agent's own services are in the catalog: no question meets an empty one.
  await succession.warm(forwarder);
  await openDns();
  const http = await platform.startHttp({
    ...httpListenerSettings(loaded),
    isShared,
    maxConnectionsPerClient: () => configuration.now().config["limits.http_max_conns_per_client"],
    fetch: succession.admitting((request, env) => app.fetch(request, env)),
    log,
  });
  parts.http = http;
  health.serve((request, env) => app.fetch(request, env));
  closers.push(() => {
    waiters.close();
    return http.stop();
  });
  const askSelf = createAskSelf((request, env) => app.fetch(request, env));
  watches.start(askSelf, loaded.watches);
  closers.push(() => watches.stop());
  if (!config.disable_remote_exec)
    closers.push(
      startRemoteExec({
        nodeName: config.node_name,
        events,
        ask: askSelf,
        token: acls.agentToken,
        programs: { openPipe },
        timers,
        log,
      }).stop,
    );
  const listening = () => [
    ...dns.tcp.addresses,
    ...Object.values(secureDns.addresses()).flat(),
    ...http.http,
    ...http.https,
    ...health.addresses,
  ];
  const given = { engine, journal, forwarder, dns, http, listening };
  const isStopping = (): boolean => parts.isStopping === true;
  await succession.complete({ ...given, isStopping, end: () => (health.handedOver(), end(LEFT)) });
  if (start.takeOver) start.takenOver();
  closers.push(
    followInterfaces({
      addresses: () => start.followedDnsAddresses(configuration.now().config),
      current: () => configuration.now().addresses,
      async change(now) {
        configuration.moved(now);
        const missing = await dns.listeners.change(now.dns, { isFollowing: true });
        return missing + (await secureDns.reload(configuration.now()));
      },
      timers,
    }),
  );
  tellReady(log, { dns, secureDns, http, index: reader.index });
}

const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);
