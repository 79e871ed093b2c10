import { accessBelow, createCovering, mergeRules, rulesOf } from "./acl-rules.ts";
import type { Access, Rules } from "./acl-rules.ts";
import { identityRules } from "./acl-identity.ts";
import { ANONYMOUS_SECRET, isExpired, type AclReader, type AclTokenRecord } from "./acl-state.ts";

/** What a caller may do; Consul 1.10 rule language. Each method answers for one exact name. */
export type Authorizer = {
  keyRead(key: string): boolean;
  /** For `acl.enable_key_list_policy`: lists below a prefix. */
  keyList(prefix: string): boolean;
  keyWrite(key: string): boolean;
  /** For a recursive delete: write on the prefix, and no rule below it that grants less. */
  keyWritePrefix(prefix: string): boolean;
  eventRead(name: string): boolean;
  eventWrite(name: string): boolean;
  keyringRead(): boolean;
  keyringWrite(): boolean;
  nodeRead(node: string): boolean;
  nodeWrite(node: string): boolean;
  serviceRead(service: string): boolean;
  serviceWrite(service: string): boolean;
  queryRead(name: string): boolean;
  queryWrite(name: string): boolean;
  sessionRead(node: string): boolean;
  sessionWrite(node: string): boolean;
  agentRead(node: string): boolean;
  agentWrite(node: string): boolean;
  operatorRead(): boolean;
  operatorWrite(): boolean;
  aclRead(): boolean;
  aclWrite(): boolean;
};

/** From a secret to what its holder may do. */
export type Acl = {
  readonly enabled: boolean;
  readonly defaultPolicy: "allow" | "deny";
  /** Lists of keys need `list` on their prefix and are refused without it. */
  readonly enableKeyListPolicy: boolean;
  /** Secret that stands for no token: acl.tokens.default; "" if there is none. */
  readonly defaultToken: string;
  /** undefined or "": the default token if configured, else the anonymous token. "ACL not found" for an unknown secret. */
  authorizer(secretId: string | undefined): Authorizer | "ACL not found";
  /** For DNS: acl.tokens.dns, else acl.tokens.default, else anonymous. */
  dnsAuthorizer(): Authorizer;
};

/** What the configuration says about ACLs. Read at every call: tokens may be set at run time. */
export type AclSettings = {
  enabled: boolean;
  defaultPolicy: "allow" | "deny";
  enableKeyListPolicy: boolean;
  datacenter: string;
  nodeName: string;
  /** Secrets; "" where none is configured. */
  tokens: {
    /** initial_management, formerly master: full rights from the start. */
    initialManagement: string;
    /** agent_recovery, formerly agent_master: agent:write and node:read on this agent only. */
    agentRecovery: string;
    default: string;
    dns: string;
  };
};

/** Authorizers kept; all are forgotten when there are more tokens in use, or when ACLs change. */
const AUTHORIZERS_MAX = 4096;

/** `untilMs`: ms since 1970 at which the token's time is over. */
type Held = { authorizer: Authorizer; untilMs: number };

/** Resolves tokens with the rules in the state. `wallMs` gives ms since 1970. Consul 1.10 agent/consul/acl.go. */
export function createAcl(reader: AclReader, settings: AclSettings, wallMs: () => number): Acl {
  const authorizers = new Map<string, Held>();
  const recovery = recoveryAuthorizer(settings.nodeName);
  let version: object | undefined;

  function authorizer(secretId: string | undefined): Authorizer | "ACL not found" {
    if (!settings.enabled) return MANAGE_ALL;
    const { tokens, defaultPolicy } = settings;
    const secret = secretId || tokens.default || ANONYMOUS_SECRET;
    // Until the leader has made a token of it; from then on the state decides.
    if (secret === tokens.initialManagement && reader.bootstrapIndex === 0) return MANAGE_ALL;
    if (secret === tokens.agentRecovery) return recovery;
    if (version !== reader.version || authorizers.size > AUTHORIZERS_MAX) {
      authorizers.clear();
      version = reader.version;
    }
    let held = authorizers.get(secret);
    if (held === undefined) {
      const token = reader.tokenBySecret(secret);
      if (token === undefined || isExpired(token, wallMs())) return "ACL not found";
      const rules = mergeRules(rulesOfToken(reader, token, settings.datacenter));
      const untilMs = token.expirationTimeMs ?? Infinity;
      held = { authorizer: createAuthorizer(rules, defaultPolicy), untilMs };
      authorizers.set(secret, held);
    }
    // Most tokens never expire: nobody asks for the time on their behalf.
    if (held.untilMs !== Infinity && held.untilMs <= wallMs()) return "ACL not found";
    return held.authorizer;
  }

  return {
    get enabled() {
      return settings.enabled;
    },
    get defaultPolicy() {
      return settings.enabled ? settings.defaultPolicy : "allow";
    },
    get enableKeyListPolicy() {
      return settings.enabled && settings.enableKeyListPolicy;
    },
    get defaultToken() {
      return settings.tokens.default;
    },
    authorizer,
    dnsAuthorizer() {
      const found = authorizer(settings.tokens.dns);
      // A configured token that does not exist (any more) may see nothing.
      return found === "ACL not found" ? NOBODY : found;
    },
  };
}

