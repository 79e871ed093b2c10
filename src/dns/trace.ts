/**
 * How one answer came about, told by the very code that makes it: parts add a note where they decide,
 * and only if the question brought a trace. Ordinary questions bring none.
 */
import type { ExtendedError, Forward, ForwardAnswer } from "./answer.ts";
import type { Answer } from "./reading.ts";
import { FLAG, RCODE, type Message } from "./rr.ts";

/** A decision on the way to an answer. Names are texts with a final dot, times in milliseconds. */
export type Note =
  /** Whether workers have the answer ready. */
  | { step: "table"; hit: boolean }
  | { step: "malformed"; problem: string }
  /** Whose name it is. `zone`: of ours. */
  | { step: "scope"; scope: "domain" | "reverse" | "foreign"; zone: string }
  /** No leader, and the data here may not be used without one. */
  | { step: "no leader" }
  /** What a name of ours asks for. */
  | { step: "lookup"; name: string; kind: string; subject: string; problem: string }
  /** Instances of a service, and why some are not in the answer. */
  | {
      step: "service";
      service: string;
      tag: string;
      instances: number;
      usable: number;
      leftOut: { tag: number; critical: number; notPassing: number; acl: number };
    }
  | { step: "node"; node: string; found: boolean; acl: boolean }
  | { step: "query"; query: string; service: string; instances: number; problem: string }
  | { step: "address"; address: string; name: string }
  /** A host name stands where an address is wanted. */
  | { step: "cname"; target: string; leads: "ours" | "foreign" | "too deep" | "no recursors" }
  /** The last known addresses, since no upstream answers. */
  | { step: "stale target" }
  /** Records that did not fit, or are more than a limit allows. */
  | { step: "cut"; records: number; sent: number; truncated: boolean }
  /** The name exists, a record of the type does not. */
  | { step: "nodata" }
  | { step: "refused"; problem: string }
  /** The next such question is answered by a worker. */
  | { step: "prepared" }
  | {
      step: "cache";
      name: string;
      type: number;
      found: "fresh" | "stale" | "none" | "failing" | "not kept";
      ageMs: number;
      leftMs: number;
      server: string;
    }
  /** Known here, by what ("records", "blocklist", ...): no server is asked. `detail`: which file or zone. */
  | { step: "local"; source: string; detail?: string; view?: string }
  /** A CNAME of local data, which is followed. */
  | { step: "link"; target: string }
  /** The name has servers of its own. */
  | { step: "zone"; group: string }
  /** The same question was under way. */
  | { step: "joined"; ageMs: number }
  | { step: "sent"; server: string; transport: "udp" | "tcp"; edns: boolean; probe: boolean }
  /** `verdicts`: what the forwarder counted for the server, for example `replies`, `truncated`. */
  | {
      step: "heard";
      server: string;
      transport: "udp" | "tcp";
      afterMs: number;
      rcode: number;
      error: string;
      verdicts: readonly string[];
    }
  | { step: "silence"; server: string; afterMs: number }
  /** A filter has changed the answer, or given one (`forwarder.bogus_nxdomain` and its like). */
  | { step: "filtered"; filter: string }
  | {
      step: "forwarded";
      rcode: number;
      problem: string;
      truncated: boolean;
      errors: readonly ExtendedError[];
    };

/** Notes of one question; a longer story is cut, and says by how much. */
const MAX_NOTES = 500;

/** The notes of one question in the order of the decisions; with a listener they go there and are not kept. */
export class Trace {
  notes: Note[] = [];
  /** Notes that there was no room for. */
  omitted = 0;
  readonly #listener: ((note: Note) => void) | undefined;

  constructor(listener?: (note: Note) => void) {
    this.#listener = listener;
  }

  add(note: Note): void {
    if (this.#listener !== undefined) this.#listener(note);
    else if (this.notes.length < MAX_NOTES) this.notes.push(note);
    else this.omitted++;
  }

  /** Notes of what was computed more than once: only the last time counts, at the place of the first. */
  insert(at: number, { notes, omitted }: Trace): void {
    if (this.#listener !== undefined) {
      notes.forEach(this.#listener);
      return;
    }
    const room = Math.max(0, MAX_NOTES - this.notes.length);
    this.notes.splice(at, 0, ...notes.slice(0, room));
    this.omitted += omitted + Math.max(0, notes.length - room);
  }
}

/** The end of a question that the catalog answers: `sent` is what is left of its answer. */
export function noteEnd(
  trace: Trace,
  { rcode, answers, additional }: Answer,
  { isStale, sent }: { isStale: boolean; sent: Message },
): void {
  if (isStale) trace.add({ step: "stale target" });
  const records = answers.length + additional.length;
  const left = sent.answers.length + sent.additional.length;
  const truncated = (sent.flags & FLAG.TC) !== 0;
  if (left < records) trace.add({ step: "cut", records, sent: left, truncated });
  if (rcode === RCODE.NOERROR && answers.length === 0) trace.add({ step: "nodata" });
}

/** The end of a question that was forwarded. */
export function noteForwarded(
  trace: Trace,
  answer: ForwardAnswer,
  { rcode, truncated }: { rcode: number; truncated: boolean },
): void {
  const problem = answer.ok ? "" : answer.reason;
  trace.add({ step: "forwarded", rcode, problem, truncated, errors: answer.ede ?? [] });
  const isFiltered = trace.notes.some(({ step }) => step === "filtered");
  if (answer.ok && rcode === RCODE.NOERROR && answer.answers.length === 0 && !isFiltered)
    trace.add({ step: "nodata" });
}

/** The same forwarder; it tells this trace what it does. */
export function traced(forward: Forward, trace: Trace): Forward {
  return (request, done) => forward({ ...request, trace }, done);
}
