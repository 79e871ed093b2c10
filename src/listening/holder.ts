/** Which process holds a port, as far as /proc (Linux) shows it to us. For error messages: it takes its time. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { canonicalAddress, formatAddress, isUnspecified, unmapped } from "../address.ts";

/** A socket in the way, and the process that has it open; without `pid` it is not shown to us. */
export type Holder = { address: string; port: number; pid?: number; program?: string };

/** Descriptors that are looked at; with more than that no process is named. */
const DESCRIPTORS_MAX = 200_000;
/** State of a TCP socket that listens. */
const LISTENING = "0A";

type Bound = { address: string; port: number; inode: string };

/**
 * The sockets that keep `address` and `port` from being bound, one for each process: their address is the
 * same, or one of the two is unspecified. Empty where there is no /proc.
 */
export function portHolders(
  transport: "udp" | "tcp",
  { address, port }: { address: string; port: number },
): Holder[] {
  const wanted = address.split("%", 1)[0]!;
  const inTheWay = [transport, `${transport}6`]
    .flatMap(readTable)
    .filter((bound) => bound.port === port && overlap(bound.address, wanted));
  const owners = ownersOf(new Set(inTheWay.map(({ inode }) => inode)));
  const holders = new Map<string, Holder>();
  for (const bound of inTheWay) {
    const pid = owners.get(bound.inode);
    const holder = { address: bound.address, port: bound.port };
    holders.set(
      `${pid} ${bound.address}`,
      pid === undefined ? holder : { ...holder, pid, program: programOf(pid) },
    );
  }
  return [...holders.values()];
}

function overlap(held: string, wanted: string): boolean {
  if (canonicalAddress(held) === canonicalAddress(wanted)) return true;
  if (isUnspecified(wanted)) return wanted.includes(":") || !held.includes(":");
  // :: takes IPv4 as well, 0.0.0.0 no IPv6.
  return isUnspecified(held) && (held.includes(":") || !wanted.includes(":"));
}

/** /proc/net/udp, tcp, udp6, tcp6 (proc_net(5)): the sockets that are bound, of TCP those that listen. */
function readTable(name: string): Bound[] {
  let text: string;
  try {
    text = readFileSync(`/proc/net/${name}`, "utf8");
  } catch {
    return [];
  }
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const columns = line.trim().split(/\s+/);
      const [, local = "", , state] = columns;
      const inode = columns[9];
      if (inode === undefined || (name.startsWith("tcp") && state !== LISTENING)) return [];
      const [hex = "", port = ""] = local.split(":");
      return [{ address: addressOf(hex), port: Number.parseInt(port, 16), inode }];
    });
}

/** Words of four octets, each in the order of the processor: little-endian on all that Bun runs on. */
function addressOf(hex: string): string {
  const octets = new Uint8Array(hex.length / 2);
  for (let i = 0; i < octets.length; i++) {
    const at = (i & ~3) + (3 - (i & 3));
    octets[at] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  }
  return formatAddress(unmapped(octets));
}

function ownersOf(inodes: ReadonlySet<string>): Map<string, number> {
  const owners = new Map<string, number>();
  let left = DESCRIPTORS_MAX;
  for (const pid of list("/proc").filter((name) => /^\d+$/.test(name)))
    for (const fd of list(`/proc/${pid}/fd`)) {
      if (owners.size === inodes.size || left-- === 0) return owners;
      const inode = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined && inodes.has(inode)) owners.set(inode, Number(pid));
    }
  return owners;
}

/** What is not ours to see, or has just gone, is empty. */
function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** The kernel's name for the program; ours runs inside another one. */
function programOf(pid: number): string {
  try {
    const isOurs = /\/src\/platform\/main\.ts\0agent\0/.test(
      readFileSync(`/proc/${pid}/cmdline`, "utf8"),
    );
    return isOurs ? "waypost" : readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "a program";
  }
}
