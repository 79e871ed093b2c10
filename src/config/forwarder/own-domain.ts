/** What is said of the domains that the catalog answers for, and of the Consul agent that this one stands for. */
import { isLoopback } from "../../address.ts";
import { formatName, isWithin, parseName } from "../../dns/name.ts";
import type { Rule } from "../../forwarder/rules.ts";
import type { Upstream } from "../../ports.ts";
import type { InterfaceAddress } from "../interface-address.ts";
import type { Config } from "../options.ts";
import type { LoadedZones, ZoneGroup } from "./zones.ts";

/** Wire names of the domains that the catalog answers for. */
export function ownDomains(config: Pick<Config, "domain" | "alt_domain">): Uint8Array[] {
  return [config.domain, config.alt_domain].flatMap((text) => {
    const name = parseName(text);
    return text !== "" && name.ok ? [name.value] : [];
  });
}

type Surroundings = {
  config: Pick<Config, "domain" | "alt_domain">;
  /** Addresses of this host. */
  local: readonly InterfaceAddress[];
  warnings: string[];
};

/**
 * `zones` without the Consul agent whose place this one takes: a server of this host that is to be asked
 * for our own domain (`server=/consul/127.0.0.1#8600`). Names of other zones that it alone was asked for,
 * such as those of private addresses, are the catalog's, and are not forwarded. Pushes whole sentences.
 */
export function withoutFormerAgent(
  zones: LoadedZones,
  { config, local, warnings }: Surroundings,
): LoadedZones {
  const isHere = (address: string): boolean =>
    isLoopback(address) || local.some((each) => each.address === address);
  const domains = ownDomains(config);
  const isOurs = ({ match }: Rule): boolean =>
    "name" in match && domains.some((domain) => isWithin(match.name, domain));
  const asked = new Map(zones.groups.map((group) => [group.name, group]));
  const former = new Map<string, Uint8Array>();
  for (const { match, action } of [zones.rules, ...zones.viewRules].flat()) {
    if (action.kind !== "forward" || !("name" in match)) continue;
    if (!domains.some((domain) => formatName(domain) === formatName(match.name))) continue;
    for (const server of asked.get(action.group)?.servers ?? [])
      if (isHere(server.address)) former.set(place(server), match.name);
  }
  if (former.size === 0) return zones;
  const emptied = new Set<string>();
  const groups = zones.groups.flatMap((group): ZoneGroup[] => {
    const servers = group.servers?.filter((server) => !former.has(place(server))) ?? null;
    if (servers?.length !== 0) return [{ ...group, servers }];
    emptied.add(group.name);
    return [];
  });
  const lead = (rules: readonly Rule[]): Rule[] =>
    rules.flatMap((rule): Rule[] => {
      const { action } = rule;
      if (action.kind !== "forward" || !emptied.has(action.group)) return [rule];
      return isOurs(rule) ? [] : [{ ...rule, action: { kind: "deny" } }];
    });
  for (const [server, domain] of former)
    warnings.push(
      `forwarder.zones: ${server} is not asked, for this agent answers ${formatName(domain)} itself, and all that ${server} was asked for; if another agent goes on there, give this one a domain of its own`,
    );
  return { rules: lead(zones.rules), viewRules: zones.viewRules.map(lead), groups };
}

const place = ({ address, port }: Upstream): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
