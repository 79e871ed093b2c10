/** /v1/acl/rules/translate: rules of ACLs before Consul 1.4 in the current form. */
import { translateLegacyRules } from "../cluster/acl-legacy.ts";
import { HttpError, type Call, type Reply } from "./call.ts";
import { requireAclRead } from "./rights.ts";

/** POST: the body's rules. Who may not read ACLs is refused, so that strangers cannot make work. */
export async function translateRules(call: Call): Promise<Response> {
  requireAclRead(call);
  const translated = translateLegacyRules(await call.readText());
  if (!translated.ok) throw new HttpError(400, `Bad request: ${translated.error}`);
  return call.text(200, translated.value);
}

/** GET .../<accessor>: the rules of a legacy token. There are none, so no token has any. */
export function answerTokenRules(call: Call): Reply {
  if (call.argument === "") throw new HttpError(400, "Bad request: Missing token ID");
  call.requireDatacenter();
  requireAclRead(call);
  if (call.deps.aclReader.token(call.argument.toLowerCase()) === undefined)
    throw new HttpError(403, "ACL not found");
  throw new HttpError(500, "The specified token does not have any rules to translate");
}
