/** Configuration → what is known of names before any server is asked. */
import { networkInterfaces } from "node:os";
import { isLinkLocal, isLoopback, parseAddress, unmapped, type Network } from "../address.ts";
import type { LoadedConfig } from "../config.ts";
import { parseNetwork } from "../config/network.ts";
import { foldName, parseName, suffixOffset } from "../dns/name.ts";
import type { Elsewhere } from "../dns/settings.ts";
import { translatedNames } from "../forwarder/filter/dns64.ts";
import type { LocalSettings, PrivateReverse } from "../forwarder/local/settings.ts";
import type { Rule } from "../forwarder/rules.ts";
import type { GroupSettings } from "../forwarder/settings.ts";

/** Servers that are private themselves may be asked for private addresses; their group is called so. */
const PRIVATE_REVERSE_GROUP = "private reverse";

/** What the pipeline is told. */
export function localDataSettings(loaded: LoadedConfig): LocalSettings {
  const { config, local, zones, filter } = loaded;
  return {
    rules: together(zones.rules, local.rules),
    records: local.records,
    views: local.views.map((view, i) => ({
      ...view,
      rules: together(zones.viewRules[i]!, view.rules),
    })),
    specialNames: config["forwarder.special_names"],
    privateReverse: privateReverse(loaded),
    isTranslated: filter.dns64 === null ? null : translatedNames(filter.dns64),
    domainNeeded: config["forwarder.domain_needed"],
    searchDomains: local.searchDomains,
    domains: [config.domain, config.alt_domain].flatMap(wireName),
    elsewhere: elsewhere(loaded, zones.rules),
    viewElsewhere: viewElsewhere(loaded),
    ttlSeconds: Math.floor(config["forwarder.local_ttl"] / 1000),
    // The option table allows these words only.
    blocklistAnswer: config["forwarder.blocklist_answer"] as LocalSettings["blocklistAnswer"],
    localise: config["forwarder.localise_queries"] ? ownNetworks() : null,
    synthDomains: local.synthDomains,
    hostMx: local.hostMx,
  };
}

/** Both lists as one, which is the same one for the same lists: tables are made of it. */
function together(zones: readonly Rule[], addresses: readonly Rule[]): readonly Rule[] {
  const known = joined.get(zones);
  if (known?.addresses === addresses) return known.both;
  const both = [...zones, ...addresses];
  joined.set(zones, { addresses, both });
  return both;
}

const joined = new WeakMap<
  readonly Rule[],
  { addresses: readonly Rule[]; both: readonly Rule[] }
>();

/** Zones below our domains whose names others are asked for, or nobody: they go before the catalog. */
export function elsewhere({ config }: LoadedConfig, zones: readonly Rule[]): Elsewhere[] {
  const domains = [config.domain, config.alt_domain].flatMap(wireName);
  return zones.flatMap(({ match }): Elsewhere[] => {
    if (match.kind !== "suffix" && match.kind !== "below") return [];
    const { name, kind } = match;
    const isBelow = domains.some((domain) => suffixOffset(name, domain) > 0);
    return isBelow ? [{ name, belowOnly: kind === "below" }] : [];
  });
}

/** The same of views, for their clients alone; those that have none are absent. */
export function viewElsewhere(loaded: LoadedConfig): Map<string, readonly Elsewhere[]> {
  const { zones, local } = loaded;
  const found = local.views.map(({ name }, i): [string, Elsewhere[]] => [
    name,
    elsewhere(loaded, zones.viewRules[i]!),
  ]);
  return new Map(found.filter(([, own]) => own.length > 0));
}

/** IPv4 networks of this host's interfaces (dnsmasq localises no others). */
function ownNetworks(): Network[] {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return all.flatMap(({ family, cidr }) => {
    const network = family === "IPv4" && cidr !== null ? parseNetwork(cidr) : undefined;
    return network?.ok === true ? [network.value] : [];
  });
}

/** Is there anything that answers for names beside the servers of names without a zone? */
export function hasForeignNames({ config, local, zones, upstreams }: LoadedConfig): boolean {
  return (
    upstreams.length + zones.rules.length > 0 ||
    local.rules.length + local.records.length + local.views.length > 0 ||
    config["forwarder.hosts"].length + config["forwarder.leases"].length > 0 ||
    local.synthDomains.length > 0 ||
    config["forwarder.blocklists"].length > 0 ||
    config["forwarder.short_names"]
  );
}

/** The servers of names without a zone that may hear of private addresses; none if those are all, or none. */
export function privateReverseGroup(everyName: GroupSettings): GroupSettings[] {
  const servers = everyName.servers.filter(({ address }) => isPrivate(address));
  if (servers.length === 0 || servers.length === everyName.servers.length) return [];
  return [{ ...everyName, name: PRIVATE_REVERSE_GROUP, servers }];
}

function privateReverse({ config, upstreams }: LoadedConfig): PrivateReverse {
  const wanted = config["forwarder.private_reverse"];
  if (wanted !== "auto") return wanted === "local" ? "local" : "forward";
  const count = upstreams.filter(({ address }) => isPrivate(address)).length;
  if (count === 0) return "local";
  return count === upstreams.length ? "forward" : { group: PRIVATE_REVERSE_GROUP };
}

/** RFC 1918, RFC 6598, RFC 4193, loopback, link-local: of this host or its network. */
function isPrivate(literal: string): boolean {
  if (isLoopback(literal) || isLinkLocal(literal)) return true;
  const parsed = parseAddress(literal.split("%", 1)[0]!);
  if (parsed === undefined) return false;
  const [a = 0, b = 0] = unmapped(parsed);
  if (unmapped(parsed).length === 16) return (a & 0xfe) === 0xfc;
  if (a === 10 || (a === 192 && b === 168)) return true;
  return (a === 172 && (b & 0xf0) === 16) || (a === 100 && (b & 0xc0) === 64);
}

function wireName(text: string): Uint8Array[] {
  const parsed = parseName(text);
  return text !== "" && parsed.ok ? [foldName(parsed.value)] : [];
}
