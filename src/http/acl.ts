/** /v1/acl: which endpoints there are. Auth methods and binding rules are not among them. */
import type { AclTokenFields } from "../cluster/command.ts";
import { GLOBAL_MANAGEMENT_ID, type AclTokenRecord } from "../cluster/acl-state.ts";
import { answerNamed, createNamed, readByName } from "./acl-named.ts";
import { listPolicies, policies } from "./acl-policy.ts";
import { listRoles, roles } from "./acl-role.ts";
import {
  answerToken,
  createToken,
  listTokens,
  readOwnToken,
  requireNewId,
  toToken,
} from "./acl-token.ts";
import { answerTokenRules, translateRules } from "./acl-translate.ts";
import { route, type Call, type Method, type Reply, type Route } from "./call.ts";

/** 401 `ACL support disabled` on all of them while ACLs are off. */
export function aclRoutes(): readonly Route[] {
  return [
    aclRoute(["PUT"], "/v1/acl/bootstrap", bootstrap),
    aclRoute(["GET"], "/v1/acl/policies", listPolicies),
    aclRoute(["PUT"], "/v1/acl/policy", (call) => createNamed(call, policies)),
    aclRoute(["GET", "PUT", "DELETE"], "/v1/acl/policy/", (call) => answerNamed(call, policies)),
    aclRoute(["GET"], "/v1/acl/policy/name/", (call) => readByName(call, policies)),
    aclRoute(["GET"], "/v1/acl/tokens", listTokens),
    aclRoute(["PUT"], "/v1/acl/token", createToken),
    aclRoute(["GET"], "/v1/acl/token/self", readOwnToken),
    aclRoute(["GET", "PUT", "DELETE"], "/v1/acl/token/", answerToken),
    aclRoute(["GET"], "/v1/acl/roles", listRoles),
    aclRoute(["PUT"], "/v1/acl/role", (call) => createNamed(call, roles)),
    aclRoute(["GET", "PUT", "DELETE"], "/v1/acl/role/", (call) => answerNamed(call, roles)),
    aclRoute(["GET"], "/v1/acl/role/name/", (call) => readByName(call, roles)),
    aclRoute(["POST"], "/v1/acl/rules/translate", translateRules),
    aclRoute(["GET"], "/v1/acl/rules/translate/", answerTokenRules),
    aclRoute(["GET"], "/v1/acl/replication", answerReplication),
    ...removedRoutes(),
  ];
}

function aclRoute(methods: readonly Method[], path: string, handle: (call: Call) => Reply): Route {
  return route(methods, path, (call) =>
    call.deps.acl.enabled ? handle(call) : call.text(401, "ACL support disabled"),
  );
}

/** Endpoints of ACLs before 1.4, as Consul 1.11 answers them. */
function removedRoutes(): Route[] {
  const answer = (call: Call) =>
    call.text(410, `Endpoint ${call.path} for the legacy ACL system was removed in Consul 1.11.`);
  return [
    route(["PUT"], "/v1/acl/create", answer),
    route(["PUT"], "/v1/acl/update", answer),
    route(["PUT"], "/v1/acl/destroy/", answer),
    route(["GET"], "/v1/acl/info/", answer),
    route(["PUT"], "/v1/acl/clone/", answer),
    route(["GET"], "/v1/acl/list", answer),
  ];
}

/** One datacenter has nowhere to replicate from. Nothing secret, so nobody is refused, as in Consul. */
function answerReplication(call: Call): Reply {
  call.requireDatacenter();
  const never = "0001-01-01T00:00:00Z";
  return call.json({
    Enabled: false,
    Running: false,
    SourceDatacenter: "",
    ReplicationType: "",
    ReplicatedIndex: 0,
    ReplicatedRoleIndex: 0,
    ReplicatedTokenIndex: 0,
    LastSuccess: never,
    LastError: never,
  });
}

/** Consul 1.12 and later take the secret from who bootstraps. */
const bootstrapShape = { struct: { BootstrapSecret: "string" } } as const;

/** The first token, once in the life of a cluster; again for those who can write into its data directory. */
async function bootstrap(call: Call): Promise<Response> {
  const { BootstrapSecret } = await call.readBody(bootstrapShape, {
    prefix: "Request decoding failed: ",
    whenEmpty: "zero",
  });
  requireNewId(BootstrapSecret, "SecretID");
  call.requireDatacenter();
  const { random, clock, bootstrapReset, aclReader } = call.deps;
  const isOver = aclReader.bootstrapIndex !== 0;
  const resetIndex = isOver ? await bootstrapReset.read() : 0;
  const token: AclTokenFields = {
    accessorId: random.uuid(),
    secretId: BootstrapSecret || random.uuid(),
    description: "Bootstrap Token (Global Management)",
    policies: [{ id: GLOBAL_MANAGEMENT_ID, name: "" }],
    local: false,
    createTimeMs: clock.wallMs(),
  };
  // The state machine answers with the record, as command.ts says.
  const made = (await call.propose({ type: "acl-bootstrap", token, resetIndex })) as AclTokenRecord;
  if (isOver) await bootstrapReset.remove();
  return call.json({ ID: made.secretId, ...toToken(made) });
}
