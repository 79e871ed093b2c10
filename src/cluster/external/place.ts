/** Where an external node stands on the map of round-trip times: only its distance from here is known. */
import { DIMENSIONS, originCoordinate, rttMs as distanceOf } from "../coordinates.ts";
import type { Coordinate } from "../model.ts";

/** A change of distance below this is not worth a write: round-trip times are never twice the same. */
const LEAST_CHANGE_MS = 1;
const LEAST_CHANGE_SHARE = 0.25;
/** Error of what was measured once, from one place; Vivaldi begins at 1.5 and ends near 0.1. */
const ERROR = 0.5;

/**
 * The coordinate that is `rttMs` away from `own`: at the same place, but higher, because nothing says
 * in which direction. undefined: `held` is near enough.
 */
export function placeOf(
  own: Coordinate,
  held: Coordinate | undefined,
  rttMs: number,
): Coordinate | undefined {
  if (held !== undefined) {
    const changeMs = Math.abs(distanceOf(own, held) - rttMs);
    if (changeMs < Math.max(LEAST_CHANGE_MS, rttMs * LEAST_CHANGE_SHARE)) return undefined;
  }
  const height = Math.max(originCoordinate.height, rttMs / 1000 - own.height - own.adjustment);
  return { vec: own.vec.slice(0, DIMENSIONS), error: ERROR, adjustment: 0, height };
}
