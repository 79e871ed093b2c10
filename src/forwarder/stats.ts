/** Figures of the forwarder for metrics: types only. */
import type { CacheStats } from "./cache.ts";
import type { FailureReason } from "./failures.ts";
import type { PoolStats } from "./pools.ts";
import type { PrefetchCounts } from "./prefetch.ts";
import type { Server } from "./upstreams.ts";

/** Counts since the start, and what is under way now. */
export type ForwarderStats = {
  /** Questions given to `forward`. */
  requests: number;
  /** Questions that joined one under way. */
  coalesced: number;
  inFlight: number;
  /** Per group: under way, its places, and how many were given up because there was none left. */
  pools: readonly PoolStats[];
  /** The same in all. */
  dropped: number;
  /** Questions that found every server of their group down. */
  allDown: number;
  /** Refused because too many waited, or no socket could be opened. */
  refused: number;
  /** Ended without a usable reply, by reason. */
  failures: {
    silence: number;
    errorReplies: number;
    brokenChain: number;
    throttled: number;
    looping: number;
  };
  /** Answers given after their TTL, by what kept a fresh one away. */
  stale: Record<FailureReason, number>;
  /** Questions asked again before their answers ran out, and those that were not for want of budget. */
  prefetches: PrefetchCounts;
  udpSockets: number;
  tcpSockets: number;
  /** Times the set of servers was replaced by another one. */
  generation: number;
  cache: CacheStats | null;
  servers: readonly Readonly<Server>[];
};
