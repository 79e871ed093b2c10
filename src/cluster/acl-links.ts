/** Links of tokens and roles to policies and roles: by id or by name when they are set, answered with both. */
import { fail, ok, type Result } from "../base.ts";
import type { AclLink } from "./command.ts";

/** A table that links point into. */
export type Linked = {
  kind: "policy" | "role";
  /** Present name of an id. */
  nameOf: (id: string) => string | undefined;
  /** Lower-case name → id. */
  ids: ReadonlyMap<string, string>;
};

/** Each link once, with id and name. The error names the first link to nothing, in Consul's words. */
export function resolveLinks(
  links: readonly AclLink[],
  { kind, nameOf, ids }: Linked,
): Result<AclLink[], string> {
  const resolved = new Map<string, AclLink>();
  for (const link of links) {
    const id = link.id === "" ? ids.get(link.name.toLowerCase()) : link.id.toLowerCase();
    const name = id === undefined ? undefined : nameOf(id);
    if (id === undefined || name === undefined)
      return fail(
        link.id === ""
          ? `No such ACL ${kind} with name ${JSON.stringify(link.name)}`
          : `No such ACL ${kind} with ID ${JSON.stringify(link.id)}`,
      );
    resolved.set(id, { id, name });
  }
  return ok([...resolved.values()]);
}

/** The links as they are now: without what is gone, with present names; the same list if none changed. */
export function presentLinks(links: readonly AclLink[], { nameOf }: Linked): readonly AclLink[] {
  if (links.every(({ id, name }) => nameOf(id) === name)) return links;
  return links.flatMap(({ id }) => {
    const name = nameOf(id);
    return name === undefined ? [] : [{ id, name }];
  });
}
