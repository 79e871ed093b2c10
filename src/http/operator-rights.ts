/** What all routes of /v1/operator ask first. */
import type { Call } from "./call.ts";
import { parseConsistency, passBarrier } from "./read.ts";
import { requireRight } from "./rights.ts";

/** Refuses those who may not read or write as an operator; other datacenters do not exist. */
export function admitOperator(call: Call, right: "read" | "write"): Promise<void> {
  return admit(call, right, undefined);
}

/** The same for autopilot, where Consul names what is missing. */
export function admitAutopilot(call: Call, right: "read" | "write"): Promise<void> {
  return admit(call, right, `Missing operator:${right} permissions`);
}

async function admit(
  call: Call,
  right: "read" | "write",
  cause: string | undefined,
): Promise<void> {
  const { consistency } = parseConsistency(call);
  call.requireDatacenter();
  const rights = call.authorizer();
  requireRight(right === "read" ? rights.operatorRead() : rights.operatorWrite(), cause);
  await passBarrier(call, consistency);
}
