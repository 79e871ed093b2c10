import { decodeShape } from "../cluster/decode.ts";
import { compileRegexp } from "../cluster/regexp.ts";
import { loosely, understood } from "./answer.ts";
import type { HttpClient } from "./client.ts";
import { CommandFailure } from "./command.ts";
import { flag } from "./flags.ts";

/** Which nodes an event is for. */
export const filterFlags = {
  node: flag.text("Regular expression: only nodes whose name matches."),
  service: flag.text("Regular expression: only nodes that carry a service that matches."),
  tag: flag.text("Regular expression on tags of that service; needs -service."),
};

type Filters = { readonly node: string; readonly service: string; readonly tag: string };

/** Throws Consul's sentence about what is wrong with them. */
export function checkFilters({ node, service, tag }: Filters): void {
  for (const [name, expression] of Object.entries({ node, service, tag })) {
    const compiled = compileRegexp(expression);
    if (!compiled.ok)
      throw new CommandFailure(`Failed to compile ${name} filter regexp: ${compiled.error}`);
  }
  if (tag !== "" && service === "")
    throw new CommandFailure("Cannot provide tag filter without service filter.");
}

/** Fires an event; resolves with its id. Rejects with HttpFailure. */
export async function fireEvent(
  http: HttpClient,
  name: string,
  { node, service, tag }: Filters,
  payload: string | undefined,
): Promise<string> {
  const given = (text: string) => (text === "" ? undefined : text);
  const answer = await http.request("PUT", `/v1/event/fire/${encodeURIComponent(name)}`, {
    query: { node: given(node), service: given(service), tag: given(tag) },
    ...(payload === undefined ? {} : { body: payload }),
  });
  return understood(decodeShape({ struct: { ID: "string" } }, answer.json(), loosely)).ID;
}
