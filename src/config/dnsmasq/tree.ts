/** dnsmasq's configuration → the JSON of ours that means the same. */
import type { InterfaceAddress } from "../interface-address.ts";
import { createDraft, note, refuse, type Draft, type RecordDraft } from "./draft.ts";
import { createNameListBuilder, type NameListBuilder } from "../../forwarder/local/name-list.ts";
import { finish } from "./finish.ts";
import { handlers, lastOf } from "./handlers.ts";
import { keywords } from "./keywords.ts";
import { shown } from "./line.ts";
import type { Patterns, Said, Word } from "./patterns.ts";
import { plainLine } from "./plain-line.ts";
import { addressWord, serverWord, withSourcePort } from "./servers.ts";
import type { Slices } from "../../slices.ts";
import { readStatements, type Blocklist, type ConfFiles, type Listener } from "./statements.ts";

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
export function* readDnsmasq(path: string, files: ConfFiles, host: Host): Slices<DnsmasqConfig> {
  const draft = createDraft(host);
  const read = yield* readStatements(path, files, listenerFor(draft));
  const { blocklists, serversFile } = read;
  draft.errors.unshift(...read.errors);
  draft.notes.unshift(...read.notes);
  for (const blocklist of blocklists) addBlocklist(draft, blocklist);
  finish(draft, `${path}:1`);
  const entries = yield* entriesOf(draft);
  return { entries, errors: draft.errors, notes: draft.notes, serversFile };
}

/** Different values behind names that are remembered; lines with more are read one by one. */
const MAX_WORDS = 4096;

function listenerFor(draft: Draft): Listener {
  /** By value; null: the line is wrong. */
  const byValue = () => new Map<string, Word | null>();
  const words = { address: byValue(), local: byValue(), server: byValue() };
  return {
    statement(statement) {
      const keyword = keywords[statement.keyword]!; // readStatements refuses others
      handlers[statement.keyword]?.(draft, statement);
      if ("ignored" in keyword) note(draft, statement, `no effect: ${keyword.ignored}`);
    },
    name(text, path, line) {
      const { keyword, nameStart, nameEnd, valueEnd } = plainLine;
      const value = text.slice(nameEnd + 1, valueEnd);
      let word = words[keyword].get(value);
      if (word === undefined) {
        if (words[keyword].size === MAX_WORDS) return false;
        const parsed = keyword === "address" ? addressWord(value) : serverWord(value);
        word = parsed.ok ? parsed.value : null;
        words[keyword].set(value, word);
      }
      if (word === null) return false;
      draft.names.sayWithin(text, nameStart, nameEnd, word, path, line);
      return true;
    },
  };
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

function* entriesOf(draft: Draft): Slices<Entry[]> {
  const { values } = draft;
  const scalars = [...values].map(([key, { value, place }]): Entry => ({ key, value, place }));
  const named = yield* namedEntries(draft);
  return [...scalars, ...named, ...recordEntry(draft)].filter(({ key }) => key !== "listen");
}

/** Servers, zones and addresses: names of which the same is said stand together. */
function* namedEntries(draft: Draft): Slices<Entry[]> {
  const queryPort = lastOf(draft, "query-port");
  const digits = shown(queryPort?.value ?? "");
  if (queryPort !== undefined && (!/^\d{0,5}$/.test(digits) || Number(digits) > 65535))
    refuse(draft, queryPort, "must be from 0 to 65535");
  const everyName = draft.names.get(".");
  // dnsmasq counts for each group of servers by itself.
  const most = draft.values.get("forwarder.max_in_flight")?.value;
  const limits = most === undefined ? {} : { max_in_flight: most };
  const serversOf = ({ servers }: Said): string[] =>
    servers.map((each) => withSourcePort(each, Number(digits)));
  const everyPlace = everyName === undefined ? "" : draft.names.placeOf(".");
  // Servers of every name are `recursors`.
  const isUsual = everyName !== undefined && !everyName.defaults && everyName.servers.length > 0;
  const zones = yield* grouped(draft.names, isUsual ? "." : undefined, (said) => {
    const target = targetOf(said, serversOf(said));
    return target !== undefined && "servers" in target ? { ...target, ...limits } : target;
  });
  const addresses = yield* grouped(draft.names, undefined, (said) =>
    said.addresses.length > 0 || said.denied ? { addresses: said.addresses } : undefined,
  );
  const lists: [string, { members: unknown[]; places: string[] }][] = [
    ["recursors", { members: everyName === undefined ? [] : serversOf(everyName), places: [] }],
    ["forwarder.zones", zones],
    ["forwarder.addresses", addresses],
  ];
  return lists
    .filter(([, { members }]) => members.length > 0)
    .map(([key, { members, places }]) => ({
      key,
      value: members,
      place: places[0] ?? everyPlace,
      ...(places.length > 0 ? { places } : {}),
    }));
}

/** dnsmasq 2.90 prefers `#`, then servers, then denial, of what is said for the same name. */
function targetOf(said: Said, servers: readonly string[]): Target | undefined {
  if (said.defaults) return { defaults: true };
  if (servers.length > 0) return { servers };
  // Addresses with a denial beside them: other types of the name are not forwarded.
  return said.local || (said.denied && said.addresses.length > 0) ? { local: true } : undefined;
}

type Target = Readonly<Record<string, unknown>>;
type Group = { readonly target: Target; readonly names: NameListBuilder; readonly place: string };

/** Patterns but `except` by what it comes to that is said of them. */
function* grouped(
  patterns: Patterns,
  except: string | undefined,
  targetOfSaid: (said: Said) => Target | undefined,
): Slices<{ members: unknown[]; places: string[] }> {
  const byTarget = new Map<string, Group>();
  const bySaid = new Map<Said, NameListBuilder>();
  for (const { said, place } of yield* patterns.said(except)) {
    const target = targetOfSaid(said);
    if (target === undefined) continue;
    const text = JSON.stringify(target);
    let group = byTarget.get(text);
    if (group === undefined) {
      group = { target, names: createNameListBuilder(), place };
      byTarget.set(text, group);
    }
    bySaid.set(said, group.names);
  }
  yield* patterns.fill((said) => bySaid.get(said), except);
  const groups = [...byTarget.values()];
  return {
    members: groups.map(({ target, names }) => ({ names: names.list(), ...target })),
    places: groups.map(({ place }) => place),
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
