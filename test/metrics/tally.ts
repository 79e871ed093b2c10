/** Tallies of which a test says only what matters. */
import { COUNTED_TYPES, readTally, TALLY_CELLS } from "../../src/dns/cells.ts";
import type { Tally } from "../../src/dns/meter.ts";

/** So many questions of a type over UDP, answered with NOERROR by the catalog. */
export function tally(over: Partial<Tally> = {}, figures: Partial<Tally["figures"]> = {}): Tally {
  return {
    server: "dns://127.0.0.1:53",
    zone: "consul.",
    view: "",
    proto: "udp",
    family: 1,
    plugin: "catalog",
    figures: { ...readTally(new Float64Array(TALLY_CELLS)), ...figures },
    ...over,
  };
}

/** Questions by type, for a tally. */
export function questionsOf(byType: Record<number, number>, others = 0): number[] {
  return [...COUNTED_TYPES.map((type) => byType[type] ?? 0), others];
}

/** Replies by RCODE, likewise. */
export function rcodesOf(byRcode: Record<number, number>): number[] {
  return Array.from({ length: 16 }, (_, rcode) => byRcode[rcode] ?? 0);
}
