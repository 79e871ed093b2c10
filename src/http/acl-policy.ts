/** /v1/acl/policy and policies. */
import { policyNameProblem } from "../cluster/acl-policies.ts";
import type { AclPolicyRecord } from "../cluster/acl-state.ts";
import type { AclPolicyFields } from "../cluster/command.ts";
import type { Decoded } from "../cluster/decode.ts";
import type { NamedKind } from "./acl-named.ts";
import { answerAclRead, hashOf } from "./acl-read.ts";
import { HttpError, type Call, type Reply } from "./call.ts";
import { requireAclRead } from "./rights.ts";

const policyShape = {
  struct: {
    ID: "string",
    Name: "string",
    Description: "string",
    Rules: "string",
    Syntax: "string",
    Datacenters: { list: "string" },
    Hash: "string",
    CreateIndex: "int",
    ModifyIndex: "int",
  },
} as const;

const decoding = { prefix: "Bad request: Policy decoding failed: " };

/** As GET of one policy shows it; lists leave Rules out and always have Datacenters. */
export function toPolicy(policy: AclPolicyRecord, isListed: boolean) {
  const { datacenters } = policy;
  const hasDatacenters = datacenters !== null && datacenters.length > 0;
  return {
    ID: policy.id,
    Name: policy.name,
    Description: policy.description,
    ...(isListed ? {} : { Rules: policy.rules }),
    ...(isListed || hasDatacenters ? { Datacenters: hasDatacenters ? datacenters : null } : {}),
    Hash: hashOf([policy.name, policy.description, policy.rules, datacenters]),
    CreateIndex: policy.createIndex,
    ModifyIndex: policy.modifyIndex,
  };
}

/** GET /v1/acl/policies. */
export function listPolicies(call: Call): Reply {
  const { aclReader } = call.deps;
  return answerAclRead(call, () => {
    requireAclRead(call);
    return { value: aclReader.policies().map((policy) => toPolicy(policy, true)) };
  });
}

/** /v1/acl/policy. */
export const policies: NamedKind<Decoded<typeof policyShape>, AclPolicyRecord> = {
  title: "Policy",
  refusalOfId: "Cannot specify the ID when creating a new policy",
  readBody: (call) => call.readBody(policyShape, decoding),
  nameProblem: policyNameProblem,
  byId: (reader, id) => reader.policy(id),
  byName: (reader, name) => reader.policyByName(name),
  show: (call, find) =>
    answerAclRead(call, () => {
      requireAclRead(call);
      const policy = find();
      if (policy === undefined) throw new HttpError(403, "ACL not found");
      return { value: toPolicy(policy, false) };
    }),
  async set(call, body, id) {
    const policy: AclPolicyFields = {
      id,
      name: body.Name,
      description: body.Description,
      rules: body.Rules,
      datacenters: body.Datacenters,
    };
    // The state machine answers with the record, as command.ts says.
    const made = (await call.propose({ type: "acl-policy-set", policy })) as AclPolicyRecord;
    return call.json(toPolicy(made, false));
  },
  removal: (id) => ({ type: "acl-policy-delete", id }),
};
