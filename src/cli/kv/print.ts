/** Output of many lines, which may hold any octets. */
import type { World } from "../world.ts";

/** Octets that are collected before they are written. */
const PIECE_OCTETS = 64 * 1024;

/** Writes the pieces one after the other; they are drawn as the reader takes them. */
export async function writeAll(
  world: Pick<World, "out">,
  pieces: Iterable<string | Uint8Array>,
): Promise<void> {
  let held: Uint8Array[] = [];
  let octets = 0;
  for (const piece of pieces) {
    const part = typeof piece === "string" ? Buffer.from(piece) : piece;
    held.push(part);
    octets += part.length;
    if (octets < PIECE_OCTETS) continue;
    await world.out(Buffer.concat(held));
    held = [];
    octets = 0;
  }
  if (octets > 0) await world.out(Buffer.concat(held));
}
