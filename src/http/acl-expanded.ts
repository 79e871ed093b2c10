/** GET of a token with `expanded`: all policies and roles behind it, as Consul since 1.12 shows them. */
import { identityPolicies } from "../cluster/acl-identity.ts";
import type { AclTokenRecord } from "../cluster/acl-state.ts";
import { toPolicy } from "./acl-policy.ts";
import { toRole } from "./acl-role.ts";
import type { Call } from "./call.ts";

/** Of a server that has all tokens itself none is ever out of reach, and this is what Consul has by default. */
const DOWN_POLICY = "extend-cache";

/** Is it asked for? As by Consul the name alone says so, whatever its value. */
export function wantsExpanded(call: Call): boolean {
  return call.has("expanded");
}

/** What a token's answer has beside the token itself. Policies and roles that are gone are left out. */
export function expansionOf({ deps }: Call, token: AclTokenRecord) {
  const { aclReader, acl, info } = deps;
  const roles = (token.roles ?? []).flatMap(({ id }) => aclReader.role(id) ?? []);
  const holders = [token, ...roles];
  const ids = new Set(holders.flatMap(({ policies }) => policies.map(({ id }) => id)));
  const identities = new Map(holders.flatMap(identityPolicies).map((made) => [made.id, made]));
  const made = [...identities.values()].map((policy) =>
    toPolicy(
      { ...policy, datacenters: [...policy.datacenters], createIndex: 0, modifyIndex: 0 },
      false,
    ),
  );
  const policies = [
    ...[...ids].flatMap((id) => aclReader.policy(id) ?? []).map((each) => toPolicy(each, false)),
    ...made,
  ];
  return {
    ExpandedPolicies: policies.length > 0 ? policies : null,
    ExpandedRoles: roles.length > 0 ? roles.map(toRole) : null,
    // Namespaces are Consul Enterprise's.
    NamespaceDefaultPolicyIDs: null,
    NamespaceDefaultRoleIDs: null,
    AgentACLDefaultPolicy: acl.defaultPolicy,
    AgentACLDownPolicy: DOWN_POLICY,
    ResolvedByAgent: info.nodeName,
  };
}
