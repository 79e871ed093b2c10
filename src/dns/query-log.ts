/**
 * A line for what clients ask and what they are told: as dnsmasq's `log-queries` writes it, or as JSON.
 * It hears of a question through its trace, so parts that answer know nothing of it.
 */
import type { Client, Clock } from "../ports.ts";
import type { Question, Resolve } from "./answer.ts";
import { parseMessage } from "./message.ts";
import { dnsmasqLines } from "./query-log-dnsmasq.ts";
import { jsonLines } from "./query-log-json.ts";
import { parseRequest, type Request } from "./request.ts";
import type { Rr } from "./rr.ts";
import { Trace, type Note } from "./trace.ts";

export type QueryLogSettings = {
  /** "": nothing is written. */
  form: "" | "dnsmasq" | "json";
  /** Share of the questions, 0 to 1. */
  sample: number;
  /** More lines than this in a second are counted and left out; 0: no limit. */
  linesPerSecond: number;
};

/** Who asks what. */
export type LoggedRequest = Pick<Request, "qname" | "qtype"> & { readonly client: Client };

/** What the client is told, as it was sent; null: nothing. */
export type LoggedReply = { readonly rcode: number; readonly answers: readonly Rr[] } | null;

/** Writes the lines of one question: `noted` as the story goes on, `ended` once, last. */
export type Narrator = {
  noted(note: Note): void;
  ended(reply: LoggedReply, elapsedMs: number): void;
};

/** Begins the story of one question. */
export type Narrate = (
  request: LoggedRequest,
  at: { time: string },
  line: (text: string) => void,
) => Narrator;

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
  reload(settings: QueryLogSettings): void;
  /** Share of the questions that workers are to leave to the main thread. */
  share(): number;
  readonly counts: Readonly<QueryLogCounts>;
};

const forms: Record<Exclude<QueryLogSettings["form"], "">, Narrate> = {
  dnsmasq: dnsmasqLines,
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
      const { form, sample } = settings;
      // Who brings a trace is no client.
      if (form === "" || trace !== undefined) return null;
      if (!(isSampled ?? random() < sample * UINT32)) return null;
      const request = parseRequest(query);
      if (!("qname" in request)) return null;
      const startedMs = clock.monotonicMs();
      const { qname, qtype } = request;
      const narrator = forms[form]({ qname, qtype, client }, { time: time() }, line);
      return {
        trace: new Trace((note) => narrator.noted(note)),
        end(wire) {
          const parsed = wire === null ? null : parseMessage(wire);
          const reply = parsed?.ok
            ? { rcode: parsed.value.flags & 15, answers: parsed.value.answers }
            : null;
          narrator.ended(reply, clock.monotonicMs() - startedMs);
        },
      };
    },
    reload(next) {
      settings = next;
    },
    share: () => (settings.form === "" ? 0 : settings.sample),
  };
}

/** The same resolver; what clients ask of it is logged. */
export function withQueryLog(resolve: Resolve, queryLog: QueryLog): Resolve {
  return (question, reply) => {
    const logged = queryLog.begin(question);
    if (logged === null) {
      resolve(question, reply);
      return;
    }
    resolve({ ...question, trace: logged.trace }, (wire) => {
      reply(wire);
      logged.end(wire);
    });
  };
}

/** Where an answer comes from, by the last note that says so. */
export type Origin = "reply" | "cached" | "cached-stale" | "catalog" | "config";

/** What this note says of the origin; undefined: nothing. */
export function originOf(note: Note): Origin | undefined {
  switch (note.step) {
    case "scope":
      return note.scope === "foreign" ? "reply" : "catalog";
    case "cache":
      if (note.found === "stale") return "cached-stale";
      return note.found === "fresh" || note.found === "failing" ? "cached" : "reply";
    case "local":
    case "refused":
    case "filtered":
      return "config";
    default:
      return undefined;
  }
}
