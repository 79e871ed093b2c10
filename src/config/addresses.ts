import { isIP } from "node:net";
import { isUnspecified } from "../address.ts";
import { fail, ok, type Result } from "../base.ts";
import type { HttpAddress, SocketAddress } from "../ports.ts";
import { hostsByInterface } from "./forwarder/listen.ts";
import { isForwardable, isSpecial, type InterfaceAddress } from "./interface-address.ts";
import type { Config } from "./options.ts";
import { expandTemplate } from "./sockaddr.ts";

/** Addresses of this agent, all IP literals without brackets. */
export type Addresses = {
  /** Address of this node (`bind_addr`); may be 0.0.0.0 or ::. */
  readonly bind: string;
  /** What others are told (`advertise_addr`). */
  readonly advertise: string;
  /** The same for other datacenters (`advertise_addr_wan`). */
  readonly advertiseWan: string;
  /** Where DNS listens; empty: nowhere. */
  readonly dns: readonly SocketAddress[];
  /** Where DNS over TLS and over HTTPS listen: at the same addresses; empty: nowhere. */
  readonly dnsTls: readonly SocketAddress[];
  readonly dnsHttps: readonly SocketAddress[];
  /** Where HTTP listens; empty: nowhere. */
  readonly http: readonly HttpAddress[];
  /** Where HTTPS listens; empty: nowhere. */
  readonly https: readonly HttpAddress[];
};

/**
 * Expands templates and applies Consul's rules: `addresses.*` before `client_addr`, port -1 for
 * none, and for an unspecified `bind_addr` the first private address of the machine.
 */
export function resolveAddresses(
  config: Config,
  machine: readonly InterfaceAddress[],
  warnings: string[],
): Result<Addresses, string[]> {
  const errors: string[] = [];
  const one = (key: "bind_addr" | "advertise_addr" | "advertise_addr_wan") => {
    const list = addressList(key, config[key], machine, errors);
    if (list.length > 1) errors.push(`${key}: takes one address, got ${list.join(" ")}`);
    return list[0] ?? "";
  };
  const bind = one("bind_addr");
  if (config.bind_addr === "") errors.push("bind_addr cannot be empty");
  const given = one("advertise_addr");
  const advertise = given || (isUnspecified(bind) ? ownAddress(bind, machine, warnings) : bind);
  const advertiseWan = one("advertise_addr_wan") || advertise;
  for (const [key, address] of [
    ["advertise_addr", given],
    ["advertise_addr_wan", advertiseWan],
  ] as const)
    if (isUnspecified(address)) errors.push(`${key} cannot be 0.0.0.0, :: or [::]`);
  const { dns, dnsTls, dnsHttps } = dnsAddresses(config, machine, errors);
  const http = httpAddresses("http", config, machine, errors);
  const https = httpAddresses("https", config, machine, errors);
  const all: { key: string; listeners: readonly HttpAddress[] }[] = [
    { key: "ports.dns", listeners: dns },
    { key: "ports.http", listeners: http },
    { key: "ports.https", listeners: https },
    { key: "ports.dns_tls", listeners: dnsTls },
    { key: "ports.dns_https", listeners: dnsHttps },
  ];
  for (const [i, { key, listeners: at }] of all.entries())
    for (const earlier of all.slice(0, i)) checkCollision(key, at, earlier, errors);
  return errors.length === 0
    ? ok({ bind, advertise, advertiseWan, dns, dnsTls, dnsHttps, http, https })
    : fail(errors);
}

/** Where DNS listens. */
export type DnsAddresses = Pick<Addresses, "dns" | "dnsTls" | "dnsHttps">;

/** Where DNS listens on the machine as it is now. */
export function dnsAddresses(
  config: Config,
  machine: readonly InterfaceAddress[],
  errors: string[],
): DnsAddresses {
  const hosts = dnsHostsOf(config, machine, errors);
  const at = (port: number) =>
    port < 0 ? [] : hosts.map((address): SocketAddress => ({ address, port }));
  return {
    dns: at(config["ports.dns"]),
    dnsTls: at(config["ports.dns_tls"]),
    dnsHttps: at(config["ports.dns_https"]),
  };
}

/** The addresses of one option: expanded, split at blanks, brackets removed, each once. */
function addressList(
  key: string,
  text: string,
  machine: readonly InterfaceAddress[],
  errors: string[],
): string[] {
  const expanded = expandTemplate(text, machine);
  if (!expanded.ok) {
    errors.push(`${key}: ${expanded.error}`);
    return [];
  }
  const words = expanded.value.split(/\s+/).filter((word) => word !== "");
  const addresses = words.map((word) => /^\[(.*)\]$/.exec(word)?.[1] ?? word);
  return [...new Set(addresses)].filter((address) => {
    if (isIP(address) !== 0 || address.startsWith("unix://")) return true;
    errors.push(`${key}: "${address}" is not an IP address`);
    return false;
  });
}

