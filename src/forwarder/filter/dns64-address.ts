/** IPv4 addresses inside IPv6 addresses (RFC 6052 section 2). */
import { covers, type Network } from "../../address.ts";

/** Lengths of a prefix that RFC 6052 2.2 allows. */
export const PREFIX_LENGTHS: readonly number[] = [32, 40, 48, 56, 64, 96];

/** Bits 64 to 71 are zero in every such address: they would mean something in an interface identifier. */
const RESERVED_OCTET = 8;

/** The IPv6 address that stands for this IPv4 address under the prefix; what follows it is zero. */
export function embed({ octets, prefixLength }: Network, ipv4: Uint8Array): Uint8Array {
  const address = new Uint8Array(16);
  let at = prefixLength / 8;
  address.set(octets.subarray(0, at));
  for (const octet of ipv4) {
    if (at === RESERVED_OCTET) at++;
    address[at++] = octet;
  }
  return address;
}

/** The IPv4 address in an address under the prefix, undefined for others. What follows it is ignored. */
export function extract(prefix: Network, address: Uint8Array): Uint8Array | undefined {
  if (!covers(prefix, address)) return undefined;
  const ipv4 = new Uint8Array(4);
  let at = prefix.prefixLength / 8;
  for (let i = 0; i < 4; i++) {
    if (at === RESERVED_OCTET) at++;
    ipv4[i] = address[at++]!;
  }
  return ipv4;
}

const WELL_KNOWN: Network = {
  octets: new Uint8Array([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  prefixLength: 96,
};

const network = (prefixLength: number, ...octets: number[]): Network => ({
  octets: new Uint8Array([...octets, 0, 0, 0].slice(0, 4)),
  prefixLength,
});

/** Not of the whole Internet (RFC 6890 2.2.2, shared addresses and multicast included). */
const notGlobal: readonly Network[] = [
  network(8, 0),
  network(8, 10),
  network(10, 100, 64),
  network(8, 127),
  network(16, 169, 254),
  network(12, 172, 16),
  network(24, 192, 0, 2),
  network(16, 192, 168),
  network(15, 198, 18),
  network(24, 198, 51, 100),
  network(24, 203, 0, 113),
  network(3, 224),
];

/** May the prefix stand for this address? The well-known one only for addresses of the Internet (RFC 6052 3.1). */
export function mayEmbed(prefix: Network, ipv4: Uint8Array): boolean {
  const isWellKnown = prefix.prefixLength === 96 && covers(WELL_KNOWN, prefix.octets);
  return !isWellKnown || !notGlobal.some((each) => covers(each, ipv4));
}
