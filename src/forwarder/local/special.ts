/** Names that are never asked of the outside: RFC 6761, RFC 6303, RFC 7686, RFC 8375, RFC 9462. */
import { foldOctet, isWithin, parseReverseName } from "../../dns/name.ts";
import { createNameIndex } from "./name-index.ts";
import { reverseNames } from "./reverse-names.ts";
import { hashSuffixes, suffixes, type HashKey } from "./suffix-hash.ts";

const utf8 = new TextEncoder();
const wire = (...labels: string[]): Uint8Array =>
  Uint8Array.from([...labels.flatMap((label) => [label.length, ...utf8.encode(label)]), 0]);

const LOCALHOST = wire("localhost");
const INVALID = wire("invalid");
const ONION = wire("onion");
const HOME = wire("home", "arpa");

/** Where clients ask a resolver for its encrypted addresses (RFC 9462 section 4). */
export const RESOLVER_ARPA: Uint8Array = wire("resolver", "arpa");

/**
 * What a name is by itself. `loopback`: the name of 127.0.0.1 and ::1. `none`: there is no such name.
 * `empty`: there is no data, as from a resolver that has no encrypted addresses to tell.
 */
export type SpecialName = "loopback" | "none" | "empty";

/** Can the name end in one of the special labels, or in `arpa`? Looks at one octet. */
export function mayBeSpecial(name: Uint8Array): boolean {
  if (name.length < 2) return false;
  const last = foldOctet(name[name.length - 2]!);
  // localhosT, invaliD, onioN, arpA
  return last === 0x74 || last === 0x64 || last === 0x6e || last === 0x61;
}

/** RFC 6761 sections 6.3 and 6.4, RFC 7686 section 2, RFC 9462 section 4; undefined for names that are asked like any other. */
export function specialName(name: Uint8Array): SpecialName | undefined {
  if (isWithin(name, LOCALHOST)) return "loopback";
  if (isWithin(name, RESOLVER_ARPA)) return "empty";
  return isWithin(name, INVALID) || isWithin(name, ONION) ? "none" : undefined;
}

/** The name `localhost`, for PTR records. */
export const LOCALHOST_NAME: Uint8Array = LOCALHOST;

/** 127.0.0.1 or ::1 by this reverse name? (RFC 6761 6.3 leaves the names of addresses to us.) */
export function isLoopbackReverse(name: Uint8Array): boolean {
  const address = parseReverseName(name);
  if (address === undefined) return false;
  if (address.length === 4)
    return address[0] === 127 && address[3] === 1 && !address[1] && !address[2];
  return address.every((octet, i) => octet === (i === 15 ? 1 : 0));
}

/** RFC 6303 section 4, with the shared address space of RFC 7793. */
const NETWORKS: readonly (readonly [readonly number[], number])[] = [
  [[0, 0, 0, 0], 8],
  [[10, 0, 0, 0], 8],
  [[100, 64, 0, 0], 10],
  [[127, 0, 0, 0], 8],
  [[169, 254, 0, 0], 16],
  [[172, 16, 0, 0], 12],
  [[192, 0, 2, 0], 24],
  [[192, 168, 0, 0], 16],
  [[198, 51, 100, 0], 24],
  [[203, 0, 113, 0], 24],
  [[255, 255, 255, 255], 32],
  [v6(), 128],
  [[...v6().slice(0, 15), 1], 128],
  [v6(0xfd), 8],
  [v6(0xfe, 0x80), 12],
  [v6(0xfe, 0x90), 12],
  [v6(0xfe, 0xa0), 12],
  [v6(0xfe, 0xb0), 12],
  [v6(0x20, 0x01, 0x0d, 0xb8), 32],
];

function v6(...first: number[]): number[] {
  return Array.from({ length: 16 }, (_, i) => first[i] ?? 0);
}

/**
 * Finds the zone of RFC 6303 (`withHome`: or RFC 8375) that a name is in: the offset in the name where it
 * begins, -1 for none.
 */
export function createPrivateZones(key: HashKey, withHome: boolean): (name: Uint8Array) => number {
  const index = createNameIndex(key);
  if (withHome) index.add(HOME);
  for (const [address, bits] of NETWORKS)
    for (const name of reverseNames(Uint8Array.from(address), bits)) index.add(name);
  return (name) => {
    const count = hashSuffixes(name, key);
    for (let label = 0; label < count; label++)
      if (index.findSuffix(name, label) >= 0) return suffixes.offsets[label]!;
    return -1;
  };
}
