/** This agent's own services and checks, and what its checks may reach. */
import { socketBudget } from "../cluster/checks/dial/driver.ts";
import { createProbe } from "../cluster/checks/driver.ts";
import type { Probe } from "../cluster/checks/schedule.ts";
import { createLocalJournal } from "../cluster/journal/driver.ts";
import { createLocalAgent, type LocalAgent, type LocalAgentDeps } from "../cluster/local-agent.ts";
import { noJournal } from "../cluster/local-store.ts";
import { describeOwnNode } from "../cluster/own-node.ts";
import type { LoadedConfig } from "../config.ts";
import type { HostAddresses } from "../dns/host-addresses.ts";
import { consulVersion } from "../version.ts";
import { lendableJournal, type Lendable, type Lending } from "./lending.ts";
import { localSettings } from "./settings.ts";
import type { Platform } from "./start.ts";

type Given = Pick<LocalAgentDeps, "reader" | "propose" | "writerOf" | "wake" | "log">;

/**
 * The local agent, with its journal below `dataDir` (without one nothing is kept), and a probe for
 * checks that strangers may write: it runs no program, and asks `findAddresses` before the system. `now` is the configuration in force.
 */
export function createLocal(
  deps: Given & {
    nodeId: string;
    dataDir: string | undefined;
    lending: Lending;
    now: () => LoadedConfig;
    platform: Platform;
    findAddresses: HostAddresses;
  },
): { local: LocalAgent; probe: Probe; journal: Lendable } {
  const { nodeId, dataDir, lending, now, platform, findAddresses, ...given } = deps;
  const { clock, timers, random, openPipe, dockerHost, environment } = platform;
  const { config, addresses } = now();
  const reach = {
    denyLinkLocal: config.deny_link_local_checks,
    agentTls: () => now().checkTls,
    environment,
  };
  const sockets = socketBudget();
  const openJournal = () =>
    dataDir === undefined ? noJournal : createLocalJournal(dataDir, { timers, ...given });
  const journal = lendableJournal(openJournal, lending);
  const local = createLocalAgent({
    ...given,
    own: () =>
      describeOwnNode({
        name: config.node_name,
        id: nodeId,
        advertiseAddress: addresses.advertise,
        advertiseWanAddress: addresses.advertiseWan,
        nodeMeta: now().config.node_meta,
        server: { port: config["ports.server"], version: consulVersion },
      }),
    journal,
    probe: createProbe({ ...reach, programs: { openPipe, dockerHost } }),
    ...(sockets === undefined ? {} : { maxSockets: sockets }),
    settings: () => localSettings(now()),
    memberCount: () => 1,
    clock,
    timers,
    random,
  });
  return { local, probe: createProbe({ ...reach, findAddresses }), journal };
}
