/** The notes of a trace as sentences, and what they say about where the answer came from. */
import { rcodeName, typeName } from "./presentation.ts";
import type { Note } from "./trace.ts";

/** `table`: prepared; `catalog`; `cache`: kept by the forwarder; `upstream`: asked now; `none`: refused. */
export type Source = "table" | "catalog" | "local" | "cache" | "upstream" | "none";

/** Where the answer came from, by its notes. */
export function sourceOf(notes: readonly Note[]): Source {
  if (notes.some((note) => note.step === "table" && note.hit)) return "table";
  if (notes.some(({ step }) => step === "refused" || step === "malformed")) return "none";
  const last = notes.findLast(({ step }) => step === "scope");
  if (last?.step === "scope" && last.scope !== "foreign") return "catalog";
  const asked = notes.findLast(({ step }) => step === "local" || step === "cache");
  if (asked?.step === "local") return "local";
  const isKept = (note: Note): boolean =>
    note.step === "cache" && (note.found === "fresh" || note.found === "failing");
  return notes.some(isKept) ? "cache" : "upstream";
}

/** One sentence, without a full stop. */
export function noteText(note: Note): string {
  switch (note.step) {
    case "table":
      return note.hit
        ? "answer table: prepared, so workers answer; what follows is how it would be answered without"
        : "answer table: nothing is prepared for this question";
    case "malformed":
      return `refused before the question was looked at: ${note.problem}`;
    case "scope":
      return scopeText(note);
    case "no leader":
      return "no leader can vouch for the catalog, and the settings want one";
    case "lookup":
      return lookupText(note);
    case "service":
      return serviceText(note);
    case "node":
      if (!note.found) return `catalog: no node "${note.node}", by name or id`;
      return `catalog: node "${note.node}"${note.acl ? " is hidden by the ACLs of the DNS token" : ""}`;
    case "query":
      if (note.problem !== "") return `prepared query "${note.query}": ${note.problem}`;
      return `prepared query "${note.query}": ${count(note.instances, "instance")} of service "${note.service}"`;
    case "address":
      return note.name === ""
        ? `catalog: nobody that the DNS token may see has the address ${note.address}`
        : `catalog: ${note.address} is the address of ${note.name}`;
    case "cname":
      return linkText(note);
    case "stale target":
      return "stale: no upstream answers, these are the last known addresses";
    case "cut":
      return `cut to ${note.sent} of ${count(note.records, "record")} by size or limit${note.truncated ? ", TC set" : ""}`;
    case "nodata":
      return "NODATA: the name exists, a record of this type does not";
    case "refused":
      return `refused: ${note.problem}`;
    case "prepared":
      return "answer table: prepared now, workers answer from here on";
    case "cache":
      return cacheText(note);
    case "local":
      return localText(note);
    case "link":
      return `local data: CNAME ${note.target}, which is looked up next`;
    case "zone":
      return `the name belongs to the servers of ${note.group}`;
    case "joined":
      return `the same question has been under way for ${milliseconds(note.ageMs)}, its answer is shared`;
    case "sent":
      return `upstream ${note.server}: asked over ${transportName(note)}${note.edns ? "" : " without EDNS"}${note.probe ? ", to see whether it is back" : ""}`;
    case "heard":
      return heardText(note);
    case "silence":
      return `upstream ${note.server}: no answer after ${milliseconds(note.afterMs)}`;
    case "filtered":
      return `changed by the filter ${note.filter}`;
    case "forwarded":
      if (note.problem !== "")
        return `forwarder: ${[note.problem, rcodeName(note.rcode), ...note.errors.map(({ text }) => text)].filter((word) => word !== "").join(", ")}`;
      return `forwarder: ${rcodeName(note.rcode)}${note.truncated ? ", truncated" : ""}`;
  }
}

type NoteOf<S extends Note["step"]> = Extract<Note, { step: S }>;

