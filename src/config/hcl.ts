import { parseHcl, type HclValue } from "../cluster/acl-hcl.ts";
import { ok, type Result } from "../base.ts";

/**
 * HCL (version 1, as Consul reads it) → the tree that the same configuration has in JSON. HCL
 * cannot tell a block from a list of one block: both become an object. The error has the line.
 */
export function parseHclTree(text: string): Result<unknown, string> {
  const parsed = parseHcl(text);
  return parsed.ok ? ok(withoutLists(parsed.value)) : parsed;
}

function withoutLists(value: HclValue): unknown {
  if (typeof value !== "object") return value;
  if (!Array.isArray(value))
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, withoutLists(member)]),
    );
  const items = value.map(withoutLists);
  const [first] = value;
  const isBlock = items.length === 1 && typeof first === "object" && !Array.isArray(first);
  return isBlock ? items[0] : items;
}
