import { hexAddress, parseAddress, type Network } from "../address.ts";
import { fail, ok, type Result } from "../base.ts";
import { isInside, parseNetwork } from "./network.ts";

/** One address of one network interface of this machine. */
export type InterfaceAddress = {
  readonly name: string;
  /** IP literal without zone. */
  readonly address: string;
  readonly family: 4 | 6;
  readonly prefixLength: number;
  readonly loopback: boolean;
  /** On the interface of the default route. */
  readonly isDefault: boolean;
};

/** The shape of `os.networkInterfaces()`, as far as it is used. */
export type Interfaces = Readonly<
  Record<
    string,
    | readonly { address: string; family: string; cidr: string | null; internal: boolean }[]
    | undefined
  >
>;

/** All addresses of the machine in the order of the system. */
export function interfaceAddresses(
  interfaces: Interfaces,
  defaultInterface: string | undefined,
): InterfaceAddress[] {
  return Object.entries(interfaces).flatMap(([name, addresses = []]) =>
    addresses.map(({ address, family, cidr, internal }) => ({
      name,
      address,
      family: family === "IPv6" ? (6 as const) : (4 as const),
      prefixLength: Number(cidr?.split("/")[1] ?? (family === "IPv6" ? 128 : 32)),
      loopback: internal,
      isDefault: name === defaultInterface,
    })),
  );
}

/** Networks by the RFC that sets them apart, for the `rfc` filter. */
const networksOfRfc: Readonly<Record<string, string>> = {
  "1122": "0.0.0.0/8 127.0.0.0/8",
  "1918": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
  "2544": "198.18.0.0/15",
  "3849": "2001:db8::/32",
  "3927": "169.254.0.0/16",
  "4193": "fc00::/7",
  "4291": "::/128 ::1/128 fe80::/10 ff00::/8",
  "5737": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24",
  "6598": "100.64.0.0/10",
  "6890":
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 " +
    "192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 " +
    "240.0.0.0/4 ::/128 ::1/128 64:ff9b::/96 100::/64 2001::/23 2001:db8::/32 2002::/16 " +
    "fc00::/7 fe80::/10",
};

const parsedOfRfc = new Map<string, readonly Network[]>();

/** Whether an IP literal lies in the networks of an RFC; the error lists the RFCs that are known. */
export function inRfc(address: string, rfc: string): Result<boolean, string> {
  const listed = Object.hasOwn(networksOfRfc, rfc) ? networksOfRfc[rfc] : undefined;
  if (listed === undefined)
    return fail(`unknown RFC ${rfc}; known: ${Object.keys(networksOfRfc).join(", ")}`);
  let networks = parsedOfRfc.get(rfc);
  if (networks === undefined) {
    networks = networkList(listed);
    parsedOfRfc.set(rfc, networks);
  }
  return ok(isInside(networks, address));
}

/** Whether an IP literal lies in a network such as 10.0.0.0/8. */
export function inNetwork(address: string, network: string): Result<boolean, string> {
  const parsed = parseNetwork(network);
  return parsed.ok ? ok(isInside([parsed.value], address)) : parsed;
}

/** Networks written in this file, separated by blanks. */
function networkList(text: string): readonly Network[] {
  return text.split(" ").map((network) => {
    const parsed = parseNetwork(network);
    if (!parsed.ok) throw new Error(parsed.error);
    return parsed.value;
  });
}

/** Whether packets to or from this address may cross a router (RFC 6890, column Forwardable). */
export function isForwardable(address: string): boolean {
  return !isInside(unforwardable, address);
}

const unforwardable = networkList(
  "0.0.0.0/8 127.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 " +
    "224.0.0.0/4 240.0.0.0/4 ::/128 ::1/128 2001:db8::/32 fe80::/10 ff00::/8",
);

/** Whether the address is set apart by RFC 6890 (private and other special networks). */
export function isSpecial(address: string): boolean {
  const special = inRfc(address, "6890");
  return special.ok && special.value;
}

/** An IP literal as a number, for sorting. */
export function addressNumber(address: string): bigint {
  return BigInt(`0x${hexAddress(parseAddress(address)!)}`);
}
