/** State machine of ACL policies. Consul 1.10 agent/consul/acl_endpoint.go for the texts. */
import { fail, ok, type Result } from "../base.ts";
import {
  GLOBAL_MANAGEMENT_ID,
  MANAGEMENT_RULES,
  putPolicy,
  sameFields,
  touch,
  type AclPolicyRecord,
  type AclState,
} from "./acl-state.ts";
import type { Change } from "./change.ts";
import type { AclPolicyFields } from "./command.ts";

const POLICY_NAME = /^[A-Za-z0-9_-]{1,128}$/;

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

function policyProblem(
  state: AclState,
  fields: AclPolicyFields,
  held: AclPolicyRecord | undefined,
): string | undefined {
  const problem = policyNameProblem(fields.name);
  if (problem !== undefined) return problem;
  const holder = state.policyNames.get(fields.name.toLowerCase());
  if (holder !== undefined && holder !== fields.id) {
    const policy = held === undefined ? "A Policy with Name" : "A policy with name";
    return `Invalid Policy: ${policy} "${fields.name}" already exists`;
  }
  if (fields.id !== GLOBAL_MANAGEMENT_ID) return undefined;
  if (fields.datacenters !== null && fields.datacenters.length > 0)
    return "Changing the Datacenters of the builtin global-management policy is not permitted";
  if (fields.rules !== MANAGEMENT_RULES)
    return "Changing the Rules for the builtin global-management policy is not permitted";
  return undefined;
}

/** What is wrong with the name itself, in Consul's words. */
export function policyNameProblem(name: string): string | undefined {
  if (name === "") return "Invalid Policy: no Name is set";
  if (!POLICY_NAME.test(name))
    return "Invalid Policy: invalid Name. Only alphanumeric characters, '-' and '_' are allowed";
  return undefined;
}
