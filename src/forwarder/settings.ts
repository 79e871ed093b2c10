/** What the forwarder can be told. The configuration layer maps its keys to this record. */
import type { SocketAddress } from "../ports.ts";

export type ForwarderSettings = {
  /** Upstream servers in order of preference; those after MAX_SERVERS are left out. None: nothing is forwarded. */
  servers: readonly SocketAddress[];
  /** How long one server may take for one question (Consul `recursor_timeout`). */
  timeoutMs: number;
  /** `random`: the servers in another random order for each question (Consul `recursor_strategy`). */
  strategy: "sequential" | "random";
  /**
   * false: as Consul forwards. The question goes on unchanged (EDNS and transport included), the reply
   * comes back unchanged, nothing is kept.
   */
  cacheEnabled: boolean;
  /** Budget for answers, keys and bookkeeping; a quarter of it is for denials. */
  cacheOctets: number;
  /** Longer TTLs are cut to this. */
  maxTtlSeconds: number;
  /** Denials are kept, and shown, no longer than this. */
  negativeTtlCapSeconds: number;
  /** Pass AD on to clients that asked for it (RFC 6840 5.8). Right only if the road to every server is trusted. */
  trustAd: boolean;
};

/** Above this a list of upstream servers is cut. resolv.conf itself allows three. */
export const MAX_SERVERS = 16;

export const forwarderDefaults: ForwarderSettings = {
  servers: [],
  timeoutMs: 2000,
  strategy: "sequential",
  cacheEnabled: true,
  cacheOctets: 16 * 1024 * 1024,
  maxTtlSeconds: 86400,
  negativeTtlCapSeconds: 300,
  trustAd: false,
};
