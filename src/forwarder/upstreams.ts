/**
 * What is known about each upstream server. Nothing but clients' questions is ever sent to one: a dead
 * server is tried again with questions that another server answers at the same time.
 */
import type { Random } from "../ports.ts";
import { MAX_SERVERS, type GroupSettings, type Upstream } from "./settings.ts";
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
  replies: number;
  timeouts: number;
  /** Transport errors: closed port, unreachable, reset. */
  errors: number;
  /** Replies with an RCODE other than NOERROR and NXDOMAIN. */
  errorRcodes: number;
  malformed: number;
  /** Datagrams that were not the reply to what was asked: wrong id, wrong question, no reply at all. */
  nearMisses: number;
  /** Replies that changed the case of the question. */
  caseMismatches: number;
  truncated: number;
};

export type Server = {
  readonly address: Upstream;
  /** "192.0.2.1:53", "tls://192.0.2.1:853": for metrics and logs; see upstream.ts. */
  readonly label: string;
  standing: Standing;
  /** Exponentially weighted mean of the round trip over UDP (1/8 as in RFC 6298); -1: not yet known. */
  srttMs: number;
  lastHeardMs: number;
  /** When `standing` became what it is; -Infinity: it always was. */
  changedAtMs: number;
  /** What went wrong last, "" for nothing, and when. */
  lastError: string;
  lastErrorAtMs: number;
  consecutiveFailures: number;
  /** Until then questions go without EDNS, because that is how it answered. */
  plainUntilMs: number;
  /** It does not keep the case of questions, so they are sent to it in lower case. */
  lowerCases: boolean;
  probeTokens: number;
  probeTokensAtMs: number;
  readonly counts: ServerCounts;
};

/**
 * Questions that may be spent on a dead server: a burst, so that a short absence ends with the next
 * question, then a few per second, so that a long one costs next to nothing and still ends within a second.
 */
const PROBE_BURST = 8;
export const PROBES_PER_SECOND = 4;
/** How long a server stays without EDNS after it answered only without (unbound keeps this for 15 minutes). */
const PLAIN_MS = 15 * 60 * 1000;

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
    const same = known(label);
    servers.push(
      same !== undefined && isSameUpstream(same.address, address)
        ? same
        : createServer(address, label),
    );
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
    standing: "good",
    srttMs: -1,
    lastHeardMs: -Infinity,
    changedAtMs: -Infinity,
    lastError: "",
    lastErrorAtMs: -Infinity,
    consecutiveFailures: 0,
    plainUntilMs: -Infinity,
    lowerCases: false,
    probeTokens: PROBE_BURST,
    probeTokensAtMs: 0,
    counts: {
      udp: 0,
      tcp: 0,
      replies: 0,
      timeouts: 0,
      errors: 0,
      errorRcodes: 0,
      malformed: 0,
      nearMisses: 0,
      caseMismatches: 0,
      truncated: 0,
    },
  };
}

/** The order in which one question tries the servers. */
export function serverOrder(upstreams: Upstreams, random: Random): readonly Server[] {
  if (upstreams.settings.strategy !== "random" || upstreams.servers.length < 2)
    return upstreams.servers;
  const order = upstreams.servers.slice();
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor((random.uint32() / 0x1_0000_0000) * (i + 1));
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}

/** A message that matches what was asked has come. `rttMs` -1: do not measure. Returns true if the server was dead. */
export function noteReply(server: Server, usable: boolean, rttMs: number, nowMs: number): boolean {
  const revived = server.standing === "dead";
  server.counts.replies++;
  server.lastHeardMs = nowMs;
  changeStanding(server, usable ? "good" : "failing", nowMs);
  if (usable) server.consecutiveFailures = 0;
  else server.consecutiveFailures++;
  if (rttMs >= 0)
    server.srttMs = server.srttMs < 0 ? rttMs : server.srttMs + (rttMs - server.srttMs) / 8;
  return revived;
}

/**
 * A question sent at `sentAtMs` got no reply, by silence or by an error of the transport. A server that
 * was heard since then is slow for one name, not dead. Returns true if this made it dead.
 */
export function noteSilence(server: Server, sentAtMs: number, nowMs: number): boolean {
  server.consecutiveFailures++;
  if (server.lastHeardMs >= sentAtMs || server.standing === "dead") return false;
  changeStanding(server, "dead", nowMs);
  server.probeTokens = PROBE_BURST;
  server.probeTokensAtMs = nowMs;
  return true;
}

function changeStanding(server: Server, standing: Standing, nowMs: number): void {
  if (server.standing !== standing) server.changedAtMs = nowMs;
  server.standing = standing;
}

/** Keeps what went wrong, in words for people. */
export function noteError(server: Server, error: string, nowMs: number): void {
  server.lastError = error;
  server.lastErrorAtMs = nowMs;
}

/** It answered without EDNS what it refused with EDNS (RFC 6891 7). */
export function notePlain(server: Server, nowMs: number): void {
  server.plainUntilMs = nowMs + PLAIN_MS;
}

/** May this question be spent on a dead server? Takes a token if so. */
export function takeProbe(server: Server, nowMs: number): boolean {
  const gained = ((nowMs - server.probeTokensAtMs) * PROBES_PER_SECOND) / 1000;
  server.probeTokens = Math.min(PROBE_BURST, server.probeTokens + gained);
  server.probeTokensAtMs = nowMs;
  if (server.probeTokens < 1) return false;
  server.probeTokens--;
  return true;
}
