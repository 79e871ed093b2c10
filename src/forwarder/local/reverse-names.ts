/** Networks as names of the reverse zones, whatever the length of their prefix. */

const V4_BITS = 8;
const V6_BITS = 4;
const utf8 = new TextEncoder();

/**
 * The names below which exactly the addresses of the network stand: one if the prefix ends where a label
 * does, else one for each value of the next label (at most 128; RFC 2317 knows no zone for such
 * networks). `address`: 4 or 16 octets with no bit set behind the first `bits`.
 */
export function reverseNames(address: Uint8Array, bits: number): Uint8Array[] {
  const isV4 = address.length === 4;
  const perLabel = isV4 ? V4_BITS : V6_BITS;
  const labels = Math.ceil(bits / perLabel);
  const values = 1 << (labels * perLabel - bits);
  const names: Uint8Array[] = [];
  for (let value = 0; value < values; value++) {
    const octets: number[] = [];
    for (let label = labels - 1; label >= 0; label--) {
      const part = partOf(address, label) + (label === labels - 1 ? value : 0);
      const text = isV4 ? String(part) : part.toString(16);
      octets.push(text.length, ...utf8.encode(text));
    }
    octets.push(...utf8.encode(isV4 ? "\x07in-addr\x04arpa\0" : "\x03ip6\x04arpa\0"));
    names.push(Uint8Array.from(octets));
  }
  return names;
}

/** The octet (IPv4) or half octet (IPv6) of this number. */
function partOf(address: Uint8Array, label: number): number {
  if (address.length === 4) return address[label]!;
  return (address[label >> 1]! >> (label % 2 === 0 ? 4 : 0)) & 15;
}
