/** Digests of long lists of names, each made once: half a million names are not gone through for a metric. */
import { createHash } from "node:crypto";
import type { NameList } from "../forwarder/local/name-list.ts";
import { atOnce, type Slices } from "../slices.ts";

/** Octets between two chances to stop. */
const PIECE_OCTETS = 65_536;

const digests = new WeakMap<NameList, string>();

/** The SHA-512 of all names and their lengths, in hexadecimal. */
export function digestOf(list: NameList): string {
  atOnce(findDigest(list));
  return digests.get(list)!; // found
}

/** What `digestOf` gives without delay afterwards. */
export function* findDigest(list: NameList): Slices<void> {
  if (digests.has(list)) return;
  const hash = createHash("sha512");
  const { octets, ends } = list;
  for (const part of [octets, new Uint8Array(ends.buffer, ends.byteOffset, ends.byteLength)])
    for (let at = 0; at < part.length; at += PIECE_OCTETS) {
      hash.update(part.subarray(at, at + PIECE_OCTETS));
      yield;
    }
  digests.set(list, hash.digest("hex"));
}
