import type { Kind, Limits, Option } from "./kinds.ts";

const cluster = "this version runs one server on its own";
const mesh = "service mesh is left out";
const enterprise = "this belongs to Consul Enterprise";
const tls = "only the HTTP API speaks TLS yet";
const push = "metrics are read from /metrics, not sent";
const store = "the log is kept by another store";
const local = "answers come from local state, never older than a cache";
const limits = "other bounds hold";

type Row = [
  kind: Kind,
  why: string,
  more?: Limits & Pick<Option, "flag" | "silent" | "anyIsSilent" | "secret">,
];

const off = { silent: false };
const on = { silent: true };
const closed = { silent: -1 };
const always = { anyIsSilent: true };

/** Consul's keys that are accepted and do nothing, with the reason that the warning gives. */
const rows: Record<string, Row> = {
  join: ["texts", cluster, { flag: "-join" }],
  join_wan: ["texts", cluster, { flag: "-join-wan" }],
  retry_join: ["texts", cluster, { flag: "-retry-join" }],
  retry_join_wan: ["texts", cluster, { flag: "-retry-join-wan" }],
  retry_interval: ["durationMs", cluster, { flag: "-retry-interval" }],
  retry_interval_wan: ["durationMs", cluster, { flag: "-retry-interval-wan" }],
  retry_max: ["integer", cluster, { flag: "-retry-max" }],
  retry_max_wan: ["integer", cluster, { flag: "-retry-max-wan" }],
  rejoin_after_leave: ["boolean", cluster, { flag: "-rejoin", ...off }],
  encrypt_verify_incoming: ["boolean", cluster],
  encrypt_verify_outgoing: ["boolean", cluster],
  serf_lan: ["text", cluster, { flag: "-serf-lan-bind" }],
  serf_wan: ["text", cluster, { flag: "-serf-wan-bind" }],
  serf_lan_allowed_cidrs: ["texts", cluster, { flag: "-serf-lan-allowed-cidrs" }],
  serf_wan_allowed_cidrs: ["texts", cluster, { flag: "-serf-wan-allowed-cidrs" }],
  gossip_lan: ["anything", cluster],
  gossip_wan: ["anything", cluster],
  reconnect_timeout: ["durationMs", cluster],
  reconnect_timeout_wan: ["durationMs", cluster],
  advertise_reconnect_timeout: ["durationMs", cluster],
  read_replica: ["boolean", cluster, { flag: "-read-replica", ...off }],
  non_voting_server: ["boolean", cluster, { flag: "-non-voting-server", ...off }],
  rpc: ["anything", cluster],
  use_streaming_backend: ["boolean", cluster],
  autopilot: ["anything", cluster],
  protocol: ["integer", cluster, { flag: "-protocol" }],
  raft_protocol: ["integer", cluster, { flag: "-raft-protocol" }],
  "performance.raft_multiplier": [
    "integer",
    "one server has no election to time",
    { min: 1, max: 10, ...always },
  ],
  "performance.leave_drain_time": ["durationMs", cluster],
  "performance.rpc_hold_timeout": ["durationMs", cluster],
  "performance.grpc_keepalive_interval": ["durationMs", cluster],
  "performance.grpc_keepalive_timeout": ["durationMs", cluster],
  server_rejoin_age_max: ["durationMs", cluster],
  enable_central_service_config: ["boolean", mesh],
  raft_boltdb: ["anything", store],
  raft_logstore: ["anything", store],
  raft_prevote_disabled: ["boolean", cluster],
  "addresses.grpc": ["text", mesh, { silent: "" }],
  "addresses.grpc_tls": ["text", mesh, { silent: "" }],
  "ports.grpc": ["integer", mesh, { flag: "-grpc-port", ...closed }],
  "ports.grpc_tls": ["integer", mesh, { flag: "-grpc-tls-port", ...closed }],
  "ports.proxy_min_port": ["integer", mesh],
  "ports.proxy_max_port": ["integer", mesh],
  "ports.sidecar_min_port": ["integer", mesh],
  "ports.sidecar_max_port": ["integer", mesh],
  "ports.expose_min_port": ["integer", mesh],
  "ports.expose_max_port": ["integer", mesh],
  tls_prefer_server_cipher_suites: ["boolean", "the server's order holds", always],
  verify_incoming_rpc: ["boolean", tls, off],
  "tls.defaults.verify_outgoing": ["boolean", tls, off],
  "tls.https.verify_outgoing": ["boolean", tls, off],
  verify_server_hostname: ["boolean", tls, off],
  "tls.defaults.verify_server_hostname": ["boolean", tls, off],
  "tls.internal_rpc": ["anything", tls],
  "tls.grpc": ["anything", mesh],
  auto_encrypt: ["anything", tls],
  auto_config: ["anything", tls],
  auto_reload_config: ["boolean", "reload with SIGHUP", { flag: "-auto-reload-config", ...off }],
  "acl.down_policy": ["text", cluster],
  "acl.enable_token_replication": ["boolean", cluster, off],
  "acl.policy_ttl": ["durationMs", local],
  "acl.role_ttl": ["durationMs", local],
  "acl.token_ttl": ["durationMs", local],
  "acl.msp_disable_bootstrap": ["boolean", enterprise],
  "acl.tokens.replication": ["text", cluster, { secret: true, silent: "" }],
  "acl.tokens.managed_service_provider": ["anything", enterprise],
  "dns_config.use_cache": ["boolean", local, always],
  "dns_config.cache_max_age": ["durationMs", local, { min: 0, ...always }],
  "dns_config.prefer_namespace": ["boolean", enterprise, off],
  cache: ["anything", local],
  "limits.https_handshake_timeout": [
    "durationMs",
    "handshake and header of the first request have 12 seconds together",
    { silent: 5000 },
  ],
  "limits.rpc_handshake_timeout": ["durationMs", cluster],
  "limits.rpc_client_timeout": ["durationMs", cluster],
  "limits.rpc_rate": ["number", cluster],
  "limits.rpc_max_burst": ["integer", cluster],
  "limits.rpc_max_conns_per_client": ["integer", cluster],
  "limits.request_limits": ["anything", limits],
  connect: ["anything", mesh],
  config_entries: ["anything", mesh],
  primary_gateways: ["texts", mesh, { flag: "-primary-gateway" }],
  primary_gateways_interval: ["durationMs", mesh],
  peering: ["anything", mesh],
  xds: ["anything", mesh],
  segment: ["text", enterprise, { flag: "-segment", silent: "" }],
  segments: ["anything", enterprise],
  partition: ["text", enterprise, { silent: "" }],
  audit: ["anything", enterprise],
  license_path: ["text", enterprise, { silent: "" }],
  cloud: ["anything", "there is no cloud service"],
  experiments: ["texts", "there are none"],
  default_intention_policy: ["text", mesh],
  locality: ["anything", mesh],
  reporting: ["anything", enterprise],
  "telemetry.statsd_address": ["text", push, { silent: "" }],
  "telemetry.statsite_address": ["text", push, { silent: "" }],
  "telemetry.dogstatsd_addr": ["text", push, { silent: "" }],
  "telemetry.dogstatsd_tags": ["texts", push],
  "telemetry.enable_host_metrics": ["boolean", "host metrics are left to node exporters", off],
  "telemetry.retry_failed_connection": ["boolean", push],
  "telemetry.disable_compat_1.9": ["boolean", "there are no names of 1.9", on],
  "telemetry.disable_per_tenancy_usage_metrics": ["boolean", enterprise],
  ...circonus(),
  ui: ["boolean", "there is no web page yet", { flag: "-ui", ...off }],
  ui_dir: ["text", "there is no web page yet", { flag: "-ui-dir" }],
  ui_content_path: ["text", "there is no web page yet", { flag: "-ui-content-path" }],
  ui_config: ["anything", "there is no web page yet"],
  enable_debug: ["boolean", "there is no profiler yet", off],
  enable_syslog: ["boolean", "the log goes to standard error", { flag: "-syslog", ...off }],
  syslog_facility: ["text", "the log goes to standard error"],
  disable_host_node_id: ["boolean", "ids are random", { flag: "-disable-host-node-id", ...on }],
  disable_update_check: ["boolean", "no update is looked up, ever", always],
  disable_anonymous_signature: ["boolean", "nothing is reported, ever", always],
};

function circonus(): Record<string, Row> {
  const names = ["api_token", "api_app", "api_url", "submission_interval", "submission_url"];
  names.push("check_id", "check_force_metric_activation", "check_instance_id", "check_search_tag");
  names.push("check_display_name", "check_tags", "broker_id", "broker_select_tag");
  return Object.fromEntries(names.map((name) => [`telemetry.circonus_${name}`, ["text", push]]));
}

const empty = {
  text: "",
  integer: 0,
  number: 0,
  boolean: false,
  durationMs: 0,
  octets: 0,
  texts: [],
  paths: [],
  textMap: {},
  durationMap: {},
  anything: undefined,
} as const;

/** The same keys as rows of the option table. */
export const withoutEffect: Readonly<Record<string, Option>> = Object.fromEntries(
  Object.entries(rows).map(([key, [kind, why, more = {}]]) => [
    key,
    { kind, default: empty[kind], doc: why, withoutEffect: why, ...more },
  ]),
);
