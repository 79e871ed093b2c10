/** State machine of ACL roles. Consul 1.10 agent/consul/acl_endpoint.go for the texts. */
import { fail, ok, type Result } from "../base.ts";
import { identityProblem, mergedIdentities } from "./acl-identity.ts";
import { resolveLinks } from "./acl-links.ts";
import { asRead, linkedPolicies, putRole, sameFields, touch } from "./acl-state.ts";
import type { AclRoleRecord, AclState } from "./acl-state.ts";
import type { Change } from "./change.ts";
import type { AclRoleFields } from "./command.ts";

const ROLE_NAME = /^[A-Za-z0-9_-]{1,256}$/;

/** Creates or replaces a role; the same content changes nothing. */
export function applyRoleSet(
  state: AclState,
  fields: AclRoleFields,
  change: Change,
): Result<AclRoleRecord, string> {
  const held = state.roles.get(fields.id);
  const problem = nameProblem(state, fields, held);
  if (problem !== undefined) return fail(problem);
  const policies = resolveLinks(fields.policies, linkedPolicies(state));
  if (!policies.ok) return policies;
  const wrong = identityProblem(fields, { kind: "role", isLocal: false });
  if (wrong !== undefined) return fail(wrong);
  const { id, name, description } = fields;
  const { index } = change;
  const record: AclRoleRecord = {
    id,
    name,
    description,
    policies: policies.value,
    ...mergedIdentities(fields),
    createIndex: held?.createIndex ?? index,
    modifyIndex: index,
  };
  if (held !== undefined && sameFields(held, record)) return ok(asRead(state, held));
  putRole(state, record);
  touch(state, change);
  return ok(record);
}

/** An unknown role is fine. Links to it disappear from what is read. */
export function applyRoleDelete(state: AclState, id: string, change: Change): Result<true, string> {
  const held = state.roles.get(id);
  if (held === undefined) return ok(true);
  state.roles.delete(id);
  state.roleNames.delete(held.name.toLowerCase());
  touch(state, change);
  return ok(true);
}

function nameProblem(
  state: AclState,
  { id, name }: AclRoleFields,
  held: AclRoleRecord | undefined,
): string | undefined {
  const problem = roleNameProblem(name);
  if (problem !== undefined) return problem;
  const holder = state.roleNames.get(name.toLowerCase());
  if (holder === undefined || holder === id) return undefined;
  const role = held === undefined ? "A Role with Name" : "A role with name";
  return `Invalid Role: ${role} "${name}" already exists`;
}

/** What is wrong with the name itself, in Consul's words. */
export function roleNameProblem(name: string): string | undefined {
  if (name === "") return "Invalid Role: no Name is set";
  if (!ROLE_NAME.test(name))
    return "Invalid Role: invalid Name. Only alphanumeric characters, '-' and '_' are allowed";
  return undefined;
}
