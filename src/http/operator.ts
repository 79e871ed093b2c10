/** /v1/operator: the servers, autopilot, usage. Consul 1.10 agent/operator_endpoint.go. */
import type { PoolKeyring } from "../cluster/keyring/driver.ts";
import { autopilotRoutes, type AutopilotDeps } from "./operator-autopilot.ts";
import { keyringRoutes } from "./operator-keyring.ts";
import { admitOperator } from "./operator-rights.ts";
import { HttpError, route, type Call, type Route } from "./call.ts";

/** All routes of /v1/operator. */
export function operatorRoutes(
  deps: AutopilotDeps & { keyrings: readonly PoolKeyring[] },
): readonly Route[] {
  return [
    route(["GET"], "/v1/operator/raft/configuration", answerConfiguration),
    route(["DELETE"], "/v1/operator/raft/peer", answerRemovePeer),
    route(["POST"], "/v1/operator/raft/transfer-leader", answerTransfer),
    route(["GET"], "/v1/operator/usage", answerUsage),
    ...autopilotRoutes(deps),
    ...keyringRoutes(deps.keyrings),
  ];
}

async function answerConfiguration(call: Call): Promise<Response> {
  await admitOperator(call, "read");
  const { info } = call.deps;
  const server = {
    ID: info.nodeId,
    Node: info.nodeName,
    Address: info.serverAddress,
    Leader: call.deps.leadership().self,
    ProtocolVersion: "3",
    Voter: true,
  };
  // The configuration is that of the first entry: a log of one server never has another.
  return call.json({ Servers: [server], Index: 1 });
}

async function answerRemovePeer(call: Call): Promise<Response> {
  const hasId = call.has("id");
  const hasAddress = call.has("address");
  if (!hasId && !hasAddress)
    throw new HttpError(
      400,
      "Bad request: Must specify either ?id with the server's ID or ?address with IP:port of peer to remove",
    );
  if (hasId && hasAddress)
    throw new HttpError(400, "Bad request: Must specify only one of ?id or ?address");
  await admitOperator(call, "write");
  requireServer(call, hasId ? "id" : "address");
  throw new HttpError(500, "need at least one voter in configuration: this is the only server");
}

/** Throws 500 unless the parameter names this server. */
function requireServer(call: Call, by: "id" | "address"): void {
  const asked = call.query(by);
  const { nodeId, serverAddress } = call.deps.info;
  if (asked !== (by === "id" ? nodeId : serverAddress))
    throw new HttpError(
      500,
      `${by} ${JSON.stringify(asked)} was not found in the Raft configuration`,
    );
}

/** Consul 1.15; with one server there is nobody to take over. */
async function answerTransfer(call: Call): Promise<Response> {
  await admitOperator(call, "write");
  if (call.query("id") !== "") requireServer(call, "id");
  throw new HttpError(500, "cannot find peer: this is the only server, nobody can take over");
}

/** Consul 1.14; `?global` is of one datacenter too. */
async function answerUsage(call: Call): Promise<Response> {
  await admitOperator(call, "read");
  const { reader, info } = call.deps;
  const names = reader.serviceNames();
  const connect: Record<string, number> = {
    "api-gateway": 0,
    "connect-native": 0,
    "connect-proxy": 0,
    "ingress-gateway": 0,
    "mesh-gateway": 0,
    "terminating-gateway": 0,
  };
  let nodes = 0;
  let instances = 0;
  let billable = 0;
  for (const _ of reader.nodes()) nodes++;
  // Spellings that differ in case are several names of one list.
  for (const name of new Set([...names.keys()].map((each) => each.toLowerCase())))
    for (const { service, kind } of reader.instancesOf(name)) {
      instances++;
      if (Object.hasOwn(connect, kind)) connect[kind]!++;
      else if (service !== "consul") billable++;
    }
  const usage = {
    Nodes: nodes,
    Services: names.size,
    ServiceInstances: instances,
    ConnectServiceInstances: connect,
    BillableServiceInstances: billable,
  };
  return call.json({
    Usage: { [info.datacenter]: usage },
    Index: Math.max(1, reader.index),
    LastContact: 0,
    KnownLeader: call.deps.leadership().leader !== undefined,
    ConsistencyLevel: "leader",
    NotModified: false,
    Backend: 0,
    ResultsFilteredByACLs: false,
  });
}
