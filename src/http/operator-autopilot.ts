/** /v1/operator/autopilot: settings and health of the servers. */
import type { AutopilotRecord } from "../cluster/autopilot.ts";
import { formatDuration } from "../duration.ts";
import { HttpError, route, type Call, type Route } from "./call.ts";
import { admitAutopilot } from "./operator-rights.ts";

/** What these routes need besides HttpDeps; agent.ts fills it in. */
export type AutopilotDeps = {
  /** Settings in force; null before the log has any. */
  autopilot(): AutopilotRecord | null;
  /** Term and index of the last entry of the log. */
  lastEntry(): { term: number; index: number };
  /** Wall time in milliseconds since which this server has led; undefined: it does not. */
  leadsSinceMs(): number | undefined;
};

/** Settings and health. */
export function autopilotRoutes(deps: AutopilotDeps): readonly Route[] {
  return [
    route(["GET", "PUT"], "/v1/operator/autopilot/configuration", (call) =>
      call.method === "GET" ? answerSettings(call, deps) : answerSet(call),
    ),
    route(["GET"], "/v1/operator/autopilot/health", (call) => answerHealth(call, deps)),
    route(["GET"], "/v1/operator/autopilot/state", (call) => answerState(call, deps)),
  ];
}

async function answerSettings(call: Call, deps: AutopilotDeps): Promise<Response> {
  await admitAutopilot(call, "read");
  const record = deps.autopilot();
  // Before the first entry of a leader there are none.
  if (record === null) throw new HttpError(500, "No cluster leader");
  return call.json({
    CleanupDeadServers: record.cleanupDeadServers,
    LastContactThreshold: formatDuration(record.lastContactThresholdMs),
    MaxTrailingLogs: record.maxTrailingLogs,
    MinQuorum: record.minQuorum,
    ServerStabilizationTime: formatDuration(record.serverStabilizationTimeMs),
    RedundancyZoneTag: record.redundancyZoneTag,
    DisableUpgradeMigration: record.disableUpgradeMigration,
    UpgradeVersionTag: record.upgradeVersionTag,
    CreateIndex: record.createIndex,
    ModifyIndex: record.modifyIndex,
  });
}

const settings = {
  struct: {
    CleanupDeadServers: "bool",
    LastContactThreshold: "duration",
    MaxTrailingLogs: "int",
    MinQuorum: "int",
    ServerStabilizationTime: "duration",
    RedundancyZoneTag: "string",
    DisableUpgradeMigration: "bool",
    UpgradeVersionTag: "string",
    CreateIndex: "int",
    ModifyIndex: "int",
  },
} as const;

/** Replaces all settings: what the body lacks becomes zero. */
async function answerSet(call: Call): Promise<Response> {
  const prefix = "Bad request: Error parsing autopilot config: ";
  const body = await call.readBody(settings, { prefix });
  for (const name of ["MaxTrailingLogs", "MinQuorum"] as const)
    if (body[name] < 0)
      throw new HttpError(
        400,
        `${prefix}json: cannot unmarshal number ${body[name]} into field ${name} of type uint`,
      );
  const cas = parseCas(call);
  await admitAutopilot(call, "write");
  const isDone = await call.propose({
    type: "autopilot-set",
    config: {
      cleanupDeadServers: body.CleanupDeadServers,
      lastContactThresholdMs: body.LastContactThreshold,
      maxTrailingLogs: body.MaxTrailingLogs,
      minQuorum: body.MinQuorum,
      serverStabilizationTimeMs: body.ServerStabilizationTime,
      redundancyZoneTag: body.RedundancyZoneTag,
      disableUpgradeMigration: body.DisableUpgradeMigration,
      upgradeVersionTag: body.UpgradeVersionTag,
    },
    cas,
  });
  return call.json(isDone);
}

function parseCas(call: Call): number | null {
  if (!call.has("cas")) return null;
  const text = call.query("cas");
  if (!/^\d{1,20}$/.test(text))
    throw new HttpError(
      400,
      `Bad request: Error parsing cas value: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  // No index is that large: the comparison fails, as it should.
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER);
}

/** 429 with the same body while the server is not healthy. */
async function answerHealth(call: Call, deps: AutopilotDeps): Promise<Response> {
  await admitAutopilot(call, "read");
  const server = ownHealth(call, deps);
  const { Healthy } = server;
  const body = {
    Healthy,
    FailureTolerance: 0,
    Servers: [{ ...server, SerfStatus: "alive", Voter: true }],
  };
  return call.json(body, Healthy ? 200 : 429);
}

async function answerState(call: Call, deps: AutopilotDeps): Promise<Response> {
  await admitAutopilot(call, "read");
  const server = ownHealth(call, deps);
  const { nodeId, nodeName } = call.deps.info;
  const leads = call.deps.leadership().self;
  return call.json({
    Healthy: server.Healthy,
    FailureTolerance: 0,
    OptimisticFailureTolerance: 0,
    Servers: {
      [nodeId]: {
        ID: server.ID,
        Name: server.Name,
        Address: server.Address,
        NodeStatus: "alive",
        Version: server.Version,
        LastContact: server.LastContact,
        LastTerm: server.LastTerm,
        LastIndex: server.LastIndex,
        Healthy: server.Healthy,
        StableSince: server.StableSince,
        ReadReplica: false,
        Status: leads ? "leader" : "voter",
        Meta: call.deps.reader.node(nodeName)?.meta ?? null,
        NodeType: "voter",
      },
    },
    Leader: leads ? nodeId : "",
    Voters: [nodeId],
  });
}

/** The only server: healthy while it leads. */
function ownHealth(call: Call, deps: AutopilotDeps) {
  const { info } = call.deps;
  const sinceMs = deps.leadsSinceMs();
  const { term, index } = deps.lastEntry();
  return {
    ID: info.nodeId,
    Name: info.nodeName,
    Address: info.serverAddress,
    Version: info.version,
    Leader: call.deps.leadership().self,
    LastContact: "0s",
    LastTerm: term,
    LastIndex: index,
    Healthy: sinceMs !== undefined,
    // Go's zero time where there is none.
    StableSince: sinceMs === undefined ? "0001-01-01T00:00:00Z" : new Date(sinceMs).toISOString(),
  };
}
