/** Why a question has failed, for clients that read extended errors (RFC 8914): which servers, and what each did. */
import type { ExtendedError, ForwardAnswer } from "../dns/answer.ts";
import { EDE } from "../dns/edns.ts";
import { readUint16 } from "../dns/message.ts";
import type { Exchange, Failure } from "./attempts.ts";
import type { Server } from "./upstreams.ts";

const OPTION_EXTENDED_ERROR = 15;
/** Octets of the text; servers that no longer fit are counted. */
const TEXT_OCTETS_MAX = 90;
/** Errors of a server that are passed on. */
const PASSED_MAX = 2;

const failedFor = (text: string): ForwardAnswer => ({
  ok: false,
  reason: "failed",
  ede: [{ code: EDE.OTHER, text }],
});
/** All places of its group were taken. */
export const OVERLOAD = failedFor("too many questions to these servers are under way");
/** No server was to be asked. */
export const refusals = {
  throttled: failedFor("the packets per second to these servers are used up"),
  looping: failedFor("what these servers are asked comes back to this resolver"),
};

/** Servers that could not be reached are a network error, those that answered badly are none that can be reached. */
export function failureErrors(exchange: Exchange, reason: Failure): ExtendedError[] {
  const text = failureText(exchange);
  if (reason === "silence")
    return [
      { code: EDE.NO_REACHABLE_AUTHORITY, text: "" },
      { code: EDE.NETWORK_ERROR, text },
    ];
  return [{ code: EDE.NO_REACHABLE_AUTHORITY, text }, ...passedErrors(exchange)];
}

/** "192.0.2.1:53 timeout, 192.0.2.2:53 SERVFAIL" in the order of asking. */
function failureText(exchange: Exchange): string {
  const words = [...new Set(exchange.order)].map(
    (server) => `${server.label} ${problemOf(exchange, server)}`,
  );
  let text = words[0]?.slice(0, TEXT_OCTETS_MAX) ?? "";
  for (let i = 1; i < words.length; i++) {
    const rest = ` and ${words.length - i} more`;
    const room = i + 1 < words.length ? TEXT_OCTETS_MAX - rest.length : TEXT_OCTETS_MAX;
    if (text.length + 2 + words[i]!.length > room) return text + rest;
    text += `, ${words[i]!}`;
  }
  return text;
}

/** The last thing that went wrong. A server that is known to be dead is not waited for. */
function problemOf({ attempts }: Exchange, server: Server): string {
  const attempt = attempts.findLast((each) => each.server === server);
  if (attempt !== undefined && attempt.problem !== "") return attempt.problem;
  if (server.standing === "dead") return `down, ${server.lastError}`;
  return attempt === undefined ? "not asked" : "no answer";
}

/** What the servers themselves say of it, for example that signatures are bogus. */
function passedErrors({ attempts }: Exchange): ExtendedError[] {
  return attempts
    .flatMap(({ options }) => (options === null ? [] : readErrors(options)))
    .slice(0, PASSED_MAX);
}

function readErrors(options: Uint8Array): ExtendedError[] {
  const found: ExtendedError[] = [];
  // The parser of the message has seen to it that the options end where they say.
  for (let at = 0; at < options.length;) {
    const end = at + 4 + readUint16(options, at + 2);
    if (readUint16(options, at) === OPTION_EXTENDED_ERROR && end >= at + 6)
      found.push({
        code: readUint16(options, at + 4),
        text: String.fromCharCode(...options.subarray(at + 6, end)),
      });
    at = end;
  }
  return found;
}
