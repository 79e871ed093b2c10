/**
 * Rule language of Consul 1.10's ACLs: resources with an exact and a prefix form, and scalars. Exact
 * beats prefix, the longest prefix wins; of several policies on the same rule deny beats write,
 * write list, list read. What no rule covers is left to the default policy.
 */
import { fail, ok, type Result } from "../base.ts";
import { parseHcl, type HclObject, type HclValue } from "./acl-hcl.ts";

/** What a rule grants; `list` is for keys only. */
export type Access = "deny" | "read" | "list" | "write";
/** Resources with rules per name. */
export type Resource = "key" | "service" | "node" | "agent" | "session" | "event" | "query";
/** Resources with one rule in all. */
export type Scalar = "acl" | "operator" | "keyring" | "mesh";

/** Rules of one resource by name. */
export type ResourceRules = {
  exact: ReadonlyMap<string, Access>;
  prefix: ReadonlyMap<string, Access>;
};
/** Rules of one policy, or of all policies of a token. */
export type Rules = {
  resources: Readonly<Record<Resource, ResourceRules>>;
  scalars: Readonly<Partial<Record<Scalar, Access>>>;
};

const RESOURCES: readonly Resource[] = [
  "key",
  "service",
  "node",
  "agent",
  "session",
  "event",
  "query",
];
const SCALARS: readonly Scalar[] = ["acl", "operator", "keyring", "mesh"];
/** Which of two rules on the same thing counts: the later in this list. */
const PRECEDENCE: readonly Access[] = ["read", "list", "write", "deny"];

/** Longest rules that are read, in UTF-16 code units: about 20 ms of work. Policies have hundreds. */
export const RULES_LENGTH_MAX = 262_144;

/**
 * Rules of one policy in HCL or JSON; names in any case, as Consul's decoder takes them. Members that
 * are not ours (Enterprise) say nothing.
 */
export function parseRules(text: string): Result<Rules, string> {
  if (text.length > RULES_LENGTH_MAX)
    return fail(`Failed to parse ACL rules: longer than ${RULES_LENGTH_MAX} characters`);
  const tree = parseHcl(text);
  if (!tree.ok) return fail(`Failed to parse ACL rules: ${tree.error}`);
  const rules = noRules();
  for (const [name, value] of Object.entries(tree.value)) {
    const problem = readMember(name.toLowerCase(), value, rules);
    if (problem !== undefined) return fail(problem);
  }
  return ok(rules);
}

/** Puts what a member at the top grants into `rules`; gives the first problem. */
function readMember(name: string, value: HclValue, rules: MutableRules): string | undefined {
  for (const resource of RESOURCES) {
    const { exact, prefix } = rules.resources[resource];
    if (name === resource) return readRules(value, { name, resource, into: exact });
    if (name === `${resource}_prefix`) return readRules(value, { name, resource, into: prefix });
  }
  for (const scalar of SCALARS) {
    if (name !== scalar || value === "") continue;
    if (!isAccess(value) || value === "list") return `Invalid ${scalar} policy: ${show(value)}`;
    rules.scalars[scalar] = value;
  }
  return undefined;
}

/** Rules given as a table: `{ service: { web: "write" }, node_prefix: { "": "read" } }`. */
export function rulesOf(
  table: Partial<Record<Resource | `${Resource}_prefix`, Readonly<Record<string, Access>>>>,
): Rules {
  const rules = noRules();
  for (const resource of RESOURCES) {
    const { exact, prefix } = rules.resources[resource];
    for (const [name, access] of Object.entries(table[resource] ?? {})) put(exact, name, access);
    for (const [name, access] of Object.entries(table[`${resource}_prefix`] ?? {}))
      put(prefix, name, access);
  }
  return rules;
}

/** The rules of several policies taken together. */
export function mergeRules(all: readonly Rules[]): Rules {
  const merged = noRules();
  for (const { resources, scalars } of all) {
    for (const resource of RESOURCES) {
      const { exact, prefix } = merged.resources[resource];
      for (const [name, access] of resources[resource].exact) put(exact, name, access);
      for (const [name, access] of resources[resource].prefix) put(prefix, name, access);
    }
    for (const scalar of SCALARS) {
      const access = scalars[scalar];
      if (access !== undefined) merged.scalars[scalar] = stronger(merged.scalars[scalar], access);
    }
  }
  return merged;
}

