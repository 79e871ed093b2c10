/**
 * Policies, roles and tokens as they are held and read; acl-policies, acl-roles and acl-tokens
 * change them. Two records need no command: the builtin policy global-management and the anonymous
 * token.
 */
import { ok, type Result } from "../base.ts";
import { presentLinks, type Linked } from "./acl-links.ts";
import { parseRules, type Rules } from "./acl-rules.ts";
import type { Change } from "./change.ts";
import type { AclPolicyFields, AclRoleFields, AclTokenFields } from "./command.ts";
import { sameJson } from "./same.ts";

type Indexed = { readonly createIndex: number; readonly modifyIndex: number };
/** A policy as it is stored. */
export type AclPolicyRecord = AclPolicyFields & Indexed;
/** As read: links to what is gone are left out, names are the present ones. */
export type AclRoleRecord = AclRoleFields & Indexed;
/** As read: links to what is gone are left out, names are the present ones. */
export type AclTokenRecord = AclTokenFields & Indexed;

/** Policies, roles and tokens, with what finds them. */
export type AclState = {
  policies: Map<string, { record: AclPolicyRecord; rules: Rules }>;
  /** Lower-case name → id. */
  policyNames: Map<string, string>;
  roles: Map<string, AclRoleRecord>;
  /** Lower-case name → id. */
  roleNames: Map<string, string>;
  tokens: Map<string, AclTokenRecord>;
  /** Secret → accessor. */
  secrets: Map<string, string>;
  /** Accessors of the tokens that expire → ms since 1970 at which they do. */
  expiring: Map<string, number>;
  index: number;
  /** Index of the bootstrap command; 0: bootstrap is still open. */
  bootstrapIndex: number;
  /** A new object after every change. */
  version: object;
};

/**
 * Read side; lists are in order of the id. Tokens are found also when their time is over: who asks
 * on behalf of a client looks at `isExpired`.
 */
export type AclReader = {
  /** Modify index of the topic `acl`. */
  readonly index: number;
  /** Another object after every change of the state, also when a snapshot is installed. */
  readonly version: object;
  readonly bootstrapIndex: number;
  /** Accessors of the tokens that expire → ms since 1970 at which they do. */
  readonly expiring: ReadonlyMap<string, number>;
  policy(id: string): AclPolicyRecord | undefined;
  policyByName(name: string): AclPolicyRecord | undefined;
  policies(): AclPolicyRecord[];
  /** Parsed rules of a policy that exists. */
  rules(policyId: string): Rules | undefined;
  role(id: string): AclRoleRecord | undefined;
  roleByName(name: string): AclRoleRecord | undefined;
  roles(): AclRoleRecord[];
  token(accessorId: string): AclTokenRecord | undefined;
  tokenBySecret(secretId: string): AclTokenRecord | undefined;
  tokens(): AclTokenRecord[];
};

/** Built-in policy with all rights: it may get another name, but stays, with its rules. */
export const GLOBAL_MANAGEMENT_ID = "00000000-0000-0000-0000-000000000001";
/** Accessor of the token of those who show none. */
export const ANONYMOUS_ID = "00000000-0000-0000-0000-000000000002";
/** Secret of those who show no token. */
export const ANONYMOUS_SECRET = "anonymous";

/** Rules of the builtin policy, as Consul words them. */
export const MANAGEMENT_RULES = [
  'acl = "write"',
  ...["agent", "event", "key", "node", "query", "service", "session"].map(
    (resource) => `${resource}_prefix "" {\n\tpolicy = "write"\n}`,
  ),
  'keyring = "write"',
  'operator = "write"',
].join("\n");

/** The state of a new cluster: the built-in policy and the anonymous token. */
export function createAclState(): AclState {
  const state: AclState = {
    policies: new Map(),
    policyNames: new Map(),
    roles: new Map(),
    roleNames: new Map(),
    tokens: new Map(),
    secrets: new Map(),
    expiring: new Map(),
    index: 0,
    bootstrapIndex: 0,
    version: {},
  };
  const [createIndex, modifyIndex] = [1, 1];
  const management = {
    id: GLOBAL_MANAGEMENT_ID,
    name: "global-management",
    description: "Builtin Policy that grants unlimited access",
    rules: MANAGEMENT_RULES,
    datacenters: null,
  };
  putPolicy(state, { ...management, createIndex, modifyIndex });
  const anonymous = {
    accessorId: ANONYMOUS_ID,
    secretId: ANONYMOUS_SECRET,
    description: "Anonymous Token",
    policies: [],
    local: false,
    createTimeMs: 0,
  };
  putToken(state, { ...anonymous, createIndex, modifyIndex });
  return state;
}

