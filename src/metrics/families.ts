/** Every metric family in one table: registry, JSON form and README read it. */
import { agentFamilies } from "./agent-families.ts";
import { cacheUseFamilies, exchangeFamilies } from "./exchange-families.ts";
import { dnsFamilies, tableFamilies } from "./dns-families.ts";
import { externalFamilies } from "./external-families.ts";
import { counter, gauge, type Family } from "./family.ts";
import { cacheFamilies, forwardFamilies } from "./forward-families.ts";
import { filterFamilies } from "./filter-families.ts";
import { hostFamilies } from "./host-families.ts";
import { localDataFamilies } from "./local-data-families.ts";
import { localFamilies } from "./local-families.ts";
import { logFamilies } from "./log-families.ts";
import { watchFamilies } from "./watch-families.ts";

const catalog: Family[] = [
  {
    name: "waypost_catalog_queries_total",
    help: "DNS replies for services of the catalog, by service and RCODE, for the first metrics.services of them.",
    labels: ["service", "rcode"],
    type: "counter",
    read: ({ services }) =>
      services().map(({ service, rcode, count }) => ({ labels: { service, rcode }, value: count })),
  },
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
  ...exchangeFamilies,
  ...dnsFamilies,
  ...tableFamilies,
  ...cacheUseFamilies,
  ...cacheFamilies,
  ...forwardFamilies,
  ...filterFamilies,
  ...localDataFamilies,
  ...catalog,
  ...logFamilies,
  ...localFamilies,
  ...externalFamilies,
  ...watchFamilies,
  ...hostFamilies,
  ...agentFamilies,
  ...process,
];
