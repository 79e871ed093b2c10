/** Keys of the cache as numbers, which its index holds instead of texts. */
import type { Random } from "../ports.ts";

const HIGH_BITS = 0xf_ffff;

/**
 * A function that gives 52 bits for a text of octets. Nobody outside can prepare two texts with the same
 * number; that two of a million have the same happens once in 9,000 caches, and costs one of them its place.
 */
export function createKeyHash(random: Pick<Random, "uint32">): (key: string) => number {
  const seedLow = random.uint32();
  const seedHigh = random.uint32();
  return (key) => {
    let low = seedLow;
    let high = seedHigh;
    for (let i = 0; i < key.length; i++) {
      const octet = key.charCodeAt(i);
      low = Math.imul(low ^ octet, 0x85ebca6b);
      low ^= low >>> 15;
      high = Math.imul(high ^ low ^ octet, 0xc2b2ae35);
      high ^= high >>> 13;
    }
    return (high & HIGH_BITS) * 0x1_0000_0000 + (low >>> 0);
  };
}
