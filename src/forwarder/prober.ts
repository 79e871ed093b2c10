/**
 * Notices that a server is back while no client's question goes to it: because the cache answers them,
 * another server does, or nobody asks. One light question at a time, to servers that are down only.
 */
import { parseName } from "../dns/name.ts";
import { TYPE } from "../dns/rr.ts";
import type { Cancel, Clock, Timers } from "../ports.ts";
import type { UpstreamEvent } from "./events.ts";
import { noteReply } from "./health.ts";
import type { OwnQuestions } from "./own-question.ts";
import type { Server } from "./upstreams.ts";

/** A server that is down is looked at this often while clients ask for anything, so that it is back within a second. */
const BUSY_MS = 500;
/** And this often while nobody does. */
const IDLE_MS = 5000;
/** So long after a client's question somebody is thought to want answers. */
const INTEREST_MS = 5000;
/** How long a reply is listened for: less than the time to the next question. */
const LISTEN_MS = 450;

export type Prober = {
  /** A client asks something that is not ours. */
  interest(nowMs: number): void;
  /** The server is down from now on. */
  down(server: Server, group: string): void;
  /** Other settings: servers that are not among these are forgotten. `name` "": nothing is asked. */
  use(name: string, servers: readonly Server[]): void;
  close(): void;
};

export type ProberDeps = {
  clock: Clock;
  timers: Timers;
  own: OwnQuestions;
  rateOf: (server: Server, group: string) => number;
  revived: () => void;
  event: (event: UpstreamEvent) => void;
};

/** `name`: what is asked (NS). One that is no domain name counts as none. */
export function createProber(deps: ProberDeps, name: string): Prober {
  const { clock, timers, own, rateOf, revived, event } = deps;
  let qname = wireName(name);
  let interestMs = -Infinity;
  /** Servers that are down, with the group by which that was noticed. */
  const watched = new Map<Server, string>();
  let cancel: Cancel | null = null;

  function arm(): void {
    if (cancel !== null || watched.size === 0 || qname === null) return;
    cancel = timers.after(BUSY_MS, look);
  }

  function look(): void {
    cancel = null;
    const nowMs = clock.monotonicMs();
    const everyMs = nowMs - interestMs <= INTEREST_MS ? BUSY_MS : IDLE_MS;
    for (const [server, group] of watched) {
      if (server.standing !== "dead") watched.delete(server);
      // Timers come late by a little, and sometimes early.
      else if (nowMs - server.lastSentMs >= everyMs - 20) ask(server, group);
    }
    arm();
  }

  function ask(server: Server, group: string): void {
    if (qname === null || server.looping) return;
    const perSecond = rateOf(server, group);
    own.ask(server, { qname, qtype: TYPE.NS, perSecond, listenMs: LISTEN_MS }, (heard) => {
      if ("error" in heard) {
        server.counts.probeFailures++;
        return;
      }
      const nowMs = clock.monotonicMs();
      const downMs = nowMs - server.changedAtMs;
      if (noteReply(server, heard.usable, heard.rttMs, nowMs) !== "up") return;
      revived();
      event({ type: "up", server, group, downMs });
    });
  }

  return {
    interest(nowMs) {
      interestMs = nowMs;
    },
    down(server, group) {
      watched.set(server, group);
      arm();
    },
    use(next, servers) {
      qname = wireName(next);
      for (const server of watched.keys()) if (!servers.includes(server)) watched.delete(server);
      arm();
    },
    close() {
      cancel?.();
      watched.clear();
    },
  };
}

function wireName(text: string): Uint8Array | null {
  const parsed = parseName(text);
  return text !== "" && parsed.ok ? parsed.value : null;
}
