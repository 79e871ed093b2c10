/** Configuration keys → what each part is told. A reload makes all of them anew. */
import type { AclSettings } from "../cluster/acl.ts";
import type { KeeperSettings } from "../cluster/external/keeper.ts";
import type { MonitorSettings } from "../cluster/external/monitor.ts";
import type { PingType } from "../cluster/external/reach/driver.ts";
import type { LocalSettings } from "../cluster/local-agent.ts";
import { defaultLimits } from "../cluster/single/core.ts";
import type { SingleEngineOptions } from "../cluster/single/driver.ts";
import type { LoadedConfig } from "../config.ts";
import { withoutLongLists } from "../config/name-lists.ts";
import { options, usedKeys, type Config } from "../config/options.ts";
import type { StaleTargets } from "../dns/kept-targets.ts";
import type { DnsSettings } from "../dns/settings.ts";
import { formatName } from "../dns/name.ts";
import { digestOf } from "./list-digests.ts";
import { elsewhere, hasForeignNames, viewElsewhere } from "./local-data.ts";
import type { HttpSettings } from "../http/call.ts";
import type { ConsulFormOptions } from "../metrics/consul.ts";

/** What an entry of the log needs beside its largest value. */
const ENTRY_REST_OCTETS = 256 * 1024;

const seconds = (ms: number): number => ms / 1000;
/** Consul's lower bound of session TTLs, used when `session_ttl_min` is 0. */
const SESSION_TTL_MIN_MS = 10_000;

/** What the domain side of DNS is told. */
export function dnsSettings(loaded: LoadedConfig): DnsSettings {
  const { config, external } = loaded;
  return {
    domain: config.domain,
    altDomain: config.alt_domain,
    datacenter: config.datacenter,
    nodeName: config.node_name,
    nodeTtlSeconds: seconds(config["dns_config.node_ttl"]),
    serviceTtlSeconds: new Map([
      ...Object.entries(config["dns_config.service_ttl"]).map(([key, ms]): [string, number] => [
        key,
        seconds(ms),
      ]),
      ...externalTtls(external),
    ]),
    soa: {
      refreshSeconds: config["dns_config.soa.refresh"],
      retrySeconds: config["dns_config.soa.retry"],
      expireSeconds: config["dns_config.soa.expire"],
      minTtlSeconds: config["dns_config.soa.min_ttl"],
    },
    onlyPassing: config["dns_config.only_passing"],
    udpAnswerLimit: config["dns_config.udp_answer_limit"],
    aRecordLimit: config["dns_config.a_record_limit"],
    enableTruncate: config["dns_config.enable_truncate"],
    disableCompression: config["dns_config.disable_compression"],
    additionalNodeMetaTxt: config["dns_config.enable_additional_node_meta_txt"],
    allowStale: config["dns_config.allow_stale"],
    maxStaleMs: config["dns_config.max_stale"],
    elsewhere: elsewhere(loaded, loaded.zones.rules),
    viewElsewhere: viewElsewhere(loaded),
    recursorsConfigured: hasForeignNames(loaded),
    shortNames: config["forwarder.short_names"],
    forwardCache: config["forwarder.cache"],
    staleTargets: staleTargets(loaded),
    foreignZones: loaded.zones.rules.flatMap(({ match, action }) =>
      action.kind === "forward" && action.group !== "" && "name" in match && match.kind !== "text"
        ? [formatName(match.name)]
        : [],
    ),
    translateWanAddrs: config.translate_wan_addrs,
  };
}

/** How last known addresses of host names in the catalog are given: as all that is stale. */
export function staleTargets({ config }: Pick<LoadedConfig, "config">): StaleTargets | null {
  if (!config["forwarder.stale"]) return null;
  return {
    ttlSeconds: seconds(config["forwarder.stale_ttl"]),
    waitMs: config["forwarder.stale_client_timeout"],
    maxSeconds: seconds(config["forwarder.stale_max"]),
  };
}

/** `ttl` of external services, which is nearer to them than `service_ttl`: of one name the least. */
function externalTtls(external: LoadedConfig["external"]): Map<string, number> {
  const ttls = new Map<string, number>();
  for (const { service, ttlSeconds } of external) {
    if (ttlSeconds === undefined) continue;
    const lower = service.service.toLowerCase();
    ttls.set(lower, Math.min(ttlSeconds, ttls.get(lower) ?? Infinity));
  }
  return ttls;
}

/** What the external monitor is told. */
export function monitorSettings({ config }: LoadedConfig): MonitorSettings {
  return {
    enabled: config["external_monitor.enabled"],
    nodeMeta: config["external_monitor.node_meta"],
    nodeProbeIntervalMs: config["external_monitor.node_probe_interval"],
    nodeProbeTimeoutMs: config["external_monitor.node_probe_timeout"],
    passingThreshold: config["external_monitor.passing_threshold"],
    criticalThreshold: config["external_monitor.critical_threshold"],
    nodeReconnectTimeoutMs: config["external_monitor.node_reconnect_timeout"],
    checkUpdateIntervalMs: config.check_update_interval,
    outputMaxOctets: config.check_output_max_size,
  };
}

