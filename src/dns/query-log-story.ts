/** What the forms of the query log have in common: the story of one question, and the words for it. */
import type { Client } from "../ports.ts";
import { formatName } from "./name.ts";
import type { Request } from "./request.ts";
import type { Rr } from "./rr.ts";
import type { Note } from "./trace.ts";

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

/** Where an answer comes from, by the last note that says so. */
export type Origin = "reply" | "cached" | "cached-stale" | "catalog" | "config";

/** What this note says of the origin; undefined: nothing. */
export function originOf(note: Note): Origin | undefined {
  const { step } = note;
  if (step === "scope") return note.scope === "foreign" ? "reply" : "catalog";
  if (step === "cache") {
    if (note.found === "stale") return "cached-stale";
    return note.found === "fresh" || note.found === "failing" ? "cached" : "reply";
  }
  return step === "local" || step === "refused" || step === "filtered" ? "config" : undefined;
}

/** As the log has it: escapes for what is not printable, no final dot. */
export function shownName(name: Uint8Array): string {
  const text = formatName(name);
  return text === "." ? text : text.slice(0, -1);
}
