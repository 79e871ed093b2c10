/** Configuration keys → how upstream servers are asked, and what is kept of their answers. */
import type { LoadedConfig } from "../config.ts";
import type { Config } from "../config/options.ts";
import { groupDefaults } from "../forwarder/settings.ts";
import type { ForwarderSettings, GroupSettings, StaleSettings } from "../forwarder/settings.ts";
import { privateReverseGroup } from "./local-data.ts";

const seconds = (ms: number): number => ms / 1000;

/** Places of a zone that says nothing of them: all sockets are not for one. */
const ZONE_IN_FLIGHT = 1024;

/** What the forwarder is told. */
export function forwarderSettings(loaded: LoadedConfig): ForwarderSettings {
  const { config, upstreams, nextOn, zones, filter } = loaded;
  const everyName: GroupSettings = {
    ...groupDefaults,
    servers: upstreams,
    timeoutMs: config["dns_config.recursor_timeout"],
    // The option table allows these four words only.
    strategy: config["dns_config.recursor_strategy"] as GroupSettings["strategy"],
    maxInFlight: config["forwarder.max_in_flight"],
    nextOn,
    mixedCase: config["forwarder.mixed_case"],
    packetsPerSecond: config["forwarder.packets_per_second"],
    minTtlSeconds: seconds(config["forwarder.cache_min_ttl"]),
    maxTtlSeconds: seconds(config["forwarder.cache_max_ttl"]),
    negativeTtlCapSeconds: seconds(config["forwarder.cache_max_negative_ttl"]),
    bareDenialSeconds: seconds(config["forwarder.cache_bare_negative_ttl"]),
    stale: staleSettings(config),
    ignoredAddresses: filter.ignoredAddresses,
    trustAd: config["forwarder.trust_ad"],
  };
  const ofZones = zones.groups.map(({ name, servers, policy }): GroupSettings => ({
    ...everyName,
    maxInFlight: ZONE_IN_FLIGHT,
    ...policy,
    stale: { ...everyName.stale, ...policy.stale },
    name,
    servers: servers ?? upstreams,
  }));
  return {
    groups: [everyName, ...privateReverseGroup(everyName), ...ofZones],
    cacheEnabled: config["forwarder.cache"],
    cacheOctets: config["forwarder.cache_size"],
    subnet: filter.subnet,
    prefetch: config["forwarder.prefetch"],
    loopDetection: config["forwarder.loop_detection"],
    // Without a cache every client's question shows whether a server is back.
    probeName: config["forwarder.cache"] ? config["forwarder.probe_name"] : "",
  };
}

function staleSettings(config: Config): StaleSettings {
  return {
    enabled: config["forwarder.stale"],
    clientTimeoutMs: config["forwarder.stale_client_timeout"],
    ttlSeconds: seconds(config["forwarder.stale_ttl"]),
    maxSeconds: seconds(config["forwarder.stale_max"]),
    recheckMs: config["forwarder.stale_recheck"],
    lastKnownGood: config["forwarder.last_known_good"],
  };
}
