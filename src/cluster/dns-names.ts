/** Octets of a label (RFC 1035 section 2.3.4). */
const LABEL_OCTETS_MAX = 63;

/**
 * Why DNS may not find a service of this name, in Consul 1.10's words; undefined if it will. The name
 * is accepted all the same: HTTP finds it.
 */
export function dnsNameProblem(name: string): string | undefined {
  const start = "Service name will not be discoverable via DNS due to";
  if (/[^A-Za-z0-9-]/.test(name))
    return `${start} invalid characters. Valid characters include all alpha-numerics and dashes.`;
  if (name.length > LABEL_OCTETS_MAX)
    return `${start} it being too long. Valid lengths are between 1 and 63 bytes.`;
  return undefined;
}
