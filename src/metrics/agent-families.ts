/** Families of the agent as a whole, as CoreDNS has them: health, reload, build, parts that are on. */
import { gauge, only, type Family, type Sample } from "./family.ts";

/** Bounds of the time that /health takes: CoreDNS's. */
export const HEALTH_BOUNDS_SECONDS = [0.00025, 0.0025, 0.025, 0.25, 2.5] as const;

export const agentFamilies: readonly Family[] = [
  {
    name: "waypost_build_info",
    help: "Always 1; the version is in the label.",
    labels: ["version", "revision", "goversion"],
    type: "gauge",
    coredns: {},
    // Its labels, so that tables which show them find them: the runtime stands in the place of Go.
    read: ({ version, runtime }) => [
      { labels: { version, revision: "", goversion: runtime }, value: 1 },
    ],
  },
  {
    name: "waypost_panics_total",
    help: "Mistakes of this program: questions that cost one their answer (SERVFAIL), DNS worker threads that ended and were replaced.",
    labels: [],
    type: "counter",
    coredns: {},
    read: ({ dns, faults }) => only(dns().workerRestarts + faults()),
  },
  {
    name: "waypost_plugin_enabled",
    help: "Parts that answer at a listener, by zone; always 1.",
    labels: ["server", "zone", "view", "name"],
    type: "gauge",
    coredns: {},
    read: ({ servers, parts }) =>
      servers().flatMap((server) =>
        parts().map(({ zone, name }): Sample => ({
          labels: { server, zone, view: "", name },
          value: 1,
        })),
      ),
  },
  {
    name: "waypost_reload_failed_total",
    help: "Reloads that were refused because of mistakes in the configuration.",
    labels: [],
    type: "counter",
    coredns: {},
    read: ({ reloads }) => only(reloads().failed),
  },
  {
    name: "waypost_reload_version_info",
    help: "Always 1; the digest of the configuration in force, without its secrets, is in the label.",
    labels: ["hash", "value"],
    type: "gauge",
    coredns: {},
    read: ({ reloads }) => [{ labels: { hash: "sha512", value: reloads().digest() }, value: 1 }],
  },
  {
    name: "waypost_health_request_duration_seconds",
    help: "Time that /health of metrics.address took to answer ourselves, asked every second.",
    labels: [],
    type: "histogram",
    coredns: {},
    read({ health }) {
      const figures = health();
      return figures === null
        ? []
        : [{ labels: {}, bounds: HEALTH_BOUNDS_SECONDS, ...figures.durations }];
    },
  },
  {
    name: "waypost_health_request_failures_total",
    help: "Times that it did not.",
    labels: [],
    type: "counter",
    coredns: {},
    read: ({ health }) => only(health()?.failures ?? 0),
  },
  gauge("waypost_ready", "1 while /ready says OK.", ({ ready }) => (ready() ? 1 : 0)),
];
