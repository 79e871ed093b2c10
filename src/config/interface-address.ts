import { BlockList, isIP } from "node:net";
import { fail, ok, type Result } from "../base.ts";

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

const networks = new Map<string, BlockList>();

/** Whether an IP literal lies in the networks of an RFC; the error lists the RFCs that are known. */
export function inRfc(address: string, rfc: string): Result<boolean, string> {
  const listed = Object.hasOwn(networksOfRfc, rfc) ? networksOfRfc[rfc] : undefined;
  if (listed === undefined)
    return fail(`unknown RFC ${rfc}; known: ${Object.keys(networksOfRfc).join(", ")}`);
  let list = networks.get(rfc);
  if (list === undefined) {
    list = networkList(listed);
    networks.set(rfc, list);
  }
  return ok(contains(list, address));
}

/** Whether an IP literal lies in a network such as 10.0.0.0/8. */
export function inNetwork(address: string, network: string): Result<boolean, string> {
  const list = new BlockList();
  return addNetwork(list, network)
    ? ok(contains(list, address))
    : fail(`"${network}" is not a network such as 10.0.0.0/8`);
}

function networkList(text: string): BlockList {
  const list = new BlockList();
  for (const network of text.split(" ")) addNetwork(list, network);
  return list;
}

function addNetwork(list: BlockList, network: string): boolean {
  const [address = "", length = "", more] = network.split("/");
  const family = isIP(address);
  const bits = Number(length);
  if (family === 0 || more !== undefined || !/^\d+$/.test(length)) return false;
  if (bits > (family === 4 ? 32 : 128)) return false;
  list.addSubnet(address, bits, family === 4 ? "ipv4" : "ipv6");
  return true;
}

function contains(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

/** Whether packets to or from this address may cross a router (RFC 6890, column Forwardable). */
export function isForwardable(address: string): boolean {
  return !contains(unforwardable, address);
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
  if (isIP(address) === 4)
    return address.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [head = "", tail] = embeddedIpv4AsHex(address).split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const middle = tail === undefined ? [] : Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...middle, ...right].reduce((sum, x) => sum * 65536n + BigInt(`0x${x}`), 0n);
}

function embeddedIpv4AsHex(address: string): string {
  const match = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  if (match === null) return address;
  const number = addressNumber(match[2]!);
  return `${match[1]}${(number >> 16n).toString(16)}:${(number & 0xffffn).toString(16)}`;
}