/** The rule that covers a name, if any. Takes as many look-ups as prefixes differ in length. */
export type Covering = (name: string) => Access | undefined;

/** Prepares rules for being asked; they must not change any more. */
export function createCovering({ exact, prefix }: ResourceRules): Covering {
  const lengths = [...new Set(Array.from(prefix.keys(), (name) => name.length))];
  lengths.sort((a, b) => b - a);
  return (name) => {
    const access = exact.get(name);
    return access ?? coveringPrefix(prefix, lengths, name);
  };
}

/** The access of the longest prefix that the name starts with; `lengths` falls. */
function coveringPrefix(
  prefix: ReadonlyMap<string, Access>,
  lengths: readonly number[],
  name: string,
): Access | undefined {
  for (const length of lengths) {
    if (length > name.length) continue;
    const access = prefix.get(length === name.length ? name : name.slice(0, length));
    if (access !== undefined) return access;
  }
  return undefined;
}

/**
 * What the rules say about everything that starts with `start`: the access of the prefix rule that
 * covers it, and whether a rule, exact or prefix, at or below it grants less than write.
 */
export function accessBelow(
  { exact, prefix }: ResourceRules,
  start: string,
): { covering: Access | undefined; isNarrowed: boolean } {
  const covering = createCovering({ exact: new Map(), prefix })(start);
  const narrows = ([name, access]: [string, Access]) =>
    access !== "write" && name.startsWith(start);
  return { covering, isNarrowed: [...exact, ...prefix].some(narrows) };
}

type MutableRules = {
  resources: Record<Resource, { exact: Map<string, Access>; prefix: Map<string, Access> }>;
  scalars: Partial<Record<Scalar, Access>>;
};

function noRules(): MutableRules {
  const none = () => ({ exact: new Map<string, Access>(), prefix: new Map<string, Access>() });
  return {
    resources: {
      key: none(),
      service: none(),
      node: none(),
      agent: none(),
      session: none(),
      event: none(),
      query: none(),
    },
    scalars: {},
  };
}

/**
 * Puts the rules of `key "a" { policy = ... }` blocks into the map; gives the first problem. Anything
 * else under this name is one: a `deny` must not get lost by a slip of the pen.
 */
function readRules(
  value: HclValue,
  { name, resource, into }: { name: string; resource: Resource; into: Map<string, Access> },
): string | undefined {
  const malformed = `Failed to parse ACL rules: expected ${name} "..." { policy = "..." }`;
  const blocks = objectsOf(value);
  if (blocks === undefined) return malformed;
  for (const [label, body] of blocks.flatMap((block) => Object.entries(block))) {
    const bodies = objectsOf(body);
    if (bodies === undefined) return malformed;
    for (const members of bodies) {
      const policy = policyOf(members);
      // `list` makes sense for keys only.
      if (!isAccess(policy) || (policy === "list" && resource !== "key"))
        return `Invalid ${name} policy for "${label}": ${show(policy)}`;
      put(into, label, policy);
    }
  }
  return undefined;
}

/** HCL writes blocks as a list of objects, JSON usually as the object itself; undefined for anything else. */
function objectsOf(value: HclValue): HclObject[] | undefined {
  const items = Array.isArray(value) ? value.flat() : [value];
  const objects = items.filter(
    (item): item is HclObject => typeof item === "object" && !Array.isArray(item),
  );
  return objects.length === items.length ? objects : undefined;
}

function policyOf(members: HclObject): HclValue | undefined {
  for (const [name, value] of Object.entries(members))
    if (name.toLowerCase() === "policy") return value;
  return undefined;
}

function isAccess(value: HclValue | undefined): value is Access {
  return PRECEDENCE.some((access) => access === value);
}

function show(value: HclValue | undefined): string {
  return value === undefined ? "no policy given" : JSON.stringify(value);
}

function put(rules: Map<string, Access>, name: string, access: Access): void {
  rules.set(name, stronger(rules.get(name), access));
}

function stronger(a: Access | undefined, b: Access): Access {
  return a !== undefined && PRECEDENCE.indexOf(a) > PRECEDENCE.indexOf(b) ? a : b;
}
