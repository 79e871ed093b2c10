/** What an operator reads when a socket cannot be bound; the same words for DNS and HTTP. */
import { readFileSync } from "node:fs";
import { portHolders, type Holder } from "./listening/holder.ts";

/** Where somebody wants to listen. */
type Place = { address: string; port: number } | { path: string };

/** Processes that are named; of more there is a number. */
const HOLDERS_MAX = 3;

const reasons: Readonly<Record<string, (who: string, at: Place) => string>> = {
  EADDRINUSE: (who, at) => `another program uses it (EADDRINUSE)${holdersOf(who, at)}`,
  EACCES: (_, at) => `not permitted (EACCES)${remedyFor(at)}`,
  EADDRNOTAVAIL: () => "no interface has this address (EADDRNOTAVAIL)",
};

/**
 * One line: who (`DNS over UDP`, `HTTP`) cannot listen where, and why: with the process that is in the
 * way, as far as it can be seen, or the ways to get the right that is missing. `error`: the system's word
 * for it (`EACCES`), or an Error that may carry it as `code`.
 */
export function cannotListen(who: string, at: Place, error: unknown): string {
  const where = "path" in at ? at.path : `${at.address} port ${at.port}`;
  return `${who} cannot listen on ${where}: ${reasonOf(who, at, error)}`;
}

function reasonOf(who: string, at: Place, error: unknown): string {
  const word = error instanceof Error ? ("code" in error ? String(error.code) : "") : String(error);
  if (Object.hasOwn(reasons, word)) return reasons[word]!(who, at);
  return error instanceof Error ? error.message : word;
}

function holdersOf(who: string, at: Place): string {
  if ("path" in at) return "";
  const holders = portHolders(who.endsWith("UDP") ? "udp" : "tcp", at);
  if (holders.length === 0) return "";
  const named = holders.slice(0, HOLDERS_MAX).map(printed);
  const more = holders.length - named.length;
  return `: ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function printed({ address, pid, program }: Holder): string {
  return pid === undefined
    ? `a process that is not shown to this user, on ${address}`
    : `${program} (pid ${pid}), on ${address}`;
}

/** The kernel's lowest port for everybody; what is below needs a right. */
const FIRST_FREE_PORT = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

function remedyFor(at: Place): string {
  if ("path" in at || at.port >= firstFreePort()) return "";
  return (
    `: ports below ${firstFreePort()} need a right; either CAP_NET_BIND_SERVICE ` +
    "(AmbientCapabilities= in a systemd unit, as in config/waypost.service), or sockets that systemd " +
    "opens (config/waypost.socket), or the setting net.ipv4.ip_unprivileged_port_start " +
    `(sysctl -w net.ipv4.ip_unprivileged_port_start=${at.port})`
  );
}

function firstFreePort(): number {
  try {
    return Number(readFileSync(FIRST_FREE_PORT, "utf8"));
  } catch {
    return 1024;
  }
}
