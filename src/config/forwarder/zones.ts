/** `forwarder.zones`: which names are asked of which servers, and how these are asked. */
import { parseRcode } from "../../dns/presentation.ts";
import type { Rule, RuleAction } from "../../forwarder/rules.ts";
import type { GroupSettings, StaleSettings } from "../../forwarder/settings.ts";
import type { Upstream } from "../../ports.ts";
import { parseValue, type Kind, type Kinds, type Limits } from "../kinds.ts";
import { readEntries, readNames, readTexts, type Entry, type Problems } from "./members.ts";
import { visitMatches } from "./names.ts";

/** Zones with servers or a policy of their own; each has places and figures of its own. */
const MAX_GROUPS = 4096;

/** What a zone may say otherwise than the names without a zone. */
export type ZonePolicy = Partial<Omit<GroupSettings, "name" | "servers" | "stale">> & {
  stale?: Partial<StaleSettings>;
};

/** `servers` as written; null: those of names without a zone. */
type Declared<Servers> = {
  readonly name: string;
  readonly servers: Servers | null;
  readonly policy: ZonePolicy;
  /** Key path, for messages about the servers. */
  readonly where: string;
};
/** A group as it is declared, its servers still texts. */
export type DeclaredGroup = Declared<readonly string[]>;
/** A group with its servers. */
export type ZoneGroup = Declared<readonly Upstream[]>;

/** Rules of names in the order of the list, and the groups that they lead to. */
export type DeclaredZones = { rules: Rule[]; groups: DeclaredGroup[] };

const members = ["names", "servers", "defaults", "local"] as const;

/** Reads a list of zones; `prefix` makes names of groups differ from those of other lists. */
function readZones(
  raw: unknown,
  where: string,
  {
    prefix,
    domains,
    problems,
  }: { prefix: string; domains: readonly Uint8Array[]; problems: Problems },
): DeclaredZones {
  const rules: Rule[] = [];
  const groups: DeclaredGroup[] = [];
  const taken = new Set<string>();
  for (const entry of readEntries(raw, where, [...members, ...policyKeys], problems)) {
    const names = entry.value["names"] === undefined ? [] : readNames(entry, problems);
    if (names?.length === 0) problems.push(`${entry.where}: names is missing`);
    const policy = readPolicy(entry, problems);
    const target = readTarget(entry, policy, problems);
    if (target === undefined || names === undefined) continue;
    let action: RuleAction = { kind: target === "local" ? "deny" : "forward", group: "" };
    if (target !== "local" && target !== "defaults") {
      const name = distinct(`${prefix}${names.at(0) || "names of one label"}`, taken);
      groups.push({ name, servers: target.servers, policy, where: entry.where });
      action = { kind: "forward", group: name };
    }
    visitMatches(
      names,
      domains,
      (match) => rules.push({ match, action }),
      (i, why) => problems.push(`${entry.where}.names[${i}]: ${why}`),
    );
  }
  if (groups.length > MAX_GROUPS)
    problems.push(
      `${where}: ${groups.length} zones with servers, at most ${MAX_GROUPS} are possible; names with the same servers can share one`,
    );
  return { rules, groups };
}

/** The name, with a number behind it if another group has it. */
function distinct(name: string, taken: Set<string>): string {
  let found = name;
  for (let i = 2; taken.has(found); i++) found = `${name} #${i}`;
  taken.add(found);
  return found;
}

type Target = "local" | "defaults" | { servers: readonly string[] | null };

function readTarget(entry: Entry, policy: ZonePolicy, problems: Problems): Target | undefined {
  const { where, value } = entry;
  const given = ["servers", "defaults", "local"].filter(
    (key) => value[key] !== undefined && value[key] !== false,
  );
  if (given.length !== 1) {
    const got = given.length === 0 ? "none" : given.join(" and ");
    problems.push(`${where}: expected one of servers, defaults, local; got ${got}`);
    return undefined;
  }
  if (value["servers"] !== undefined) {
    const servers = readTexts(entry, "servers", problems);
    if (servers?.length === 0)
      problems.push(`${where}.servers: is empty; use local for names that are never forwarded`);
    return servers && { servers };
  }
  const key = given[0]!;
  if (value[key] !== true) {
    problems.push(`${where}.${key}: expected true or false, got ${JSON.stringify(value[key])}`);
    return undefined;
  }
  const hasPolicy = Object.keys(policy).length > 0;
  if (key === "defaults") return hasPolicy ? { servers: null } : "defaults";
  if (hasPolicy) problems.push(`${where}: local names are not asked of anybody, yet it says how`);
  return "local";
}

/** One member of a policy: its kind and limits, as a row of the option table has them, and what it sets. */
type Member<K extends Kind = Kind> = Limits & {
  readonly kind: K;
  readonly set: (policy: ZonePolicy, value: Kinds[K]) => void;
};
const member = <K extends Kind>(
  kind: K,
  limits: Limits,
  set: (policy: ZonePolicy, value: Kinds[K]) => void,
): Member<K> => ({ kind, ...limits, set });

const strategies = { words: ["sequential", "random", "fastest", "parallel"] };
const atLeastNone = { min: 0 };

