/** Families of this agent's own services and checks. */
import { gauge, type Family } from "./family.ts";

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
  gauge(
    "waypost_agent_unsynced",
    "Services and checks that the catalog does not have as they are.",
    ({ local }) => local().unsynced,
  ),
];
