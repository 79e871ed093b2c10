/**
 * State machine of ACL policies and tokens. Two records need no command: the builtin policy
 * global-management and the anonymous token. Consul 1.10 agent/consul/acl_endpoint.go for the texts.
 */
import { fail, ok, type Result } from "../base.ts";
import { parseRules, type Rules } from "./acl-rules.ts";
import type { Change } from "./change.ts";
import type { AclPolicyFields, AclTokenFields, Command } from "./command.ts";
import { sameJson } from "./same.ts";

type Indexed = { readonly createIndex: number; readonly modifyIndex: number };
/** A policy as it is stored. */
export type AclPolicyRecord = AclPolicyFields & Indexed;
/** As read: links to policies that are gone are left out, names are the present ones. */
export type AclTokenRecord = AclTokenFields & Indexed;

/** Policies and tokens, with what finds them. */
export type AclState = {
  policies: Map<string, { record: AclPolicyRecord; rules: Rules }>;
  /** Lower-case name → id. */
  policyNames: Map<string, string>;
  tokens: Map<string, AclTokenRecord>;
  /** Secret → accessor. */
  secrets: Map<string, string>;
  index: number;
  /** Index of the bootstrap command; 0: bootstrap is still open. */
  bootstrapIndex: number;
  /** A new object after every change. */
  version: object;
};

/** Read side; lists are in order of the id. */
export type AclReader = {
  /** Modify index of the topic `acl`. */
  readonly index: number;
  /** Another object after every change of the state, also when a snapshot is installed. */
  readonly version: object;
  readonly bootstrapIndex: number;
  policy(id: string): AclPolicyRecord | undefined;
  policyByName(name: string): AclPolicyRecord | undefined;
  policies(): AclPolicyRecord[];
  /** Parsed rules of a policy that exists. */
  rules(policyId: string): Rules | undefined;
  token(accessorId: string): AclTokenRecord | undefined;
  tokenBySecret(secretId: string): AclTokenRecord | undefined;
  tokens(): AclTokenRecord[];
};

/** Built-in policy with all rights: it may get another name, but stays, with its rules. */
export const GLOBAL_MANAGEMENT_ID = "00000000-0000-0000-0000-000000000001";
const ANONYMOUS_ID = "00000000-0000-0000-0000-000000000002";
/** Secret of those who show no token. */
export const ANONYMOUS_SECRET = "anonymous";

const MANAGEMENT_RULES = [
  'acl = "write"',
  ...["agent", "event", "key", "node", "query", "service", "session"].map(
    (resource) => `${resource}_prefix "" {\n\tpolicy = "write"\n}`,
  ),
  'keyring = "write"',
  'operator = "write"',
].join("\n");

const POLICY_NAME = /^[A-Za-z0-9_-]{1,128}$/;