const policyMembers = {
  strategy: member("text", strategies, (policy, word) => {
    // Its limits allow these words only.
    policy.strategy = word as GroupSettings["strategy"];
  }),
  timeout: member("durationMs", { min: 1 }, (policy, ms) => {
    policy.timeoutMs = ms;
  }),
  max_in_flight: member("integer", { min: 1, max: 65_536 }, (policy, count) => {
    policy.maxInFlight = count;
  }),
  mixed_case: member("boolean", {}, (policy, yes) => {
    policy.mixedCase = yes;
  }),
  packets_per_second: member("integer", { min: -1 }, (policy, count) => {
    policy.packetsPerSecond = count;
  }),
  cache: member("boolean", {}, (policy, yes) => {
    policy.keep = yes;
  }),
  min_ttl: member("durationMs", atLeastNone, (policy, ms) => {
    policy.minTtlSeconds = ms / 1000;
  }),
  max_ttl: member("durationMs", atLeastNone, (policy, ms) => {
    policy.maxTtlSeconds = ms / 1000;
  }),
  max_negative_ttl: member("durationMs", atLeastNone, (policy, ms) => {
    policy.negativeTtlCapSeconds = ms / 1000;
  }),
  stale: member("boolean", {}, (policy, enabled) => {
    policy.stale = { ...policy.stale, enabled };
  }),
  last_known_good: member("boolean", {}, (policy, lastKnownGood) => {
    policy.stale = { ...policy.stale, lastKnownGood };
  }),
  trust_ad: member("boolean", {}, (policy, yes) => {
    policy.trustAd = yes;
  }),
};
const policyKeys = [...Object.keys(policyMembers), "next_on"];

function readPolicy(entry: Entry, problems: Problems): ZonePolicy {
  const policy: ZonePolicy = {};
  const { where, value } = entry;
  const read = <K extends Kind>(key: string, { kind, set, ...limits }: Member<K>): void => {
    if (value[key] === undefined || value[key] === null) return;
    const parsed = parseValue(kind, limits, value[key]);
    if (parsed.ok) set(policy, parsed.value);
    else problems.push(`${where}.${key}: ${parsed.error}`);
  };
  for (const [key, each] of Object.entries(policyMembers)) read(key, each as Member);
  const nextOn = value["next_on"] === undefined ? undefined : readTexts(entry, "next_on", problems);
  if (nextOn !== undefined) policy.nextOn = readRcodes(nextOn, `${where}.next_on`, problems);
  const { minTtlSeconds = 0, maxTtlSeconds = Infinity } = policy;
  if (minTtlSeconds > maxTtlSeconds) problems.push(`${where}: min_ttl is above max_ttl`);
  return policy;
}

/** RCODEs by name; null for none: the forwarder's own choice. NOERROR is always an answer. */
export function readRcodes(
  texts: readonly string[],
  where: string,
  problems: Problems,
): readonly number[] | null {
  const rcodes: number[] = [];
  for (const [i, text] of texts.entries()) {
    const rcode = parseRcode(text);
    if (rcode === undefined || rcode === 0)
      problems.push(
        `${where}[${i}]: expected an RCODE such as NXDOMAIN, SERVFAIL or REFUSED, got ${JSON.stringify(text)}`,
      );
    else rcodes.push(rcode);
  }
  return texts.length === 0 ? null : rcodes;
}

/** Everything that is said of zones, for all clients and for those of views. */
export type LoadedZones<Group = ZoneGroup> = {
  readonly rules: readonly Rule[];
  /** In the order of the views. */
  readonly viewRules: readonly (readonly Rule[])[];
  readonly groups: readonly Group[];
};

/** Reads `forwarder.zones` and the zones of views; servers are still texts. `domains`: our own. */
export function readAllZones(
  zones: unknown,
  views: readonly { name: string; zones: unknown; where: string }[],
  domains: readonly Uint8Array[],
  problems: Problems,
): LoadedZones<DeclaredGroup> {
  const all = readZones(zones, "forwarder.zones", { prefix: "", domains, problems });
  const ofViews = views.map((view) =>
    readZones(view.zones, `${view.where}.zones`, { prefix: `${view.name}: `, domains, problems }),
  );
  return {
    rules: all.rules,
    viewRules: ofViews.map(({ rules }) => rules),
    groups: [...all.groups, ...ofViews.flatMap(({ groups }) => groups)],
  };
}

/** The same with servers; `resolve` gives those of a list, with the key path for its messages. */
export async function withServers(
  { groups, ...rest }: LoadedZones<DeclaredGroup>,
  resolve: (texts: readonly string[], key: string) => Promise<readonly Upstream[]>,
): Promise<LoadedZones> {
  const resolved: ZoneGroup[] = [];
  for (const group of groups) {
    const { servers, where } = group;
    // oxlint-disable-next-line no-await-in-loop -- names are the exception, and errors keep their order
    const found = servers === null ? null : await resolve(servers, `${where}.servers`);
    resolved.push({ ...group, servers: found });
  }
  return { ...rest, groups: resolved };
}
