/** The OPT of our own replies (RFC 6891, RFC 7871). */
import type { Opt } from "./message.ts";
import type { Request, Subnet } from "./request.ts";

const NO_OPTIONS = new Uint8Array(0);

/**
 * OPT of a reply, null if the request had none: payload as asked, version 0, DO clear. Of all options
 * only the client subnet is echoed; its scope is the source prefix if the answer `dependsOnClient`,
 * else 0.
 */
export function replyOpt(
  { opt, subnet }: Request,
  dependsOnClient: boolean,
  flags = 0,
  extendedRcode = 0,
): Opt | null {
  if (opt === null) return null;
  const options = subnet === null ? NO_OPTIONS : encodeSubnet(subnet, dependsOnClient);
  return { payload: opt.payload, extendedRcode, version: 0, flags, options };
}

/** The options with an extended error beside them: 3, Stale Answer (RFC 8914 section 4.4). */
export function withStaleAnswer(options: Uint8Array): Uint8Array {
  return Uint8Array.from([...options, 0, 15, 0, 2, 0, 3]);
}

function encodeSubnet({ family, source, address }: Subnet, dependsOnClient: boolean): Uint8Array {
  const option = new Uint8Array(8 + address.length);
  option[1] = 8;
  option[3] = 4 + address.length;
  option[5] = family;
  option[6] = source;
  option[7] = dependsOnClient ? source : 0;
  option.set(address, 8);
  return option;
}
