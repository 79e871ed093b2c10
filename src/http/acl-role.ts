/** /v1/acl/role and roles. */
import type { AclRoleRecord } from "../cluster/acl-state.ts";
import type { Decoded } from "../cluster/decode.ts";
import { isUuid } from "../cluster/uuid.ts";
import { grantShapes, readGrants, showIdentities, showLinks } from "./acl-grants.ts";
import { hashOf } from "./acl-policy.ts";
import { HttpError, type Call, type Reply } from "./call.ts";
import { answerRead, parseReadOptions, passBarrier } from "./read.ts";
import { requireAclRead, requireAclWrite } from "./rights.ts";

const roleShape = {
  struct: {
    ...grantShapes,
    ID: "string",
    Name: "string",
    Description: "string",
    Hash: "string",
    CreateIndex: "int",
    ModifyIndex: "int",
  },
} as const;

const decoding = { prefix: "Bad request: Role decoding failed: " };

function toRole(role: AclRoleRecord) {
  const { name, description, policies, serviceIdentities, nodeIdentities } = role;
  return {
    ID: role.id,
    Name: name,
    Description: description,
    ...showLinks("Policies", policies),
    ...showIdentities(role),
    Hash: hashOf([name, description, policies, serviceIdentities, nodeIdentities]),
    CreateIndex: role.createIndex,
    ModifyIndex: role.modifyIndex,
  };
}

/** GET /v1/acl/roles[?policy=<id>]. */
export function listRoles(call: Call): Reply {
  const options = parseReadOptions(call);
  call.requireDatacenter();
  const policyId = call.query("policy").toLowerCase();
  return answerRead(call, options, {
    topics: ["acl"],
    showsConsistency: false,
    look() {
      requireAclRead(call);
      const roles = call.deps.aclReader
        .roles()
        .filter(({ policies }) => policyId === "" || policies.some(({ id }) => id === policyId));
      return { value: roles.map(toRole) };
    },
  });
}

/** GET /v1/acl/role/name/<name>. */
export function readRoleByName(call: Call): Reply {
  if (call.argument === "") throw new HttpError(400, "Bad request: Missing role Name");
  return readOne(call, () => call.deps.aclReader.roleByName(call.argument));
}

/** Of an unknown role Consul says 404 with an empty body; policies and tokens are 403. */
function readOne(call: Call, find: () => AclRoleRecord | undefined): Reply {
  const options = parseReadOptions(call);
  call.requireDatacenter();
  return answerRead(call, options, {
    topics: ["acl"],
    showsConsistency: false,
    look() {
      requireAclRead(call);
      const role = find();
      return role === undefined ? { value: null, absent: true } : { value: toRole(role) };
    },
    answer: (role) => (role === null ? call.empty(404) : call.json(role)),
  });
}

/** PUT /v1/acl/role. */
export async function createRole(call: Call): Promise<Response> {
  const body = await call.readBody(roleShape, decoding);
  if (body.ID !== "")
    throw new HttpError(400, "Bad request: Role ID in URL and payload do not match");
  call.requireDatacenter();
  requireAclWrite(call);
  return setRole(call, body, call.deps.random.uuid());
}

/** GET, PUT, DELETE /v1/acl/role/<id>. */
export function answerRole(call: Call): Reply {
  const id = call.argument.toLowerCase();
  if (id === "") throw new HttpError(400, "Bad request: Missing role ID");
  if (call.method === "GET") return readOne(call, () => call.deps.aclReader.role(id));
  return call.method === "PUT" ? updateRole(call, id) : deleteRole(call, id);
}

async function updateRole(call: Call, id: string): Promise<Response> {
  const body = await call.readBody(roleShape, decoding);
  if (body.ID !== "" && body.ID.toLowerCase() !== id)
    throw new HttpError(400, "Bad request: Role ID in URL and payload do not match");
  call.requireDatacenter();
  requireAclWrite(call);
  if (!isUuid(id)) throw new HttpError(500, "Role ID invalid UUID");
  await passBarrier(call, "leader");
  if (call.deps.aclReader.role(id) === undefined)
    throw new HttpError(500, `cannot find role ${id}`);
  return setRole(call, body, id);
}

async function setRole(call: Call, body: Decoded<typeof roleShape>, id: string): Promise<Response> {
  const role = { id, name: body.Name, description: body.Description, ...readGrants(body) };
  // The state machine answers with the record, as command.ts says.
  const made = (await call.propose({ type: "acl-role-set", role })) as AclRoleRecord;
  return call.json(toRole(made));
}

async function deleteRole(call: Call, id: string): Promise<Response> {
  call.requireDatacenter();
  requireAclWrite(call);
  await call.propose({ type: "acl-role-delete", id });
  return call.json(true);
}