/** The state of a new cluster: the built-in policy and the anonymous token. */
export function createAclState(): AclState {
  const state: AclState = {
    policies: new Map(),
    policyNames: new Map(),
    tokens: new Map(),
    secrets: new Map(),
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

/** Creates or replaces a policy; the same content changes nothing. The error is Consul's text. */
export function applyPolicySet(
  state: AclState,
  fields: AclPolicyFields,
  change: Change,
): Result<AclPolicyRecord, string> {
  const held = state.policies.get(fields.id)?.record;
  const problem = policyProblem(state, fields, held);
  if (problem !== undefined) return fail(problem);
  if (held !== undefined && sameFields(held, fields)) return ok(held);
  const { index } = change;
  const record = { ...fields, createIndex: held?.createIndex ?? index, modifyIndex: index };
  const put = putPolicy(state, record);
  if (!put.ok) return put;
  touch(state, change);
  return ok(record);
}

/** An unknown policy is fine; the built-in one is refused. */
export function applyPolicyDelete(
  state: AclState,
  id: string,
  change: Change,
): Result<true, string> {
  if (id === GLOBAL_MANAGEMENT_ID)
    return fail("Delete operation not permitted on the builtin global-management policy");
  const held = state.policies.get(id)?.record;
  if (held === undefined) return ok(true);
  state.policies.delete(id);
  state.policyNames.delete(held.name.toLowerCase());
  touch(state, change);
  return ok(true);
}

/**
 * Creates or replaces a token. Refused: a secret that changes or is another token's, unknown
 * policies.
 */
export function applyTokenSet(
  state: AclState,
  fields: AclTokenFields,
  change: Change,
): Result<AclTokenRecord, string> {
  const held = state.tokens.get(fields.accessorId);
  if (held !== undefined && held.secretId !== fields.secretId)
    return fail("Changing a tokens SecretID is not permitted");
  if (held === undefined && state.secrets.has(fields.secretId))
    return fail("Invalid Token: SecretID is already in use");
  const links = resolveLinks(state, fields.policies);
  if (!links.ok) return links;
  const { index } = change;
  const record: AclTokenRecord = {
    ...fields,
    policies: links.value,
    // The time of creation stays what it was.
    createTimeMs: held?.createTimeMs ?? fields.createTimeMs,
    createIndex: held?.createIndex ?? index,
    modifyIndex: index,
  };
  if (held !== undefined && sameFields(held, record)) return ok(asRead(state, held));
  putToken(state, record);
  touch(state, change);
  return ok(record);
}

/** An unknown token is fine; the anonymous one is refused. */
export function applyTokenDelete(
  state: AclState,
  accessorId: string,
  change: Change,
): Result<true, string> {
  if (accessorId === ANONYMOUS_ID)
    return fail("Delete operation not permitted on the anonymous token");
  const held = state.tokens.get(accessorId);
  if (held === undefined) return ok(true);
  state.tokens.delete(accessorId);
  state.secrets.delete(held.secretId);
  touch(state, change);
  return ok(true);
}

/** Makes the first management token; again only with the index of the last time as `resetIndex`. */
export function applyBootstrap(
  state: AclState,
  { token, resetIndex }: { token: AclTokenFields; resetIndex: number },
  change: Change,
): Result<AclTokenRecord, string> {
  const { bootstrapIndex } = state;
  if (bootstrapIndex !== 0 && resetIndex !== bootstrapIndex)
    return fail(
      `Permission denied: ACL bootstrap no longer allowed (reset index: ${bootstrapIndex})`,
    );
  const set = applyTokenSet(state, token, change);
  if (set.ok) {
    state.bootstrapIndex = change.index;
    touch(state, change);
  }
  return set;
}

/**
 * What a leader must propose so that the secret of acl.tokens.initial_management is a token of its
 * own; undefined if it is one. Bootstrap is over then, as in Consul.
 */
export function initialManagementCommand(
  reader: AclReader,
  secretId: string,
  drawn: { uuid: string; timeMs: number },
): Command | undefined {
  if (secretId === "" || reader.tokenBySecret(secretId) !== undefined) return undefined;
  const token = {
    accessorId: drawn.uuid,
    secretId,
    description: "Master Token",
    policies: [{ id: GLOBAL_MANAGEMENT_ID, name: "global-management" }],
    local: false,
    createTimeMs: drawn.timeMs,
  };
  if (reader.bootstrapIndex !== 0) return { type: "acl-token-set", token };
  return { type: "acl-bootstrap", token, resetIndex: 0 };
}

/** `current` gives the state, which a snapshot may have replaced. */
export function createAclReader(current: () => AclState): AclReader {
  const policies = () => [...current().policies.values()].map(({ record }) => record);
  const read = (token: AclTokenRecord | undefined) => token && asRead(current(), token);
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
    policy: (id) => current().policies.get(id)?.record,
    policyByName(name) {
      const id = current().policyNames.get(name.toLowerCase());
      return id === undefined ? undefined : current().policies.get(id)?.record;
    },
    policies: () => policies().sort((a, b) => (a.id < b.id ? -1 : 1)),
    rules: (policyId) => current().policies.get(policyId)?.rules,
    token: (accessorId) => read(current().tokens.get(accessorId)),
    tokenBySecret(secretId) {
      const accessorId = current().secrets.get(secretId);
      return accessorId === undefined ? undefined : read(current().tokens.get(accessorId));
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

/** Adds a token that a command or a snapshot brings. */
export function putToken(state: AclState, record: AclTokenRecord): void {
  state.tokens.set(record.accessorId, record);
  state.secrets.set(record.secretId, record.accessorId);
}

function policyProblem(
  state: AclState,
  fields: AclPolicyFields,
  held: AclPolicyRecord | undefined,
): string | undefined {
  if (fields.name === "") return "Invalid Policy: no Name is set";
  if (!POLICY_NAME.test(fields.name))
    return "Invalid Policy: invalid Name. Only alphanumeric characters, '-' and '_' are allowed";
  const holder = state.policyNames.get(fields.name.toLowerCase());
  if (holder !== undefined && holder !== fields.id) {
    const policy = held === undefined ? "A Policy with Name" : "A policy with name";
    return `Invalid Policy: ${policy} "${fields.name}" already exists`;
  }
  if (fields.id !== GLOBAL_MANAGEMENT_ID) return undefined;
  if (fields.rules !== MANAGEMENT_RULES)
    return "Changing the Rules for the builtin global-management policy is not permitted";
  if (fields.datacenters !== null && fields.datacenters.length > 0)
    return "Changing the Datacenters of the builtin global-management policy is not permitted";
  return undefined;
}

type Link = { id: string; name: string };

/** Links may name a policy by id or by name; both are answered, doubles are merged. */
function resolveLinks(state: AclState, links: readonly Link[]): Result<Link[], string> {
  const resolved = new Map<string, Link>();
  for (const link of links) {
    const id = link.id === "" ? state.policyNames.get(link.name.toLowerCase()) : link.id;
    const policy = id === undefined ? undefined : state.policies.get(id)?.record;
    if (policy === undefined)
      return fail(
        link.id === ""
          ? `No such ACL policy with name "${link.name}"`
          : `No such ACL policy with ID "${link.id}"`,
      );
    resolved.set(policy.id, { id: policy.id, name: policy.name });
  }
  return ok([...resolved.values()]);
}

function asRead(state: AclState, token: AclTokenRecord): AclTokenRecord {
  const policies = token.policies.flatMap(({ id }) => {
    const policy = state.policies.get(id)?.record;
    return policy === undefined ? [] : [{ id, name: policy.name }];
  });
  return sameJson(policies, token.policies) ? token : { ...token, policies };
}

/** Equal but for the indexes. */
function sameFields(a: AclPolicyRecord | AclTokenRecord, b: object): boolean {
  const { createIndex, modifyIndex } = a;
  return sameJson(a, { ...b, createIndex, modifyIndex });
}

function touch(state: AclState, change: Change): void {
  state.index = change.index;
  state.version = {};
  change.topics.add("acl");
}
