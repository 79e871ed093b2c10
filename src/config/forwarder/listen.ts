/** On which of this machine's addresses DNS listens, by interface: `dns_listen`. */
import { isIP } from "node:net";
import { isLinkLocal, isLoopback, isUnspecified } from "../../address.ts";
import { row, type Option } from "../kinds.ts";
import type { InterfaceAddress } from "../interface-address.ts";

const reload = { reloadable: true };

/** Options of the listeners of DNS, by dotted key. */
export const listenOptions = {
  "dns_listen.interfaces": row(
    "texts",
    [],
    'Interfaces on whose addresses DNS listens, beside addresses.dns and instead of client_addr; "docker*" for all that begin so.',
    reload,
  ),
  "dns_listen.except_interfaces": row(
    "texts",
    [],
    "Interfaces on which it does not, also where an unspecified address would include them.",
    reload,
  ),
  "dns_listen.dynamic": row(
    "boolean",
    false,
    "Interfaces and addresses that appear later are listened on, those that go are left.",
    reload,
  ),
  "dns_listen.tcp_max_connections": row(
    "integer",
    1024,
    "Connections of clients at a time, over TCP, TLS and HTTPS each; a quarter of them for one client. Beyond, idle ones are closed.",
    { min: 1, max: 65_536 },
  ),
} as const satisfies Record<string, Option>;

/** The values of those options. */
export type ListenRules = {
  "dns_listen.interfaces": readonly string[];
  "dns_listen.except_interfaces": readonly string[];
  "dns_listen.dynamic": boolean;
};

/** Whether the addresses may be others a moment later. */
export function followsInterfaces(rules: ListenRules, explicit: readonly string[]): boolean {
  return rules["dns_listen.dynamic"] || isExpanded(rules, explicit);
}

/**
 * The addresses to listen on: `explicit` ones and those of the interfaces, link-local ones with their
 * interface (RFC 4007). Where an interface is excepted an unspecified address stands for those of all
 * others. What does not exist now is left out if it is waited for, else an interface without an address
 * is an error.
 */
export function hostsByInterface(
  rules: ListenRules,
  explicit: readonly string[],
  machine: readonly InterfaceAddress[],
  errors: string[],
): string[] {
  const { "dns_listen.interfaces": interfaces, "dns_listen.except_interfaces": except } = rules;
  const allowed = machine.filter(({ name }) => !except.some((pattern) => matches(pattern, name)));
  const isWaiting = followsInterfaces(rules, explicit);
  const hosts: string[] = [];
  for (const address of explicit)
    if (isUnspecified(address) && except.length > 0)
      hosts.push(...allowed.filter(({ family }) => family === isIP(address)).map(printed));
    else if (!isWaiting || isHere(address, machine)) hosts.push(address);
  for (const pattern of interfaces) {
    const found = allowed.filter(({ name }) => matches(pattern, name));
    hosts.push(...found.map(printed));
    if (found.length > 0 || isWaiting || pattern.endsWith("*")) continue;
    if (!except.some((other) => matches(other, pattern)))
      errors.push(
        `dns_listen.interfaces: there is no interface "${pattern}" with an address; dns_listen.dynamic waits for it`,
      );
  }
  return [...new Set(hosts)];
}

function isExpanded(rules: ListenRules, explicit: readonly string[]): boolean {
  return rules["dns_listen.except_interfaces"].length > 0 && explicit.some(isUnspecified);
}

/** As dnsmasq: a name, or its beginning and an asterisk. */
function matches(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function printed({ address, name, family }: InterfaceAddress): string {
  return family === 6 && isLinkLocal(address) ? `${address}%${name}` : address;
}

/** All of 127.0.0.0/8 is there without being listed. */
function isHere(address: string, machine: readonly InterfaceAddress[]): boolean {
  if (isUnspecified(address) || isLoopback(address)) return true;
  return machine.some((at) => at.address === address || printed(at) === address);
}
