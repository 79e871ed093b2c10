/** Families of what has no agent of its own. */
import { counter, gauge, type Family } from "./family.ts";

export const externalFamilies: readonly Family[] = [
  gauge(
    "waypost_external_nodes",
    "External nodes that are probed; 0 unless this server leads.",
    ({ external }) => external().nodes,
  ),
  gauge("waypost_external_checks", "Their checks.", ({ external }) => external().checks),
  gauge(
    "waypost_external_left_out_nodes",
    "External nodes that there was no room for.",
    ({ external }) => external().leftOut,
  ),
  gauge(
    "waypost_external_probes_running",
    "Probes of them under way.",
    ({ external }) => external().running,
  ),
  gauge(
    "waypost_external_probes_waiting",
    "Probes of them that are due and wait for a place.",
    ({ external }) => external().waiting,
  ),
  {
    name: "waypost_external_probes_total",
    help: "Probes begun, of nodes and of checks.",
    labels: ["kind"],
    type: "counter",
    read: ({ external }) =>
      Object.entries(external().probes).map(([kind, value]) => ({ labels: { kind }, value })),
  },
  counter(
    "waypost_external_status_changes_total",
    "Changes of status that the monitor wrote.",
    ({ external }) => external().statusChanges,
  ),
  counter(
    "waypost_external_writes_total",
    "Records that the monitor wrote.",
    ({ external }) => external().written,
  ),
  counter(
    "waypost_external_write_conflicts_total",
    "Results left aside because the record had changed meanwhile.",
    ({ external }) => external().conflicts,
  ),
  gauge(
    "waypost_external_writes_waiting",
    "Results on their way into the catalog.",
    ({ external }) => external().writesWaiting,
  ),
  {
    name: "waypost_external_removed_total",
    help: "Nodes and services that were out of reach for too long.",
    labels: ["kind"],
    type: "counter",
    read: ({ external }) =>
      Object.entries(external().removed).map(([kind, value]) => ({ labels: { kind }, value })),
  },
  counter(
    "waypost_external_services_written_total",
    "Registrations of external_services, first ones and restored ones.",
    ({ external }) => external().restored,
  ),
];
