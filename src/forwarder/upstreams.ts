/** The upstream servers, what is known about each, and in which order one question tries them. */
import { isLoopback } from "../address.ts";
import type { Random } from "../ports.ts";
import type { Stranger } from "./query.ts";
import type { ReplyTimes } from "./reply-times.ts";
import { createBucket, type Bucket } from "./bucket.ts";
import { createRoundTrips, type RoundTrips } from "./rtt.ts";
import {
  MAX_SERVERS,
  USUAL_PACKETS_PER_SECOND,
  type GroupSettings,
  type Upstream,
} from "./settings.ts";
import { isSameUpstream, upstreamLabel } from "./upstream.ts";

/**
 * `good`: the last reply was usable. `failing`: it answers, but its last reply was an error. `dead`:
 * a question ran out of time, or could not be delivered, and nothing has been heard since it was sent.
 */
export type Standing = "good" | "failing" | "dead";

/** Monotonic counts for metrics. */
export type ServerCounts = {
  /** Questions sent, by transport. */
  udp: number;
  tcp: number;
  /** Of these: copies to a server that is down, and questions of our own. */
  probes: number;
  replies: number;
  timeouts: number;
  /** Transport errors: closed port, unreachable, reset. */
  errors: number;
  /** Replies with an RCODE other than NOERROR and NXDOMAIN. */
  errorRcodes: number;
  malformed: number;
  /** Datagrams that were not the reply to what was asked: wrong id, wrong question, no reply at all. */
  nearMisses: number;
  /** The same by what is wrong with them. */
  strangers: Record<Stranger, number>;
  /** Replies that changed the case of the question. */
  caseMismatches: number;
  truncated: number;
  /** Replies with an address that is to be ignored. */
  ignored: number;
  /** Times that it denied a name which another server of its group had records of. */
  disagreements: number;
  /** Times that it was passed over because its rate was used up. */
  throttled: number;
  /** Questions of our own to a server that is down without a reply. */
  probeFailures: number;
  /** Connections opened for a question, and questions that found one open. */
  connectionsOpened: number;
  connectionsReused: number;
};

export type Server = {
  readonly address: Upstream;
  /** "192.0.2.1:53", "tls://192.0.2.1:853": for metrics and logs; see upstream.ts. */
  readonly label: string;
  readonly isOnThisHost: boolean;
  standing: Standing;
  /**
   * It has kept a question waiting for longer than nearly any before, and nothing has come since. Others
   * are asked first until it is heard again.
   */
  late: boolean;
  /** Mean share of replies that were errors, the newest with 1/8. */
  errorShare: number;
  /** Most of its replies are errors: others are asked first. */
  demoted: boolean;
  /** Its questions came back to us: it is not asked until they do not (loops.ts). */
  looping: boolean;
  /** Mean of the round trip in the usual manner of asking it; -1: not yet known. */
  srttMs: number;
  readonly roundTrips: RoundTrips;
  lastHeardMs: number;
  /** When the youngest question that it has answered was sent. */
  answeredSentMs: number;
  lastSentMs: number;
  /** When `standing` became what it is; -Infinity: it always was. */
  changedAtMs: number;
  /** What went wrong last, "" for nothing, and when. */
  lastError: string;
  lastErrorAtMs: number;
  consecutiveFailures: number;
  /** Until then questions go without EDNS, because that is how it answered. */
  plainUntilMs: number;
  /** Until then names are sent to it in lower case, because it does not keep their case. */
  lowerCaseUntilMs: number;
  probeTokens: number;
  probeTokensAtMs: number;
  /** Packets that may be repeated to it, and when that was worked out (health.ts). */
  repeatTokens: number;
  repeatTokensAtMs: number;
  /** Settled questions that still listen for it. */
  listeners: number;
  readonly bucket: Bucket;
  readonly counts: ServerCounts;
  /** By RCODE. */
  readonly replyTimes: Map<number, ReplyTimes>;
};

/** Questions that may be spent on a server that is down when it goes down (health.ts). */
export const PROBE_BURST = 8;
/** Packets that may be repeated to a server that does not answer (health.ts). */
export const REPEAT_BURST = 256;

export type Upstreams = {
  /** Distinguishes sets of servers in cache keys. */
  readonly groupId: number;
  readonly settings: GroupSettings;
  readonly servers: readonly Server[];
};

