/** The HTTP application with the routes of /v1/agent, over a local agent that knows no network. */
import { ok } from "../../src/base.ts";
import { createLocalAgent, type LocalAgent } from "../../src/cluster/local-agent.ts";
import { noJournal } from "../../src/cluster/local-store.ts";
import { describeOwnNode } from "../../src/cluster/own-node.ts";
import { agentRoutes, type AgentDeps, type Member } from "../../src/http/agent.ts";
import { tokenRoutes } from "../../src/http/agent-token.ts";
import { collectHostInfo } from "../../src/http/host/driver.ts";
import { createLog } from "../../src/log.ts";
import { createServer } from "./harness.ts";

type Options = Parameters<typeof createServer>[0] & { retentionMs?: number; starts?: boolean };

const member: Member = {
  Name: "node-a",
  Addr: "127.0.0.1",
  Port: 8301,
  Tags: { role: "consul", dc: "dc1" },
  Status: 1,
  ProtocolMin: 1,
  ProtocolMax: 5,
  ProtocolCur: 2,
  DelegateMin: 2,
  DelegateMax: 5,
  DelegateCur: 4,
};

/** The HTTP application with a local agent on the same catalog. */
export async function startAgent(options: Options = {}) {
  const done: string[] = [];
  const monitors = { count: 0 };
  const late = {} as LocalAgent; // filled in below: the agent needs the server's catalog
  const deps: AgentDeps = {
    local: late,
    members: (pool) => [pool === "lan" ? member : { ...member, Name: "node-a.dc1" }],
    nodeMeta: () => ({ role: "front" }),
    primaryDatacenter: "dc1",
    debugConfig: () => ({ NodeName: "node-a" }),
    stats: () => ({ raft: { state: "Leader" } }),
    reload: () => Promise.resolve(ok(void done.push("reload"))),
    leave: () => void done.push("leave"),
    hostInfo: () => collectHostInfo(".", 1_700_000_000_000),
    metricsSnapshot: () => ({ Timestamp: "", Gauges: [], Points: [], Counters: [], Samples: [] }),
    prometheusRetentionMs: () => options.retentionMs ?? 0,
    prometheusText: () => Promise.resolve("up 1\n"),
    followLog(follower) {
      const stop = agentLog.follow(follower);
      monitors.count++;
      return () => {
        monitors.count--;
        stop();
      };
    },
  };
  const server = createServer({
    ...options,
    more: [
      ...agentRoutes(deps),
      ...tokenRoutes({ setToken: async (name) => void done.push(`token ${name}`) }),
      ...(options.more ?? []),
    ],
  });
  const { clock } = server.world;
  const agentLog = createLog({ level: "error", json: false, write: () => {}, clock });
  const own = describeOwnNode({
    name: "node-a",
    id: "aaaaaaaa-0000-4000-8000-000000000001",
    advertiseAddress: "127.0.0.1",
    advertiseWanAddress: "127.0.0.1",
    nodeMeta: {},
    server: { port: 8300, version: "0" },
  });
  const local = createLocalAgent({
    own: () => own,
    reader: server.state.reader,
    propose: (command) => server.propose(command),
    writerOf: ({ token }) => {
      const found = server.acl.authorizer(token);
      return { rights: found === "ACL not found" ? undefined : found, accessorId: () => "" };
    },
    journal: noJournal,
    probe: () => ({ result: new Promise(() => {}), cancel: () => {} }),
    settings: () => ({
      checkUpdateIntervalMs: 0,
      checkOutputMaxSize: 4096,
      discardCheckOutput: false,
      enableScriptChecks: false,
      enableLocalScriptChecks: false,
    }),
    memberCount: () => 1,
    wake: (topics) => server.waiters.wake(topics),
    clock: server.world.clock,
    timers: server.world.timers,
    random: { uint32: () => 0, uuid: () => "" },
    log: () => {},
  });
  Object.defineProperties(late, Object.getOwnPropertyDescriptors(local));
  if (options.starts !== false) await local.start({ services: [], checks: [] });
  return { server, local, done, monitors, log: agentLog.log };
}
