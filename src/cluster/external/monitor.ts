/**
 * The external monitor: probes what no agent stands beside, and writes what it finds into the catalog.
 * It runs where the leader is; all it must remember over a change of leader stands in the catalog.
 */
import type { Cancel, Clock, Log, Random, Timers } from "../../ports.ts";
import type { Probe } from "../checks/schedule.ts";
import type { Command } from "../command.ts";
import type { Outcome } from "../engine.ts";
import type { CatalogReader, NodeRecord, Topic } from "../model.ts";
import { createWatch, idle, type Watch, type WatchCounts } from "./watch.ts";

/** What the monitor can be told; a reload takes effect at once. */
export type MonitorSettings = {
  readonly enabled: boolean;
  /** Pairs of metadata that mark an external node. */
  readonly nodeMeta: Readonly<Record<string, string>>;
  readonly nodeProbeIntervalMs: number;
  readonly nodeProbeTimeoutMs: number;
  /** Results beyond the first that change a status, unless a check has its own. */
  readonly passingThreshold: number;
  readonly criticalThreshold: number;
  /** A node that cannot be reached for this long is taken out of the catalog; 0: never. */
  readonly nodeReconnectTimeoutMs: number;
  /** Wait before a new output alone is written. */
  readonly checkUpdateIntervalMs: number;
  readonly outputMaxOctets: number;
};

/** Looks whether anything answers at an address. It always settles, at the latest after the timeout. */
export type Reach = (
  at: { address: string; port: number },
  timeoutMs: number,
) => { result: Promise<Reached>; cancel: Cancel };

/** `rttMs`: of the first answer; 0 where none came. */
export type Reached = { alive: boolean; rttMs: number };

/** Figures since the start of the process, and of now. */
export type MonitorFigures = {
  nodes: number;
  checks: number;
  /** Nodes that there was no room for. */
  leftOut: number;
  running: number;
  waiting: number;
  writesWaiting: number;
  probes: { node: number; check: number };
  statusChanges: number;
  written: number;
  conflicts: number;
  removed: { node: number; service: number };
};

export type ExternalMonitor = {
  /** To be called at the start and with every change of leadership. */
  leadershipChanged(isLeader: boolean): void;
  /** To be called with the topics of every applied command. */
  touched(topics: readonly Topic[]): void;
  /** To be called when everything was replaced, and after a reload. */
  restart(): void;
  figures(): MonitorFigures;
  stop(): void;
};

/** What it works with. */
export type MonitorDeps = {
  reader: CatalogReader;
  propose: (command: Command) => Promise<Outcome>;
  probe: Probe;
  reach: Reach;
  settings(): MonitorSettings;
  /** Hears of round-trip times to nodes. */
  measured: (node: NodeRecord, rttMs: number) => void;
  clock: Clock;
  timers: Timers;
  random: Random;
  log: Log;
};

/** Starts idle: until it is told that this server leads. */
export function createExternalMonitor(deps: MonitorDeps): ExternalMonitor {
  const counts: WatchCounts = {
    probes: { node: 0, check: 0 },
    statusChanges: 0,
    written: 0,
    conflicts: 0,
    removed: { node: 0, service: 0 },
  };
  let isLeader = false;
  let watch: Watch | undefined;

  function restart(): void {
    watch?.stop();
    watch = isLeader && deps.settings().enabled ? createWatch(deps, counts) : undefined;
  }

  return {
    leadershipChanged(now) {
      if (now === isLeader) return;
      isLeader = now;
      restart();
    },
    touched: (topics) => watch?.touched(topics),
    restart,
    figures: () => ({ ...counts, ...(watch?.figures() ?? idle) }),
    stop() {
      isLeader = false;
      restart();
    },
  };
}
