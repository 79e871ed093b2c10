/** /v1/catalog/connect and /v1/health/connect. */
import type { Call, Reply } from "./call.ts";
import { answerRead } from "./read.ts";
import { beginRead } from "./select.ts";

/** Nothing is connect-capable here: always empty, for a service that exists and for one that does not. */
export function answerConnect(call: Call): Reply {
  const options = beginRead(call, "service name");
  return answerRead(call, options, {
    topics: [`service:${call.argument.toLowerCase()}`],
    showsConsistency: true,
    look: () => ({ value: [] }),
  });
}
