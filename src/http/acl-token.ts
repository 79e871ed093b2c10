/** /v1/acl/token and tokens. */
import { isExpired, type AclTokenRecord } from "../cluster/acl-state.ts";
import type { AclGrants, AclTokenFields } from "../cluster/command.ts";
import type { Decoded } from "../cluster/decode.ts";
import { isUuid } from "../cluster/uuid.ts";
import { formatDuration } from "../duration.ts";
import { grantShapes, linksShape, readGrants, readLinks } from "./acl-grants.ts";
import { showIdentities, showLinks } from "./acl-grants.ts";
import { expansionOf, wantsExpanded } from "./acl-expanded.ts";
import { answerAclRead, hashOf } from "./acl-read.ts";
import { HttpError, type Call, type Reply } from "./call.ts";
import { passBarrier } from "./read.ts";
import { requireAclRead, requireAclWrite } from "./rights.ts";

const tokenShape = {
  struct: {
    AccessorID: "string",
    SecretID: "string",
    Description: "string",
    ...grantShapes,
    Roles: linksShape,
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

/** Bounds of a token's life, as Consul's acl.token_min_expiration_ttl and its maximum are by default. */
const EXPIRATION_MIN_MS = 60_000;
const EXPIRATION_MAX_MS = 24 * 3_600_000;

/** A token as the API shows it. */
export function toToken(token: AclTokenRecord, secretId: string = token.secretId) {
  const { description, policies, roles, serviceIdentities, nodeIdentities, local } = token;
  return {
    AccessorID: token.accessorId,
    SecretID: secretId,
    Description: description,
    ...showLinks("Policies", policies),
    ...showLinks("Roles", roles),
    ...showIdentities(token),
    Local: local,
    ...(token.expirationTimeMs === undefined
      ? {}
      : { ExpirationTime: new Date(token.expirationTimeMs).toISOString() }),
    CreateTime: new Date(token.createTimeMs).toISOString(),
    Hash: hashOf([description, policies, roles, serviceIdentities, nodeIdentities, local]),
    CreateIndex: token.createIndex,
    ModifyIndex: token.modifyIndex,
  };
}

/** The token, unless its time is over: then it is as good as gone. */
function alive(call: Call, token: AclTokenRecord | undefined): AclTokenRecord | undefined {
  return token === undefined || isExpired(token, call.deps.clock.wallMs()) ? undefined : token;
}

function show(call: Call, token: AclTokenRecord) {
  return toToken(token, call.authorizer().aclWrite() ? token.secretId : hiddenSecret);
}

/** GET /v1/acl/tokens[?policy=<id>][&role=<id>]. */
export function listTokens(call: Call): Reply {
  const policyId = call.query("policy").toLowerCase();
  const roleId = call.query("role").toLowerCase();
  const { aclReader } = call.deps;
  return answerAclRead(call, () => {
    requireAclRead(call);
    const tokens = aclReader
      .tokens()
      .filter(({ policies }) => policyId === "" || policies.some(({ id }) => id === policyId))
      .filter(({ roles = [] }) => roleId === "" || roles.some(({ id }) => id === roleId))
      .filter((token) => alive(call, token) !== undefined);
    return { value: tokens.map((token) => show(call, token)) };
  });
}

/** GET /v1/acl/token/self[?expanded]: the caller's own token, whatever its rights; who shows none has acl.tokens.default. */
export function readOwnToken(call: Call): Reply {
  const { aclReader } = call.deps;
  const secretId = call.token() ?? call.deps.acl.defaultToken;
  return answerAclRead(call, () => {
    const token = secretId === "" ? undefined : alive(call, aclReader.tokenBySecret(secretId));
    if (token === undefined) throw new HttpError(403, "ACL not found");
    // The rules behind it are for those who may read ACLs.
    const isExpanded = wantsExpanded(call) && call.authorizer().aclRead();
    return { value: { ...toToken(token), ...(isExpanded ? expansionOf(call, token) : {}) } };
  });
}

/** PUT /v1/acl/token. */
export async function createToken(call: Call): Promise<Response> {
  const body = await call.readBody(tokenShape, decoding);
  call.requireDatacenter();
  requireAclWrite(call);
  requireNewId(body.AccessorID, "AccessorID");
  requireNewId(body.SecretID, "SecretID");
  const { random, aclReader } = call.deps;
  const accessorId = body.AccessorID.toLowerCase() || random.uuid();
  await passBarrier(call, "leader");
  if (aclReader.token(accessorId) !== undefined)
    throw new HttpError(500, "Invalid Token: AccessorID is already in use");
  if (body.AuthMethod !== "")
    throw new HttpError(500, "AuthMethod field is disallowed outside of Login");
  const times = readTimes(call, body);
  requireNoRules(body);
  const secretId = body.SecretID || random.uuid();
  return setToken(call, { ...readFields(body), ...times, accessorId, secretId });
}

/** Throws 500 unless a secret that somebody chose can be one; "" is for a drawn one. */
export function requireNewId(id: string, name: string): void {
  if (id === "") return;
  if (!isUuid(id)) throw new HttpError(500, `Invalid Token: ${name} is not a valid UUID`);
  if (id.startsWith(reservedPrefix))
    throw new HttpError(
      500,
      `Invalid Token: UUIDs with the prefix ${JSON.stringify(reservedPrefix)} are reserved`,
    );
}

/** GET[?expanded], PUT, DELETE /v1/acl/token/<accessor>; PUT .../clone. */
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
  return answerAclRead(call, () => {
    requireAclRead(call);
    requireAccessor(accessorId);
    const token = requireToken(call, accessorId);
    return {
      value: { ...show(call, token), ...(wantsExpanded(call) ? expansionOf(call, token) : {}) },
    };
  });
}

/** Throws 403 `ACL not found`, as Consul does on reads and clones. */
function requireToken(call: Call, accessorId: string): AclTokenRecord {
  const token = alive(call, call.deps.aclReader.token(accessorId));
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
  requireAccessor(accessorId);
  await passBarrier(call, "leader");
  const held = alive(call, call.deps.aclReader.token(accessorId));
  if (held === undefined)
    throw new HttpError(500, `Cannot find token ${JSON.stringify(accessorId)}`);
  const secretId = body.SecretID || held.secretId;
  if (secretId !== held.secretId)
    throw new HttpError(500, "Changing a tokens SecretID is not permitted");
  if (body.Local !== held.local)
    throw new HttpError(500, `cannot toggle local mode of ${accessorId}`);
  if (body.AuthMethod !== "") throw new HttpError(500, `Cannot change AuthMethod of ${accessorId}`);
  const wanted = readExpirationTime(body);
  if (body.ExpirationTTL !== 0 || (wanted !== undefined && wanted !== held.expirationTimeMs))
    throw new HttpError(500, `Cannot change expiration time of ${accessorId}`);
  requireNoRules(body);
  const { createTimeMs } = held;
  const token = { ...readFields(body), createTimeMs, accessorId, secretId };
  return setToken(call, token, { mustExist: true });
}

async function cloneToken(call: Call, accessorId: string): Promise<Response> {
  const body = await call.readBody(tokenShape, { ...decoding, whenEmpty: "zero" });
  call.requireDatacenter();
  requireAclWrite(call);
  requireAccessor(accessorId);
  await passBarrier(call, "leader");
  const held = requireToken(call, accessorId);
  const { random, clock } = call.deps;
  const createTimeMs = clock.wallMs();
  if (held.expirationTimeMs !== undefined) requireLife(held.expirationTimeMs - createTimeMs);
  const { createIndex: _, modifyIndex: __, ...fields } = held;
  return setToken(call, {
    ...fields,
    accessorId: random.uuid(),
    secretId: random.uuid(),
    description: body.Description || held.description,
    createTimeMs,
  });
}

async function deleteToken(call: Call, accessorId: string): Promise<Response> {
  call.requireDatacenter();
  requireAclWrite(call);
  requireAccessor(accessorId);
  await passBarrier(call, "leader");
  const held = call.deps.aclReader.token(accessorId);
  if (held !== undefined && held.secretId === (call.token() ?? call.deps.acl.defaultToken))
    throw new HttpError(500, "Deletion of the request's authorization token is not permitted");
  await call.propose({ type: "acl-token-delete", accessorId });
  return call.json(true);
}

/** Rules and types are those of tokens before Consul 1.4. */
function requireNoRules(body: TokenBody): void {
  if (body.Rules !== "") throw new HttpError(500, "Rules cannot be specified for this token");
  if (body.Type !== "") throw new HttpError(500, "Type cannot be specified for this token");
}

/** When the new token is made and when its time is over, if ever. Throws 500 with Consul's texts. */
function readTimes(
  call: Call,
  body: TokenBody,
): Pick<AclTokenFields, "createTimeMs" | "expirationTimeMs"> {
  const createTimeMs = call.deps.clock.wallMs();
  const { ExpirationTTL: ttlMs } = body;
  const given = readExpirationTime(body);
  if (ttlMs < 0)
    throw new HttpError(500, `Token Expiration TTL '${formatDuration(ttlMs)}' should be > 0`);
  if (ttlMs > 0 && given !== undefined)
    throw new HttpError(500, "Token Expiration TTL and Expiration Time cannot both be set");
  const expirationTimeMs = ttlMs > 0 ? createTimeMs + ttlMs : given;
  if (expirationTimeMs === undefined) return { createTimeMs };
  requireLife(expirationTimeMs - createTimeMs);
  return { createTimeMs, expirationTimeMs };
}

function requireLife(lifeMs: number): void {
  if (lifeMs < 0) throw new HttpError(500, "ExpirationTime cannot be before CreateTime");
  const [bound, limitMs] =
    lifeMs > EXPIRATION_MAX_MS ? ["more", EXPIRATION_MAX_MS] : ["less", EXPIRATION_MIN_MS];
  if (lifeMs > EXPIRATION_MAX_MS || lifeMs < EXPIRATION_MIN_MS)
    throw new HttpError(
      500,
      `ExpirationTime cannot be ${bound} than ${formatDuration(limitMs)} in the future (was ${formatDuration(lifeMs)})`,
    );
}

/** A date and a time with its offset, RFC 3339. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** Milliseconds since 1970; undefined if none is given. Throws 400. */
function readExpirationTime({ ExpirationTime: text }: TokenBody): number | undefined {
  if (text === "" || text.startsWith("0001-01-01T00:00:00")) return undefined;
  const timeMs = TIME.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timeMs))
    throw new HttpError(
      400,
      `${decoding.prefix}parsing time ${JSON.stringify(text)} as "2006-01-02T15:04:05Z07:00": cannot parse`,
    );
  return timeMs;
}

function readFields(
  body: TokenBody,
): AclGrants & Pick<AclTokenFields, "description" | "roles" | "local"> {
  const roles = readLinks(body.Roles);
  return {
    description: body.Description,
    ...readGrants(body),
    ...(roles.length === 0 ? {} : { roles }),
    local: body.Local,
  };
}

async function setToken(
  call: Call,
  token: AclTokenFields,
  options: { mustExist?: true } = {},
): Promise<Response> {
  const command = { type: "acl-token-set", token, ...options } as const;
  // The state machine answers with the record, as command.ts says.
  const made = (await call.propose(command)) as AclTokenRecord;
  return call.json(toToken(made));
}