/** What stands for an unspecified `bind_addr`: a private address, else any, else loopback. */
function ownAddress(
  bind: string,
  machine: readonly InterfaceAddress[],
  warnings: string[],
): string {
  const family = isIP(bind);
  const all = machine.filter((a) => a.family === family && !a.loopback);
  const reachable = all.filter((a) => isForwardable(a.address));
  const ordered = [
    ...reachable.filter((a) => isSpecial(a.address) && a.isDefault),
    ...reachable.filter((a) => isSpecial(a.address) && !a.isDefault),
    ...reachable.filter((a) => !isSpecial(a.address)),
    ...all,
  ];
  const chosen = ordered[0]?.address ?? (family === 6 ? "::1" : "127.0.0.1");
  const distinct = new Set(ordered.map((a) => a.address));
  if (distinct.size !== 1)
    warnings.push(
      `bind_addr ${bind} names no single address; others are told ${chosen}. Set advertise_addr to choose.`,
    );
  return chosen;
}

/** Addresses that DNS listens at, whichever its ports; none if all of them are off. */
function dnsHostsOf(
  config: Config,
  machine: readonly InterfaceAddress[],
  errors: string[],
): string[] {
  const key = config["addresses.dns"] === "" ? "client_addr" : "addresses.dns";
  // Interfaces take the place of client_addr.
  const isGiven = key === "addresses.dns" || config["dns_listen.interfaces"].length === 0;
  const list = isGiven ? addressList(key, config[key], machine, errors) : [];
  const ports = [config["ports.dns"], config["ports.dns_tls"], config["ports.dns_https"]];
  if (ports.every((port) => port < 0)) return [];
  if (key === "addresses.dns" && list.some((address) => address.startsWith("unix://")))
    errors.push("addresses.dns: DNS cannot listen on a Unix socket");
  const explicit = list.filter((address) => isIP(address) !== 0);
  return listeners(hostsByInterface(config, explicit, machine, errors));
}

const httpKeys = {
  http: { addresses: "addresses.http", port: "ports.http" },
  https: { addresses: "addresses.https", port: "ports.https" },
} as const;

function httpAddresses(
  scheme: keyof typeof httpKeys,
  config: Config,
  machine: readonly InterfaceAddress[],
  errors: string[],
): HttpAddress[] {
  const { addresses: own, port: portKey } = httpKeys[scheme];
  const port = config[portKey];
  // Without a port, and without addresses of its own, HTTPS is off.
  if (scheme === "https" && port < 0 && config[own] === "") return [];
  const key = config[own] === "" ? "client_addr" : own;
  const list = addressList(key, config[key], machine, errors);
  if (key === "client_addr" && list.some((address) => address.startsWith("unix://")))
    errors.push("client_addr cannot be a Unix socket; use addresses.http");
  const sockets = list.filter((address) => address.startsWith("unix://"));
  const paths = sockets.map((address) => ({ path: address.slice("unix://".length) }));
  if (paths.some(({ path }) => path === "")) errors.push(`${key}: unix:// without a path`);
  return port < 0 ? paths : [...listeners(list).map((address) => ({ address, port })), ...paths];
}

/** The IP addresses of a list, without those that an unspecified one of their family takes anyway. */
function listeners(list: string[]): string[] {
  const families = new Set(list.filter(isUnspecified).map(isIP));
  return list
    .filter((address) => isIP(address) !== 0)
    .filter((address) => isUnspecified(address) || !families.has(isIP(address)));
}

function checkCollision(
  key: string,
  listeners: readonly HttpAddress[],
  earlier: { key: string; listeners: readonly HttpAddress[] },
  errors: string[],
): void {
  for (const at of listeners)
    for (const other of earlier.listeners)
      if ("path" in at ? "path" in other && at.path === other.path : collide(at, other))
        errors.push(
          "path" in at
            ? `${key}: unix://${at.path} is already used by ${earlier.key}`
            : `${key}: ${at.address}:${at.port} is already used by ${earlier.key}`,
        );
}

function collide(at: SocketAddress, other: HttpAddress): boolean {
  return (
    "port" in other && at.port !== 0 && at.port === other.port && overlap(at.address, other.address)
  );
}

function overlap(a: string, b: string): boolean {
  return a === b || (isIP(a) === isIP(b) && (isUnspecified(a) || isUnspecified(b)));
}
