/** A catalog with external nodes, and time, answers and the fate of proposals in our hand. */
import type { ProbeResult } from "../../../src/cluster/checks/check.ts";
import type {
  CheckFields,
  Command,
  NodeFields,
  ServiceFields,
} from "../../../src/cluster/command.ts";
import { newCheckFields, type CheckDefinition } from "../../../src/cluster/definition.ts";
import type { Outcome } from "../../../src/cluster/engine.ts";
import type { ExternalEntry } from "../../../src/cluster/external/declared.ts";
import { createKeeper } from "../../../src/cluster/external/keeper.ts";
import {
  createExternalMonitor,
  type MonitorSettings,
} from "../../../src/cluster/external/monitor.ts";
import { createState } from "../../../src/cluster/state.ts";
import type { Timers } from "../../../src/ports.ts";
import { settle } from "../local-world.ts";

const monitorDefaults: MonitorSettings = {
  enabled: true,
  nodeMeta: { "external-node": "true" },
  nodeProbeIntervalMs: 10_000,
  nodeProbeTimeoutMs: 5000,
  passingThreshold: 0,
  criticalThreshold: 0,
  nodeReconnectTimeoutMs: 0,
  checkUpdateIntervalMs: 300_000,
  outputMaxOctets: 4096,
};

const PROBED = { "external-node": "true", "external-probe": "true" };

export const node = (name: string, meta: Record<string, string> | null = PROBED): NodeFields => ({
  node: name,
  id: "",
  address: "db.example",
  taggedAddresses: null,
  meta,
});

export const service = (id: string, over: Partial<ServiceFields> = {}): ServiceFields => ({
  id,
  service: id,
  kind: "",
  tags: [],
  address: "db.example",
  taggedAddresses: null,
  meta: null,
  port: 5432,
  socketPath: "",
  weights: { passing: 1, warning: 1 },
  enableTagOverride: false,
  proxy: null,
  connect: null,
  ...over,
});

/** An HTTP check of a service, every ten seconds. */
export const httpCheck = (
  serviceId: string,
  definition: Record<string, unknown> = {},
  over: Partial<CheckFields> = {},
): CheckFields => ({
  ...newCheckFields,
  checkId: `service:${serviceId}`,
  name: `${serviceId} over HTTP`,
  status: "passing",
  serviceId,
  type: "http",
  definition: { HTTP: `http://${serviceId}.example/`, Interval: "10s", ...definition },
  ...over,
});

export const register = (
  fields: NodeFields,
  serviceFields: ServiceFields | null = null,
  checks: CheckFields[] = [],
): Command => ({
  type: "register",
  node: fields,
  skipNodeUpdate: false,
  service: serviceFields,
  checks,
});

export type World = ReturnType<typeof createWorld>;

export function createWorld(over: Partial<MonitorSettings> = {}) {
  const state = createState();
  const { reader } = state;
  let settings: MonitorSettings = { ...monitorDefaults, ...over };
  let entries: readonly ExternalEntry[] = [];
  let nowMs = 0;
  let index = 0;
  let planned: { atMs: number; run: () => void }[] = [];
  const proposed: Command[] = [];
  const logged: string[] = [];
  const probed: CheckDefinition[] = [];
  /** What a probe of this URL or address finds; nothing listens elsewhere. */
  const answers = new Map<string, ProbeResult>();
  /** Addresses of nodes that answer. */
  const alive = new Set<string>();
  const measured: string[] = [];
  /** Runs between a proposal about this node and its entry. */
  let before: { name: string; run: () => void } | undefined;
  let isRefusing = false;
  const clock = { monotonicMs: () => nowMs, wallMs: () => 1_700_000_000_000 + nowMs };
  const timers: Timers = {
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      planned.push(timer);
      return () => void (planned = planned.filter((other) => other !== timer));
    },
  };
  const log = (level: string, message: string, fields?: object) =>
    void logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);

  function apply(command: Command): Outcome {
    const { result, topics } = state.apply(++index, command, nowMs);
    monitor.touched(topics);
    keeper.touched(topics);
    return { outcome: "committed", index, result };
  }

  async function propose(command: Command): Promise<Outcome> {
    proposed.push(command);
    await Promise.resolve();
    if (isRefusing) return { outcome: "refused", reason: "no leader" };
    if (before !== undefined && JSON.stringify(command).includes(`"node":"${before.name}"`)) {
      const { run } = before;
      before = undefined;
      run();
    }
    return apply(command);
  }

  const monitor = createExternalMonitor({
    reader,
    propose,
    probe(check) {
      probed.push(check);
      const found = answers.get(check.http === "" ? check.tcp : check.http);
      const nobody: ProbeResult = { status: "critical", output: "nobody there" };
      return { result: Promise.resolve(found ?? nobody), cancel: () => {} };
    },
    reach: ({ address }) => ({
      result: Promise.resolve({ alive: alive.has(address), rttMs: 3 }),
      cancel: () => {},
    }),
    settings: () => settings,
    measured: (record, rttMs) => void measured.push(`${record.node} ${rttMs}`),
    clock,
    timers,
    random: { uint32: () => 7, uuid: () => "" },
    log,
  });
  const keeper = createKeeper({
    reader,
    propose,
    settings: () => ({ entries, nodeMeta: settings.nodeMeta }),
    timers,
    log,
  });

  return {
    reader,
    monitor,
    keeper,
    proposed,
    logged,
    probed,
    answers,
    alive,
    measured,
    apply,
    onProposalOf: (name: string, run: () => void) => void (before = { name, run }),
    refuse: (now: boolean) => void (isRefusing = now),
    declare(next: readonly ExternalEntry[]) {
      entries = next;
      keeper.restart();
    },
    configure(change: Partial<MonitorSettings>) {
      settings = { ...settings, ...change };
      monitor.restart();
    },
    lead(isLeader: boolean) {
      monitor.leadershipChanged(isLeader);
      keeper.leadershipChanged(isLeader);
    },
    /** `status output` of a check, "" if there is none. */
    check(name: string, checkId: string): string {
      const record = reader.check(name, checkId);
      return record === undefined ? "" : `${record.status} ${record.output}`;
    },
    /** Time passes: timers run in order, and what they start settles. */
    async pass(ms: number) {
      const endMs = nowMs + ms;
      for (;;) {
        planned.sort((a, b) => a.atMs - b.atMs);
        const next = planned[0];
        if (next === undefined || next.atMs > endMs) break;
        planned.shift();
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
        await settle();
      }
      nowMs = endMs;
      await settle();
    },
  };
}