/** Builds the group for these settings; servers that `known` finds keep what is known about them. */
export function createUpstreams(
  settings: GroupSettings,
  groupId: number,
  known: (label: string) => Server | undefined,
): Upstreams {
  const servers: Server[] = [];
  for (const address of settings.servers) {
    const label = upstreamLabel(address);
    if (servers.length === MAX_SERVERS || servers.some((server) => server.label === label))
      continue;
    servers.push(known(label) ?? createServer(address, label));
  }
  return { groupId, settings, servers };
}

/** Same servers in the same order? */
export function sameServers(a: Upstreams, b: Upstreams): boolean {
  return (
    a.servers.length === b.servers.length &&
    a.servers.every((server, index) => isSameUpstream(server.address, b.servers[index]!.address))
  );
}

function createServer(address: Upstream, label: string): Server {
  return {
    address,
    label,
    isOnThisHost: isLoopback(address.address),
    standing: "good",
    late: false,
    errorShare: 0,
    demoted: false,
    looping: false,
    srttMs: -1,
    roundTrips: createRoundTrips(),
    lastHeardMs: -Infinity,
    answeredSentMs: -Infinity,
    lastSentMs: -Infinity,
    changedAtMs: -Infinity,
    lastError: "",
    lastErrorAtMs: -Infinity,
    consecutiveFailures: 0,
    plainUntilMs: -Infinity,
    lowerCaseUntilMs: -Infinity,
    probeTokens: PROBE_BURST,
    probeTokensAtMs: 0,
    repeatTokens: REPEAT_BURST,
    repeatTokensAtMs: 0,
    listeners: 0,
    bucket: createBucket(),
    counts: {
      udp: 0,
      tcp: 0,
      probes: 0,
      replies: 0,
      timeouts: 0,
      errors: 0,
      errorRcodes: 0,
      malformed: 0,
      nearMisses: 0,
      strangers: { id: 0, question: 0, "no reply": 0 },
      caseMismatches: 0,
      truncated: 0,
      ignored: 0,
      throttled: 0,
      disagreements: 0,
      probeFailures: 0,
      connectionsOpened: 0,
      connectionsReused: 0,
    },
    replyTimes: new Map(),
  };
}

/** One question in so many goes to a slower server as well, to see whether it still is. */
const RETEST_ONE_IN = 100;
/** A server that never answered is not measured again before this. */
const RETEST_UNKNOWN_MS = 1000;

export type Order = {
  readonly servers: readonly Server[];
  /** `fastest`: gets a copy, so that its round trip is known; nobody waits for it. */
  readonly measured: Server | null;
};

/** Packets per second that a group may send to one of its servers; 0: there is no limit. */
export function rateOf({ packetsPerSecond }: GroupSettings, { isOnThisHost }: Server): number {
  if (packetsPerSecond >= 0) return packetsPerSecond;
  return isOnThisHost ? 0 : USUAL_PACKETS_PER_SECOND;
}

/** The order in which one question tries the servers by their strategy, whatever is known of their health. */
export function serverOrder(
  { settings, servers }: Upstreams,
  random: Random,
  nowMs: number,
): Order {
  if (servers.length > 1 && settings.strategy === "random")
    return { servers: shuffled(servers, random), measured: null };
  if (servers.length < 2 || settings.strategy !== "fastest") return { servers, measured: null };
  const order = servers.toSorted((a, b) => knownMs(a) - knownMs(b));
  return { servers: order, measured: toMeasure(order, random, nowMs) };
}

const knownMs = ({ srttMs }: Server): number => (srttMs < 0 ? Number.MAX_VALUE : srttMs);

function shuffled(servers: readonly Server[], random: Random): Server[] {
  const order = servers.slice();
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor((random.uint32() / 0x1_0000_0000) * (i + 1));
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}

function toMeasure(order: readonly Server[], random: Random, nowMs: number): Server | null {
  const isUp = ({ standing, looping }: Server): boolean => standing !== "dead" && !looping;
  for (const server of order)
    if (
      server !== order[0] &&
      server.srttMs < 0 &&
      isUp(server) &&
      nowMs - server.lastSentMs >= RETEST_UNKNOWN_MS
    )
      return server;
  const drawn = random.uint32();
  if (drawn % RETEST_ONE_IN !== 0) return null;
  const others = order.slice(1).filter(isUp);
  return others[Math.floor(drawn / RETEST_ONE_IN) % Math.max(1, others.length)] ?? null;
}
