/** /v1/agent: the agent itself, its members, reload, metrics, and the tables of its other parts. */
import type { Result } from "../base.ts";
import { originCoordinate } from "../cluster/coordinates.ts";
import type { LocalAgent } from "../cluster/local-agent.ts";
import type { Cancel, Follower } from "../ports.ts";
import { checkRoutes } from "./agent-check.ts";
import { localHealthRoutes } from "./agent-health.ts";
import { monitorRoutes } from "./agent-monitor.ts";
import { requireAgentRead, requireAgentWrite } from "./agent-rights.ts";
import { serviceRoutes } from "./agent-service.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";
import { toCoordinate } from "./coordinate.ts";
import { memberFields } from "./fields.ts";
import { requireRight } from "./rights.ts";
import { filterOf } from "./select.ts";

/** One member of the gossip pool as agent/members shows it. Status: 1 alive, 2 leaving, 3 left, 4 failed. */
export type Member = {
  Name: string;
  Addr: string;
  Port: number;
  Tags: Record<string, string>;
  Status: number;
  ProtocolMin: number;
  ProtocolMax: number;
  ProtocolCur: number;
  DelegateMin: number;
  DelegateMax: number;
  DelegateCur: number;
};

/** What the agent routes need besides HttpDeps; agent.ts fills it in. */
export type AgentDeps = {
  local: LocalAgent;
  /** LAN members, or WAN members under their `node.datacenter` names. */
  members(pool: "lan" | "wan"): Member[];
  /** `node_meta` of the configuration. */
  nodeMeta(): Readonly<Record<string, string>>;
  primaryDatacenter: string;
  /** Effective configuration without secrets. */
  debugConfig(): Record<string, unknown>;
  /** agent/self's Stats, without `agent`: build, consul, raft, runtime, serf_lan, serf_wan. */
  stats(): Record<string, Record<string, string>>;
  /** Does what SIGHUP does. The error is a text for the client. */
  reload(): Promise<Result<void, string>>;
  /** Starts a graceful end; the answer is sent while it runs. */
  leave(): void;
  /** collectHostInfo of host/driver.ts. */
  hostInfo(): Promise<Record<string, unknown>>;
  /** JSON form of agent/metrics: Timestamp, Gauges, Points, Counters, Samples. */
  metricsSnapshot(): Record<string, unknown>;
  /** `telemetry.prometheus_retention_time` in milliseconds; 0: that form is refused, as in Consul. */
  prometheusRetentionMs(): number;
  /** Text form of agent/metrics. */
  prometheusText(): Promise<string>;
  /** See createLog. */
  followLog(follower: Follower): Cancel;
};

/** All routes of /v1/agent. */
export function agentRoutes(deps: AgentDeps): readonly Route[] {
  return [
    route(["GET"], "/v1/agent/self", (call) => answerSelf(call, deps)),
    route(["GET"], "/v1/agent/members", (call) => answerMembers(call, deps)),
    route(["GET"], "/v1/agent/host", (call) => answerHost(call, deps)),
    route(["GET"], "/v1/agent/metrics", (call) => answerMetrics(call, deps)),
    route(["GET"], "/v1/agent/version", answerVersion),
    route(["PUT"], "/v1/agent/reload", (call) => answerReload(call, deps)),
    route(["PUT"], "/v1/agent/leave", (call) => answerLeave(call, deps)),
    route(["PUT"], "/v1/agent/join/", (call) => answerJoin(call, deps)),
    route(["PUT"], "/v1/agent/force-leave/", (call) => answerForceLeave(call, deps)),
    ...monitorRoutes(deps),
    ...[
      ...serviceRoutes(deps.local),
      ...checkRoutes(deps.local),
      ...localHealthRoutes(deps.local),
    ].map((row) => onceLoaded(row, deps)),
  ];
}

/** Before the disk was read, a service that is registered would look as if it were not. */
function onceLoaded(row: Route, deps: AgentDeps): Route {
  const handle = (call: Call) => {
    const { loading } = deps.local;
    return loading === undefined ? row.handle(call) : loading.then(() => row.handle(call));
  };
  return { ...row, handle };
}

