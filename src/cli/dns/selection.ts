/** Which entries of the cache a command is about. */
import type { Query } from "../client.ts";
import { flag } from "../flags.ts";

/** Flags that `selected` reads. */
export const selectionFlags = {
  subtree: flag.boolean("Also names below the name."),
  type: flag.text("Only entries of this type; denials of a name are of every type."),
};

/** Parameters of the request. */
export function selected(name: string, flags: { subtree: boolean; type: string }): Query {
  return {
    name: name === "" ? undefined : name,
    subtree: flags.subtree ? "" : undefined,
    type: flags.type === "" ? undefined : flags.type,
  };
}
