/** Packed lists of names among the values of a configuration: of dnsmasq's half a million lines. */
import { NameList } from "../forwarder/local/name-list.ts";
import type { Slices } from "../slices.ts";
import { isObject } from "./kinds.ts";
import type { Config } from "./options.ts";

/** Names of a list that are shown; the others are counted. */
const MAX_SHOWN = 100;

const keys = ["forwarder.zones", "forwarder.addresses"] as const;

/** All of them. */
export function nameListsOf(config: Config): NameList[] {
  return keys.flatMap((key) =>
    membersOf(config[key]).flatMap(({ names }) => (names instanceof NameList ? [names] : [])),
  );
}

/** Asks of every name of them what those ask who read zones and addresses, with these domains of our own. */
export function* lookThroughLists(config: Config, domains: readonly Uint8Array[]): Slices<void> {
  for (const list of nameListsOf(config)) yield* list.findOthers(domains);
}

/** The configuration as it can be shown: of long lists the beginning, and what `identify` says of the list. */
export function withoutLongLists(
  config: Config,
  identify: (list: NameList) => string,
): Readonly<Record<string, unknown>> {
  const lists = new Map<string, unknown>();
  for (const key of keys) {
    const members = membersOf(config[key]);
    if (!members.some(({ names }) => names instanceof NameList)) continue;
    const shown = members.map((member) =>
      member["names"] instanceof NameList
        ? { ...member, names: beginning(member["names"], identify) }
        : member,
    );
    lists.set(key, shown);
  }
  return lists.size === 0 ? config : { ...config, ...Object.fromEntries(lists) };
}

function beginning(list: NameList, identify: (list: NameList) => string): string[] {
  const names = Array.from({ length: Math.min(MAX_SHOWN, list.length) }, (_, i) => list.at(i));
  return [...names, `(${list.length} names in all, ${identify(list)})`];
}

function membersOf(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
