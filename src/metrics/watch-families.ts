/** Families of this agent's watches. */
import { counter, gauge, type Family } from "./family.ts";

export const watchFamilies: readonly Family[] = [
  gauge("waypost_watches", "Watches of the configuration.", ({ watches }) => watches().followed),
  gauge(
    "waypost_watch_handlers_running",
    "Handlers of watches under way.",
    ({ watches }) => watches().running,
  ),
  counter("waypost_watch_runs_total", "Runs of handlers begun.", ({ watches }) => watches().runs),
  {
    name: "waypost_watch_failures_total",
    help: "Queries that failed, and runs of handlers.",
    labels: ["kind"],
    type: "counter",
    read({ watches }) {
      const { failedQueries, failedRuns } = watches();
      return [
        { labels: { kind: "query" }, value: failedQueries },
        { labels: { kind: "handler" }, value: failedRuns },
      ];
    },
  },
];
