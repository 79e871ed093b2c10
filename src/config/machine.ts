import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import type { Interfaces } from "./interface-address.ts";

/** What a configuration may depend on: the machine it is read on. */
export type Machine = {
  hostname: string;
  interfaces: Interfaces;
  /** Interface of the IPv4 default route, if there is one and the system tells. */
  defaultInterface: string | undefined;
  /** Where a program keeps what must survive a restart, if nobody says where. */
  stateDirectory: string;
  /** Addresses of a host name; rejects if it has none. */
  lookup(host: string): Promise<string[]>;
};

/** This machine, as it is now. */
export function readMachine(): Machine {
  return {
    hostname: hostname(),
    interfaces: networkInterfaces(),
    defaultInterface: readDefaultInterface(),
    stateDirectory: stateDirectory(process.env, process.getuid?.()),
    lookup: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
  };
}

/**
 * The first that systemd set up for this unit (systemd.exec(5), STATE_DIRECTORY); else that of the
 * system for root and for who has no home (containers run as any uid), and that of the user for others
 * (XDG Base Directory Specification).
 */
export function stateDirectory(
  env: Readonly<Record<string, string | undefined>>,
  uid: number | undefined,
): string {
  const given = (env["STATE_DIRECTORY"] ?? "").split(":")[0]!;
  if (given !== "") return given;
  const home = env["HOME"] || "";
  const state = env["XDG_STATE_HOME"] || (home && join(home, ".local/state"));
  return uid === 0 || state === "" ? "/var/lib/waypost" : join(state, "waypost");
}

function readDefaultInterface(): string | undefined {
  try {
    return defaultInterfaceOf(readFileSync("/proc/net/route", "utf8"));
  } catch {
    return undefined; // not Linux: no interface counts as the default one
  }
}

/** Interface of the default route with the lowest metric in the text of /proc/net/route. */
export function defaultInterfaceOf(routes: string): string | undefined {
  const defaults = routes
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, destination, , , , , , mask]) => destination === "00000000" && mask === "00000000")
    .toSorted((a, b) => Number(a[6]) - Number(b[6]));
  return defaults[0]?.[0];
}
