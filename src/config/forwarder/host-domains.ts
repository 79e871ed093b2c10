/** `forwarder.host_domains`: domains of names by the networks of their addresses. */
import type { HostDomain } from "../../forwarder/local/hosts-file.ts";
import { foldName, parseName } from "../../dns/name.ts";
import { describe } from "../kinds.ts";
import { parseNetwork } from "../network.ts";
import { asciiDomain } from "./domain-text.ts";
import { readEntries, readTexts, type Problems } from "./members.ts";

/** Domains; each is looked at for every address of a hosts file. */
const MAX_DOMAINS = 256;

/** The domains in order: of several that hold an address the first counts. */
export function readHostDomains(raw: unknown, problems: Problems): HostDomain[] {
  const key = "forwarder.host_domains";
  const entries = readEntries(raw, key, ["domain", "networks"], problems);
  if (entries.length > MAX_DOMAINS)
    problems.push(`${key}: ${entries.length} domains, at most ${MAX_DOMAINS} are possible`);
  return entries.flatMap((entry): HostDomain[] => {
    const { where, value } = entry;
    const { domain } = value;
    if (typeof domain !== "string") {
      problems.push(`${where}.domain: expected a text, got ${describe(domain)}`);
      return [];
    }
    const name = parseName(asciiDomain(domain));
    if (!name.ok || name.value.length === 1) {
      problems.push(`${where}.domain: ${JSON.stringify(domain)} is no domain name`);
      return [];
    }
    const networks = (readTexts(entry, "networks", problems) ?? []).flatMap((text, i) => {
      const parsed = parseNetwork(text);
      if (!parsed.ok) problems.push(`${where}.networks[${i}]: ${parsed.error}`);
      return parsed.ok ? [parsed.value] : [];
    });
    return [{ name: foldName(name.value), networks }];
  });
}
