/** `forwarder.views`: zones, addresses and records for some clients. */
import type { Network } from "../../address.ts";
import { parseAddress, unmapped } from "../../address.ts";
import { describe } from "../kinds.ts";
import { parseNetwork } from "../network.ts";
import { readAddresses } from "./addresses.ts";
import type { LoadedView } from "./local.ts";
import { readEntries, readTexts, type Entry, type Problems } from "./members.ts";
import { readRecords } from "./records.ts";

/** Views; each is looked for at every question. */
const MAX_VIEWS = 64;

/** The views in order; records that say no TTL have `ttlSeconds`. `domains`: our own. */
export function readViews(
  raw: unknown,
  {
    ttlSeconds,
    domains,
    problems,
  }: { ttlSeconds: number; domains: readonly Uint8Array[]; problems: Problems },
): LoadedView[] {
  const known = ["name", "clients", "zones", "addresses", "records"];
  const entries = readEntries(raw, "forwarder.views", known, problems);
  if (entries.length > MAX_VIEWS)
    problems.push(`forwarder.views: ${entries.length} views, at most ${MAX_VIEWS} are possible`);
  const names = new Set<string>();
  return entries.flatMap((entry): LoadedView[] => {
    const { where, value } = entry;
    const { name } = value;
    if (typeof name !== "string" || name === "") {
      problems.push(`${where}.name: expected a text, got ${describe(name)}`);
      return [];
    }
    if (names.has(name)) problems.push(`${where}.name: "${name}" is the name of another view`);
    names.add(name);
    return [
      {
        name,
        where,
        clients: readClients(entry, problems),
        zones: value["zones"] ?? [],
        rules: readAddresses(value["addresses"] ?? [], `${where}.addresses`, domains, problems),
        records: readRecords(value["records"] ?? [], `${where}.records`, ttlSeconds, problems),
      },
    ];
  });
}

function readClients(entry: Entry, problems: Problems): Network[] {
  const texts = readTexts(entry, "clients", problems) ?? [];
  return texts.flatMap((text, i) => {
    const address = parseAddress(text);
    if (address !== undefined) {
      const octets = unmapped(address);
      return [{ octets, prefixLength: octets.length * 8 }];
    }
    const network = parseNetwork(text);
    if (network.ok) return [network.value];
    problems.push(`${entry.where}.clients[${i}]: ${network.error}`);
    return [];
  });
}
