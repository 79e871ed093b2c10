/** What this agent says about its own node in the catalog, besides the services registered with it. */
import type { CheckFields, NodeFields, ServiceFields } from "./command.ts";
import { newCheckFields } from "./definition.ts";
import { ipVersion } from "../address.ts";

/** Names that the cluster itself manages on a node. */
export const CONSUL_SERVICE_ID = "consul";
export const SERF_CHECK_ID = "serfHealth";

/** What this agent writes about its own node. */
export type OwnNode = {
  node: NodeFields;
  /** Service `consul` and check `serfHealth`, which a server writes for itself; null for an edge. */
  server: { service: ServiceFields; check: CheckFields } | null;
};

/**
 * The node record with tagged addresses lan, lan_ipv4, wan, wan_ipv4 (or v6) and the segment in its
 * metadata, as Consul 1.10 writes it; for a server also its service with the RPC port.
 */
export function describeOwnNode(agent: {
  name: string;
  /** Node UUID. */
  id: string;
  /** IP literals. */
  advertiseAddress: string;
  advertiseWanAddress: string;
  nodeMeta: Readonly<Record<string, string>>;
  /** undefined: not a server. */
  server: { port: number; version: string } | undefined;
}): OwnNode {
  const { advertiseAddress: lan, advertiseWanAddress: wan } = agent;
  const node: NodeFields = {
    node: agent.name,
    id: agent.id,
    address: lan,
    taggedAddresses: {
      lan,
      [`lan_ipv${ipVersion(lan) || 4}`]: lan,
      wan,
      [`wan_ipv${ipVersion(wan) || 4}`]: wan,
    },
    meta: { ...agent.nodeMeta, "consul-network-segment": "" },
  };
  if (agent.server === undefined) return { node, server: null };
  const { port, version } = agent.server;
  return { node, server: { service: consulService(port, version), check: serfHealth } };
}

const serfHealth: CheckFields = {
  ...newCheckFields,
  checkId: SERF_CHECK_ID,
  name: "Serf Health Status",
  status: "passing",
  output: "Agent alive and reachable",
};

function consulService(port: number, version: string): ServiceFields {
  return {
    id: CONSUL_SERVICE_ID,
    service: "consul",
    kind: "",
    tags: [],
    address: "",
    taggedAddresses: null,
    meta: { version },
    port,
    socketPath: "",
    weights: { passing: 1, warning: 1 },
    enableTagOverride: false,
    proxy: null,
    connect: null,
  };
}
