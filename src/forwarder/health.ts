/**
 * What replies and silence tell about a server. A server that is down is tried again with questions that
 * others answer at the same time, and with a light question of our own where there are none (prober.ts);
 * one that is up gets nothing but clients' questions.
 */
import { noteRoundTrip } from "./rtt.ts";
import { PROBE_BURST, REPEAT_BURST, type Server, type Upstreams } from "./upstreams.ts";

/** After a burst, so that a short absence ends with the next question, a long one costs next to nothing. */
const PROBES_PER_SECOND = 4;
/** Beside one for each reply, so that losses of half the packets can be made good, and an outage costs little. */
const REPEATS_PER_SECOND = 8;
/** How long a server stays without EDNS after it answered only without (unbound keeps this for 15 minutes). */
const PLAIN_MS = 15 * 60 * 1000;
/** How long names go to a server in lower case after it changed their case. */
const LOWER_CASE_MS = 15 * 60 * 1000;
/** Weight of the newest reply in the share of errors. */
const ERROR_WEIGHT = 1 / 8;
/** Six errors in a row, or every second reply, make a server one of the last. */
const DEMOTE_SHARE = 0.5;
/** Three usable replies in a row end that. */
const RESTORE_SHARE = 0.25;
/** A usable reply of a demoted server leaves so much of its share, so that its return shows quickly. */
const FORGIVEN = 0.6;

/** What a reply made of a server; "": nothing new. */
export type Turn = "" | "up" | "demoted" | "restored";

/** A message that matches what was asked has come. `rttMs` -1: do not measure. */
export function noteReply(server: Server, usable: boolean, rttMs: number, nowMs: number): Turn {
  const revived = server.standing === "dead";
  server.counts.replies++;
  server.lastHeardMs = nowMs;
  server.late = false;
  server.repeatTokens = Math.min(REPEAT_BURST, server.repeatTokens + 1);
  changeStanding(server, usable ? "good" : "failing", nowMs);
  if (usable) server.consecutiveFailures = 0;
  else server.consecutiveFailures++;
  if (rttMs >= 0) {
    noteRoundTrip(server.roundTrips, rttMs);
    server.srttMs = server.roundTrips.smoothedMs;
  }
  const turn = noteShare(server, usable);
  return revived ? "up" : turn;
}

function noteShare(server: Server, usable: boolean): Turn {
  if (!usable) {
    server.errorShare += (1 - server.errorShare) * ERROR_WEIGHT;
    if (server.demoted || server.errorShare < DEMOTE_SHARE) return "";
    server.demoted = true;
    return "demoted";
  }
  server.errorShare *= server.demoted ? FORGIVEN : 1 - ERROR_WEIGHT;
  if (!server.demoted || server.errorShare >= RESTORE_SHARE) return "";
  server.demoted = false;
  return "restored";
}

/** A question sent at `sentAtMs` waits for longer than nearly any before. True if this made the server late. */
export function noteLate(server: Server, sentAtMs: number): boolean {
  if (server.late || server.lastHeardMs >= sentAtMs || server.standing === "dead") return false;
  server.late = true;
  return true;
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

function changeStanding(server: Server, standing: Server["standing"], nowMs: number): void {
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

/** It changed the case of a name. True if it was not known to. */
export function noteCaseChange(server: Server, nowMs: number): boolean {
  const isNew = nowMs >= server.lowerCaseUntilMs;
  server.lowerCaseUntilMs = nowMs + LOWER_CASE_MS;
  return isNew;
}

/** May this question be spent on a server that is down? Takes a token if so. */
export function takeProbe(server: Server, nowMs: number): boolean {
  if (probeTokensAt(server, nowMs) < 1) return false;
  server.probeTokens--;
  return true;
}

/** May a packet to this server be repeated? Takes a token if so; with none left questions have one packet each. */
export function takeRepeat(server: Server, nowMs: number): boolean {
  const gained = ((nowMs - server.repeatTokensAtMs) * REPEATS_PER_SECOND) / 1000;
  server.repeatTokens = Math.min(REPEAT_BURST, server.repeatTokens + gained);
  server.repeatTokensAtMs = nowMs;
  if (server.repeatTokens < 1) return false;
  server.repeatTokens--;
  return true;
}

/** All servers are down, and one may be tried: a question that failed before is worth asking. */
export function mayBeBack({ servers }: Upstreams, nowMs: number): boolean {
  let isOneToTry = false;
  for (const server of servers) {
    if (server.looping) continue;
    if (server.standing !== "dead") return false;
    isOneToTry ||= probeTokensAt(server, nowMs) >= 1;
  }
  return isOneToTry;
}

/** Questions that may be spent on it now. */
function probeTokensAt(server: Server, nowMs: number): number {
  const gained = ((nowMs - server.probeTokensAtMs) * PROBES_PER_SECOND) / 1000;
  server.probeTokens = Math.min(PROBE_BURST, server.probeTokens + gained);
  server.probeTokensAtMs = nowMs;
  return server.probeTokens;
}
