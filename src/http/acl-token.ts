/** /v1/acl/token and tokens. */
import type { AclTokenRecord } from "../cluster/acl-state.ts";
import type { AclTokenFields } from "../cluster/command.ts";
import type { Decoded } from "../cluster/decode.ts";
import { isUuid } from "../cluster/uuid.ts";
import { formatDuration } from "../duration.ts";
import { hashOf, requireAclRead, requireAclWrite } from "./acl-policy.ts";
import { HttpError, type Call, type Reply } from "./call.ts";
import { answerRead, parseReadOptions, passBarrier } from "./read.ts";

const tokenShape = {
  struct: {
    AccessorID: "string",
    SecretID: "string",
    Description: "string",
    Policies: { list: { struct: { ID: "string", Name: "string" } } },
    Roles: { list: "raw" },
    ServiceIdentities: { list: "raw" },
    NodeIdentities: { list: "raw" },
    Local: "bool",
    AuthMethod: "string",
    ExpirationTime: "string",
    ExpirationTTL: "duration",
    Rules: "string",
    Type: "string",
    CreateTime: "string",
    Hash: "string",
    CreateIndex: "int",
    ModifyIndex: "int",
  },
} as const;

type TokenBody = Decoded<typeof tokenShape>;

const decoding = { prefix: "Bad request: Token decoding failed: " };
const reservedPrefix = "00000000-0000-0000-0000-0000000000";
/** What the secret is shown as to those who may read ACLs but not write them. */
const hiddenSecret = "<hidden>";

/** A token as the API shows it. */
export function toToken(token: AclTokenRecord, secretId: string = token.secretId) {
  const { policies } = token;
  return {
    AccessorID: token.accessorId,
    SecretID: secretId,
    Description: token.description,
    ...(policies.length === 0
      ? {}
      : { Policies: policies.map(({ id, name }) => ({ ID: id, Name: name })) }),
    Local: token.local,
    CreateTime: new Date(token.createTimeMs).toISOString(),
    Hash: hashOf([token.description, policies, token.local]),
    CreateIndex: token.createIndex,
    ModifyIndex: token.modifyIndex,
  };
}

function show(call: Call, token: AclTokenRecord) {
  return toToken(token, call.authorizer().aclWrite() ? token.secretId : hiddenSecret);
}

/** GET /v1/acl/tokens[?policy=<id>]. */
export function listTokens(call: Call): Reply {
  const options = parseReadOptions(call);
  call.requireDatacenter();
  requireAclRead(call);
  const policyId = call.query("policy");
  const hasRole = call.query("role") !== ""; // no token has one
  const { aclReader } = call.deps;
  return answerRead(call, options, {
    topics: ["acl"],
    showsConsistency: false,
    look: () => ({
      value: aclReader
        .tokens()
        .filter(({ policies }) => policyId === "" || policies.some(({ id }) => id === policyId))
        .filter(() => !hasRole)
        .map((token) => show(call, token)),
    }),
  });
}

/** GET /v1/acl/token/self: the caller's own token, whatever its rights. */
export function readOwnToken(call: Call): Reply {
  const options = parseReadOptions(call);
  call.requireDatacenter();
  const { aclReader } = call.deps;
  const secretId = call.token();
  return answerRead(call, options, {
    topics: ["acl"],
    showsConsistency: false,
    look() {
      const token = secretId === undefined ? undefined : aclReader.tokenBySecret(secretId);
      if (token === undefined) throw new HttpError(403, "ACL not found");
      return { value: toToken(token) };
    },
  });
}

/** PUT /v1/acl/token. */
export async function createToken(call: Call): Promise<Response> {
  const body = await call.readBody(tokenShape, decoding);
  call.requireDatacenter();
  requireAclWrite(call);
  requireSupported(body);
  requireNewId(body.AccessorID, "AccessorID");
  requireNewId(body.SecretID, "SecretID");
  const { random, aclReader } = call.deps;
  const accessorId = body.AccessorID.toLowerCase() || random.uuid();
  await passBarrier(call, "leader");
  if (aclReader.token(accessorId) !== undefined)
    throw new HttpError(500, "Invalid Token: AccessorID is already in use");
  return setToken(call, {
    ...toFields(call, body),
    accessorId,
    secretId: body.SecretID || random.uuid(),
  });
}

function requireNewId(id: string, name: string): void {
  if (id === "") return;
  if (!isUuid(id)) throw new HttpError(500, `Invalid Token: ${name} is not a valid UUID`);
  if (id.startsWith(reservedPrefix))
    throw new HttpError(
      500,
      `Invalid Token: UUIDs with the prefix ${JSON.stringify(reservedPrefix)} are reserved`,
    );
}

