/** State machine of ACL tokens and of the bootstrap. Consul 1.10 agent/consul/acl_endpoint.go for the texts. */
import { fail, ok, type Result } from "../base.ts";
import { identityProblem, mergedIdentities } from "./acl-identity.ts";
import { resolveLinks } from "./acl-links.ts";
import { ANONYMOUS_ID, GLOBAL_MANAGEMENT_ID, isExpired } from "./acl-state.ts";
import { asRead, linkedPolicies, linkedRoles, putToken, sameFields, touch } from "./acl-state.ts";
import type { AclReader, AclState, AclTokenRecord } from "./acl-state.ts";
import type { Change } from "./change.ts";
import type { AclTokenFields, Command } from "./command.ts";

/**
 * Creates or replaces a token. Refused: a secret that changes or is another token's, unknown
 * policies and roles, identities that cannot be; with `mustExist` also a token that is not there.
 */
export function applyTokenSet(
  state: AclState,
  { token: fields, mustExist }: { token: AclTokenFields; mustExist?: boolean },
  change: Change,
): Result<AclTokenRecord, string> {
  const held = state.tokens.get(fields.accessorId);
  if (held === undefined && mustExist === true)
    return fail(`Cannot find token ${JSON.stringify(fields.accessorId)}`);
  const problem = secretProblem(state, fields, held);
  if (problem !== undefined) return fail(problem);
  const policies = resolveLinks(fields.policies, linkedPolicies(state));
  if (!policies.ok) return policies;
  const roles = resolveLinks(fields.roles ?? [], linkedRoles(state));
  if (!roles.ok) return roles;
  const wrong = identityProblem(fields, { kind: "token", isLocal: fields.local });
  if (wrong !== undefined) return fail(wrong);
  // The times of creation and of expiry stay what they were.
  const { createTimeMs, expirationTimeMs } = held ?? fields;
  const { index } = change;
  const record: AclTokenRecord = {
    accessorId: fields.accessorId,
    secretId: fields.secretId,
    description: fields.description,
    policies: policies.value,
    ...(roles.value.length === 0 ? {} : { roles: roles.value }),
    ...mergedIdentities(fields),
    local: fields.local,
    createTimeMs,
    ...(expirationTimeMs === undefined ? {} : { expirationTimeMs }),
    createIndex: held?.createIndex ?? index,
    modifyIndex: index,
  };
  if (held !== undefined && sameFields(held, record)) return ok(asRead(state, held));
  putToken(state, record);
  touch(state, change);
  return ok(record);
}

/** Accessors and secrets are of one kind: none may be told from the other by a guess. */
function secretProblem(
  state: AclState,
  { accessorId, secretId }: AclTokenFields,
  held: AclTokenRecord | undefined,
): string | undefined {
  if (held !== undefined)
    return held.secretId === secretId ? undefined : "Changing a tokens SecretID is not permitted";
  if (state.secrets.has(accessorId)) return "Invalid Token: AccessorID is already in use";
  return state.secrets.has(secretId) || state.tokens.has(secretId)
    ? "Invalid Token: SecretID is already in use"
    : undefined;
}

/** An unknown token is fine; the anonymous one is refused. */
export function applyTokenDelete(
  state: AclState,
  accessorId: string,
  change: Change,
): Result<true, string> {
  if (accessorId === ANONYMOUS_ID)
    return fail("Delete operation not permitted on the anonymous token");
  if (remove(state, accessorId)) touch(state, change);
  return ok(true);
}

/** Removes those of the tokens that expire not later than `expiredMs`, ms since 1970. */
export function applyTokensReap(
  state: AclState,
  { accessorIds, expiredMs }: { accessorIds: readonly string[]; expiredMs: number },
  change: Change,
): Result<true, string> {
  let isAny = false;
  for (const accessorId of accessorIds) {
    const token = state.tokens.get(accessorId);
    if (token !== undefined && isExpired(token, expiredMs)) isAny = remove(state, accessorId);
  }
  if (isAny) touch(state, change);
  return ok(true);
}

function remove(state: AclState, accessorId: string): boolean {
  const held = state.tokens.get(accessorId);
  if (held === undefined) return false;
  state.tokens.delete(accessorId);
  state.secrets.delete(held.secretId);
  state.expiring.delete(accessorId);
  return true;
}

/** Makes the first management token; again only with the index of the last time as `resetIndex`. */
export function applyBootstrap(
  state: AclState,
  { token, resetIndex }: { token: AclTokenFields; resetIndex: number },
  change: Change,
): Result<AclTokenRecord, string> {
  const { bootstrapIndex } = state;
  if (bootstrapIndex !== 0 && resetIndex === 0)
    return fail(
      `Permission denied: ACL bootstrap no longer allowed (reset index: ${bootstrapIndex})`,
    );
  if (bootstrapIndex !== 0 && resetIndex !== bootstrapIndex)
    return fail(
      `Invalid bootstrap reset index (specified ${resetIndex}, reset index: ${bootstrapIndex})`,
    );
  const set = applyTokenSet(state, { token }, change);
  if (set.ok) {
    state.bootstrapIndex = change.index;
    touch(state, change);
  }
  return set;
}

/**
 * What a leader must propose so that the secret of acl.tokens.initial_management is a token of its
 * own; undefined if it is one. Bootstrap is over then, as in Consul.
 */
export function initialManagementCommand(
  reader: AclReader,
  secretId: string,
  drawn: { uuid: string; timeMs: number },
): Command | undefined {
  if (secretId === "" || reader.tokenBySecret(secretId) !== undefined) return undefined;
  const token = {
    accessorId: drawn.uuid,
    secretId,
    description: "Master Token",
    policies: [{ id: GLOBAL_MANAGEMENT_ID, name: "global-management" }],
    local: false,
    createTimeMs: drawn.timeMs,
  };
  if (reader.bootstrapIndex !== 0) return { type: "acl-token-set", token };
  return { type: "acl-bootstrap", token, resetIndex: 0 };
}
