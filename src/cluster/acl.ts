import { accessTo, mergeRules, type Access, type Rules } from "./acl-rules.ts";
import { ANONYMOUS_SECRET, type AclReader } from "./acl-state.ts";

/** What a caller may do; Consul 1.10 rule language. Each method answers for one exact name. */
export type Authorizer = {
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
  /** undefined or "": the default token if configured, else the anonymous token. "ACL not found" for an unknown secret. */
  authorizer(secretId: string | undefined): Authorizer | "ACL not found";
  /** For DNS: acl.tokens.dns, else acl.tokens.default, else anonymous. */
  dnsAuthorizer(): Authorizer;
};

/** What the configuration says about ACLs. Read at every call: tokens may be set at run time. */
export type AclSettings = {
  enabled: boolean;
  defaultPolicy: "allow" | "deny";
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

/** Resolves tokens with the rules in the state. Consul 1.10 agent/consul/acl.go. */
export function createAcl(reader: AclReader, settings: AclSettings): Acl {
  const authorizers = new Map<string, Authorizer>();
  let version: object | undefined;

  function authorizer(secretId: string | undefined): Authorizer | "ACL not found" {
    if (!settings.enabled) return MANAGE_ALL;
    const { tokens, defaultPolicy } = settings;
    const secret = secretId || tokens.default || ANONYMOUS_SECRET;
    // Until the leader has made a token of it; from then on the state decides.
    if (secret === tokens.initialManagement && reader.bootstrapIndex === 0) return MANAGE_ALL;
    if (secret === tokens.agentRecovery) return recoveryAuthorizer(settings.nodeName);
    if (version !== reader.version || authorizers.size > AUTHORIZERS_MAX) {
      authorizers.clear();
      version = reader.version;
    }
    const known = authorizers.get(secret);
    if (known !== undefined) return known;
    const token = reader.tokenBySecret(secret);
    if (token === undefined) return "ACL not found";
    const rules = token.policies.flatMap(({ id }) => {
      const datacenters = reader.policy(id)?.datacenters ?? [];
      const here = datacenters.length === 0 || datacenters.includes(settings.datacenter);
      const parsed = here ? reader.rules(id) : undefined;
      return parsed === undefined ? [] : [parsed];
    });
    const created = createAuthorizer(mergeRules(rules), defaultPolicy);
    authorizers.set(secret, created);
    return created;
  }

  return {
    get enabled() {
      return settings.enabled;
    },
    get defaultPolicy() {
      return settings.enabled ? settings.defaultPolicy : "allow";
    },
    authorizer,
    dnsAuthorizer() {
      const found = authorizer(settings.tokens.dns);
      // A configured token that does not exist (any more) may see nothing.
      return found === "ACL not found" ? createAuthorizer(mergeRules([]), "deny") : found;
    },
  };
}

/** Rights from rules; what no rule covers follows the default policy, but never `acl`. */
export function createAuthorizer(rules: Rules, defaultPolicy: "allow" | "deny"): Authorizer {
  const byDefault = defaultPolicy === "allow";
  const reads = (access: Access | undefined, otherwise: boolean) =>
    access === undefined ? otherwise : access !== "deny";
  const writes = (access: Access | undefined, otherwise: boolean) =>
    access === undefined ? otherwise : access === "write";
  const { node, service, query, session, agent } = rules.resources;
  const { acl, operator } = rules.scalars;
  return {
    nodeRead: (name) => reads(accessTo(node, name), byDefault),
    nodeWrite: (name) => writes(accessTo(node, name), byDefault),
    serviceRead: (name) => reads(accessTo(service, name), byDefault),
    serviceWrite: (name) => writes(accessTo(service, name), byDefault),
    queryRead: (name) => reads(accessTo(query, name), byDefault),
    queryWrite: (name) => writes(accessTo(query, name), byDefault),
    sessionRead: (name) => reads(accessTo(session, name), byDefault),
    sessionWrite: (name) => writes(accessTo(session, name), byDefault),
    agentRead: (name) => reads(accessTo(agent, name), byDefault),
    agentWrite: (name) => writes(accessTo(agent, name), byDefault),
    operatorRead: () => reads(operator, byDefault),
    operatorWrite: () => writes(operator, byDefault),
    aclRead: () => reads(acl, false),
    aclWrite: () => writes(acl, false),
  };
}

const yes = () => true;
const MANAGE_ALL: Authorizer = {
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

function recoveryAuthorizer(nodeName: string): Authorizer {
  const nobody = createAuthorizer(mergeRules([]), "deny");
  const here = (name: string) => name === nodeName;
  return { ...nobody, agentRead: here, agentWrite: here, nodeRead: here };
}
