/** Networks in CIDR form, for `allow_write_http_from`. */

type Network = { octets: readonly number[]; bits: number };

/** A predicate over IP literals; undefined when one of `networks` is not in CIDR form. */
export function parseNetworks(
  networks: readonly string[],
): ((address: string) => boolean) | undefined {
  const parsed: Network[] = [];
  for (const text of networks) {
    const network = parseNetwork(text);
    if (network === undefined) return undefined;
    parsed.push(network);
  }
  return (address) => {
    const octets = parseAddress(address);
    return octets !== undefined && parsed.some((network) => contains(network, octets));
  };
}

function parseNetwork(text: string): Network | undefined {
  const [address = "", bits = ""] = text.split("/");
  const octets = parseAddress(address);
  if (octets === undefined || !/^\d{1,3}$/.test(bits)) return undefined;
  return Number(bits) > octets.length * 8 ? undefined : { octets, bits: Number(bits) };
}

function contains(network: Network, octets: readonly number[]): boolean {
  if (network.octets.length !== octets.length) return false;
  for (let i = 0; i * 8 < network.bits; i++) {
    const mask = network.bits >= i * 8 + 8 ? 255 : (0xff00 >> (network.bits - i * 8)) & 255;
    if ((network.octets[i]! & mask) !== (octets[i]! & mask)) return false;
  }
  return true;
}

/** 4 or 16 octets; an IPv4 address mapped into IPv6 counts as IPv4, as in Go's net.IP. */
function parseAddress(text: string): number[] | undefined {
  if (!text.includes(":")) return parseIpv4(text);
  const [plain = ""] = text.split("%"); // zone
  let groupsText = plain;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(plain);
  if (dotted) {
    const tail = parseIpv4(dotted[2]!);
    if (tail === undefined) return undefined;
    const high = ((tail[0]! << 8) | tail[1]!).toString(16);
    groupsText = `${dotted[1]}${high}:${((tail[2]! << 8) | tail[3]!).toString(16)}`;
  }
  const halves = groupsText.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - head!.length - (tail?.length ?? 0);
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [
    ...head!,
    ...Array.from({ length: tail ? missing : 0 }, () => "0"),
    ...(tail ?? []),
  ];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const octets = groups.flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 255];
  });
  const mapped =
    octets.slice(0, 10).every((o) => o === 0) && octets[10] === 255 && octets[11] === 255;
  return mapped ? octets.slice(12) : octets;
}

function parseIpv4(text: string): number[] | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return undefined;
  return parts.map(Number);
}
