/** `forwarder.synth_domains`: names made of addresses. */
import { parseAddress } from "../../address.ts";
import { fail, ok, type Result } from "../../base.ts";
import { foldName, parseName } from "../../dns/name.ts";
import type { SynthDomain } from "../../forwarder/local/synth.ts";
import { describe } from "../kinds.ts";
import { parseNetwork } from "../network.ts";
import { asciiDomain } from "./domain-text.ts";
import { readEntries, type Problems } from "./members.ts";

/** Ranges; each is looked at for every name that nothing else here knows. */
const MAX_RANGES = 256;
/** What is left of a label for an IPv6 address. */
const MAX_PREFIX = 24;

/** The ranges in order: of several that hold an address the first names it. */
export function readSynthDomains(raw: unknown, problems: Problems): SynthDomain[] {
  const key = "forwarder.synth_domains";
  const entries = readEntries(raw, key, ["domain", "range", "prefix", "counted"], problems);
  if (entries.length > MAX_RANGES)
    problems.push(`${key}: ${entries.length} ranges, at most ${MAX_RANGES} are possible`);
  return entries.flatMap(({ where, value }): SynthDomain[] => {
    const { domain, range, prefix = "", counted = false } = value;
    const refuse = (member: string, why: string): [] => {
      problems.push(`${where}.${member}: ${why}`);
      return [];
    };
    const name = typeof domain === "string" ? parseName(asciiDomain(domain)) : undefined;
    if (name?.ok !== true) return refuse("domain", `expected a name, got ${describe(domain)}`);
    const ends = typeof range === "string" ? parseRange(range) : undefined;
    if (ends?.ok !== true)
      return refuse(
        "range",
        `expected 192.0.2.0/24 or 192.0.2.1-192.0.2.9, got ${describe(range)}`,
      );
    if (typeof prefix !== "string" || prefix.length > MAX_PREFIX || !/^[\w-]*$/.test(prefix))
      return refuse("prefix", `expected at most ${MAX_PREFIX} letters, digits, - and _`);
    if (typeof counted !== "boolean")
      return refuse("counted", `expected true or false, got ${describe(counted)}`);
    return [{ name: foldName(name.value), ...ends.value, prefix: prefix.toLowerCase(), counted }];
  });
}

function parseRange(text: string): Result<Pick<SynthDomain, "first" | "last">, string> {
  const network = parseNetwork(text);
  if (network.ok) {
    const { octets, prefixLength } = network.value;
    const masks = octets.map((_, i) => 255 >> Math.max(0, Math.min(8, prefixLength - i * 8)));
    const first = octets.map((octet, i) => octet & ~masks[i]!);
    return ok({ first, last: octets.map((octet, i) => octet | masks[i]!) });
  }
  const [start = "", end = start, more] = text.split("-").map((each) => each.trim());
  const [first, last] = [parseAddress(start), parseAddress(end)];
  if (first === undefined || last?.length !== first.length || more !== undefined)
    return fail("no range");
  return ok({ first, last });
}
