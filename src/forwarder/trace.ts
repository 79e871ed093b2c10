/** What a traced question tells about its way through the servers. */
import { formatName } from "../dns/name.ts";
import type { Trace } from "../dns/trace.ts";
import type { Exchange, Output } from "./attempts.ts";
import type { Entry } from "./cache.ts";
import { stepExchange, type Input } from "./exchange.ts";
import type { ServerCounts } from "./upstreams.ts";

/** `stepExchange`, with notes of what came in, what the forwarder made of it, and what went out. */
export function stepTraced(trace: Trace, exchange: Exchange, input: Input): Output[] {
  const attempt = "attempt" in input ? input.attempt : exchange.current;
  const before = attempt && { ...attempt.server.counts };
  const outputs = stepExchange(exchange, input);
  if (attempt !== null && before !== null) {
    const { server, transport, sentAtMs } = attempt;
    const afterMs = input.nowMs - sentAtMs;
    const verdicts = grown(before, server.counts);
    const common = { server: server.label, transport, afterMs };
    if (input.type === "message")
      trace.add({ step: "heard", ...common, rcode: input.wire[3]! & 15, error: "", verdicts });
    else if (input.type === "error")
      trace.add({ step: "heard", ...common, rcode: -1, error: input.code, verdicts });
    else if (input.type === "tick" && verdicts.includes("timeouts"))
      trace.add({ step: "silence", server: server.label, afterMs });
  }
  for (const output of outputs)
    if (output.type === "send") {
      const { server, transport, withOpt, probe } = output.attempt;
      trace.add({ step: "sent", server: server.label, transport, edns: withOpt, probe });
    }
  return outputs;
}

/** The sending of a repeated question is a note of its own. */
function grown(before: ServerCounts, after: ServerCounts): string[] {
  return (Object.keys(before) as (keyof ServerCounts)[]).filter(
    (name) => name !== "udp" && name !== "tcp" && after[name] > before[name],
  );
}

/** What the cache had for a question. */
export function noteCache(
  trace: Trace,
  { qname, qtype }: { qname: Uint8Array; qtype: number },
  found: "failing" | "none" | "not kept" | Entry,
  nowMs: number,
): void {
  const asked = { name: formatName(qname), type: qtype };
  if (typeof found === "string")
    trace.add({ step: "cache", ...asked, found, ageMs: 0, leftMs: 0, server: "" });
  else {
    const { storedAtMs, expiresAtMs, server } = found;
    const leftMs = expiresAtMs - nowMs;
    const times = { ageMs: nowMs - storedAtMs, leftMs };
    trace.add({ step: "cache", ...asked, found: leftMs > 0 ? "fresh" : "stale", ...times, server });
  }
}
