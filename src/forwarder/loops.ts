/**
 * Finds servers that send our questions back to us, at once or by way of others, as dnsmasq's
 * --dns-loop-detect does, but while running: such a server is never heard, because its questions wait
 * here for themselves. Who falls silent while the same is asked again, or sends a name back in the very
 * case we gave it, is asked for a name with a secret in front. If that arrives here the server is not asked any more, until it does not.
 */
import { equalOctets } from "../dns/name.ts";
import { TYPE } from "../dns/rr.ts";
import type { Cancel, Clock, Random, Timers } from "../ports.ts";
import type { Exchange } from "./attempts.ts";
import type { UpstreamEvent } from "./events.ts";
import type { OwnQuestions } from "./own-question.ts";
import type { Server } from "./upstreams.ts";

/** A secret: 64 bits in hex, as one label. */
const SECRET_OCTETS = 16;
const NAME_OCTETS_MAX = 255;
/** How long a question of ours may take to come back. */
const LISTEN_MS = 2000;
/** A server is asked at most this often. */
const EVERY_MS = 1000;
/** One that sends questions back is asked again after this. */
const RECHECK_MS = 60_000;

export type Loops = {
  /** Is this one of our own questions, come back? To be asked of every question that is forwarded. */
  isOwn(qname: Uint8Array): boolean;
  /** A client asks what is under way already, perhaps spelled as only we and a server know. */
  joined(exchange: Exchange, qname: Uint8Array): void;
  /** The server may be sending questions back; `qname` is one it was asked. */
  suspect(server: Server, group: string, qname: Uint8Array): void;
  /** Other settings: every server gets a new chance. */
  use(enabled: boolean, servers: readonly Server[]): void;
  close(): void;
};

export type LoopsDeps = {
  clock: Clock;
  timers: Timers;
  random: Random;
  own: OwnQuestions;
  rateOf: (server: Server, group: string) => number;
  event: (event: UpstreamEvent) => void;
};

type Case = {
  server: Server;
  group: string;
  qname: Uint8Array;
  askedAtMs: number;
  isBack: boolean;
};

export function createLoops(deps: LoopsDeps, isEnabled: boolean): Loops {
  const { clock, timers, random, own, rateOf, event } = deps;
  let enabled = isEnabled;
  /** Secrets that are on their way. */
  const secrets = new Map<string, Case>();
  /** Servers that were suspected, by what they were asked; as many as there are servers. */
  const cases = new Map<Server, Case>();
  let cancel: Cancel | null = null;

  function ask(suspected: Case): void {
    const { server, group, qname } = suspected;
    const secret = newSecret();
    suspected.askedAtMs = clock.monotonicMs();
    suspected.isBack = false;
    const name = withLabel(secret, qname);
    const perSecond = rateOf(server, group);
    secrets.set(secret, suspected);
    const question = { qname: name, qtype: TYPE.TXT, perSecond, listenMs: LISTEN_MS };
    const isAsked = own.ask(server, question, (heard) => {
      secrets.delete(secret);
      // Silence tells nothing: it may have been lost.
      if (!server.looping || suspected.isBack || "error" in heard) return;
      server.looping = false;
      cases.delete(server);
      event({ type: "loop over", server, group });
    });
    if (!isAsked) secrets.delete(secret);
  }

  function newSecret(): string {
    const half = () => random.uint32().toString(16).padStart(8, "0");
    return half() + half();
  }

  function recheck(): void {
    cancel = null;
    for (const suspected of cases.values()) if (suspected.server.looping) ask(suspected);
    arm();
  }

  function arm(): void {
    if (cancel !== null || ![...cases.keys()].some(({ looping }) => looping)) return;
    cancel = timers.after(RECHECK_MS, recheck);
  }

  function suspect(server: Server, group: string, qname: Uint8Array): void {
    if (!enabled || server.looping) return;
    const known = cases.get(server);
    if (known !== undefined && clock.monotonicMs() - known.askedAtMs < EVERY_MS) return;
    const suspected = { server, group, qname, askedAtMs: 0, isBack: false };
    cases.set(server, suspected);
    ask(suspected);
  }

  return {
    isOwn(qname) {
      if (secrets.size === 0 || qname[0] !== SECRET_OCTETS) return false;
      const label = String.fromCharCode(...qname.subarray(1, 1 + SECRET_OCTETS)).toLowerCase();
      const found = secrets.get(label);
      if (found === undefined) return false;
      found.isBack = true;
      const { server, group } = found;
      if (!server.looping) {
        server.looping = true;
        event({ type: "loop", server, group });
        arm();
      }
      return true;
    },
    joined({ attempts, query, settings }, qname) {
      if (!enabled || equalOctets(qname, query.question.subarray(0, qname.length))) return;
      for (const { server, question } of attempts)
        if (question !== query.question && equalOctets(qname, question.subarray(0, qname.length)))
          suspect(server, settings.name, query.question.slice(0, qname.length));
    },
    suspect,
    use(next, servers) {
      enabled = next;
      for (const [server, suspected] of cases) {
        if (!servers.includes(server) || !enabled) cases.delete(server);
        if (!enabled) server.looping = false;
        else if (server.looping && servers.includes(server)) ask(suspected);
      }
    },
    close() {
      cancel?.();
      secrets.clear();
    },
  };
}

/** The name with this label in front; of a name that is too long for it, as much of its end as fits. */
function withLabel(label: string, qname: Uint8Array): Uint8Array {
  let from = 0;
  while (qname.length - from + 1 + label.length > NAME_OCTETS_MAX) from += 1 + qname[from]!;
  const name = new Uint8Array(1 + label.length + qname.length - from);
  name[0] = label.length;
  for (let i = 0; i < label.length; i++) name[1 + i] = label.charCodeAt(i);
  name.set(qname.subarray(from), 1 + label.length);
  return name;
}
