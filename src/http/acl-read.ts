/** How policies, roles and tokens are read. */
import { createHash } from "node:crypto";
import type { Call, Reply } from "./call.ts";
import { answerRead, parseReadOptions, type Look, type Read } from "./read.ts";

/** A blocking read of ACLs. `look` asks for the rights. */
export function answerAclRead(call: Call, look: () => Look, answer?: Read["answer"]): Reply {
  const options = parseReadOptions(call);
  call.requireDatacenter();
  const read: Read = { topics: ["acl"], showsConsistency: false, look };
  return answerRead(call, options, answer === undefined ? read : { ...read, answer });
}

/** A hash over the members that a client sets, in base64. */
export function hashOf(members: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(members)).digest("base64");
}
