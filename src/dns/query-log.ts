/**
 * A line for what clients ask and what they are told: as dnsmasq's `log-queries` writes it, or as JSON.
 * It hears of a question through its trace, so parts that answer know nothing of it.
 */
import type { Client, Clock } from "../ports.ts";
import type { Question, Resolve } from "./answer.ts";
import { parseMessage, readUint16 } from "./message.ts";
import { ARPA, isWithin } from "./name.ts";
import { createExtraLines, dnsmasqLines } from "./query-log-dnsmasq.ts";
import { jsonLines } from "./query-log-json.ts";
import { parseRequest } from "./request.ts";
import { FLAG, RCODE, TYPE } from "./rr.ts";
import { Trace, type Note } from "./trace.ts";
import type { LoggedReply, Narrate } from "./query-log-story.ts";

export type QueryLogSettings = {
  /** "": nothing is written. */
  form: "" | "dnsmasq" | "dnsmasq-extra" | "dnsmasq-proto" | "json";
  /** Only questions that end without what was asked for: an error, a denial, or no reply. */
  onlyFailed: boolean;
  /** Share of the questions, 0 to 1. */
  sample: number;
  /** The catalog's: answers about them come from there. Wire names. */
  domains: readonly Uint8Array[];
  /** More lines than this in a second are counted and left out; 0: no limit. */
  linesPerSecond: number;
};

export type QueryLogDeps = {
  settings: QueryLogSettings;
  clock: Pick<Clock, "monotonicMs">;
  /** The present time as ISO 8601 has it. */
  time: () => string;
  /** An integer from 0 to 2^32 - 1. */
  random: () => number;
  /** Takes one line without its end; never waits. */
  write: (line: string) => void;
};

/** Counts since the start: lines written, and left out for being too many. */
export type QueryLogCounts = { lines: number; overRate: number };

/** A question that is logged. */
export type Logged = {
  readonly trace: Trace;
  /** The reply as it goes to the client. */
  end(wire: Uint8Array | null): void;
};

export type QueryLog = {
  /** null: the question is not logged, or is none. */
  begin(question: Question): Logged | null;
  /** Logs a reply that a worker has sent to a question that it had drawn. */
  served(reply: Uint8Array, client: Client): void;
  reload(settings: QueryLogSettings): void;
  /** Share of the questions that workers are to leave to the main thread. */
  share(): number;
  readonly counts: Readonly<QueryLogCounts>;
};

const forms: Record<Exclude<QueryLogSettings["form"], "">, Narrate> = {
  dnsmasq: dnsmasqLines,
  "dnsmasq-extra": createExtraLines(false),
  "dnsmasq-proto": createExtraLines(true),
  json: jsonLines,
};

const UINT32 = 0x1_0000_0000;

/** Nothing is written before the first question. */
export function createQueryLog({ clock, time, random, write, ...deps }: QueryLogDeps): QueryLog {
  let { settings } = deps;
  const counts = { lines: 0, overRate: 0 };
  let secondMs = -Infinity;
  let written = 0;
  let untold = 0;

  function line(text: string): void {
    const { linesPerSecond } = settings;
    if (linesPerSecond > 0) {
      const nowMs = clock.monotonicMs();
      if (nowMs - secondMs >= 1000) {
        secondMs = nowMs;
        written = 0;
      }
      if (written >= linesPerSecond) {
        counts.overRate++;
        untold++;
        return;
      }
      written++;
    }
    if (untold > 0) {
      write(settings.form === "json" ? `{"left_out":${untold}}` : `${untold} lines left out`);
      untold = 0;
    }
    counts.lines++;
    write(text);
  }

  return {
    counts,
    begin({ query, client, trace, isSampled }) {
      const { form, sample, onlyFailed } = settings;
      // Who brings a trace is no client.
      if (form === "" || trace !== undefined) return null;
      if (!(isSampled ?? random() < sample * UINT32)) return null;
      const request = parseRequest(query);
      if (!("qname" in request)) return null;
      const startedMs = clock.monotonicMs();
      const { qname, qtype } = request;
      // How it ends is known last.
      const story: string[] = [];
      const tell = onlyFailed ? (text: string) => void story.push(text) : line;
      const narrator = forms[form]({ qname, qtype, client }, { time: time() }, tell);
      return {
        trace: new Trace((note) => narrator.noted(note)),
        end(wire) {
          const parsed = wire === null ? null : parseMessage(wire);
          const reply = parsed?.ok
            ? { rcode: parsed.value.flags & 15, answers: parsed.value.answers }
            : null;
          narrator.ended(reply, clock.monotonicMs() - startedMs);
          if (onlyFailed && isFailed(qtype, reply)) story.forEach(line);
        },
      };
    },
    served(wire, client) {
      const { form, domains, onlyFailed } = settings;
      const parsed = parseMessage(wire);
      if (form === "" || !parsed.ok || parsed.value.question.length === 0) return;
      const { flags, question, answers } = parsed.value;
      const qname = question.subarray(0, question.length - 4);
      const qtype = readUint16(question, qname.length);
      if (onlyFailed && !isFailed(qtype, { rcode: flags & 15, answers })) return;
      const narrator = forms[form]({ qname, qtype, client }, { time: time() }, line);
      narrator.noted(servedNote(qname, flags, domains));
      narrator.ended({ rcode: flags & 15, answers }, 0);
    },
    reload(next) {
      settings = next;
    },
    share: () => (settings.form === "" ? 0 : settings.sample),
  };
}

/** It ends without what was asked for. */
function isFailed(qtype: number, reply: LoggedReply): boolean {
  if (reply === null || reply.rcode !== RCODE.NOERROR) return true;
  return !reply.answers.some(({ type }) => type !== TYPE.CNAME || qtype === TYPE.CNAME);
}

/** Where the answer of a worker comes from, as far as it tells. */
function servedNote(qname: Uint8Array, flags: number, domains: readonly Uint8Array[]): Note {
  const rcode = flags & 15;
  if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return { step: "refused", problem: "" };
  if ((flags & FLAG.AA) === 0)
    return { step: "cache", name: "", type: 0, found: "fresh", ageMs: 0, leftMs: 0, server: "" };
  const isOurs = isWithin(qname, ARPA) || domains.some((domain) => isWithin(qname, domain));
  if (!isOurs) return { step: "local", source: "config" };
  return { step: "scope", scope: "domain", zone: "" };
}

/** The same resolver; what clients ask of it is logged. */
export function withQueryLog(resolve: Resolve, queryLog: QueryLog): Resolve {
  return (question, reply) => {
    const logged = queryLog.begin(question);
    if (logged === null) {
      resolve(question, reply);
      return;
    }
    resolve({ ...question, trace: logged.trace }, (wire, origin) => {
      reply(wire, origin);
      logged.end(wire);
    });
  };
}
