/** Every metric family in one table: registry, JSON form and README read it. */
import { dnsFamilies, tableFamilies } from "./dns-families.ts";
import { counter, gauge, type Family, type Sources } from "./family.ts";
import { cacheFamilies, forwardFamilies } from "./forward-families.ts";

const logFigure = (name: string) => (sources: Sources) => sources.log()[name] ?? 0;

const catalog: Family[] = [
  gauge("waypost_catalog_nodes", "Nodes in the catalog.", ({ catalog }) => catalog().nodes),
  gauge(
    "waypost_catalog_services",
    "Distinct service names in the catalog.",
    ({ catalog }) => catalog().services,
  ),
  gauge(
    "waypost_catalog_instances",
    "Service instances in the catalog.",
    ({ catalog }) => catalog().instances,
  ),
  gauge("waypost_catalog_checks", "Checks in the catalog.", ({ catalog }) => catalog().checks),
  gauge(
    "waypost_catalog_index",
    "Index of the last applied log entry.",
    ({ catalog }) => catalog().index,
  ),
];

const log: Family[] = [
  gauge("waypost_log_last_index", "Last index in the log.", logFigure("last_index")),
  gauge("waypost_log_term", "Current term.", logFigure("term")),
  gauge("waypost_log_leader", "1 while this server leads.", logFigure("leader")),
  gauge(
    "waypost_log_queue_entries",
    "Proposals waiting to be written.",
    logFigure("queue_entries"),
  ),
  gauge(
    "waypost_log_uncommitted_bytes",
    "Octets of proposals not yet committed.",
    logFigure("uncommitted_octets"),
  ),
  counter("waypost_log_proposals_total", "Commands proposed.", logFigure("propose_total")),
  counter("waypost_log_committed_total", "Commands committed.", logFigure("committed_total")),
  counter("waypost_log_refused_total", "Proposals refused.", logFigure("refused_total")),
  counter(
    "waypost_log_unknown_total",
    "Proposals whose outcome is unknown.",
    logFigure("unknown_total"),
  ),
  counter(
    "waypost_log_commits_total",
    "Durable writes (one fsync each).",
    logFigure("batch_total"),
  ),
  counter(
    "waypost_log_commit_wait_seconds_total",
    "Time that batches waited for their fsync.",
    logFigure("commit_wait_seconds_sum"),
  ),
  counter("waypost_log_snapshots_total", "Snapshots written.", logFigure("snapshot_total")),
  gauge("waypost_log_store_bytes", "Size of the store on disk.", logFigure("store_octets")),
];

const process: Family[] = [
  {
    name: "waypost_http_requests_total",
    help: "HTTP answers, by route, method and status.",
    labels: ["route", "method", "status"],
    type: "counter",
    read: ({ http }) =>
      http().map(({ route, method, status, count }) => ({
        labels: { route, method, status: String(status) },
        value: count,
      })),
  },
  gauge("waypost_http_blocked_queries", "Blocking queries waiting now.", ({ blockedQueries }) =>
    blockedQueries(),
  ),
  {
    name: "waypost_event_loop_lateness_seconds",
    help: "How late the main thread's timers fired.",
    labels: [],
    type: "histogram",
    read: ({ lateness }) => {
      const { boundsSeconds, counts, sumSeconds } = lateness();
      return [{ labels: {}, bounds: boundsSeconds, counts, sum: sumSeconds }];
    },
  },
  {
    name: "waypost_build_info",
    help: "Always 1; the version is in the label.",
    labels: ["version"],
    type: "gauge",
    read: ({ version }) => [{ labels: { version }, value: 1 }],
  },
  counter(
    "process_cpu_seconds_total",
    "CPU time of the process, user and system.",
    (sources) => sources.process().cpuSeconds,
  ),
  gauge(
    "process_resident_memory_bytes",
    "Resident memory of the process.",
    (sources) => sources.process().residentOctets,
  ),
  gauge(
    "process_start_time_seconds",
    "Start of the process, seconds since 1970.",
    (sources) => sources.process().startSeconds,
  ),
  gauge("process_open_fds", "Open descriptors.", (sources) => sources.process().openDescriptors),
];

/** All families in the order of the README. */
export const families: readonly Family[] = [
  ...dnsFamilies,
  ...tableFamilies,
  ...cacheFamilies,
  ...forwardFamilies,
  ...catalog,
  ...log,
  ...process,
];
