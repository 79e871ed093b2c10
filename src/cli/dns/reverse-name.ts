/** Names of addresses: RFC 1035 section 3.5, RFC 3596 section 2.5. */
import { parseAddress } from "../../address.ts";

/** The name below in-addr.arpa or ip6.arpa of an IP literal; a text that is none stays as it is. */
export function reverseName(text: string): string {
  const octets = parseAddress(text);
  if (octets === undefined) return text;
  if (octets.length === 4) return `${[...octets].toReversed().join(".")}.in-addr.arpa`;
  const nibbles = [...octets].flatMap((octet) => [octet >> 4, octet & 15]);
  const labels = nibbles.toReversed().map((nibble) => nibble.toString(16));
  return `${labels.join(".")}.ip6.arpa`;
}
