/** What the forwarder can be told. The configuration layer maps its keys to these records. */
import type { Network } from "../address.ts";
import type { Upstream } from "../ports.ts";
import type { SubnetSettings } from "./subnet.ts";

export type { Upstream } from "../ports.ts";

/** Answers that outlived their TTL (RFC 8767). */
export type StaleSettings = {
  enabled: boolean;
  /** The client response timer: so long a fresh answer is waited for before a stale one is given. */
  clientTimeoutMs: number;
  /** TTL that stale records are shown with. */
  ttlSeconds: number;
  /** How long after its TTL an answer may still be given. */
  maxSeconds: number;
  /** The failure recheck timer: so long after a failure a stale answer is given without asking first. */
  recheckMs: number;
  /** Also when the servers suddenly say NXDOMAIN or NODATA. */
  lastKnownGood: boolean;
};

/** A group of servers and how it is asked: one zone's, or that of all names without a zone. */
export type GroupSettings = {
  /** "": for names that no rule sends elsewhere; else a name of its own, which metrics and logs show. */
  name: string;
  /** In order of preference; those after MAX_SERVERS are left out. None: nothing is forwarded. */
  servers: readonly Upstream[];
  /**
   * `sequential`: in the order given. `random`: in another random order for each question. `fastest`: by
   * measured round trip. `parallel`: all at once, the first usable reply wins.
   */
  strategy: "sequential" | "random" | "fastest" | "parallel";
  /** How long one server may take for one question (Consul `recursor_timeout`). */
  timeoutMs: number;
  /** Questions on their way at a time; when full, the oldest ends with SERVFAIL. */
  maxInFlight: number;
  /** RCODEs that lead to the next server; null: all but NOERROR and NXDOMAIN. */
  nextOn: readonly number[] | null;
  /** Random case of letters as a second id (draft-vixie-dnsext-dns0x20). */
  mixedCase: boolean;
  /** Packets per second to one server; 0: no limit, -1: USUAL_PACKETS_PER_SECOND, and no limit to this host. */
  packetsPerSecond: number;
  /** Keep its answers. */
  keep: boolean;
  /** Shorter TTLs are raised to this. */
  minTtlSeconds: number;
  /** Longer TTLs are cut to this. */
  maxTtlSeconds: number;
  /** Denials are kept, and shown, no longer than this. */
  negativeTtlCapSeconds: number;
  /** Denials without an SOA are kept so long; 0: not at all, as RFC 2308 5 has it. */
  bareDenialSeconds: number;
  stale: StaleSettings;
  /** A reply with one of these addresses is as if it had not come. */
  ignoredAddresses: readonly Network[];
  /** Pass AD on to clients that asked for it (RFC 6840 5.8). Right only if the road to every server is trusted. */
  trustAd: boolean;
};

export type ForwarderSettings = {
  /** The first is the one named "". */
  groups: readonly [GroupSettings, ...GroupSettings[]];
  /**
   * false: as Consul forwards. The question goes on unchanged (EDNS and transport included), the reply
   * comes back unchanged, nothing is kept.
   */
  cacheEnabled: boolean;
  /** Budget for answers, keys and bookkeeping; a quarter of it is for denials. */
  cacheOctets: number;
  /** The client's network in questions; null: none is sent, but passed on where nothing is kept. */
  subnet: SubnetSettings | null;
  /** Ask again before a name that is asked often runs out. */
  prefetch: boolean;
  /** Find servers that send the question back to us. */
  loopDetection: boolean;
  /** Name that a server which is down is asked for while there are no clients' questions for it; "": none. */
  probeName: string;
};

/** What resolvers of clouds take from one network interface (Amazon VPC: 1,024). */
export const USUAL_PACKETS_PER_SECOND = 1024;

/** What an entry of the cache is reckoned at where others count entries (dnsmasq). */
export const ENTRY_OCTETS = 1024;

/** Above this a list of upstream servers is cut. resolv.conf itself allows three. */
export const MAX_SERVERS = 16;

export const groupDefaults: GroupSettings = {
  name: "",
  servers: [],
  strategy: "sequential",
  timeoutMs: 2000,
  maxInFlight: 4096,
  nextOn: null,
  mixedCase: true,
  packetsPerSecond: -1,
  keep: true,
  minTtlSeconds: 0,
  maxTtlSeconds: 86400,
  negativeTtlCapSeconds: 300,
  bareDenialSeconds: 0,
  stale: {
    enabled: true,
    clientTimeoutMs: 400,
    ttlSeconds: 30,
    maxSeconds: 86400,
    recheckMs: 5000,
    lastKnownGood: false,
  },
  ignoredAddresses: [],
  trustAd: false,
};

export const forwarderDefaults: ForwarderSettings = {
  groups: [groupDefaults],
  cacheEnabled: true,
  cacheOctets: 16 * 1024 * 1024,
  subnet: null,
  prefetch: true,
  loopDetection: true,
  probeName: ".",
};
