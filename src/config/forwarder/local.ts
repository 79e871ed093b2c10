/** What the configuration says of names that are answered here, checked. */
import type { Network } from "../../address.ts";
import { fail, ok, type Result } from "../../base.ts";
import { foldName, formatName, isWithin, parseName, suffixOffset } from "../../dns/name.ts";
import type { HostDomain } from "../../forwarder/local/hosts-file.ts";
import type { LocalRecord } from "../../forwarder/local/records.ts";
import type { SynthDomain } from "../../forwarder/local/synth.ts";
import type { Rule } from "../../forwarder/rules.ts";
import type { Config } from "../options.ts";
import { readAddresses } from "./addresses.ts";
import { asciiDomain } from "./domain-text.ts";
import { readHostDomains } from "./host-domains.ts";
import type { Problems } from "./members.ts";
import { ownDomains } from "./own-domain.ts";
import { readRecords } from "./records.ts";
import { readSynthDomains } from "./synth.ts";
import { readViews } from "./views.ts";
import type { LoadedZones } from "./zones.ts";

/** Clients with local data of their own. `zones`: as `forwarder.zones`, not yet looked at. */
export type LoadedView = {
  readonly name: string;
  readonly clients: readonly Network[];
  readonly zones: unknown;
  /** Key path of the view: `forwarder.views[0]`. */
  readonly where: string;
  readonly rules: readonly Rule[];
  readonly records: readonly LocalRecord[];
};

/** Local data, but for zones and files. */
export type LoadedLocal = {
  /** Of `forwarder.addresses`. */
  readonly rules: readonly Rule[];
  readonly records: readonly LocalRecord[];
  readonly views: readonly LoadedView[];
  /** Wire names in lower case. */
  readonly searchDomains: readonly Uint8Array[];
  /** Of the names of hosts files; null: none. */
  readonly hostDomain: Uint8Array | null;
  /** Of those in some networks, before `hostDomain`. */
  readonly hostDomains: readonly HostDomain[];
  readonly synthDomains: readonly SynthDomain[];
  /** Of the MX records of hosts; null: none. */
  readonly hostMx: "self" | Uint8Array | null;
};

/** Local data, and mistakes: whole sentences that start with the key. */
export function readLocalData(config: Config): { local: LoadedLocal; errors: string[] } {
  const errors: Problems = [];
  const ttlSeconds = Math.floor(config["forwarder.local_ttl"] / 1000);
  const domains = ownDomains(config);
  const local: LoadedLocal = {
    rules: readAddresses(config["forwarder.addresses"], "forwarder.addresses", domains, errors),
    records: readRecords(config["forwarder.records"], "forwarder.records", ttlSeconds, errors),
    views: readViews(config["forwarder.views"], { ttlSeconds, domains, problems: errors }),
    searchDomains: config["forwarder.search_domains"].flatMap((text, i) => {
      const name = parseDomain(text);
      if (!name.ok) errors.push(`forwarder.search_domains[${i}]: ${name.error}`);
      return name.ok ? [name.value] : [];
    }),
    hostDomain: hostDomain(config["forwarder.host_domain"], errors),
    hostDomains: readHostDomains(config["forwarder.host_domains"], errors),
    hostMx: hostMx(config["forwarder.host_mx"], errors),
    synthDomains: readSynthDomains(config["forwarder.synth_domains"], errors),
  };
  if (
    config["forwarder.expand_hosts"] &&
    local.hostDomain === null &&
    local.hostDomains.length === 0
  )
    errors.push("forwarder.expand_hosts: forwarder.host_domain says no domain to expand with");
  return { local, errors };
}

function parseDomain(text: string): Result<Uint8Array, string> {
  const parsed = parseName(asciiDomain(text.replace(/^\*?\.(?=.)/, "")));
  if (!parsed.ok) return fail(`${JSON.stringify(text)} is no domain name: ${parsed.error}`);
  return parsed.value.length > 1
    ? ok(foldName(parsed.value))
    : fail(`${JSON.stringify(text)} is no domain name`);
}

function hostDomain(text: string, errors: Problems): Uint8Array | null {
  if (text === "") return null;
  const name = parseDomain(text);
  if (name.ok) return name.value;
  errors.push(`forwarder.host_domain: ${name.error}`);
  return null;
}

function hostMx(text: string, errors: Problems): "self" | Uint8Array | null {
  if (text === "" || text === "self") return text === "" ? null : text;
  const name = parseName(asciiDomain(text));
  if (name.ok && name.value.length > 1) return name.value;
  errors.push(`forwarder.host_mx: expected "self" or a host name, got ${JSON.stringify(text)}`);
  return null;
}

/** Warnings: of several lists of servers for the same names only the first is asked. */
export function conflictingZones(zones: readonly Rule[]): string[] {
  const first = new Map<string, string>();
  const said = new Set<string>();
  for (const { match, action } of zones) {
    // Of packed names nobody is asked that others could be asked instead of.
    if (action.kind !== "forward" || match.kind === "suffixes") continue;
    const key = JSON.stringify(match, (_, value: unknown) =>
      value instanceof Uint8Array ? [...value] : value,
    );
    const before = first.get(key);
    if (before === undefined) first.set(key, action.group);
    else if (before !== action.group)
      said.add(
        `forwarder.zones: "${action.group}" says other servers for names of "${before}", which are asked; put them into one list`,
      );
  }
  return [...said];
}

/**
 * Warnings: the catalog answers for everything in our domains, and what is said of names there is never
 * looked at, unless `zones` send them elsewhere.
 */
export function namesWithoutEffect(
  { rules, records, views }: LoadedLocal,
  zones: Pick<LoadedZones<unknown>, "rules" | "viewRules">,
  config: Config,
): string[] {
  const domains = ownDomains(config);
  const inside = new Set<string>();
  const elsewhere = (declared: readonly Rule[]): Uint8Array[] =>
    declared.flatMap(({ match }) =>
      "name" in match && domains.some((domain) => suffixOffset(match.name, domain) > 0)
        ? [match.name]
        : [],
    );
  const look = (
    layer: Pick<LoadedView, "records" | "rules">,
    away: readonly Uint8Array[],
  ): void => {
    const note = (name: Uint8Array): void => {
      if (
        domains.some((domain) => isWithin(name, domain)) &&
        !away.some((zone) => isWithin(name, zone))
      )
        inside.add(formatName(name));
    };
    for (const { match } of layer.rules) if ("name" in match) note(match.name);
    for (const { owner } of layer.records) note(owner);
  };
  const forAll = elsewhere(zones.rules);
  look({ rules: [...zones.rules, ...rules], records }, forAll);
  for (const [i, view] of views.entries()) {
    const own = zones.viewRules[i]!;
    look({ rules: [...own, ...view.rules], records: view.records }, [...forAll, ...elsewhere(own)]);
  }
  return [...inside].map(
    (name) =>
      `forwarder: what is said of ${name} has no effect: the catalog answers for this domain`,
  );
}
