/** Refusals with Consul's texts. */
import { HttpError, type Call } from "./call.ts";

/** Throws 403 `Permission denied` unless allowed, with the cause if there is one to tell. */
export function requireRight(isAllowed: boolean, cause?: string): void {
  if (!isAllowed)
    throw new HttpError(403, `Permission denied${cause === undefined ? "" : `: ${cause}`}`);
}

/** Throws 403 unless the caller may read ACLs. */
export function requireAclRead(call: Call): void {
  requireRight(call.authorizer().aclRead());
}

/** Throws 403 unless the caller may write ACLs. */
export function requireAclWrite(call: Call): void {
  requireRight(call.authorizer().aclWrite());
}
