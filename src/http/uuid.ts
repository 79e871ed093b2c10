import { idProblem, isUuid } from "../cluster/uuid.ts";
import { HttpError } from "./call.ts";

/** Throws 500 for an id in a path that is not a UUID, as Consul's indexes do. */
export function requireUuid(text: string, what: "session" | "prepared query"): void {
  const problem = idProblem(text);
  if (problem !== undefined) throw new HttpError(500, `failed ${what} lookup: ${problem}`);
}

/** UUIDs are kept in lower case and found in any; a text that is none stays as it is. */
export function foldUuid(text: string): string {
  return isUuid(text) ? text.toLowerCase() : text;
}

/** What is wrong with the id of a node, in the words of Consul and its UUID parser; undefined: nothing. */
export function nodeIdProblem(id: string): string | undefined {
  if (isUuid(id)) return undefined;
  if (new TextEncoder().encode(id).length !== 36) return "Bad node ID: uuid string is wrong length";
  const isFormatted = [8, 13, 18, 23].every((at) => id[at] === "-");
  return `Bad node ID: ${isFormatted ? "encoding/hex: invalid byte" : "uuid is improperly formatted"}`;
}
