/** Rows of the option table for metrics. */
import { row, type Option } from "./kinds.ts";

/** Options of what this agent tells of itself, by dotted key. */
export const telemetryOptions = {
  "metrics.address": row(
    "text",
    "",
    "A listener for /metrics, /health and /ready alone, such as 127.0.0.1:9153; empty: none.",
  ),
  "metrics.lameduck": row(
    "durationMs",
    0,
    "How long, at the end, /ready says 503 and everything else still answers.",
    { min: 0, max: 600_000 },
  ),
  "metrics.services": row(
    "integer",
    0,
    "Services of the catalog with a label of their own in waypost_catalog_queries_total, the first that are asked for; the others are one. 0: it is not counted.",
    { min: 0, max: 254 },
  ),
  "metrics.coredns_compat": row(
    "boolean",
    false,
    "Show what CoreDNS has as well a second time, under its names: coredns_…",
  ),
  "telemetry.prometheus_retention_time": row(
    "durationMs",
    0,
    "Above 0: /v1/agent/metrics?format=prometheus answers.",
    { min: 0 },
  ),
  "telemetry.disable_hostname": row("boolean", false, "Gauge names without the host name."),
  "telemetry.metrics_prefix": row("text", "consul", "First word of the JSON metric names."),
  "telemetry.prefix_filter": row(
    "texts",
    [],
    "JSON metrics kept (`+prefix`) and left out (`-prefix`); the longest prefix decides.",
  ),
  "telemetry.filter_default": row("boolean", true, "Keep JSON metrics without such a prefix."),
} as const satisfies Record<string, Option>;
