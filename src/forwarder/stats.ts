/** Figures of the forwarder for metrics: types only. */
import type { CacheStats } from "./cache.ts";
import type { Server } from "./upstreams.ts";

/** Counts since the start, and what is under way now. */
export type ForwarderStats = {
  /** Questions given to `forward`. */
  requests: number;
  /** Questions that joined one under way. */
  coalesced: number;
  inFlight: number;
  inFlightLimit: number;
  /** Ended with SERVFAIL because MAX_IN_FLIGHT was reached. */
  dropped: number;
  /** Refused because too many waited, or no socket could be opened. */
  refused: number;
  /** Ended without a usable reply, by reason. */
  failures: { silence: number; errorReplies: number; brokenChain: number };
  udpSockets: number;
  tcpSockets: number;
  /** Times the set of servers was replaced by another one. */
  generation: number;
  cache: CacheStats | null;
  servers: readonly Readonly<Server>[];
};
