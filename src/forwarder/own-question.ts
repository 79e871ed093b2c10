/** Questions that no client asked: to see whether a server is there, and where its questions go. */
import { parseMessage } from "../dns/message.ts";
import { FLAG, RCODE } from "../dns/rr.ts";
import type { Cancel, Clock, Exchange, Exchanges, Random, Timers } from "../ports.ts";
import { takePacket } from "./bucket.ts";
import { encodeQuery, matchReply, type Query } from "./query.ts";
import { isStreamOnly } from "./upstream.ts";
import type { Server } from "./upstreams.ts";

/** Under way at a time, of all kinds; beyond, a question is not asked. */
const MAX_UNDER_WAY = 64;

/** What came of one: a reply (usable or an error), nothing in time, or the error of the transport. */
export type Heard = { usable: boolean; rttMs: number } | { error: string };

export type OwnQuestions = {
  /** Asks once; `done` comes once, at the latest after `listenMs`. False: it is not asked now. */
  ask(
    server: Server,
    question: { qname: Uint8Array; qtype: number; perSecond: number; listenMs: number },
    done: (heard: Heard) => void,
  ): boolean;
  close(): void;
};

export type OwnQuestionsDeps = {
  clock: Clock;
  timers: Timers;
  random: Random;
  udp: Exchanges;
  tcp: Exchanges;
};

export function createOwnQuestions({
  clock,
  timers,
  random,
  udp,
  tcp,
}: OwnQuestionsDeps): OwnQuestions {
  const underWay = new Set<() => void>();
  return {
    ask(server, { qname, qtype, perSecond, listenMs }, done) {
      const nowMs = clock.monotonicMs();
      if (underWay.size >= MAX_UNDER_WAY) return false;
      if (takePacket(server.bucket, perSecond, nowMs) === "empty") return false;
      const transport = isStreamOnly(server.address) ? "tcp" : "udp";
      const query = queryFor(qname, qtype, transport);
      const sent = { id: random.uint32() & 0xffff, question: query.question, withOpt: false };
      let socket: Exchange | null = null;
      let cancel: Cancel = () => {};
      let over = false;
      const end = (heard: Heard): void => {
        if (over) return;
        over = true;
        underWay.delete(giveUp);
        cancel();
        socket?.close();
        done(heard);
      };
      const giveUp = (): void => end({ error: "timeout" });
      underWay.add(giveUp);
      server.counts[transport]++;
      server.counts.probes++;
      server.lastSentMs = nowMs;
      socket = (transport === "udp" ? udp : tcp).open(server.address, {
        datagram(wire) {
          const match = matchReply(wire, sent);
          if (match === "other") return;
          const parsed = parseMessage(wire);
          const rcode = parsed.ok ? parsed.value.flags & 15 : RCODE.FORMERR;
          const usable = rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN;
          end({ usable, rttMs: clock.monotonicMs() - nowMs });
        },
        error: (code) => end({ error: code }),
      });
      if (over) {
        socket.close();
        return true;
      }
      cancel = timers.after(listenMs, giveUp);
      socket.send(encodeQuery(query, sent));
      return true;
    },
    close() {
      for (const giveUp of underWay) giveUp();
    },
  };
}

function queryFor(qname: Uint8Array, qtype: number, transport: Query["transport"]): Query {
  const question = new Uint8Array(qname.length + 4);
  question.set(qname);
  question[qname.length] = qtype >> 8;
  question[qname.length + 1] = qtype;
  question[qname.length + 3] = 1;
  return {
    question,
    flags: FLAG.RD,
    transport,
    repeatTransport: transport,
    opt: null,
    ownOpt: false,
    retryTruncated: false,
    mixedCase: false,
    firstReplyFinal: true,
  };
}
