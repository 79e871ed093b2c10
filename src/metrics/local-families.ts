/** Families of this agent's own services and checks. */
import { counter, gauge, type Family, type Sample } from "./family.ts";

export const localFamilies: readonly Family[] = [
  gauge("waypost_agent_services", "Services of this agent.", ({ local }) => local().services),
  {
    name: "waypost_agent_checks",
    help: "Checks of this agent, by kind and status.",
    labels: ["kind", "status"],
    type: "gauge",
    read: ({ local }) =>
      local().checks.map(({ kind, status, count }) => ({ labels: { kind, status }, value: count })),
  },
  gauge("waypost_agent_probes_running", "Probes under way.", ({ local }) => local().runningProbes),
  gauge(
    "waypost_agent_probes_waiting",
    "Probes that are due and wait for a place.",
    ({ local }) => local().waitingProbes,
  ),
  {
    name: "waypost_agent_check_runs_total",
    help: "Runs of checks that ended, by kind and by what they found (before thresholds).",
    labels: ["kind", "status"],
    type: "counter",
    read: ({ local }) => local().runs.flatMap(({ kind, runs }) => byStatus(kind, runs)),
  },
  {
    name: "waypost_agent_check_duration_seconds",
    help: "How long runs of checks took.",
    labels: ["kind"],
    type: "histogram",
    read: ({ local }) =>
      local().runs.map(({ kind, durationBounds, durationCounts, durationSum }) => ({
        labels: { kind },
        bounds: durationBounds,
        counts: durationCounts,
        sum: durationSum,
      })),
  },
  {
    name: "waypost_agent_check_skipped_total",
    help: "Runs that were passed over: the one before had not ended, or the process stood still.",
    labels: ["kind"],
    type: "counter",
    read: ({ local }) =>
      local().runs.map(({ kind, skipped }) => ({ labels: { kind }, value: skipped })),
  },
  {
    name: "waypost_agent_check_changes_total",
    help: "Changes of status, by kind and by the status after it.",
    labels: ["kind", "status"],
    type: "counter",
    read: ({ local }) => local().runs.flatMap(({ kind, changes }) => byStatus(kind, changes)),
  },
  gauge(
    "waypost_agent_unsynced",
    "Services and checks that the catalog does not have as they are.",
    ({ local }) => local().sync.pending,
  ),
  gauge(
    "waypost_agent_checks_flapping",
    "Checks whose status changes so often that better states are written later.",
    ({ local }) => local().sync.flapping,
  ),
  counter(
    "waypost_agent_status_held_total",
    "States of flapping checks that were not written to the catalog when they came.",
    ({ local }) => local().sync.heldTotal,
  ),
  counter(
    "waypost_agent_status_commands_total",
    "Commands with nothing but states of checks, up to 128 checks in each.",
    ({ local }) => local().sync.statusCommands,
  ),
  counter(
    "waypost_agent_repair_commands_total",
    "Commands that put right what somebody else had changed of this node.",
    ({ local }) => local().sync.repairCommands,
  ),
  gauge(
    "waypost_agent_acl_blocked",
    "Services and checks that are not in the catalog as they are because their tokens may not write them.",
    ({ local }) => local().sync.blocked,
  ),
];

function byStatus(kind: string, counts: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(counts).map(([status, value]) => ({ labels: { kind, status }, value }));
}
