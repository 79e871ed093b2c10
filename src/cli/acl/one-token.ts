/** How a command names the token that it is about. */
import { decodeShape } from "../../cluster/decode.ts";
import { loosely, understood } from "../answer.ts";
import type { HttpClient } from "../client.ts";
import { attempt, CommandFailure } from "../command.ts";
import { flag } from "../flags.ts";
import { expandedShape, type Expanded } from "./show-expanded.ts";
import { tokenShape, type Token } from "./show-token.ts";

/** `-meta` of all commands that show something of the ACLs. */
export const metaFlag = flag.boolean("Show hash and indexes, too.");

/** `-id`, and `-accessor-id` as later versions of Consul call it. */
export const accessorFlags = {
  id: flag.text("Accessor id of the token, or the beginning of it.", { placeholder: "id" }),
  "accessor-id": flag.text("The same.", { placeholder: "id" }),
};

/** What was given. Fails with `missing` if it was nothing. */
export function accessorOf(flags: { id: string; "accessor-id": string }, missing: string): string {
  const given = flags["accessor-id"] || flags.id;
  if (given === "") throw new CommandFailure(missing);
  return given;
}

/** GET of one token; `id` may be `self`. */
export async function readToken(http: HttpClient, id: string, what: string): Promise<Token> {
  const answer = await attempt(
    what,
    http.request("GET", `/v1/acl/token/${encodeURIComponent(id)}`),
  );
  return understood(decodeShape(tokenShape, answer.json(), loosely));
}

/** The same with all that it grants. */
export async function readExpanded(http: HttpClient, id: string, what: string): Promise<Expanded> {
  const answer = await attempt(
    what,
    http.request("GET", `/v1/acl/token/${encodeURIComponent(id)}?expanded=true`),
  );
  return understood(decodeShape(expandedShape, answer.json(), loosely));
}