function answerSelf(call: Call, deps: AgentDeps): Reply {
  requireAgentRead(call);
  const { info } = call.deps;
  const { services, checks, ttls, probes } = deps.local.counts();
  const stats = deps.stats();
  return call.json({
    Config: {
      Datacenter: info.datacenter,
      PrimaryDatacenter: deps.primaryDatacenter,
      NodeName: info.nodeName,
      NodeID: info.nodeId,
      Revision: "",
      Server: true,
      Version: info.version,
    },
    DebugConfig: deps.debugConfig(),
    Coord: call.settings.disableCoordinates ? null : toCoordinate(originCoordinate),
    Member: deps.members("lan").find(({ Name }) => Name === info.nodeName) ?? null,
    Stats: {
      agent: {
        services: String(services),
        checks: String(checks),
        check_ttls: String(ttls),
        check_monitors: String(probes),
      },
      ...stats,
    },
    Meta: { "consul-network-segment": "", ...deps.nodeMeta() },
  });
}

function answerMembers(call: Call, deps: AgentDeps): Reply {
  const rights = call.authorizer();
  const isWan = call.query("wan") !== "";
  const segment = call.query("segment");
  const isNamed = segment !== "" && segment !== "_all";
  if (isNamed && isWan) throw new HttpError(400, "Cannot provide a segment with wan=true");
  if (isNamed) throw new HttpError(500, "Network segments are not supported in this version");
  const passes = filterOf(call, memberFields);
  const members = deps.members(isWan ? "wan" : "lan");
  return call.json(members.filter((each) => rights.nodeRead(each.Name) && passes(each)));
}

/** Consul 1.12: the release whose interfaces are followed; there was no build of it. */
function answerVersion(call: Call): Reply {
  requireAgentRead(call);
  const { version } = call.deps.info;
  return call.json({ SHA: "", BuildDate: "0001-01-01T00:00:00Z", HumanVersion: version, FIPS: "" });
}

async function answerHost(call: Call, deps: AgentDeps): Promise<Response> {
  requireRight(call.authorizer().operatorRead());
  return call.json(await deps.hostInfo());
}

async function answerMetrics(call: Call, deps: AgentDeps): Promise<Response> {
  requireAgentRead(call);
  if (!wantsPrometheus(call)) return call.json(deps.metricsSnapshot());
  if (deps.prometheusRetentionMs() <= 0)
    throw new HttpError(415, "Prometheus is not enabled since its retention time is not positive");
  const text = await deps.prometheusText();
  return call.text(200, text, "text/plain; version=0.0.4; charset=utf-8");
}

function wantsPrometheus(call: Call): boolean {
  if (call.query("format") === "prometheus") return true;
  return (call.header("Accept") ?? "").split(",").some((accepted) => {
    const [type = "", ...parameters] = accepted.split(";").map((part) => part.trim().toLowerCase());
    if (type === "application/openmetrics-text") return true;
    return type === "text/plain" && parameters.includes("version=0.0.4");
  });
}

async function answerReload(call: Call, deps: AgentDeps): Promise<Response> {
  requireAgentWrite(call);
  const reloaded = await deps.reload();
  if (!reloaded.ok) throw new HttpError(500, reloaded.error);
  return call.empty();
}

function answerLeave(call: Call, deps: AgentDeps): Reply {
  requireAgentWrite(call);
  deps.leave();
  return call.empty();
}

/** The agent itself is the only member there is; it has joined itself, as in Consul. */
function answerJoin(call: Call, deps: AgentDeps): Reply {
  requireAgentWrite(call);
  const isSelf = deps.members(call.query("wan") === "" ? "lan" : "wan").some(({ Addr, Port }) => {
    const host = Addr.includes(":") ? `[${Addr}]` : Addr;
    return [Addr, host, `${host}:${Port}`].includes(call.argument);
  });
  if (isSelf) return call.empty();
  throw new HttpError(
    500,
    `cannot join ${call.argument}: this version runs one server on its own, joining a cluster is not there yet`,
  );
}

/** The only member is this agent, which cannot be made to leave from outside: nothing happens. */
function answerForceLeave(call: Call, deps: AgentDeps): Reply {
  requireRight(call.authorizer().operatorWrite());
  const pool = call.query("wan") === "" ? "lan" : "wan";
  if (!deps.members(pool).some(({ Name }) => Name === call.argument))
    throw new HttpError(500, `agent: No node found with name '${call.argument}'`);
  return call.empty();
}