/** How the monitor looks at nodes. */
export function pingType({ config }: LoadedConfig): PingType {
  // The option table allows these words only.
  return config["external_monitor.ping_type"] as PingType;
}

/** Which services are kept in the catalog without an agent. */
export function keeperSettings({ config, external }: LoadedConfig): KeeperSettings {
  return { entries: external, nodeMeta: config["external_monitor.node_meta"] };
}

/** What the HTTP side is told. */
export function httpSettings({ config }: LoadedConfig, hostname: string): HttpSettings {
  return {
    allowedHosts: config["http_config.allowed_hosts"],
    allowedOrigins: config["http_config.allowed_origins"],
    ownNames: [config.node_name.toLowerCase(), hostname.toLowerCase()],
    domains: [config.domain, config.alt_domain],
    translateWanAddrs: config.translate_wan_addrs,
    responseHeaders: config["http_config.response_headers"],
    blockEndpoints: config["http_config.block_endpoints"],
    allowWriteHttpFrom: config["http_config.allow_write_http_from"],
    useCache: config["http_config.use_cache"],
    disableUnprintableCharFilter: config.disable_http_unprintable_char_filter,
    discoveryMaxStaleMs: config.discovery_max_stale,
    disableCoordinates: config.disable_coordinates,
    sessionTtlMinMs: config.session_ttl_min || SESSION_TTL_MIN_MS,
    defaultQueryTimeMs: config.default_query_time,
    maxQueryTimeMs: config.max_query_time,
    kvMaxValueOctets: config["limits.kv_max_value_size"],
    txnMaxRequestOctets: config["limits.txn_max_req_len"],
  };
}

/** Consul takes 1 MiB, Go's default; programs and proxies between stop far below this. */
const MAX_HEADER_OCTETS = 65_536;

/** Where HTTP and HTTPS listen, and how. Of these a reload changes the identity alone. */
export function httpListenerSettings({ config, addresses, https }: LoadedConfig) {
  const given = config["http_config.max_header_bytes"];
  return {
    http: addresses.http,
    https: addresses.https,
    identity: https,
    sockets: {
      mode: config["unix_sockets.mode"],
      user: config["unix_sockets.user"],
      group: config["unix_sockets.group"],
    },
    maxHeaderOctets: given > 0 ? given : MAX_HEADER_OCTETS,
  };
}

/** What the log engine is told; 0 leaves its own default. */
export function engineSettings(
  config: Config,
): Pick<SingleEngineOptions, "limits" | "snapshotIntervalMs"> {
  const entries = config.raft_snapshot_threshold;
  const trailing = config.raft_trailing_logs;
  const intervalMs = config.raft_snapshot_interval;
  return {
    limits: {
      entryOctets: entryOctets(config),
      ...(entries > 0 ? { snapshotEntries: entries } : {}),
      ...(trailing > 0 ? { trailingEntries: trailing } : {}),
    },
    ...(intervalMs > 0 ? { snapshotIntervalMs: intervalMs } : {}),
  };
}

/** Base64 takes four octets for three; keys and the members around them fit in the rest. */
function entryOctets(config: Config): number {
  const value = Math.max(config["limits.kv_max_value_size"], config["limits.txn_max_req_len"]);
  return Math.max(defaultLimits.entryOctets, Math.ceil((value * 4) / 3) + ENTRY_REST_OCTETS);
}

/** How Consul's JSON form of the metrics names and filters them. */
export function consulFormSettings(
  { config }: LoadedConfig,
  hostname: string,
): Omit<ConsulFormOptions, "timings" | "httpTimes" | "clock" | "timers"> {
  return {
    prefix: config["telemetry.metrics_prefix"],
    hostname: config["telemetry.disable_hostname"] ? "" : hostname,
    filter: config["telemetry.prefix_filter"],
    filterDefault: config["telemetry.filter_default"],
    nodeName: config.node_name,
    datacenter: config.datacenter,
  };
}

/** What the agent's own checks are told. */
export function localSettings({ config }: LoadedConfig): LocalSettings {
  return {
    enableScriptChecks: config.enable_script_checks,
    enableLocalScriptChecks: config.enable_local_script_checks,
    checkUpdateIntervalMs: config.check_update_interval,
    checkOutputMaxSize: config.check_output_max_size,
    discardCheckOutput: config.discard_check_output,
  };
}

/** ACLs: fixed until the next start, but for the tokens, which are kept by acl-tokens.ts. */
export function aclSettings(config: Config): Omit<AclSettings, "tokens"> {
  return {
    enabled: config["acl.enabled"],
    // The option table allows these two words only.
    defaultPolicy: config["acl.default_policy"] as AclSettings["defaultPolicy"],
    enableKeyListPolicy: config["acl.enable_key_list_policy"],
    datacenter: config.datacenter,
    nodeName: config.node_name,
  };
}

/** The effective configuration for agent/self: secrets are hidden, of long lists the beginning is shown. */
export function shownConfig(config: Config): Record<string, unknown> {
  const shown = withoutLongLists(config, (list) => `SHA-512 ${digestOf(list)}`);
  return Object.fromEntries(
    usedKeys.map((key) => [
      key,
      options[key].secret === true && config[key] !== "" ? "hidden" : shown[key],
    ]),
  );
}
