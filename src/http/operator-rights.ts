/** What all routes of /v1/operator ask first. */
import { requireRight } from "./agent-rights.ts";
import type { Call } from "./call.ts";
import { parseConsistency, passBarrier } from "./read.ts";

/** Refuses those who may not read or write as an operator; other datacenters do not exist. */
export async function admitOperator(call: Call, right: "read" | "write"): Promise<void> {
  const { consistency } = parseConsistency(call);
  call.requireDatacenter();
  const rights = call.authorizer();
  requireRight(right === "read" ? rights.operatorRead() : rights.operatorWrite());
  await passBarrier(call, consistency);
}
