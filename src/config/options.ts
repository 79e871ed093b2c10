import { accessOptions } from "./forwarder/access.ts";
import { localOptions } from "./forwarder/local-options.ts";
import { listenOptions } from "./forwarder/listen.ts";
import { forwarderOptions } from "./forwarder/options.ts";
import { telemetryOptions } from "./telemetry-options.ts";
import { row, type Kinds, type More, type Option } from "./kinds.ts";
import { withoutEffect } from "./without-effect.ts";

const port = { min: -1, max: 65535 };
/** Consul 1.10's words and those of 1.12; the words of an option are matched in any case. */
const tlsVersions = ["tls10", "tls11", "tls12", "tls13"].flatMap((old, i) => [old, `tlsv1_${i}`]);
const reload = { reloadable: true };
/** In base64 with its key it has to fit in a frame of a snapshot (8 MiB), with others in what may wait for the disk (16 MiB). */
const VALUE_OCTETS_MAX = 4 * 1024 * 1024;
/** Timers of the runtime take at most 2^31 - 1 ms. */
const WEEK_MS = 7 * 24 * 3_600_000;

/** Options that do something, by Consul's dotted key; the last block is our own. */
const used = {
  node_name: row("text", "", "Name of this node; empty: the host name.", { flag: "-node" }),
  node_id: row("text", "", "UUID of this node; empty: drawn once, kept in data_dir.", {
    flag: "-node-id",
  }),
  node_meta: row("textMap", {}, "Metadata of this node, at most 64 pairs.", {
    flag: "-node-meta",
    ...reload,
  }),
  datacenter: row("text", "dc1", "Datacenter, in lower case.", { flag: "-datacenter" }),
  primary_datacenter: row("text", "", "Datacenter that leads in ACLs; empty: datacenter."),
  domain: row("text", "consul.", "Domain of the discovery names.", { flag: "-domain" }),
  alt_domain: row("text", "", "Second domain with the same names.", { flag: "-alt-domain" }),
  server: row("boolean", false, "Run as a server. This version always does.", { flag: "-server" }),
  leave_on_terminate: row(
    "boolean",
    false,
    "SIGTERM lets the agent leave and end with 0, not with 1. Where `server` is false it does unless this says no.",
  ),
  skip_leave_on_interrupt: row(
    "boolean",
    true,
    "SIGINT ends the agent with 1. Where `server` is false it leaves and ends with 0 unless this says yes.",
  ),
  bootstrap: row("boolean", false, "A server that elects itself.", { flag: "-bootstrap" }),
  bootstrap_expect: row("integer", 0, "Servers to wait for; this version runs one.", {
    flag: "-bootstrap-expect",
    min: 0,
  }),
  data_dir: row("text", "", "Directory of everything that must survive a restart.", {
    flag: "-data-dir",
  }),
  encrypt: row("text", "", "First key of the keyring: 16, 24 or 32 octets in base64.", {
    flag: "-encrypt",
    secret: true,
  }),
  disable_keyring_file: row("boolean", false, "Keep the keyring in memory only.", {
    flag: "-disable-keyring-file",
  }),
  raft_snapshot_threshold: row("integer", 0, "Log entries that make a snapshot due; 0: 16384.", {
    min: 0,
  }),
  raft_snapshot_interval: row("durationMs", 0, "Time between looks at that; 0: 30s.", {
    min: 0,
    max: WEEK_MS,
  }),
  raft_trailing_logs: row("integer", 0, "Log entries kept below a snapshot; 0: 10240.", { min: 0 }),
  bind_addr: row("text", "0.0.0.0", "Address of this node; a template is allowed.", {
    flag: "-bind",
  }),
  advertise_addr: row("text", "", "Address told to others; empty: bind_addr.", {
    flag: "-advertise",
  }),
  advertise_addr_wan: row("text", "", "The same for other datacenters.", {
    flag: "-advertise-wan",
  }),
  client_addr: row("text", "127.0.0.1", "Addresses of DNS and HTTP, separated by blanks.", {
    flag: "-client",
  }),
  "addresses.dns": row("text", "", "Addresses of DNS; empty: client_addr.", reload),
  "addresses.http": row("text", "", "Addresses of HTTP, also unix:///path; empty: client_addr."),
  "addresses.https": row("text", "", "Addresses of HTTPS, as for addresses.http."),
  "ports.dns": row("integer", 8600, "UDP and TCP port of DNS; -1: none.", {
    flag: "-dns-port",
    ...port,
    ...reload,
  }),
  "ports.dns_tls": row(
    "integer",
    -1,
    "Port of DNS over TLS (RFC 7858), 853 usually; -1: none.",
    port,
  ),
  "ports.dns_https": row(
    "integer",
    -1,
    "Port of DNS over HTTPS (RFC 8484, at /dns-query), 443 usually; -1: none.",
    port,
  ),
  "ports.http": row("integer", 8500, "Port of the HTTP API; -1: none.", {
    flag: "-http-port",
    ...port,
  }),
  "ports.https": row("integer", -1, "Port of the HTTP API over TLS; -1: none.", {
    flag: "-https-port",
    ...port,
  }),
  "ports.server": row("integer", 8300, "Shown in the member list; nothing listens yet.", {
    flag: "-server-port",
    ...port,
  }),
  "ports.serf_lan": row("integer", 8301, "Shown in the member list; nothing listens yet.", {
    flag: "-serf-lan-port",
    ...port,
  }),
  "ports.serf_wan": row("integer", 8302, "Shown in the member list; nothing listens yet.", {
    flag: "-serf-wan-port",
    ...port,
  }),
  "tls.defaults.cert_file": row(
    "text",
    "",
    "File with the certificate, then those that signed it (PEM).",
    reload,
  ),
  "tls.defaults.key_file": row("text", "", "File with its private key (PEM).", reload),
  "tls.defaults.ca_file": row(
    "text",
    "",
    "File with the certificates that sign clients' (PEM).",
    reload,
  ),
  "tls.defaults.ca_path": row("text", "", "Directory of such files.", reload),
  "tls.defaults.verify_incoming": row("boolean", false, "Clients must show a certificate.", reload),
  "tls.defaults.tls_min_version": row("text", "tlsv1_2", "Oldest TLS that is spoken.", {
    words: tlsVersions,
    ...reload,
  }),
  "tls.defaults.tls_cipher_suites": row("text", "", "Suites of TLS 1.2, Go's names, by commas.", {
    ...reload,
  }),
  server_name: row(
    "text",
    "",
    "Name in certificates of services that checks look at; node_name.",
    reload,
  ),
  enable_agent_tls_for_checks: row(
    "boolean",
    false,
    "Checks over TLS show this agent's certificate and trust its authorities.",
    reload,
  ),
  "tls.https.cert_file": row("text", "", "The same for HTTPS alone.", reload),
  "tls.https.key_file": row("text", "", "The same for HTTPS alone.", reload),
  "tls.https.ca_file": row("text", "", "The same for HTTPS alone.", reload),
  "tls.https.ca_path": row("text", "", "The same for HTTPS alone.", reload),
  "tls.https.verify_incoming": row("boolean", false, "The same for HTTPS alone.", reload),
  "tls.https.tls_min_version": row("text", "tlsv1_2", "The same for HTTPS alone.", {
    words: tlsVersions,
    ...reload,
  }),
  "tls.https.tls_cipher_suites": row("text", "", "The same for HTTPS alone.", reload),
  "tls.dns.cert_file": row("text", "", "The same for DNS over TLS and HTTPS.", reload),
  "tls.dns.key_file": row("text", "", "The same for DNS over TLS and HTTPS.", reload),
  "tls.dns.ca_file": row("text", "", "The same for DNS over TLS and HTTPS.", reload),
  "tls.dns.ca_path": row("text", "", "The same for DNS over TLS and HTTPS.", reload),
  "tls.dns.verify_incoming": row("boolean", false, "The same for DNS over TLS and HTTPS.", reload),
  "tls.dns.tls_min_version": row("text", "tlsv1_2", "The same for DNS over TLS and HTTPS.", {
    words: tlsVersions,
    ...reload,
  }),
  "tls.dns.tls_cipher_suites": row("text", "", "The same for DNS over TLS and HTTPS.", reload),
  verify_incoming_https: row("boolean", false, "Old name; true wins over the ones above.", reload),
  "unix_sockets.mode": row("text", "", "Rights of Unix sockets, octal; empty: by the umask."),
  "unix_sockets.user": row("text", "", "Owner of Unix sockets, name or number."),
  "unix_sockets.group": row("text", "", "Group of Unix sockets, name or number."),
  recursors: row(
    "texts",
    [],
    "Upstream servers for names outside the domain, in order: addresses or names, also with tcp://, tls:// or https:// before them.",
    {
      flag: "-recursor",
      ...reload,
    },
  ),
  "dns_config.allow_stale": row("boolean", true, "Answer without asking the leader.", reload),
  "dns_config.max_stale": row("durationMs", 315_360_000_000, "Oldest data for such answers.", {
    min: 0,
    ...reload,
  }),
  "dns_config.node_ttl": row("durationMs", 0, "TTL of node answers.", { min: 0, ...reload }),
  "dns_config.service_ttl": row("durationMap", {}, "TTL per service name; `*` is a wildcard.", {
    ...reload,
  }),
  "dns_config.only_passing": row("boolean", false, "Leave out instances in warning.", reload),
  "dns_config.udp_answer_limit": row("integer", 3, "Answers over UDP without EDNS, at most 8.", {
    min: 0,
    ...reload,
  }),
  "dns_config.a_record_limit": row("integer", 0, "Address records per answer; 0: all.", {
    min: 0,
    ...reload,
  }),
  "dns_config.enable_truncate": row("boolean", false, "Set TC when answers were cut.", reload),
  "dns_config.disable_compression": row("boolean", false, "No name compression.", reload),
  "dns_config.enable_additional_node_meta_txt": row(
    "boolean",
    true,
    "Node metadata as TXT beside SRV answers.",
    reload,
  ),
  "dns_config.soa.refresh": row("integer", 3600, "SOA REFRESH, seconds.", { min: 0, ...reload }),
  "dns_config.soa.retry": row("integer", 600, "SOA RETRY, seconds.", { min: 0, ...reload }),
  "dns_config.soa.expire": row("integer", 86400, "SOA EXPIRE, seconds.", { min: 0, ...reload }),
  "dns_config.soa.min_ttl": row("integer", 0, "SOA MINIMUM, seconds.", { min: 0, ...reload }),
  "dns_config.recursor_timeout": row("durationMs", 2000, "Wait per upstream server.", {
    min: 1,
    ...reload,
  }),
  "dns_config.recursor_strategy": row("text", "sequential", "Order of the upstream servers.", {
    words: ["sequential", "random", "fastest", "parallel"],
    ...reload,
  }),
  translate_wan_addrs: row("boolean", false, "Give `wan` addresses to other datacenters.", reload),
  "acl.enabled": row("boolean", false, "Check tokens."),
  "acl.default_policy": row("text", "allow", "What holds without a rule.", {
    words: ["allow", "deny"],
  }),
  "acl.enable_key_list_policy": row("boolean", false, "Lists of keys need `list` on the prefix."),
  "acl.enable_token_persistence": row("boolean", false, "Keep tokens that are set at run time."),
  "acl.tokens.initial_management": secret("First management token."),
  "acl.tokens.agent": secret(
    "Token for `exec`: jobs are read and results written with it; empty: the default token.",
    reload,
  ),
  "acl.tokens.agent_recovery": secret("Token for the agent API without servers.", reload),
  "acl.tokens.default": secret("Token of requests without one.", reload),
  "acl.tokens.config_file_service_registration": secret(
    "Token of services and checks of the configuration that name none.",
    reload,
  ),
  "acl.tokens.dns": secret("Token of DNS lookups; empty: the default token.", reload),
  disable_remote_exec: row("boolean", true, "Ignore orders of `exec` to run programs here."),
  check_update_interval: row("durationMs", 300_000, "Wait before a new output alone is written.", {
    min: 0,
  }),
  check_output_max_size: row("integer", 4096, "Octets of check output that are kept.", {
    flag: "-check_output_max_size",
    min: 1,
  }),
  discard_check_output: row("boolean", false, "Keep no check output at all.", reload),
  enable_script_checks: row("boolean", false, "Allow checks that run programs, also by API.", {
    flag: "-enable-script-checks",
  }),
  enable_local_script_checks: row("boolean", false, "The same, from configuration files only.", {
    flag: "-enable-local-script-checks",
  }),
  allow_unprotected_script_checks: row(
    "boolean",
    false,
    "Start though enable_script_checks lets whoever reaches HTTP run programs.",
  ),
  deny_link_local_checks: row(
    "boolean",
    false,
    "Refuse checks over the network of 169.254.0.0/16, fe80::/10 and fd00:ec2::254 (cloud metadata).",
  ),
  "external_monitor.enabled": row("boolean", true, "Probe external nodes that ask for it.", reload),
  "external_monitor.node_meta": row(
    "textMap",
    { "external-node": "true" },
    "Metadata that marks a node as external; `external-probe: true` beside it asks for probes.",
    reload,
  ),
  "external_monitor.node_probe_interval": row(
    "durationMs",
    10_000,
    "Time between looks at a node.",
    {
      min: 1000,
      max: WEEK_MS,
      ...reload,
    },
  ),
  "external_monitor.node_probe_timeout": row("durationMs", 5000, "Wait for its answer.", {
    min: 1,
    max: WEEK_MS,
    ...reload,
  }),
  "external_monitor.ping_type": row(
    "text",
    "any",
    "How to look: ICMP echo, TCP connection to a port of the node (a refusal is an answer), or both.",
    { words: ["any", "icmp", "tcp"], ...reload },
  ),
  "external_monitor.passing_threshold": row(
    "integer",
    0,
    "Results beyond the first that make an external check passing.",
    { min: 0, ...reload },
  ),
  "external_monitor.critical_threshold": row("integer", 0, "The same for critical.", {
    min: 0,
    ...reload,
  }),
  "external_monitor.node_reconnect_timeout": row(
    "durationMs",
    0,
    "An external node out of reach for so long is removed; 0: never.",
    { min: 0, ...reload },
  ),
  "external_monitor.disable_coordinate_updates": row(
    "boolean",
    false,
    "Do not place external nodes by their round-trip time.",
    reload,
  ),
  disable_coordinates: row("boolean", false, "No network coordinates."),
  session_ttl_min: row("durationMs", 0, "Shortest TTL of sessions; 0: 10s.", { min: 0 }),
  "limits.kv_max_value_size": row("integer", 524_288, "Octets of a value in the KV store.", {
    min: 1,
    max: VALUE_OCTETS_MAX,
  }),
  "limits.txn_max_req_len": row("integer", 524_288, "Octets of the body of a transaction.", {
    min: 1,
    max: VALUE_OCTETS_MAX,
  }),
  default_query_time: row("durationMs", 300_000, "Hold of a blocking query without `wait`.", {
    flag: "-default-query-time",
    min: 1,
    max: WEEK_MS,
    ...reload,
  }),
  max_query_time: row("durationMs", 600_000, "Longest hold of a blocking query.", {
    flag: "-max-query-time",
    min: 1,
    max: WEEK_MS,
    ...reload,
  }),
  "http_config.response_headers": row("textMap", {}, "Headers added to every HTTP answer.", {
    ...reload,
  }),
  "http_config.use_cache": row("boolean", true, "Honour ?cached, also for discovery_max_stale."),
  discovery_max_stale: row("durationMs", 0, "Staleness allowed to plain discovery reads.", {
    min: 0,
    ...reload,
  }),
  "http_config.block_endpoints": row("texts", [], "Path prefixes that answer 403."),
  "http_config.allow_write_http_from": row("texts", [], "Networks that may write; empty: all.", {
    flag: "-allow-write-http-from",
  }),
  "http_config.allowed_hosts": row(
    "texts",
    [],
    "More names that requests may give as Host, `*.example.com` too; `*`: any.",
    reload,
  ),
  "http_config.allowed_origins": row(
    "texts",
    [],
    "Origins (`https://ui.example.com`) whose pages may write; `*`: any.",
    reload,
  ),
  "http_config.max_header_bytes": row("integer", 0, "Octets of a request's header; 0: 65536.", {
    max: 2 ** 20,
  }),
  "limits.http_max_conns_per_client": row("integer", 200, "Per address; 0: no limit.", {
    min: 0,
    ...reload,
  }),
  disable_http_unprintable_char_filter: row("boolean", false, "Accept control octets in paths."),
  ...telemetryOptions,
  log_level: row("text", "info", "Least severe lines that are written.", {
    flag: "-log-level",
    words: ["trace", "debug", "info", "warn", "err", "error"],
    ...reload,
  }),
  log_json: row("boolean", false, "Log lines as JSON.", { flag: "-log-json" }),
  log_file: row("text", "", "File or directory of the log, beside standard error.", {
    flag: "-log-file",
  }),
  log_rotate_bytes: row("integer", 0, "Octets before a new log file; 0: no limit.", {
    flag: "-log-rotate-bytes",
    min: 0,
  }),
  log_rotate_duration: row("durationMs", 86_400_000, "Age before a new log file.", {
    flag: "-log-rotate-duration",
    min: 1000,
  }),
  log_rotate_max_files: row("integer", 0, "Old log files kept; 0: all, -1: none.", {
    flag: "-log-rotate-max-files",
    min: -1,
  }),
  pid_file: row("text", "", "File with the process id.", { flag: "-pid-file" }),
  workers: row("integer", 0, "DNS worker threads; 0: one per two processors.", {
    min: 0,
    max: 64,
  }),
  answer_table_size: row("octets", 16 * 2 ** 20, "Shared memory for prepared answers.", {
    min: 2 ** 20,
    max: 2 ** 30,
  }),
  batched_system_calls: row("boolean", true, "recvmmsg and sendmmsg where the system has them."),
  ...forwarderOptions,
  ...localOptions,
  ...accessOptions,
  ...listenOptions,
} as const satisfies Record<string, Option>;

function secret(doc: string, more: More = {}): Option<"text"> {
  return row("text", "", doc, { secret: true, ...more });
}

/** Keys of the options that do something. */
export type UsedKey = keyof typeof used;

/** The option table: JSON files, flags, defaults, `validate` and the README all read it. */
export const options: Readonly<Record<UsedKey, Option> & Record<string, Option>> = {
  ...used,
  ...withoutEffect,
};

/** Keys of the options that do something, in the order of the README. */
export const usedKeys = Object.keys(used) as readonly UsedKey[];

/** Every option that works, by key, with durations in milliseconds and sizes in octets. */
export type Config = { readonly [K in UsedKey]: Kinds[(typeof used)[K]["kind"]] };
