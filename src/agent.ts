/**
 * The wiring diagram: builds all parts in order, connects them, and stops them in reverse.
 *
 *   questions → DNS front (workers, answer table) → resolver → catalog, or forwarder → upstreams
 *   requests  → HTTP app → propose → log engine → state machine → touched topics → DNS, waiters
 */
import type { Result } from "./base.ts";
import { createAcls } from "./agent/acl.ts";
import { consulFormSettings, dnsSettings } from "./agent/settings.ts";
import { engineSettings, forwarderSettings } from "./agent/settings.ts";
import {
  httpListenerSettings,
  httpSettings,
  localSettings,
  shownConfig,
} from "./agent/settings.ts";
import { ownMembers, ownStats } from "./agent/members.ts";
import { createOwnEvents } from "./agent/own-events.ts";
import { createReload } from "./agent/reload.ts";
import { startKvReaper } from "./agent/kv-reaper.ts";
import { createLogTime, createMachine, createPropose } from "./agent/replica.ts";
import { listenToSignals } from "./agent/signals.ts";
import { createOperator } from "./agent/operator.ts";
import { createSnapshots } from "./agent/snapshots.ts";
import { followUpstreams } from "./agent/follow-upstreams.ts";
import { startCoordinates, type CoordinateUpdates } from "./agent/coordinate-updates.ts";
import { createRequestCounts } from "./agent/request-counts.ts";
import { startSessionTimer, type SessionTimer } from "./agent/session-timer.ts";
import { catalogFigures, dnsTimings, localFigures, resolverFigures } from "./agent/figures.ts";
import { createProbe } from "./cluster/checks/driver.ts";
import { encode } from "./cluster/command.ts";
import type { Engine } from "./cluster/engine.ts";
import { createLocalAgent, type LocalAgent } from "./cluster/local-agent.ts";
import { noFiles } from "./cluster/local-store.ts";
import { createLocalFiles, loadNodeId } from "./cluster/local/driver.ts";
import { createMemoryStore } from "./cluster/single/memory.ts";
import { createSingleEngine } from "./cluster/single/driver.ts";
import { describeOwnNode } from "./cluster/own-node.ts";
import { createState } from "./cluster/state.ts";
import { createRest } from "./cluster/time-slices.ts";
import { differences, type LoadedConfig } from "./config.ts";
import type { Resolve } from "./dns/answer.ts";
import { startTcpFront } from "./dns/driver.ts";
import type { StartDnsFront } from "./dns/front.ts";
import { createResolver, type Resolver } from "./dns/resolve.ts";
import { startOnSamePorts } from "./dns/same-ports.ts";
import {
  createDatagramExchanges,
  createTcpExchanges,
  watchResolvConf,
} from "./forwarder/driver.ts";
import { createForwarder } from "./forwarder/forward.ts";
import type { ResolvConf } from "./forwarder/resolvconf.ts";
import { agentRoutes } from "./http/agent.ts";
import { tokenRoutes } from "./http/agent-token.ts";
import { createHttpApp } from "./http/app.ts";
import { createWaiters } from "./http/blocking.ts";
import { collectHostInfo } from "./http/host/driver.ts";
import type { HttpListeners, StartHttp } from "./http/listen.ts";
import { operatorRoutes } from "./http/operator.ts";
import { snapshotRoutes } from "./http/snapshot.ts";
import type { Follower } from "./log.ts";
import { createExposition } from "./metrics.ts";
import { createConsulForm } from "./metrics/consul.ts";
import type { Sources } from "./metrics/family.ts";
import { measureLateness } from "./metrics/lateness.ts";
import { processFigures } from "./metrics/process.ts";
import type { Cancel, Clock, Exchanges, Log, LogLevel, LogStore } from "./ports.ts";
import type { Random, SocketAddress, Timers } from "./ports.ts";
import { consulVersion, version } from "./version.ts";

