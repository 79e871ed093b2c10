/**
 * Settings of autopilot, agreed by the log: kept, shown and carried along, to be heeded by clusters of
 * several servers. Consul 1.10 agent/consul/state/autopilot.go.
 */
import { ok, type Result } from "../base.ts";
import type { Change } from "./change.ts";

/** Members as in /v1/operator/autopilot/configuration; the last three are Enterprise's, stored and echoed. */
export type AutopilotFields = {
  readonly cleanupDeadServers: boolean;
  readonly lastContactThresholdMs: number;
  readonly maxTrailingLogs: number;
  readonly minQuorum: number;
  readonly serverStabilizationTimeMs: number;
  readonly redundancyZoneTag: string;
  readonly disableUpgradeMigration: boolean;
  readonly upgradeVersionTag: string;
};

/** The settings in force. */
export type AutopilotRecord = AutopilotFields & {
  readonly createIndex: number;
  readonly modifyIndex: number;
};

/** What a new cluster has. */
const defaults: AutopilotFields = {
  cleanupDeadServers: true,
  lastContactThresholdMs: 200,
  maxTrailingLogs: 250,
  minQuorum: 0,
  serverStabilizationTimeMs: 10_000,
  redundancyZoneTag: "",
  disableUpgradeMigration: false,
  upgradeVersionTag: "",
};

/** The defaults as the first leader's first entry writes them. */
export function defaultAutopilot(index: number): AutopilotRecord {
  return { ...defaults, createIndex: index, modifyIndex: index };
}

/**
 * Replaces all settings, with `cas` only if they were last changed at that index. The second value is
 * what the proposer is told: whether it was done.
 */
export function applyAutopilot(
  held: AutopilotRecord | null,
  command: { config: AutopilotFields; cas: number | null },
  { index }: Pick<Change, "index">,
): { record: AutopilotRecord | null; result: Result<boolean, string> } {
  if (command.cas !== null && held?.modifyIndex !== command.cas)
    return { record: held, result: ok(false) };
  const createIndex = held?.createIndex ?? index;
  return { record: { ...command.config, createIndex, modifyIndex: index }, result: ok(true) };
}