/** Rules of the token's policies and identities and of those of its roles, each policy once. */
function rulesOfToken(reader: AclReader, token: AclTokenRecord, datacenter: string): Rules[] {
  const roles = (token.roles ?? []).flatMap(({ id }) => reader.role(id) ?? []);
  const grants = [token, ...roles];
  const policyIds = new Set(grants.flatMap(({ policies }) => policies.map(({ id }) => id)));
  const ofPolicies = [...policyIds].flatMap((id) => {
    const datacenters = reader.policy(id)?.datacenters ?? [];
    const here = datacenters.length === 0 || datacenters.includes(datacenter);
    return (here ? reader.rules(id) : undefined) ?? [];
  });
  return [...ofPolicies, ...grants.flatMap((each) => identityRules(each, datacenter))];
}

/** Rights from rules; what no rule covers follows the default policy, but never `acl`. */
export function createAuthorizer(rules: Rules, defaultPolicy: "allow" | "deny"): Authorizer {
  const byDefault = defaultPolicy === "allow";
  const reads = (access: Access | undefined, otherwise: boolean) =>
    access === undefined ? otherwise : access !== "deny";
  const writes = (access: Access | undefined, otherwise: boolean) =>
    access === undefined ? otherwise : access === "write";
  const { key, node, service, query, session, agent, event } = rules.resources;
  const { acl, operator, keyring } = rules.scalars;
  const keys = createCovering(key);
  const nodes = createCovering(node);
  const services = createCovering(service);
  const queries = createCovering(query);
  const sessions = createCovering(session);
  const agents = createCovering(agent);
  const events = createCovering(event);
  return {
    keyRead: (name) => reads(keys(name), byDefault),
    keyList(prefix) {
      const access = keys(prefix);
      return access === undefined ? byDefault : access === "list" || access === "write";
    },
    keyWrite: (name) => writes(keys(name), byDefault),
    keyWritePrefix(prefix) {
      const { covering, isNarrowed } = accessBelow(key, prefix);
      return writes(covering, byDefault) && !isNarrowed;
    },
    eventRead: (name) => reads(events(name), byDefault),
    eventWrite: (name) => writes(events(name), byDefault),
    keyringRead: () => reads(keyring, byDefault),
    keyringWrite: () => writes(keyring, byDefault),
    nodeRead: (name) => reads(nodes(name), byDefault),
    nodeWrite: (name) => writes(nodes(name), byDefault),
    serviceRead: (name) => reads(services(name), byDefault),
    serviceWrite: (name) => writes(services(name), byDefault),
    queryRead: (name) => reads(queries(name), byDefault),
    queryWrite: (name) => writes(queries(name), byDefault),
    sessionRead: (name) => reads(sessions(name), byDefault),
    sessionWrite: (name) => writes(sessions(name), byDefault),
    agentRead: (name) => reads(agents(name), byDefault),
    agentWrite: (name) => writes(agents(name), byDefault),
    operatorRead: () => reads(operator, byDefault),
    operatorWrite: () => writes(operator, byDefault),
    aclRead: () => reads(acl, false),
    aclWrite: () => writes(acl, false),
  };
}

const yes = () => true;
const MANAGE_ALL: Authorizer = {
  keyRead: yes,
  keyList: yes,
  keyWrite: yes,
  keyWritePrefix: yes,
  eventRead: yes,
  eventWrite: yes,
  keyringRead: yes,
  keyringWrite: yes,
  nodeRead: yes,
  nodeWrite: yes,
  serviceRead: yes,
  serviceWrite: yes,
  queryRead: yes,
  queryWrite: yes,
  sessionRead: yes,
  sessionWrite: yes,
  agentRead: yes,
  agentWrite: yes,
  operatorRead: yes,
  operatorWrite: yes,
  aclRead: yes,
  aclWrite: yes,
};

const NOBODY = createAuthorizer(mergeRules([]), "deny");

/** Consul: any node may be read, this agent changed, and nothing else, whatever the default policy. */
function recoveryAuthorizer(nodeName: string): Authorizer {
  const rules = rulesOf({ agent: { [nodeName]: "write" }, node_prefix: { "": "read" } });
  return createAuthorizer(rules, "deny");
}
