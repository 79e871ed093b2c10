/**
 * Old spellings of Consul (0.6 to 1.20) → the key of the option table. An old spelling counts only
 * where the same file does not give the new one.
 */
export const deprecatedKeys: Readonly<Record<string, string>> = {
  acl_agent_master_token: "acl.tokens.agent_recovery",
  acl_agent_token: "acl.tokens.agent",
  acl_token: "acl.tokens.default",
  acl_master_token: "acl.tokens.initial_management",
  acl_replication_token: "acl.tokens.replication",
  "acl.tokens.master": "acl.tokens.initial_management",
  "acl.tokens.agent_master": "acl.tokens.agent_recovery",
  acl_datacenter: "primary_datacenter",
  acl_default_policy: "acl.default_policy",
  acl_down_policy: "acl.down_policy",
  acl_ttl: "acl.token_ttl",
  acl_enable_key_list_policy: "acl.enable_key_list_policy",
  enable_acl_replication: "acl.enable_token_replication",
  start_join: "join",
  start_join_wan: "join_wan",
  statsd_addr: "telemetry.statsd_address",
  statsite_addr: "telemetry.statsite_address",
  statsite_prefix: "telemetry.metrics_prefix",
  "telemetry.statsite_prefix": "telemetry.metrics_prefix",
  dogstatsd_addr: "telemetry.dogstatsd_addr",
  dogstatsd_tags: "telemetry.dogstatsd_tags",
  http_api_response_headers: "http_config.response_headers",
  cert_file: "tls.defaults.cert_file",
  key_file: "tls.defaults.key_file",
  ca_file: "tls.defaults.ca_file",
  ca_path: "tls.defaults.ca_path",
  tls_min_version: "tls.defaults.tls_min_version",
  tls_cipher_suites: "tls.defaults.tls_cipher_suites",
  verify_incoming: "tls.defaults.verify_incoming",
  verify_outgoing: "tls.defaults.verify_outgoing",
  recursor_timeout: "dns_config.recursor_timeout",
  recursor_strategy: "dns_config.recursor_strategy",
};

/** Consul: naming an ACL datacenter switched ACLs on. */
export const impliedByDeprecated: Readonly<Record<string, { key: string; value: unknown }>> = {
  acl_datacenter: { key: "acl.enabled", value: true },
  acl_replication_token: { key: "acl.enable_token_replication", value: true },
};

/** Spellings of Consul 1.10 that only 1.12 moved: taken without a word. */
export const stillCurrentKeys: ReadonlySet<string> = new Set([
  "cert_file",
  "key_file",
  "ca_file",
  "ca_path",
  "tls_min_version",
  "tls_cipher_suites",
  "verify_incoming",
  "verify_outgoing",
]);
