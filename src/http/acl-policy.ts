/** /v1/acl/policy and policies. */
import { createHash } from "node:crypto";
import type { AclPolicyRecord } from "../cluster/acl-state.ts";
import type { AclPolicyFields } from "../cluster/command.ts";
import { isUuid } from "../cluster/uuid.ts";
import { HttpError, type Call, type Reply } from "./call.ts";
import { answerRead, parseReadOptions, passBarrier } from "./read.ts";
import { requireAclRead, requireAclWrite } from "./rights.ts";

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

/** A hash over the members that a client sets, in base64. */
export function hashOf(members: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(members)).digest("base64");
}

/** As GET of one policy shows it; lists leave Rules out and always have Datacenters. */
function toPolicy(policy: AclPolicyRecord, isListed: boolean) {
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
  const options = parseReadOptions(call);
  call.requireDatacenter();
  const { aclReader } = call.deps;
  return answerRead(call, options, {
    topics: ["acl"],
    showsConsistency: false,
    look() {
      requireAclRead(call);
      return { value: aclReader.policies().map((policy) => toPolicy(policy, true)) };
    },
  });
}

/** GET /v1/acl/policy/name/<name>. */
export function readPolicyByName(call: Call): Reply {
  if (call.argument === "") throw new HttpError(400, "Bad request: Missing policy Name");
  return readOne(call, () => call.deps.aclReader.policyByName(call.argument));
}

function readOne(call: Call, find: () => AclPolicyRecord | undefined): Reply {
  const options = parseReadOptions(call);
  call.requireDatacenter();
  return answerRead(call, options, {
    topics: ["acl"],
    showsConsistency: false,
    look() {
      requireAclRead(call);
      const policy = find();
      if (policy === undefined) throw new HttpError(403, "ACL not found");
      return { value: toPolicy(policy, false) };
    },
  });
}

/** PUT /v1/acl/policy. */
export async function createPolicy(call: Call): Promise<Response> {
  const body = await call.readBody(policyShape, decoding);
  if (body.ID !== "")
    throw new HttpError(400, "Bad request: Cannot specify the ID when creating a new policy");
  call.requireDatacenter();
  requireAclWrite(call);
  return setPolicy(call, body, call.deps.random.uuid());
}

/** GET, PUT, DELETE /v1/acl/policy/<id>. */
export function answerPolicy(call: Call): Reply {
  const id = call.argument.toLowerCase();
  if (id === "") throw new HttpError(400, "Bad request: Missing policy ID");
  if (call.method === "GET") return readOne(call, () => call.deps.aclReader.policy(id));
  return call.method === "PUT" ? updatePolicy(call, id) : deletePolicy(call, id);
}

async function updatePolicy(call: Call, id: string): Promise<Response> {
  const body = await call.readBody(policyShape, decoding);
  if (body.ID !== "" && body.ID.toLowerCase() !== id)
    throw new HttpError(400, "Bad request: Policy ID in URL and payload do not match");
  call.requireDatacenter();
  requireAclWrite(call);
  if (!isUuid(id)) throw new HttpError(500, "Policy ID invalid UUID");
  await passBarrier(call, "leader");
  if (call.deps.aclReader.policy(id) === undefined)
    throw new HttpError(500, `cannot find policy ${id}`);
  return setPolicy(call, body, id);
}

async function setPolicy(
  call: Call,
  body: { Name: string; Description: string; Rules: string; Datacenters: string[] | null },
  id: string,
): Promise<Response> {
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
}

async function deletePolicy(call: Call, id: string): Promise<Response> {
  call.requireDatacenter();
  requireAclWrite(call);
  await call.propose({ type: "acl-policy-delete", id });
  return call.json(true);
}