function scopeText({ scope, zone }: NoteOf<"scope">): string {
  if (scope === "domain") return `the name lies in ${zone}, so the catalog answers`;
  return scope === "reverse"
    ? "the name is one of an address: the catalog is looked at first"
    : "the name is not the catalog's: local data and rules come first, then servers";
}

function lookupText({ name, kind, subject, problem }: NoteOf<"lookup">): string {
  if (kind === "none") return `${name}: ${problem}`;
  const suffix = problem === "" ? "" : `, but ${problem}`;
  const what = kind === "query" ? "prepared query" : kind === "addr" ? "address" : kind;
  return `${name} asks for ${what} ${kind === "addr" ? subject : `"${subject}"`}${suffix}`;
}

function serviceText({ service, tag, instances, usable, leftOut }: NoteOf<"service">): string {
  const reasons = [
    leftOut.tag > 0 ? `${leftOut.tag} without tag "${tag}"` : "",
    leftOut.critical > 0 ? `${leftOut.critical} critical` : "",
    leftOut.notPassing > 0 ? `${leftOut.notPassing} not passing (only_passing)` : "",
    leftOut.acl > 0 ? `${leftOut.acl} hidden by the ACLs of the DNS token` : "",
  ].filter((reason) => reason !== "");
  const left = reasons.length === 0 ? "" : `; left out: ${reasons.join(", ")}`;
  return `catalog: service "${service}" has ${count(instances, "instance")}, ${usable} usable${left}`;
}

function localText({ source, detail = "", view = "" }: NoteOf<"local">): string {
  const which = detail === "" ? "" : `, ${detail}`;
  return `answered here: ${source}${which}${view === "" ? "" : `, for the view ${view}`}`;
}

function linkText({ target, leads }: NoteOf<"cname">): string {
  switch (leads) {
    case "ours":
      return `CNAME ${target}: a name of ours, the catalog goes on`;
    case "foreign":
      return `CNAME ${target}: not ours, the upstream servers are asked`;
    case "too deep":
      return `CNAME ${target}: not followed, the chain is too long`;
    case "no recursors":
      return `CNAME ${target}: not followed, no upstream servers are configured`;
  }
}

function cacheText({ name, type, found, ageMs, leftMs, server }: NoteOf<"cache">): string {
  const what = `cache: ${name} ${typeName(type)}`;
  switch (found) {
    case "fresh":
      return `${what}: fresh, ${seconds(ageMs)} old, ${seconds(leftMs)} left, from ${server}`;
    case "stale":
      return `${what}: expired ${seconds(-leftMs)} ago, ${seconds(ageMs)} old, from ${server}`;
    case "none":
      return `${what}: not there`;
    case "failing":
      return `${what}: the last attempt failed too recently to try again`;
    case "not kept":
      return `${what}: such a question is not kept`;
  }
}

function heardText(note: NoteOf<"heard">): string {
  const { server, afterMs, rcode, error, verdicts } = note;
  const from = `upstream ${server}:`;
  const after = `after ${milliseconds(afterMs)}`;
  if (error !== "") return `${from} ${error} ${after}`;
  if (verdicts.includes("nearMisses")) return `${from} a message that is no reply to this ${after}`;
  const remarks = [
    verdicts.includes("truncated") ? "truncated" : "",
    verdicts.includes("caseMismatches") ? "with another spelling of the name" : "",
    verdicts.includes("malformed") ? "malformed" : "",
  ].filter((remark) => remark !== "");
  return `${from} ${[rcodeName(rcode), ...remarks].join(", ")} over ${transportName(note)} ${after}`;
}

/** A server's label begins with its transport where that is not UDP or TCP. */
function transportName({ server, transport }: { server: string; transport: string }): string {
  const [scheme = "", rest] = server.split("://", 2);
  return (rest === undefined ? transport : scheme).toUpperCase();
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

function milliseconds(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1000)} s`;
}
