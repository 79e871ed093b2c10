/** Warnings about what is valid, and yet hardly what somebody meant. */
import { parseAddress } from "../../address.ts";
import { formatName } from "../../dns/name.ts";
import { TYPE } from "../../dns/rr.ts";
import type { LocalRecord } from "../../forwarder/local/records.ts";
import type { NameMatch, Rule } from "../../forwarder/rules.ts";
import type { Config } from "../options.ts";
import { conflictingZones, type LoadedLocal, type LoadedView } from "./local.ts";
import type { DeclaredGroup, LoadedZones } from "./zones.ts";

/** RRSIG and NSEC are no types of our records, so nothing may stand beside a CNAME (RFC 1034 3.6.2). */
function besideCname(records: readonly LocalRecord[]): string[] {
  if (!records.some(({ type }) => type === TYPE.CNAME)) return [];
  const byName = new Map<string, { cnames: number; all: number }>();
  for (const { owner, type, wildcard } of records) {
    const name = `${wildcard ? "*." : ""}${formatName(owner)}`;
    const found = byName.get(name) ?? { cnames: 0, all: 0 };
    if (type === TYPE.CNAME) found.cnames++;
    found.all++;
    byName.set(name, found);
  }
  return [...byName].flatMap(([name, { cnames, all }]) => {
    if (cnames === 0 || all === 1) return [];
    const others = cnames > 1 ? `${cnames} CNAME records` : "a CNAME and other records";
    return [`${name} has ${others}: clients follow one CNAME, and the rest is as good as absent`];
  });
}

/** Who asks for the name of an address asks for one below in-addr.arpa or ip6.arpa. */
function addressesAsNames(records: readonly LocalRecord[]): string[] {
  return records.flatMap(({ owner }) => {
    // Few names end with a digit, and lists are long.
    const last = owner.at(-2) ?? 0;
    if (last < 0x30 || last > 0x39) return [];
    const text = formatName(owner).slice(0, -1);
    if (!/^[\d.]+$/.test(text) || parseAddress(text) === undefined) return [];
    const reverse = text.split(".").toReversed().join(".");
    return [`${text} is an address, no name; clients ask for ${reverse}.in-addr.arpa`];
  });
}

/** Who is asked for names holds before that they are never forwarded. */
function bothWays(rules: readonly Rule[]): string[] {
  const asked = new Map<string, string>();
  for (const { match, action } of rules) {
    if (action.kind !== "forward" || action.group === "") continue;
    const key = keyOf(match);
    if (key !== undefined) asked.set(key, action.group);
  }
  if (asked.size === 0) return [];
  return rules.flatMap(({ match, action }) => {
    const group = action.kind === "deny" ? asked.get(keyOf(match) ?? "") : undefined;
    if (group === undefined) return [];
    return [`forwarder.zones: "${group}" has servers, which are asked, and is local as well`];
  });
}

/** undefined: many names at once, which are compared with nothing. */
function keyOf(match: NameMatch): string | undefined {
  if ("name" in match) return `${match.kind} ${formatName(match.name)}`;
  if ("bits" in match) return `${match.address.join()}/${match.bits}`;
  return match.kind === "single label" ? match.kind : undefined;
}

function viewsForNobody(views: readonly LoadedView[]): string[] {
  return views.flatMap(({ where, name, clients }) =>
    clients.length === 0 ? [`${where}: "${name}" has no clients, so it is for nobody`] : [],
  );
}

/** Link-local addresses are those of an interface (RFC 4007 6): without one the system refuses to send. */
function withoutInterface(key: string, servers: readonly string[]): string[] {
  return servers
    .filter((text) => /^([a-z]+:\/\/)?\[?fe[89ab][0-9a-f]:[^%@]*$/i.test(text.trim()))
    .map((text) => `${key}: "${text}" is reached by no interface; write fe80::1%eth0`);
}

/** All of these warnings; whole sentences. */
export function doubtful(
  config: Pick<Config, "recursors" | "forwarder.cache_min_ttl" | "forwarder.cache_max_ttl">,
  { records, views }: LoadedLocal,
  zones: Pick<LoadedZones<DeclaredGroup>, "rules" | "groups">,
): string[] {
  const all = [records, ...views.map((view) => view.records)];
  const ofRecords = all.flatMap((each) => [...besideCname(each), ...addressesAsNames(each)]);
  const ttls =
    config["forwarder.cache_min_ttl"] > config["forwarder.cache_max_ttl"]
      ? ["forwarder.cache_min_ttl is above forwarder.cache_max_ttl, which holds"]
      : [];
  return [
    ...conflictingZones(zones.rules),
    ...ofRecords.map((text) => `forwarder.records: ${text}`),
    ...bothWays(zones.rules),
    ...viewsForNobody(views),
    ...withoutInterface("recursors", config.recursors),
    ...zones.groups.flatMap(({ where, servers }) =>
      withoutInterface(`${where}.servers`, servers ?? []),
    ),
    ...ttls,
  ];
}