/** Whether the token's time is over at this wall time. */
export function isExpired({ expirationTimeMs }: AclTokenFields, wallMs: number): boolean {
  return expirationTimeMs !== undefined && expirationTimeMs <= wallMs;
}

/** `current` gives the state, which a snapshot may have replaced. */
export function createAclReader(current: () => AclState): AclReader {
  const policies = () => [...current().policies.values()].map(({ record }) => record);
  const tokenAsRead = (token: AclTokenRecord | undefined) => token && asRead(current(), token);
  const roleAsRead = (role: AclRoleRecord | undefined) => role && asRead(current(), role);
  return {
    get index() {
      return current().index;
    },
    get version() {
      return current().version;
    },
    get bootstrapIndex() {
      return current().bootstrapIndex;
    },
    get expiring() {
      return current().expiring;
    },
    policy: (id) => current().policies.get(id)?.record,
    policyByName(name) {
      const id = current().policyNames.get(name.toLowerCase());
      return id === undefined ? undefined : current().policies.get(id)?.record;
    },
    policies: () => policies().sort((a, b) => (a.id < b.id ? -1 : 1)),
    rules: (policyId) => current().policies.get(policyId)?.rules,
    role: (id) => roleAsRead(current().roles.get(id)),
    roleByName(name) {
      const id = current().roleNames.get(name.toLowerCase());
      return id === undefined ? undefined : roleAsRead(current().roles.get(id));
    },
    roles: () =>
      [...current().roles.values()]
        .sort((a, b) => (a.id < b.id ? -1 : 1))
        .map((role) => asRead(current(), role)),
    token: (accessorId) => tokenAsRead(current().tokens.get(accessorId)),
    tokenBySecret(secretId) {
      const accessorId = current().secrets.get(secretId);
      return accessorId === undefined ? undefined : tokenAsRead(current().tokens.get(accessorId));
    },
    tokens: () =>
      [...current().tokens.values()]
        .sort((a, b) => (a.accessorId < b.accessorId ? -1 : 1))
        .map((token) => asRead(current(), token)),
  };
}

/** Adds a policy that a command or a snapshot brings; the error is that of its rules. */
export function putPolicy(state: AclState, record: AclPolicyRecord): Result<true, string> {
  const rules = parseRules(record.rules);
  if (!rules.ok) return rules;
  const held = state.policies.get(record.id)?.record;
  if (held !== undefined) state.policyNames.delete(held.name.toLowerCase());
  state.policies.set(record.id, { record, rules: rules.value });
  state.policyNames.set(record.name.toLowerCase(), record.id);
  return ok(true);
}

/** Adds a role that a command or a snapshot brings. */
export function putRole(state: AclState, record: AclRoleRecord): void {
  const held = state.roles.get(record.id);
  if (held !== undefined) state.roleNames.delete(held.name.toLowerCase());
  state.roles.set(record.id, record);
  state.roleNames.set(record.name.toLowerCase(), record.id);
}

/** Adds a token that a command or a snapshot brings. */
export function putToken(state: AclState, record: AclTokenRecord): void {
  const { accessorId, expirationTimeMs } = record;
  state.tokens.set(accessorId, record);
  state.secrets.set(record.secretId, accessorId);
  if (expirationTimeMs !== undefined) state.expiring.set(accessorId, expirationTimeMs);
}

/** The policies, for links to them. */
export function linkedPolicies(state: AclState): Linked {
  const { policies, policyNames } = state;
  return { kind: "policy", ids: policyNames, nameOf: (id) => policies.get(id)?.record.name };
}

/** The roles, for links to them. */
export function linkedRoles({ roles, roleNames }: AclState): Linked {
  return { kind: "role", ids: roleNames, nameOf: (id) => roles.get(id)?.name };
}

/** The record with its links as they are now; itself if none has changed. */
export function asRead<R extends AclRoleRecord | AclTokenRecord>(state: AclState, record: R): R {
  const policies = presentLinks(record.policies, linkedPolicies(state));
  const held = "roles" in record ? record.roles : undefined;
  const roles = held && presentLinks(held, linkedRoles(state));
  if (policies === record.policies && roles === held) return record;
  return { ...record, policies, ...(roles === undefined ? {} : { roles }) };
}

/** Equal but for the indexes. */
export function sameFields(
  a: AclPolicyRecord | AclRoleRecord | AclTokenRecord,
  b: object,
): boolean {
  const { createIndex, modifyIndex } = a;
  return sameJson(a, { ...b, createIndex, modifyIndex });
}

/** To be called after every change. */
export function touch(state: AclState, change: Change): void {
  state.index = change.index;
  state.version = {};
  change.topics.add("acl");
}
