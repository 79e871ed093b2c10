/**
 * Where answers come from, as it is counted: a zone, and the part of the program ("plugin", as CoreDNS
 * has it) that gave the answer. Both in one small integer, so that they travel with an answer.
 */
import { ORIGIN_DROPPED, ORIGIN_PROHIBITED } from "./cells.ts";
import { formatName, isWithin, nameKey, parseName } from "./name.ts";

/** "": the server itself, without looking for an answer. */
export const plugins = ["", "acl", "catalog", "cache", "forward", "local"] as const;
export type Plugin = (typeof plugins)[number];

/** Zones with a label of their own; the names of all further ones are under "other". */
const ZONES_MAX = 16;
/** What is in no zone, because nothing was looked for (CoreDNS's word for it, without a dot). */
export const DROPPED = 0;
/** Every name that nothing longer is configured for. */
export const ROOT = 1;
const OTHER = 2;
/** Reverse names answered from the catalog. */
export const REVERSE = 3;
/** Names below localhost. */
const LOCALHOST = 4;

/** The zones that are told apart, in the order in which they were first seen: they never leave. */
export type Zones = {
  /** Number of a domain that the catalog answers for, as wire name. */
  own(name: Uint8Array): number;
  /** Number of a zone whose names are asked of servers. */
  foreign(name: Uint8Array): number;
  /** In presentation form with the dot at the end. */
  label(zone: number): string;
  isOwn(zone: number): boolean;
};

/** Zones of which none is configured yet. */
export function createZones(): Zones {
  const labels = ["dropped", ".", "other", "arpa.", "localhost."];
  const numbers = new Map<string, number>();
  const owned = new Set([REVERSE]);
  function numberOf(name: Uint8Array): number {
    const label = formatName(name).toLowerCase();
    const known = label === "." ? ROOT : numbers.get(label);
    if (known !== undefined) return known;
    if (labels.length === ZONES_MAX) return OTHER;
    numbers.set(label, labels.length);
    return labels.push(label) - 1;
  }
  return {
    own(name) {
      const zone = numberOf(name);
      owned.add(zone);
      return zone;
    },
    foreign: numberOf,
    label: (zone) => labels[zone]!,
    isOwn: (zone) => owned.has(zone),
  };
}

/** The zone of a name that the catalog does not answer for. */
export type FindZone = (qname: Uint8Array) => number;

const LOCALHOST_NAME = wireName("localhost");

/** Finds the longest of these zones, given in presentation form; without any it costs a comparison. */
export function zoneFinder(names: readonly string[], zones: Zones): FindZone {
  const numbers = new Map<string, number>();
  for (const text of names) {
    const name = parseName(text);
    if (name.ok) numbers.set(nameKey(name.value), zones.foreign(name.value));
  }
  return (qname) => {
    const label = qname.length - LOCALHOST_NAME.length;
    if (label > 0 && qname[label] === LOCALHOST_NAME[0] && isWithin(qname, LOCALHOST_NAME))
      return LOCALHOST;
    if (numbers.size === 0) return ROOT;
    for (let at = 0; qname[at] !== 0 && at < qname.length; at += qname[at]! + 1) {
      const zone = numbers.get(nameKey(qname.subarray(at)));
      if (zone !== undefined) return zone;
    }
    return ROOT;
  };
}

function wireName(text: string): Uint8Array {
  const name = parseName(text);
  return name.ok ? name.value : new Uint8Array();
}

/** An answer of this part of the program for a name of this zone. */
export function originOf(zone: number, plugin: Plugin): number {
  return zone * 8 + plugins.indexOf(plugin);
}

/** Its two halves. */
export function zoneAndPlugin(origin: number): { zone: number; plugin: Plugin } {
  return { zone: origin >> 3, plugin: plugins[origin & 7]! };
}

/** The same answer when a worker gives it from the table: two for each zone, since a record has five bits for it. */
export function tableOrigin(origin: number): number {
  const { zone, plugin } = zoneAndPlugin(origin);
  return zone * 2 + (plugin === "local" ? 1 : 0);
}

/** The origin that a worker has counted. */
export function originFromTable(counted: number, zones: Zones): number {
  if (counted === ORIGIN_DROPPED) return originOf(DROPPED, "");
  if (counted === ORIGIN_PROHIBITED) return originOf(DROPPED, "acl");
  const zone = counted >> 1;
  if ((counted & 1) === 1) return originOf(zone, "local");
  return originOf(zone, zones.isOwn(zone) ? "catalog" : "cache");
}
