/**
 * Network coordinates (Vivaldi): where each node stands on the map of round-trip times, and the
 * distances that follow. Consul 1.10 agent/consul/state/coordinate.go, serf 0.9.5 coordinate.go.
 */
import { ok, type Result } from "../base.ts";
import type { Tables } from "./catalog-tables.ts";
import type { Change } from "./change.ts";
import type { Coordinate, CoordinateReader, CoordinateRecord, CoordinateSet } from "./model.ts";

/** Elements of a vector; Serf's default, which nobody changes because peers must agree. */
export const DIMENSIONS = 8;
/** Network segments that one node may have coordinates in; further ones are dropped. Consul Enterprise: 64. */
const SEGMENTS_MAX = 64;

/** Where a node stands that has measured nobody yet (Serf: greatest error, least height). */
export const originCoordinate: Coordinate = {
  vec: Array.from({ length: DIMENSIONS }, () => 0),
  error: 1.5,
  adjustment: 0,
  height: 1e-5,
};

/** All coordinates, by lower-case node name, then by segment. */
export type Coordinates = { byNode: Map<string, Map<string, CoordinateRecord>>; index: number };

/** No coordinates. */
export function createCoordinates(): Coordinates {
  return { byNode: new Map(), index: 0 };
}

/** Takes over the coordinates of nodes that exist; those of others are dropped without a word, as in Consul. */
export function applyCoordinates(
  coordinates: Coordinates,
  tables: Tables,
  updates: readonly CoordinateRecord[],
  change: Change,
): Result<true, string> {
  for (const { node: name, segment, coordinate } of updates) {
    const node = tables.byName.get(name.toLowerCase())?.record.node;
    if (node === undefined) continue;
    const held = coordinates.byNode.get(node.toLowerCase())?.get(segment);
    if (held !== undefined && held.node === node && sameCoordinate(held.coordinate, coordinate))
      continue;
    if (putCoordinate(coordinates, { node, segment, coordinate })) touch(coordinates, change);
  }
  return ok(true);
}

/** Coordinates go with their node. */
export function removeCoordinatesOf(coordinates: Coordinates, change: Change): void {
  for (const lower of change.removedNodes) {
    const segments = coordinates.byNode.get(lower);
    if (segments === undefined) continue;
    coordinates.byNode.delete(lower);
    change.undo?.push(() => coordinates.byNode.set(lower, segments));
    touch(coordinates, change);
  }
}

/** Adds or replaces one; false: the node has coordinates in too many segments already. */
export function putCoordinate(coordinates: Coordinates, record: CoordinateRecord): boolean {
  const lower = record.node.toLowerCase();
  const segments = coordinates.byNode.get(lower) ?? new Map<string, CoordinateRecord>();
  if (segments.size >= SEGMENTS_MAX && !segments.has(record.segment)) return false;
  coordinates.byNode.set(lower, segments.set(record.segment, record));
  return true;
}

/** All coordinates, by lower-case node name, then by segment. */
export function coordinateRecords({ byNode }: Coordinates): CoordinateRecord[] {
  const records: CoordinateRecord[] = [];
  const less = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : 1);
  for (const [, segments] of [...byNode].sort(less))
    for (const [, record] of [...segments].sort(less)) records.push(record);
  return records;
}

/** CatalogReader.coordinates. */
export function createCoordinateReader(current: () => Coordinates): CoordinateReader {
  return {
    of: (node) => current().byNode.get(node.toLowerCase()),
    all: () => coordinateRecords(current()),
  };
}

/** Estimated round-trip time in milliseconds, whole nanoseconds. Both vectors have DIMENSIONS elements. */
export function rttMs(a: Coordinate, b: Coordinate): number {
  let squares = 0;
  for (let i = 0; i < DIMENSIONS; i++) squares += (a.vec[i]! - b.vec[i]!) ** 2;
  const raw = Math.sqrt(squares) + a.height + b.height;
  const adjusted = raw + a.adjustment + b.adjustment;
  return Math.trunc((adjusted > 0 ? adjusted : raw) * 1e9) / 1e6;
}

/** Round-trip time of two nodes by the segment that they share, Infinity if they share none. */
export function distanceMs(a: CoordinateSet | undefined, b: CoordinateSet | undefined): number {
  if (a === undefined || b === undefined) return Infinity;
  // A node of one segment is a client: its segment decides. One of several is in all of them.
  let segment = "";
  if (a.size === 1) for (const only of a.keys()) segment = only;
  if (b.size === 1) for (const only of b.keys()) segment = only;
  const [from, to] = [a.get(segment), b.get(segment)];
  return from && to ? rttMs(from.coordinate, to.coordinate) : Infinity;
}

/**
 * What was found, nearest to the node `near` first; what is equally far stays in order, nodes without
 * coordinates come last. Without coordinates of `near` itself the order is the given one.
 */
export function sortByDistance<T>(
  coordinates: CoordinateReader,
  near: string,
  found: T[],
  nodeOf: (one: T) => string,
): T[] {
  const from = coordinates.of(near);
  if (from === undefined || found.length < 2) return found;
  const far = found.map((one): [number, T] => [distanceMs(from, coordinates.of(nodeOf(one))), one]);
  // Two infinite distances have no difference.
  far.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return far.map(([, one]) => one);
}

function sameCoordinate(a: Coordinate, b: Coordinate): boolean {
  return (
    a.error === b.error &&
    a.adjustment === b.adjustment &&
    a.height === b.height &&
    a.vec.length === b.vec.length &&
    a.vec.every((element, i) => element === b.vec[i])
  );
}

function touch(coordinates: Coordinates, change: Change): void {
  const was = coordinates.index;
  change.undo?.push(() => {
    coordinates.index = was;
  });
  coordinates.index = change.index;
  change.topics.add("coordinates");
}
