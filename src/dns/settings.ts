/** What the domain side of DNS can be told. The configuration layer maps its keys to this record. */
import { assert } from "../base.ts";
import { staleTargetDefaults, type StaleTargets } from "./kept-targets.ts";
import { foldName, nameUnder, parseName } from "./name.ts";

/** Plain values; a reload replaces the whole record. Names and defaults as Consul's `dns_config`. */
export type DnsSettings = {
  /** `domain` and `alt_domain` in presentation form; "" for no alternative. */
  domain: string;
  altDomain: string;
  datacenter: string;
  /** Name of this agent's own node, for `near=_agent`. */
  nodeName: string;
  /** Fractions of a second are cut. */
  nodeTtlSeconds: number;
  /** Keys as in `service_ttl`: a name, or a prefix followed by `*`. */
  serviceTtlSeconds: ReadonlyMap<string, number>;
  soa: {
    refreshSeconds: number;
    retrySeconds: number;
    expireSeconds: number;
    minTtlSeconds: number;
  };
  onlyPassing: boolean;
  /** `udp_answer_limit`; above 8 acts as 8. */
  udpAnswerLimit: number;
  /** `a_record_limit`; 0: none. */
  aRecordLimit: number;
  /** Set TC when answers were cut. */
  enableTruncate: boolean;
  disableCompression: boolean;
  /** `enable_additional_node_meta_txt`. */
  additionalNodeMetaTxt: boolean;
  /** false: SERVFAIL without a leader. */
  allowStale: boolean;
  /** Data older than this is as good as none unless there is a leader. */
  maxStaleMs: number;
  /** What below our domains is not ours. */
  elsewhere?: readonly Elsewhere[];
  /** The same for clients of a view alone, by its name. */
  viewElsewhere?: ReadonlyMap<string, readonly Elsewhere[]>;
  /** Any upstream server or other source of foreign names configured: RA, forwarding, DS at the parent, chains of host names. */
  recursorsConfigured: boolean;
  /** Names of one label may be services of the catalog. Absent: no. */
  shortNames?: boolean;
  /** The forwarder answers from its cache; false: replies of upstreams pass unchanged, OPT included. */
  forwardCache: boolean;
  /** How the last known addresses of host names are given while no upstream answers; null: not at all. */
  staleTargets: StaleTargets | null;
  translateWanAddrs: boolean;
  /** Zones with servers of their own, in presentation form: answers are counted by them. Absent: none. */
  foreignZones?: readonly string[];
};

/** Consul's defaults. */
export const dnsDefaults: DnsSettings = {
  domain: "consul.",
  altDomain: "",
  datacenter: "dc1",
  nodeName: "",
  nodeTtlSeconds: 0,
  serviceTtlSeconds: new Map(),
  soa: { refreshSeconds: 3600, retrySeconds: 600, expireSeconds: 86400, minTtlSeconds: 0 },
  onlyPassing: false,
  udpAnswerLimit: 3,
  aRecordLimit: 0,
  enableTruncate: false,
  disableCompression: false,
  additionalNodeMetaTxt: true,
  allowStale: true,
  maxStaleMs: 87600 * 3600 * 1000,
  recursorsConfigured: false,
  forwardCache: true,
  staleTargets: staleTargetDefaults,
  translateWanAddrs: false,
};

/** Names below our domains that others are asked for: the name (wire, lower case) and all below it, or only these. */
export type Elsewhere = { readonly name: Uint8Array; readonly belowOnly: boolean };

/** A domain that we answer for, in lower case. */
export type Zone = {
  wire: Uint8Array;
  /** MNAME and RNAME of its SOA record. */
  soaNames: Uint8Array;
  /** `node.<datacenter>.<domain>` and `addr.…`, `service.…`, for lower-case datacenters. */
  under(kind: "node" | "addr" | "service", datacenter: string): Uint8Array;
};

/** Settings with everything derived from them that a question needs. */
export type Prepared = DnsSettings & {
  zone: Zone;
  altZone: Zone | null;
  /** Lower case. */
  ownDatacenter: string;
  /** 0 or more, whole seconds. */
  serviceTtl(lowerService: string): number;
  /** What holds instead for clients of a view, by its name; views that say nothing of our domains are absent. */
  byView: ReadonlyMap<string, Prepared>;
};

/**
 * Throws for a domain that is no domain name, or so long that nothing fits under it: the configuration
 * layer has checked it.
 */
export function prepareSettings(settings: DnsSettings): Prepared {
  const ownDatacenter = settings.datacenter.toLowerCase();
  const zone = parseZone(settings.domain);
  const altZone = settings.altDomain === "" ? null : parseZone(settings.altDomain);
  for (const each of altZone === null ? [zone] : [zone, altZone])
    each.under("service", ownDatacenter);
  const { elsewhere = [], viewElsewhere = [] } = settings;
  const prepared: Prepared = {
    ...settings,
    nodeTtlSeconds: Math.floor(settings.nodeTtlSeconds),
    zone,
    altZone,
    ownDatacenter,
    serviceTtl: serviceTtls(settings.serviceTtlSeconds),
    byView: new Map(),
  };
  const byView = Array.from(viewElsewhere, ([view, own]): [string, Prepared] => [
    view,
    { ...prepared, elsewhere: [...elsewhere, ...own] },
  ]);
  return { ...prepared, byView: new Map(byView) };
}

function parseZone(domain: string): Zone {
  const parsed = parseName(domain);
  assert(parsed.ok, `the domain ${domain} is a domain name`);
  const wire = foldName(parsed.value);
  const suffixes = new Map<string, Uint8Array>();
  return {
    wire,
    soaNames: Uint8Array.from([...knownName("ns", wire), ...knownName("hostmaster", wire)]),
    under(kind, datacenter) {
      const text = `${kind}.${datacenter}`;
      const held = suffixes.get(text);
      if (held !== undefined) return held;
      const suffix = knownName(text, wire);
      // Datacenters come from the configuration and from the catalog, never from a question.
      suffixes.set(text, suffix);
      return suffix;
    },
  };
}

function knownName(text: string, suffix: Uint8Array): Uint8Array {
  const name = nameUnder(text, suffix);
  assert(name !== undefined, `${text} fits under the domain`);
  return name;
}

/**
 * Exact key first, then the longest prefix key, then 0 (Consul `GetTTLForService`). A `*` that is
 * not last is an ordinary character.
 */
function serviceTtls(ttls: ReadonlyMap<string, number>): (lowerService: string) => number {
  const prefixes = [...ttls]
    .filter(([key]) => key.endsWith("*"))
    .map(([key, seconds]) => ({ prefix: key.slice(0, -1), seconds: Math.floor(seconds) }))
    .toSorted((a, b) => b.prefix.length - a.prefix.length);
  const exact = new Map<string, number>();
  for (const [key, seconds] of ttls) if (!key.endsWith("*")) exact.set(key, Math.floor(seconds));
  if (prefixes.length === 0 && exact.size === 0) return () => 0;
  return (service) =>
    exact.get(service) ?? prefixes.find(({ prefix }) => service.startsWith(prefix))?.seconds ?? 0;
}
