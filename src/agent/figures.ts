/** The resolver's counters in the form that metrics read. */
import type { Resolver } from "../dns/resolve.ts";
import type { TcpCounters } from "../dns/driver.ts";
import type { DnsTimings } from "../metrics.ts";
import type { ResolverFigures } from "../metrics/family.ts";

/** Counts of TCP and of what the main thread computed. */
export function resolverFigures({ counters }: Resolver, tcp: TcpCounters): ResolverFigures {
  const tcpResponses = new Map<number, number>();
  let tcpRequests = 0;
  for (const { transport, rcode, count } of counters.replies()) {
    if (transport !== "tcp") continue;
    tcpRequests += count;
    tcpResponses.set(rcode, (tcpResponses.get(rcode) ?? 0) + count);
  }
  let malformed = 0;
  for (const count of counters.malformed.values()) malformed += count;
  return {
    tcpRequests,
    tcpResponses,
    tcpConnections: tcp.connections,
    tcpRefusedConnections: tcp.closed.refused,
    truncated: counters.truncated,
    malformed,
    stale: counters.stale,
  };
}

/** consul.dns.* of the JSON form. */
export function dnsTimings({ counters }: Resolver): DnsTimings {
  return {
    domain: counters.domainQuery,
    ptr: counters.ptrQuery,
    stale: counters.stale,
  };
}
