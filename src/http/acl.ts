/** /v1/acl: which endpoints there are. Roles, identities and expiry of tokens are not among them. */
import type { AclTokenFields } from "../cluster/command.ts";
import { GLOBAL_MANAGEMENT_ID, type AclTokenRecord } from "../cluster/acl-state.ts";
import { answerPolicy, createPolicy, listPolicies, readPolicyByName } from "./acl-policy.ts";
import { answerToken, createToken, listTokens, readOwnToken, toToken } from "./acl-token.ts";
import { route, type Call, type Method, type Reply, type Route } from "./call.ts";

/** 401 `ACL support disabled` on all of them while ACLs are off. */
export function aclRoutes(): readonly Route[] {
  return [
    aclRoute(["PUT"], "/v1/acl/bootstrap", bootstrap),
    aclRoute(["GET"], "/v1/acl/policies", listPolicies),
    aclRoute(["PUT"], "/v1/acl/policy", createPolicy),
    aclRoute(["GET", "PUT", "DELETE"], "/v1/acl/policy/", answerPolicy),
    aclRoute(["GET"], "/v1/acl/policy/name/", readPolicyByName),
    aclRoute(["GET"], "/v1/acl/tokens", listTokens),
    aclRoute(["PUT"], "/v1/acl/token", createToken),
    aclRoute(["GET"], "/v1/acl/token/self", readOwnToken),
    aclRoute(["GET", "PUT", "DELETE"], "/v1/acl/token/", answerToken),
  ];
}

function aclRoute(methods: readonly Method[], path: string, handle: (call: Call) => Reply): Route {
  return route(methods, path, (call) =>
    call.deps.acl.enabled ? handle(call) : call.text(401, "ACL support disabled"),
  );
}

/** The first token, once in the life of a cluster. */
async function bootstrap(call: Call): Promise<Response> {
  call.requireDatacenter();
  const { random, clock } = call.deps;
  const token: AclTokenFields = {
    accessorId: random.uuid(),
    secretId: random.uuid(),
    description: "Bootstrap Token (Global Management)",
    policies: [{ id: GLOBAL_MANAGEMENT_ID, name: "" }],
    local: false,
    createTimeMs: clock.wallMs(),
  };
  // The state machine answers with the record, as command.ts says.
  const made = (await call.propose({
    type: "acl-bootstrap",
    token,
    resetIndex: 0,
  })) as AclTokenRecord;
  return call.json({ ID: made.secretId, ...toToken(made) });
}
