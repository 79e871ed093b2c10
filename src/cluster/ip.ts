/**
 * Whether a text is an IP address literal, and of which version: 4, 6 or 0 (neither). Strict, as
 * Go's `net.ParseIP`: four decimal numbers without leading zeros; RFC 4291 section 2.2 without zone.
 */
export function ipVersion(text: string): 4 | 6 | 0 {
  if (isIpv4(text)) return 4;
  return isIpv6(text) ? 6 : 0;
}

function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((p) => /^(0|[1-9]\d{0,2})$/.test(p) && Number(p) < 256);
}

function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  let octets = 0;
  for (const [i, half] of groups.entries())
    for (const [j, group] of half.entries()) {
      const isLast = i === groups.length - 1 && j === half.length - 1;
      if (isLast && isIpv4(group)) octets += 4;
      else if (/^[0-9a-fA-F]{1,4}$/.test(group)) octets += 2;
      else return false;
    }
  return halves.length === 2 ? octets <= 14 : octets === 16;
}

/** The unspecified address, in the spellings that Consul refuses as a service address. */
export function isAnyAddress(text: string): boolean {
  return text === "0.0.0.0" || text === "::" || text === "[::]";
}
