/**
 * Random case of the letters of a QNAME as a second id (draft-vixie-dnsext-dns0x20): a server echoes
 * them, and who guesses has to guess them too.
 */
import { foldOctet } from "../dns/name.ts";
import type { Random } from "../ports.ts";

const CASE_BIT = 0x20;

/** The question with each letter of its name in upper or lower case, as the generator says. */
export function mixCase(question: Uint8Array, random: Random): Uint8Array {
  const mixed = question.slice();
  const end = mixed.length - 4;
  let bits = 0;
  let left = 0;
  for (let i = 0; i < end; i++) {
    const lower = foldOctet(mixed[i]!);
    // Lengths of labels are below 64, no letters.
    if (lower < 0x61 || lower > 0x7a) continue;
    if (left === 0) {
      bits = random.uint32();
      left = 32;
    }
    mixed[i] = (bits & 1) === 0 ? lower : lower & ~CASE_BIT;
    bits >>>= 1;
    left--;
  }
  return mixed;
}

/** The question with its name in lower case. */
export function lowerCase(question: Uint8Array): Uint8Array {
  const lower = question.slice();
  for (let i = 0; i < lower.length - 4; i++) lower[i] = foldOctet(lower[i]!);
  return lower;
}