/** GET, PUT, DELETE /v1/acl/token/<accessor>; PUT .../clone. */
export function answerToken(call: Call): Reply {
  const isClone = call.method === "PUT" && call.argument.endsWith("/clone");
  const accessor = isClone ? call.argument.slice(0, -"/clone".length) : call.argument;
  const accessorId = accessor.toLowerCase();
  if (accessorId === "") throw new HttpError(400, "Bad request: Missing token ID");
  if (isClone) return cloneToken(call, accessorId);
  if (call.method === "GET") return readToken(call, accessorId);
  return call.method === "PUT" ? updateToken(call, accessorId) : deleteToken(call, accessorId);
}

function readToken(call: Call, accessorId: string): Reply {
  const options = parseReadOptions(call);
  call.requireDatacenter();
  requireAclRead(call);
  requireAccessor(accessorId);
  return answerRead(call, options, {
    topics: ["acl"],
    showsConsistency: false,
    look: () => ({ value: show(call, requireToken(call, accessorId)) }),
  });
}

/** Throws 403 `ACL not found`, as Consul does on reads and clones. */
function requireToken(call: Call, accessorId: string): AclTokenRecord {
  const token = call.deps.aclReader.token(accessorId);
  if (token === undefined) throw new HttpError(403, "ACL not found");
  return token;
}

function requireAccessor(accessorId: string): void {
  if (!isUuid(accessorId)) throw new HttpError(500, "Accessor ID is missing or an invalid UUID");
}

async function updateToken(call: Call, accessorId: string): Promise<Response> {
  const body = await call.readBody(tokenShape, decoding);
  if (body.AccessorID !== "" && body.AccessorID.toLowerCase() !== accessorId)
    throw new HttpError(400, "Bad request: Token Accessor ID in URL and payload do not match");
  call.requireDatacenter();
  requireAclWrite(call);
  requireSupported(body);
  requireAccessor(accessorId);
  await passBarrier(call, "leader");
  const held = call.deps.aclReader.token(accessorId);
  if (held === undefined)
    throw new HttpError(500, `Cannot find token ${JSON.stringify(accessorId)}`);
  if (body.Local !== held.local)
    throw new HttpError(500, `Cannot toggle local mode of ${accessorId}`);
  const secretId = body.SecretID || held.secretId;
  return setToken(call, { ...toFields(call, body), accessorId, secretId });
}

async function cloneToken(call: Call, accessorId: string): Promise<Response> {
  const body = await call.readBody(tokenShape, { ...decoding, whenEmpty: "zero" });
  call.requireDatacenter();
  requireAclWrite(call);
  requireAccessor(accessorId);
  await passBarrier(call, "leader");
  const held = requireToken(call, accessorId);
  const { random, clock } = call.deps;
  return setToken(call, {
    accessorId: random.uuid(),
    secretId: random.uuid(),
    description: body.Description || held.description,
    policies: held.policies,
    local: held.local,
    createTimeMs: clock.wallMs(),
  });
}

async function deleteToken(call: Call, accessorId: string): Promise<Response> {
  call.requireDatacenter();
  requireAclWrite(call);
  requireAccessor(accessorId);
  await passBarrier(call, "leader");
  const held = call.deps.aclReader.token(accessorId);
  if (held !== undefined && held.secretId === call.token())
    throw new HttpError(500, "Deletion of the request's authorization token is not permitted");
  await call.propose({ type: "acl-token-delete", accessorId });
  return call.json(true);
}

/** What a token may not ask for here is refused, so that nobody relies on rights that would be missing. */
function requireSupported(body: TokenBody): void {
  if (body.Rules !== "" || body.Type !== "")
    throw new HttpError(500, "Rules cannot be specified for this token");
  const expires = body.ExpirationTTL !== 0 || body.ExpirationTime !== "";
  if (body.ExpirationTTL < 0)
    throw new HttpError(
      500,
      `Token Expiration TTL '${formatDuration(body.ExpirationTTL)}' should be > 0`,
    );
  const unsupported = expires
    ? "an expiration"
    : body.Roles?.length
      ? "roles"
      : body.ServiceIdentities?.length
        ? "service identities"
        : body.NodeIdentities?.length
          ? "node identities"
          : undefined;
  if (unsupported !== undefined)
    throw new HttpError(500, `Tokens with ${unsupported} are not supported by this version`);
}

function toFields(call: Call, body: TokenBody): Omit<AclTokenFields, "accessorId" | "secretId"> {
  return {
    description: body.Description,
    policies: (body.Policies ?? []).map(({ ID, Name }) => ({ id: ID, name: Name })),
    local: body.Local,
    createTimeMs: call.deps.clock.wallMs(),
  };
}

async function setToken(call: Call, token: AclTokenFields): Promise<Response> {
  // The state machine answers with the record, as command.ts says.
  const made = (await call.propose({ type: "acl-token-set", token })) as AclTokenRecord;
  return call.json(toToken(made));
}