/** What only the runtime can do. */
export type Platform = {
  clock: Clock;
  timers: Timers;
  random: Random;
  processorCount: number;
  hostname: string;
  startDnsFront: StartDnsFront;
  /** null: not available here, use sockets of the runtime. */
  createExchanges(log: Log): Exchanges | null;
  openStore(directory: string, warn: (message: string) => void): LogStore;
  startHttp: StartHttp;
  /** Ends the process at once. */
  exit(code: number): never;
  onSignal(signal: "SIGINT" | "SIGTERM" | "SIGHUP", listener: () => void): Cancel;
};

/** How the command line starts an agent; see main.ts. */
export type AgentStart = {
  loaded: LoadedConfig;
  log: Log;
  /** Changes the least severe level that is written. */
  setLogLevel(level: LogLevel): void;
  /** For agent/monitor. */
  followLog: (follower: Follower) => Cancel;
  /** Reads the same files and flags again; the error side has one sentence per mistake. */
  reload(): Promise<Result<LoadedConfig, string[]>>;
  /** The servers of a resolv.conf that are not this agent itself. */
  serversOf: (conf: ResolvConf) => SocketAddress[];
};

/** Exit codes as Consul's: a server that is stopped by a signal ends with 1, one that left with 0. */
const STOPPED = 1;
const LEFT = 0;
const STORE_FAILED = 1;

type Closer = () => Promise<void> | void;

/** What others call back into; absent until it stands. */
type Parts = {
  resolver?: Resolver;
  sessions?: SessionTimer;
  coordinates?: CoordinateUpdates;
  local?: LocalAgent;
  reload?: () => Promise<Result<void, string>>;
  http?: HttpListeners;
};

