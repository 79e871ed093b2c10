/** What the agent routes have in common: rights with Consul's texts, and the end of an operation. */
import { HttpError, type Call, type Reply } from "./call.ts";

/** 403 `Permission denied`, with the cause if there is one to tell. */
export function requireRight(isAllowed: boolean, cause?: string): void {
  if (!isAllowed)
    throw new HttpError(403, `Permission denied${cause === undefined ? "" : `: ${cause}`}`);
}

/** 403 unless the caller may read this agent. */
export function requireAgentRead(call: Call): void {
  requireRight(call.authorizer().agentRead(call.deps.info.nodeName));
}

/** 403 unless the caller may change this agent. */
export function requireAgentWrite(call: Call): void {
  requireRight(call.authorizer().agentWrite(call.deps.info.nodeName));
}

/** 403 unless the caller may change a service of this name. */
export function requireServiceWrite(call: Call, name: string): void {
  requireRight(call.authorizer().serviceWrite(name), `Missing service:write on ${name}`);
}

/** 403 unless the caller may change this agent's node. */
export function requireNodeWrite(call: Call): void {
  const node = call.deps.info.nodeName;
  requireRight(call.authorizer().nodeWrite(node), `Missing node:write on ${node}`);
}

/** The text of a failed operation as status 500; an empty answer on success. */
export function answerResult(
  call: Call,
  result: { ok: true } | { ok: false; error: string },
): Reply {
  if (!result.ok) throw new HttpError(500, result.error);
  return call.empty();
}
