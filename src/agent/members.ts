/** What the agent says of itself: the pool of one member, and the figures of agent/self. */
import type { Engine } from "../cluster/engine.ts";
import type { LoadedConfig } from "../config.ts";
import type { Member } from "../http/agent.ts";
import { consulVersion, version } from "../version.ts";

/** The pool while there is no gossip: this server, alive. Tags as Consul 1.10 writes them. */
export function ownMembers(
  { config, addresses }: LoadedConfig,
  nodeId: string,
  pool: "lan" | "wan",
): Member[] {
  const wan = pool === "wan";
  if (wan && config["ports.serf_wan"] < 0) return [];
  const tags: Record<string, string> = {
    acls: config["acl.enabled"] ? "1" : "0",
    build: consulVersion,
    dc: config.datacenter,
    id: nodeId,
    port: String(config["ports.server"]),
    raft_vsn: "3",
    role: "consul",
    segment: "",
    vsn: "2",
    vsn_max: "3",
    vsn_min: "2",
    waypost: version,
    ...(config.bootstrap ? { bootstrap: "1" } : {}),
    ...(config.bootstrap_expect > 0 ? { expect: String(config.bootstrap_expect) } : {}),
  };
  return [
    {
      Name: wan ? `${config.node_name}.${config.datacenter}` : config.node_name,
      Addr: wan ? addresses.advertiseWan : addresses.advertise,
      Port: config[wan ? "ports.serf_wan" : "ports.serf_lan"],
      Tags: tags,
      Status: 1,
      ProtocolMin: 1,
      ProtocolMax: 5,
      ProtocolCur: 2,
      DelegateMin: 2,
      DelegateMax: 5,
      DelegateCur: 4,
    },
  ];
}

/** agent/self's Stats: maps of strings, as Consul gives them. */
export function ownStats(
  { config, addresses }: LoadedConfig,
  engine: Engine,
): Record<string, Record<string, string>> {
  const log = engine.stats();
  const { leader, self } = engine.leadership();
  const figure = (name: string) => String(log[name] ?? 0);
  const pool = { members: "1", failed: "0", left: "0", encrypted: "false" };
  return {
    build: { prerelease: "", revision: "", version: consulVersion, waypost: version },
    consul: {
      acl: config["acl.enabled"] ? "enabled" : "disabled",
      bootstrap: String(config.bootstrap),
      known_datacenters: "1",
      leader: String(self),
      leader_addr: leader ?? "",
      server: "true",
    },
    raft: {
      applied_index: figure("applied_index"),
      commit_index: figure("applied_index"),
      last_log_index: figure("last_index"),
      last_snapshot_index: figure("snapshot_index"),
      latest_configuration: `[{Suffrage:Voter Address:${addresses.advertise}:${config["ports.server"]}}]`,
      num_peers: "0",
      state: self ? "Leader" : "Follower",
      term: figure("term"),
    },
    runtime: {
      arch: process.arch,
      os: process.platform,
      version: `bun${process.versions["bun"] ?? ""}`,
    },
    serf_lan: pool,
    serf_wan: pool,
  };
}
