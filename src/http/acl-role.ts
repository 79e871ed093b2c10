/** /v1/acl/role and roles. */
import { roleNameProblem } from "../cluster/acl-roles.ts";
import type { AclRoleRecord } from "../cluster/acl-state.ts";
import type { Decoded } from "../cluster/decode.ts";
import { grantShapes, readGrants, showIdentities, showLinks } from "./acl-grants.ts";
import type { NamedKind } from "./acl-named.ts";
import { answerAclRead, hashOf } from "./acl-read.ts";
import type { Call, Reply } from "./call.ts";
import { requireAclRead } from "./rights.ts";

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

/** A role as the API shows it. */
export function toRole(role: AclRoleRecord) {
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
  const policyId = call.query("policy").toLowerCase();
  return answerAclRead(call, () => {
    requireAclRead(call);
    const found = call.deps.aclReader
      .roles()
      .filter(({ policies }) => policyId === "" || policies.some(({ id }) => id === policyId));
    return { value: found.map(toRole) };
  });
}

/** /v1/acl/role. */
export const roles: NamedKind<Decoded<typeof roleShape>, AclRoleRecord> = {
  title: "Role",
  refusalOfId: "Role ID in URL and payload do not match",
  readBody: (call) => call.readBody(roleShape, decoding),
  nameProblem: roleNameProblem,
  byId: (reader, id) => reader.role(id),
  byName: (reader, name) => reader.roleByName(name),
  /** Of an unknown role Consul says 404 with an empty body; policies and tokens are 403. */
  show: (call, find) =>
    answerAclRead(
      call,
      () => {
        requireAclRead(call);
        const role = find();
        return role === undefined ? { value: null, absent: true } : { value: toRole(role) };
      },
      (role) => (role === null ? call.empty(404) : call.json(role)),
    ),
  async set(call, body, id) {
    const role = { id, name: body.Name, description: body.Description, ...readGrants(body) };
    // The state machine answers with the record, as command.ts says.
    const made = (await call.propose({ type: "acl-role-set", role })) as AclRoleRecord;
    return call.json(toRole(made));
  },
  removal: (id) => ({ type: "acl-role-delete", id }),
};
