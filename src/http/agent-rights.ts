/** What the agent routes have in common: rights, and the end of an operation. */
import { HttpError, type Call, type Reply } from "./call.ts";
import { requireRight } from "./rights.ts";

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
