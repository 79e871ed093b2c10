/** Sources in which nothing has happened yet. */
import type { Sources } from "../../src/metrics/family.ts";

export function sourcesWith(changed: Partial<Sources>): Sources {
  const distribution = { boundsSeconds: [0.1, 1], counts: [0, 0, 0], sumSeconds: 0 };
  return {
    version: "0.0.0",
    workers: () => 1,
    dns: () => ({
      requests: new Map(),
      responses: new Map(),
      tableHits: 0,
      tableMisses: 0,
      missesDropped: 0,
      ignored: 0,
      workerRestarts: 0,
      batches: 0,
      durations: distribution,
    }),
    table: () => ({
      entries: 0,
      octets: 0,
      capacityOctets: 0,
      evictions: 0,
      rejected: 0,
      oldestAgeSeconds: 0,
    }),
    resolver: () => ({
      replies: [],
      malformed: new Map(),
      truncated: 0,
      stale: 0,
      publisher: { watched: 0, topics: 0, withdrawn: 0 },
    }),
    tcp: () => ({
      connections: 0,
      accepted: 0,
      questions: 0,
      closed: { firstByte: 0, message: 0, idle: 0, write: 0, evicted: 0, refused: 0 },
    }),
    forwarder: () => ({
      requests: 0,
      coalesced: 0,
      inFlight: 0,
      inFlightLimit: 0,
      udpSockets: 0,
      tcpSockets: 0,
      generation: 0,
      refused: 0,
      dropped: 0,
      failures: { silence: 0, errorReplies: 0, brokenChain: 0 },
      servers: [],
      cache: null,
    }),
    catalog: () => ({ nodes: 1, services: 2, instances: 3, checks: 4, index: 5 }),
    local: () => ({ services: 0, checks: [], runningProbes: 0, waitingProbes: 0, unsynced: 0 }),
    log: () => ({}),
    http: () => [],
    blockedQueries: () => 0,
    lateness: () => ({ ...distribution, maxSeconds: 0 }),
    process: () => ({
      cpuSeconds: 1,
      residentOctets: 2,
      heapOctets: 3,
      startSeconds: 4,
      openDescriptors: 5,
    }),
    ...changed,
  };
}