/** Runs until a signal, a leave or a failed store; resolves with the exit code. Rejects if it cannot start. */
export async function runAgent(start: AgentStart, platform: Platform): Promise<number> {
  const closers: Closer[] = [];
  try {
    const { promise: ended, resolve: end } = Promise.withResolvers<number>();
    const parts: Parts = {};
    closers.push(
      listenToSignals(platform, start.log, {
        stop: () => end(STOPPED),
        atOnce: () => platform.exit(STOPPED),
        reload: () => void parts.reload?.(),
      }),
    );
    await build(start, platform, parts, closers, end);
    return await ended;
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
  const { clock, timers, random } = platform;
  const { log } = start;
  let loaded = start.loaded;
  const { config, addresses } = loaded;

  // Catalog and log.
  const dataDir = loaded.dev ? undefined : config.data_dir;
  const nodeId = await loadNodeId(dataDir, config.node_id, random);
  const store =
    dataDir === undefined
      ? createMemoryStore()
      : platform.openStore(dataDir, (message) => log("warn", message));
  const state = createState();
  const waiters = createWaiters({ clock, timers });
  const machine = createMachine(
    state,
    {
      // While the log is replayed nobody has read anything yet: there is nothing to call.
      touched(topics) {
        parts.resolver?.touch(topics);
        waiters.wake(topics);
        parts.sessions?.touched(topics);
        parts.coordinates?.touched(topics);
        parts.local?.catalogChanged(topics);
      },
      replaced() {
        parts.resolver?.withdrawAll();
        waiters.wakeAll();
        parts.sessions?.restart();
        parts.local?.catalogReplaced();
        parts.coordinates?.touched(["nodes"]);
      },
    },
    createRest({ clock, timers }),
  );
  const logTime = createLogTime(clock, state);
  const serverAddress = `${bracketed(addresses.advertise)}:${config["ports.server"]}`;
  const engine: Engine = await createSingleEngine({
    store,
    machine,
    clock,
    timers,
    log,
    leader: serverAddress,
    ...engineSettings(config),
    epochCommand: (epoch) => encode({ type: "epoch", epoch }, logTime.begin()),
    onFailure(reason) {
      log("error", "the store failed; nothing can be acknowledged any more", { reason });
      platform.exit(STORE_FAILED);
    },
  });
  closers.push(() => engine.close());
  const propose = createPropose(() => engine, logTime);
  const tokensChanged = () => parts.resolver?.withdrawAll();
  const about = { config, dataDir, reader: state.acl, propose, tokensChanged };
  const acls = await createAcls({ ...about, clock, timers, random, log });
  const { acl, asNewLeader } = acls;
  closers.push(acls.stop);
  const sessions = startSessionTimer({ reader: state.reader, propose, clock, timers });
  parts.sessions = sessions;
  closers.push(sessions.stop);
  closers.push(startKvReaper({ kv: state.reader.kv, propose, logTime, timers }));

  // Names outside the domain.
  const udp =
    (config.batched_system_calls ? platform.createExchanges(log) : null) ??
    createDatagramExchanges(random);
  const tcp = createTcpExchanges();
  const forwarder = createForwarder({
    settings: forwarderSettings(loaded),
    clock,
    timers,
    random,
    udp,
    tcp,
  });
  closers.push(() => {
    forwarder.close();
    udp.close();
    tcp.close();
  });

  // DNS.
  const workerCount = config.workers || Math.max(1, Math.floor(platform.processorCount / 2));
  // The resolver needs the table of this front: who asks in between is left to ask again.
  const resolve: Resolve = (question, reply) =>
    parts.resolver === undefined ? reply(null) : parts.resolver.resolve(question, reply);
  const { udp: front, tcp: tcpFront } = await startOnSamePorts(addresses.dns, {
    udp: (listen) =>
      platform.startDnsFront({
        listen,
        workerCount,
        tableOctets: config.answer_table_size,
        batchedSystemCalls: config.batched_system_calls,
        resolve,
        log,
      }),
    tcp: (listen) => startTcpFront({ listen, resolve, clock, timers, log }),
  });
  closers.push(async () => {
    await tcpFront.close();
    await front.close();
  });
  const resolver = createResolver({
    settings: dnsSettings(loaded),
    catalog: state.reader,
    acl,
    forward: forwarder.forward,
    resolveTarget: forwarder.forwardFirstReply,
    table: front.table,
    clock: front.clock,
    wallMs: () => clock.wallMs(),
    random: () => random.uint32(),
    freshness: () => ({ leader: engine.leadership().self, ageMs: 0 }),
  });
  parts.resolver = resolver;

  // This agent's own services and checks.
  const own = () => {
    const { config: now } = loaded;
    return describeOwnNode({
      name: config.node_name,
      id: nodeId,
      advertiseAddress: addresses.advertise,
      advertiseWanAddress: addresses.advertiseWan,
      nodeMeta: now.node_meta,
      server: { port: config["ports.server"], version: consulVersion },
    });
  };
  let localNow = localSettings(loaded);
  const local = createLocalAgent({
    own,
    reader: state.reader,
    propose,
    files: dataDir === undefined ? noFiles : createLocalFiles(dataDir),
    probe: createProbe({ denyLinkLocal: config.deny_link_local_checks }),
    settings: () => localNow,
    memberCount: () => 1,
    wake: (topics) => waiters.wake(topics),
    clock,
    timers,
    random,
    log,
  });
  parts.local = local;
  closers.push(() => local.stop());
  const coordinates = startCoordinates({ loaded, reader: state.reader, propose, timers, log });
  parts.coordinates = coordinates;
  closers.push(coordinates.stop);
  const events = createOwnEvents({ nodeName: config.node_name, local, random, waiters });
  engine.onLeadership(({ leader }) => {
    resolver.withdrawAll();
    local.leadershipChanged(leader !== undefined);
  });

  // Reload: the same files and flags once more.
  let httpNow = httpSettings(loaded, platform.hostname);
  function apply(next: LoadedConfig): void {
    loaded = next;
    resolver.reload(dnsSettings(next));
    forwarder.reload(forwarderSettings(next));
    httpNow = httpSettings(next, platform.hostname);
    localNow = localSettings(next);
    start.setLogLevel(next.config.log_level as LogLevel); // one of the words of its row
  }
  const upstreams = followUpstreams({
    watch: watchResolvConf,
    serversOf: start.serversOf,
    onServers: (servers) => apply({ ...loaded, upstreams: servers }),
    onProblem: (problem) => log("warn", problem),
  });
  closers.push(upstreams.stop);
  upstreams.follow(config);
  const reload = createReload(async () => {
    const next = await start.reload();
    if (!next.ok) {
      log("error", "reload refused; the old configuration stays", {
        errors: next.error.join("; "),
      });
      return { ok: false, error: next.error.join("\n") };
    }
    const { needRestart } = differences(loaded.config, next.value.config);
    for (const key of needRestart)
      log("warn", `${key} has changed; it takes effect at the next start`);
    for (const warning of next.value.warnings)
      if (!loaded.warnings.includes(warning)) log("warn", warning); // the others were said before
    apply(next.value);
    upstreams.follow(next.value.config);
    await local.reload(next.value);
    if (next.value.https !== undefined) parts.http?.renew(next.value.https);
    log("info", "configuration reloaded");
    return { ok: true, value: undefined };
  });
  parts.reload = reload;

  // Metrics.
  const lateness = measureLateness(clock, timers);
  closers.push(lateness.stop);
  const requests = createRequestCounts();
  const figures: Sources = {
    version,
    workers: () => front.workerCount,
    dns: () => front.counters(),
    table: () => front.table.stats(),
    resolver: () => resolverFigures(resolver),
    tcp: () => tcpFront.counters,
    forwarder: () => forwarder.stats(),
    catalog: () => catalogFigures(state),
    local: () => localFigures(local),
    log: () => engine.stats(),
    http: requests.read,
    blockedQueries: () => waiters.count,
    lateness: lateness.read,
    process: processFigures,
  };
  const exposition = createExposition(figures, { clock, timers });
  const consulForm = createConsulForm(figures, {
    ...consulFormSettings(loaded, platform.hostname),
    timings: () => dnsTimings(resolver),
    httpTimes: requests.takeTimes,
    clock,
    timers,
  });
  closers.push(consulForm.stop);

  // HTTP.
  const operator = await createOperator({ state, engine, config, dataDir, clock, log });
  const snapshots = createSnapshots({ machine, engine, folder: dataDir, asNewLeader });
  const app = createHttpApp(
    {
      reader: state.reader,
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
      exposition,
      onAnswer: requests.count,
    },
    [
      ...snapshotRoutes(snapshots),
      ...operatorRoutes(operator),
      ...tokenRoutes(acls),
      ...agentRoutes({
        local: local,
        members: (pool) => ownMembers(loaded, nodeId, pool),
        nodeMeta: () => loaded.config.node_meta,
        primaryDatacenter: config.primary_datacenter,
        debugConfig: () => shownConfig(loaded.config),
        stats: () => ownStats(loaded, engine),
        reload,
        leave: () => end(LEFT),
        hostInfo: () => collectHostInfo(dataDir ?? ".", clock.wallMs()),
        metricsSnapshot: consulForm.read,
        prometheusRetentionMs: () => config["telemetry.prometheus_retention_time"],
        prometheusText: exposition,
        followLog: start.followLog,
      }),
    ],
  );
  await local.start(loaded);
  const http = await platform.startHttp({
    ...httpListenerSettings(loaded),
    maxConnectionsPerClient: () => loaded.config["limits.http_max_conns_per_client"],
    fetch: (request, env) => app.fetch(request, env),
    log,
  });
  parts.http = http;
  closers.push(() => {
    waiters.close();
    return http.stop();
  });
  log("info", "ready", {
    dns: front.addresses.map(printed).join(" "),
    http: http.http.map(printed).join(" "),
    ...(http.https.length > 0 ? { https: http.https.map(printed).join(" ") } : {}),
    workers: front.workerCount,
    index: state.reader.index,
  });
}

const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);
const printed = (at: SocketAddress | { path: string }): string =>
  "path" in at ? `unix://${at.path}` : `${bracketed(at.address)}:${at.port}`;
