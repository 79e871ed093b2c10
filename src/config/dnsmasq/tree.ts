/** dnsmasq's configuration → the JSON of ours that means the same. */
import type { InterfaceAddress } from "../interface-address.ts";
import {
  createDraft,
  note,
  refuse,
  type Draft,
  type NameDraft,
  type RecordDraft,
} from "./draft.ts";
import { finish } from "./finish.ts";
import { handlers, lastOf } from "./handlers.ts";
import { keywords } from "./keywords.ts";
import { shown } from "./line.ts";
import { withSourcePort } from "./servers.ts";
import { readStatements, type Blocklist, type ConfFiles } from "./statements.ts";

/** One key of our JSON and what the files say for it. */
export type Entry = {
  /** Dotted: `ports.dns`. */
  readonly key: string;
  readonly value: unknown;
  /** `file:line` of the first line that says so. */
  readonly place: string;
  /** Where each member of a list comes from. */
  readonly places?: readonly string[];
};

/** A configuration of dnsmasq's as ours. Errors and notes are whole sentences that begin with file and line. */
export type DnsmasqConfig = {
  readonly entries: readonly Entry[];
  readonly errors: readonly string[];
  /** What has no effect, or another one. */
  readonly notes: readonly string[];
  /** `servers-file`, to be watched; undefined: none. */
  readonly serversFile: string | undefined;
};

/** What the mapping needs to know of the machine. */
export type Host = { readonly hostname: string; readonly addresses: readonly InterfaceAddress[] };

/** Reads `path` and all that it includes. */
export function readDnsmasq(path: string, files: ConfFiles, host: Host): DnsmasqConfig {
  const { statements, errors, notes, blocklists, serversFile } = readStatements(path, files);
  const draft = createDraft(host);
  draft.errors.push(...errors);
  draft.notes.push(...notes);
  for (const statement of statements) {
    const keyword = keywords[statement.keyword]!; // readStatements refuses others
    handlers[statement.keyword]?.(draft, statement);
    if ("ignored" in keyword) note(draft, statement, `no effect: ${keyword.ignored}`);
  }
  for (const blocklist of blocklists) addBlocklist(draft, blocklist);
  finish(draft, `${path}:1`);
  return { entries: entriesOf(draft), errors: draft.errors, notes: draft.notes, serversFile };
}

function addBlocklist({ values }: Draft, { path, answer, place }: Blocklist): void {
  const paths = (values.get(BLOCKLISTS)?.value ?? []) as readonly string[]; // made here alone
  values.set(BLOCKLISTS, { value: [...paths, path], place });
  values.set("forwarder.blocklist_answer", { value: answer, place });
}

const BLOCKLISTS = "forwarder.blocklists";

/** The entries as one object, as a file of ours would hold it. */
export function treeOf(entries: readonly Entry[]): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const { key, value } of entries) {
    const parts = key.split(".");
    const last = parts.pop()!; // of at least one part
    let block = tree;
    for (const part of parts) block = (block[part] ??= {}) as Record<string, unknown>; // made here alone
    block[last] = value;
  }
  return tree;
}

function entriesOf(draft: Draft): Entry[] {
  const { values } = draft;
  const scalars = [...values].map(([key, { value, place }]): Entry => ({ key, value, place }));
  return [...scalars, ...namedEntries(draft), ...recordEntry(draft)].filter(
    ({ key }) => key !== "listen",
  );
}

/** Servers, zones and addresses: names of which the same is said stand together. */
function namedEntries(draft: Draft): Entry[] {
  const queryPort = lastOf(draft, "query-port");
  const digits = shown(queryPort?.value ?? "");
  if (queryPort !== undefined && (!/^\d{0,5}$/.test(digits) || Number(digits) > 65535))
    refuse(draft, queryPort, "must be from 0 to 65535");
  const everyName = draft.names.get(".");
  // dnsmasq counts for each group of servers by itself.
  const most = draft.values.get("forwarder.max_in_flight")?.value;
  const limits = most === undefined ? {} : { max_in_flight: most };
  const zones = createGroups();
  const addresses = createGroups();
  for (const [pattern, name] of draft.names) {
    name.servers = [...new Set(name.servers)].map((each) => withSourcePort(each, Number(digits)));
    const target = targetOf(name);
    if (target !== undefined && !(name === everyName && "servers" in target))
      zones.add(pattern, "servers" in target ? { ...target, ...limits } : target, name);
    if (name.addresses.length > 0 || name.denied)
      addresses.add(pattern, { addresses: name.addresses }, name);
  }
  const lists: [string, { members: unknown[]; places: string[] }][] = [
    ["recursors", { members: everyName?.servers ?? [], places: [] }],
    ["forwarder.zones", zones],
    ["forwarder.addresses", addresses],
  ];
  return lists
    .filter(([, { members }]) => members.length > 0)
    .map(([key, { members, places }]) => ({
      key,
      value: members,
      place: places[0] ?? everyName?.place ?? "",
      ...(places.length > 0 ? { places } : {}),
    }));
}

/** dnsmasq 2.90 prefers `#`, then servers, then denial, of what is said for the same name. */
function targetOf(name: NameDraft): Record<string, unknown> | undefined {
  if (name.defaults) return { defaults: true };
  if (name.servers.length > 0) return { servers: name.servers };
  // Addresses with a denial beside them: other types of the name are not forwarded.
  return name.local || (name.denied && name.addresses.length > 0) ? { local: true } : undefined;
}

function createGroups() {
  const byTarget = new Map<string, string[]>();
  const members: unknown[] = [];
  const places: string[] = [];
  return {
    members,
    places,
    add(pattern: string, target: Record<string, unknown>, { place }: NameDraft): void {
      const key = JSON.stringify(target);
      const known = byTarget.get(key);
      if (known !== undefined) return void known.push(pattern);
      const names = [pattern];
      byTarget.set(key, names);
      members.push({ names, ...target });
      places.push(place);
    },
  };
}

function recordEntry({ records }: Draft): Entry[] {
  const [first] = records;
  if (first === undefined) return [];
  const value = records.map(({ name, type, data, ttl, wildcard }: RecordDraft) => ({
    name,
    type,
    data,
    ...(ttl === undefined ? {} : { ttl: `${ttl}s` }),
    ...(wildcard === undefined ? {} : { wildcard }),
  }));
  const places = records.map(({ place }) => place);
  return [{ key: "forwarder.records", value, place: first.place, places }];
}
