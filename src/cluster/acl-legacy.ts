/** Rules of ACLs before Consul 1.4, whose names all were prefixes, in the current form. */
import { fail, ok, type Result } from "../base.ts";
import { RULES_LENGTH_MAX } from "./acl-rules.ts";
import { parseHcl, type HclObject, type HclValue } from "./acl-hcl.ts";

/** Blocks whose names were prefixes; scalars and everything else stay as they are. */
const PREFIXED = new Set(["agent", "event", "key", "node", "query", "service", "session"]);

/**
 * Legacy rules, HCL or JSON, as HCL of today: `key "a" {}` covered all keys that start with it, which
 * `key_prefix` does now. Comments are lost. Consul 1.10 acl.TranslateLegacyRules.
 */
export function translateLegacyRules(text: string): Result<string, string> {
  if (text.length > RULES_LENGTH_MAX)
    return fail(`Failed to parse rules: longer than ${RULES_LENGTH_MAX} characters`);
  const tree = parseHcl(text);
  if (!tree.ok) return fail(`Failed to parse rules: ${tree.error}`);
  const items = Object.entries(tree.value).flatMap(([name, value]) =>
    printItems([PREFIXED.has(name) ? `${name}_prefix` : name], value, ""),
  );
  return ok(items.join("\n\n"));
}

/** The attribute or the blocks that a member stands for. Depth is bounded by the parser. */
function printItems(names: readonly string[], value: HclValue, indent: string): string[] {
  const bodies = objectsIn(value);
  if (bodies === undefined) return [`${indent}${printNames(names)} = ${printValue(value)}`];
  return bodies.flatMap((body) => printBody(names, body, indent));
}

/** A body all of whose members are objects is labels: `key "a" { … }`. */
function printBody(names: readonly string[], body: HclObject, indent: string): string[] {
  const members = Object.entries(body);
  const isLabelled =
    members.length > 0 && members.every(([, member]) => objectsIn(member) !== undefined);
  if (isLabelled)
    return members.flatMap(([label, member]) => printItems([...names, label], member, indent));
  const lines = members.flatMap(([name, member]) => printItems([name], member, `${indent}  `));
  const start = `${indent}${printNames(names)} {`;
  return [lines.length === 0 ? `${start}}` : `${start}\n${lines.join("\n")}\n${indent}}`];
}

/** Blocks as a list of their bodies; undefined for a value. */
function objectsIn(value: HclValue): HclObject[] | undefined {
  const items = Array.isArray(value) ? value : [value];
  const objects = items.filter(
    (item): item is HclObject => typeof item === "object" && !Array.isArray(item),
  );
  return items.length > 0 && objects.length === items.length ? objects : undefined;
}

/** The first name is a word of HCL if it can be one, labels are strings. */
function printNames([first = "", ...labels]: readonly string[]): string {
  const word = /^[A-Za-z_][\w.-]*$/.test(first) ? first : quote(first);
  return [word, ...labels.map(quote)].join(" ");
}

function printValue(value: HclValue): string {
  if (Array.isArray(value)) return `[${value.map(printValue).join(", ")}]`;
  if (typeof value === "object") {
    const members = Object.entries(value).map(
      ([name, member]) => `${quote(name)} = ${printValue(member)}`,
    );
    return `{ ${members.join(", ")} }`;
  }
  return typeof value === "string" ? quote(value) : String(value);
}

/** A string of HCL; what JSON escapes HCL does too, but for control characters it needs four digits as well. */
function quote(text: string): string {
  return JSON.stringify(text);
}
