/** Ids as they are given on the command line: whole, by a unique beginning, or through a name. */
import { decodeShape } from "../../cluster/decode.ts";
import { loosely, understood } from "../answer.ts";
import { HttpFailure, type Answer, type HttpClient } from "../client.ts";
import { attempt, CommandFailure } from "../command.ts";
import { policyShape } from "./show-policy.ts";

/** What has ids that may be shortened. */
export type Kind = "token" | "policy" | "role";

/** Where all of a kind are read, and what their id is called. */
export const lists: Readonly<Record<Kind, { path: string; member: "ID" | "AccessorID" }>> = {
  token: { path: "/v1/acl/tokens", member: "AccessorID" },
  policy: { path: "/v1/acl/policies", member: "ID" },
  role: { path: "/v1/acl/roles", member: "ID" },
};

/** Names that stand for ids that never change. */
const wellKnown: Readonly<Partial<Record<Kind, Readonly<Record<string, string>>>>> = {
  token: { anonymous: "00000000-0000-0000-0000-000000000002" },
  policy: { "global-management": "00000000-0000-0000-0000-000000000001" },
};

/** Characters of a whole id. */
const ID_CHARACTERS = 36;

const namedShape = {
  list: { struct: { ID: "string", AccessorID: "string", Name: "string" } },
} as const;

/** The whole id. Fails with `what` and the reason. */
export async function wholeId(
  http: HttpClient,
  kind: Kind,
  given: string,
  what = `Error determining ${kind} ID`,
): Promise<string> {
  const known = wellKnown[kind] ?? {};
  if (Object.hasOwn(known, given)) return known[given]!;
  if (given.length === ID_CHARACTERS) return given;
  const { path, member } = lists[kind];
  const answer = await attempt(what, http.request("GET", path));
  const ids = (understood(decodeShape(namedShape, answer.json(), loosely)) ?? [])
    .map((each) => each[member])
    .filter((id) => id.startsWith(given));
  const [id] = ids;
  if (id === undefined)
    throw new CommandFailure(`${what}: No such ${kind} ID with prefix: ${given}`);
  if (ids.length > 1) throw new CommandFailure(`${what}: Partial ${kind} ID is not unique`);
  return id;
}

/** The id that -id or -name of a command means. */
export async function namedId(
  http: HttpClient,
  kind: "policy" | "role",
  { id, name }: { id: string; name: string },
): Promise<string> {
  if (id !== "") return wholeId(http, kind, id);
  const what = `Error determining ${kind} ID`;
  if (kind === "policy") {
    const answer = await attempt(
      `${what}: Failed to find policy with name ${name}`,
      http.request("GET", `/v1/acl/policy/name/${encodeURIComponent(name)}`),
    );
    return understood(decodeShape(policyShape, answer.json(), loosely)).ID;
  }
  const answer = await attempt(what, http.request("GET", lists.role.path));
  const found = (understood(decodeShape(namedShape, answer.json(), loosely)) ?? []).find(
    ({ Name }) => Name === name,
  );
  if (found === undefined) throw new CommandFailure(`${what}: No such role with name ${name}`);
  return found.ID;
}

/** GET of something that may not exist: undefined for 404. Other failures reject as `request` does. */
export async function findOne(http: HttpClient, path: string): Promise<Answer | undefined> {
  try {
    return await http.request("GET", path);
  } catch (error) {
    if (error instanceof HttpFailure && error.status === 404) return undefined;
    throw error;
  }
}
