import { covers, parseAddress, unmapped, type Network } from "../address.ts";
import { fail, ok, type Result } from "../base.ts";

/** A network in CIDR form such as 10.0.0.0/8; one mapped into IPv6 is IPv4, as in Go's net.ParseCIDR. */
export function parseNetwork(text: string): Result<Network, string> {
  const [address = "", length = "", more] = text.split("/");
  const octets = parseAddress(address);
  const prefixLength = Number(length);
  if (octets === undefined || more !== undefined || !/^\d{1,3}$/.test(length)) return refused(text);
  if (prefixLength > octets.length * 8) return refused(text);
  const inner = unmapped(octets);
  const outerBits = (octets.length - inner.length) * 8;
  return prefixLength < outerBits
    ? ok({ octets, prefixLength })
    : ok({ octets: inner, prefixLength: prefixLength - outerBits });
}

function refused(text: string): Result<Network, string> {
  return fail(`"${text}" is not a network such as 10.0.0.0/8`);
}

/** Whether an IP literal (a zone does not count) lies in one of the networks; other texts lie in none. */
export function isInside(networks: readonly Network[], address: string): boolean {
  const octets = parseAddress(address.split("%", 1)[0]!);
  if (octets === undefined) return false;
  const plain = unmapped(octets);
  return networks.some((network) => covers(network, plain));
}
