/** One question on all the roads that a reply can take: main thread, answer table, TCP. */
import type { DecodedPacket } from "dns-packet";
import { decode, lines, tcp, type World } from "./resolver-world.ts";

/** What dns-packet decodes, and its types leave out. */
export type Decoded = DecodedPacket & { rcode: string };

export type Road = { road: "main" | "table" | "tcp"; wire: Uint8Array; reply: Decoded };

export const rcodeOf = (wire: Uint8Array | null): string => (decode(wire) as Decoded).rcode;

/**
 * The replies to one query. The table's is missing where the question is not for workers; it is asked
 * after the question has come twice, as short-lived answers are prepared only then.
 */
export function everywhere(world: World, query: Uint8Array): Road[] {
  const roads: Road[] = [];
  const add = (road: Road["road"], wire: Uint8Array | null): void => {
    if (wire !== null) roads.push({ road, wire, reply: decode(wire) as Decoded });
  };
  add("main", world.compute(query));
  world.compute(query);
  add("table", world.fromTable(query));
  add("tcp", world.compute(query, tcp));
  return roads;
}

/** Sections of a reply as sorted lines, for comparison where the order is random. */
export function sections({ answers, authorities, additionals }: DecodedPacket): string[][] {
  return [answers, authorities, additionals].map((section) => lines(section).sort());
}

/** A QTYPE, QCLASS or header octet that dns-packet cannot write: changes the octets of a query. */
export function patched(query: Uint8Array, changes: Record<number, number>): Uint8Array {
  const wire = query.slice();
  for (const [at, octet] of Object.entries(changes)) wire[Number(at)] = octet;
  return wire;
}
