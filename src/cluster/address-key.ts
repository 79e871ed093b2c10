/**
 * What an address is indexed by: all spellings of one IPv6 address give the same key (eight groups
 * of four lower-case hex digits), IPv4-mapped ones that of the IPv4 address; everything else is its
 * own key. RFC 4291 section 2.2; Consul compares the reverse names, which has the same effect.
 */
export function addressKey(address: string): string {
  if (!address.includes(":")) return address;
  const groups = parseGroups(address);
  if (groups === undefined) return address;
  const mapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (mapped) {
    const [high, low] = [groups[6]!, groups[7]!];
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  return groups.map((group) => group.toString(16).padStart(4, "0")).join(":");
}

function parseGroups(address: string): number[] | undefined {
  const halves = address.split("::");
  if (halves.length > 2) return undefined;
  const left = parseHalf(halves[0]!, halves.length === 1);
  if (left === undefined) return undefined;
  if (halves.length === 1) return left.length === 8 ? left : undefined;
  const right = parseHalf(halves[1]!, true);
  if (right === undefined || left.length + right.length > 7) return undefined;
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0);
  return [...left, ...zeros, ...right];
}

function parseHalf(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (mayEndInIpv4 && i === parts.length - 1 && part.includes(".")) {
      const octets = part
        .split(".")
        .map((octet) => (/^\d{1,3}$/.test(octet) ? Number(octet) : 256));
      if (octets.length !== 4 || octets.some((octet) => octet > 255)) return undefined;
      groups.push(octets[0]! * 256 + octets[1]!, octets[2]! * 256 + octets[3]!);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}
