/** Options that change answers of upstream servers (forwarder/filter). */
import { parseAddress, type Network } from "../../address.ts";
import { fail, ok, type Result } from "../../base.ts";
import { foldName, parseName } from "../../dns/name.ts";
import { parseType } from "../../dns/presentation.ts";
import { parseAddSubnet, type SubnetSettings } from "../../forwarder/subnet.ts";
import { PREFIX_LENGTHS } from "../../forwarder/filter/dns64-address.ts";
import type { Alias, FilterSettings } from "../../forwarder/filter/settings.ts";
import { parseNetwork } from "../network.ts";
import type { Config } from "../options.ts";
import { ownDomains } from "./own-domain.ts";

/** What the options about filters say. */
export type LoadedFilter = FilterSettings & {
  /** A reply with one of these addresses is as if it had not come. */
  readonly ignoredAddresses: readonly Network[];
  /** null: as it is by itself. */
  readonly subnet: SubnetSettings | null;
};

/** Filters and the mistakes found: whole sentences that start with the key. */
export function readFilter(config: Config): { filter: LoadedFilter; errors: string[] } {
  const errors: string[] = [];
  /** Values that can be read; the others are errors. */
  function listed<T>(key: ListKey, parse: (text: string) => Result<T, string>): T[] {
    return config[key].flatMap((text) => {
      const parsed = parse(text);
      if (!parsed.ok) errors.push(`${key}: ${parsed.error}`);
      return parsed.ok ? [parsed.value] : [];
    });
  }
  const prefixes = listed("forwarder.dns64_prefix", parsePrefix);
  const domainsOk = listed("forwarder.rebind_domains_ok", parseDomain);
  const dns64 = {
    prefixes,
    clients: listed("forwarder.dns64_clients", parseAddressOrNetwork),
    exclude: listed("forwarder.dns64_exclude", parseAddressOrNetwork),
  };
  const filter: LoadedFilter = {
    // Without a cache everything is as Consul does it, who asks on.
    minimalAny: config["forwarder.minimal_any"] && config["forwarder.cache"],
    win2k: config["forwarder.filter_win2k"],
    bogusNxdomain: listed("forwarder.bogus_nxdomain", parseAddressOrNetwork),
    alias: listed("forwarder.alias", parseAlias),
    rebind: config["forwarder.rebind_protection"]
      ? {
          localhostOk: config["forwarder.rebind_localhost_ok"],
          domainsOk,
          ownDomains: ownDomains(config).map(foldName),
        }
      : null,
    types: listed("forwarder.filter_types", parseTypeName),
    dns64: prefixes.length > 0 ? dns64 : null,
    ignoredAddresses: listed("forwarder.ignore_address", parseAddressOrNetwork),
    subnet: subnetOf(config, errors),
  };
  return { filter, errors };
}

function subnetOf(config: Config, errors: string[]): SubnetSettings | null {
  const { "forwarder.add_subnet": text, "forwarder.strip_subnet": strip } = config;
  const add = text === "" ? ok(null) : parseAddSubnet(text);
  if (!add.ok) errors.push(`forwarder.add_subnet: ${add.error}`);
  else if (strip || add.value !== null) return { add: add.value, strip };
  return null;
}

type ListKey =
  | "forwarder.bogus_nxdomain"
  | "forwarder.ignore_address"
  | "forwarder.alias"
  | "forwarder.filter_types"
  | "forwarder.rebind_domains_ok"
  | "forwarder.dns64_prefix"
  | "forwarder.dns64_clients"
  | "forwarder.dns64_exclude";

function parseAddressOrNetwork(text: string): Result<Network, string> {
  const octets = parseAddress(text);
  if (octets !== undefined) return ok({ octets, prefixLength: octets.length * 8 });
  const network = parseAddress(text.split("/", 1)[0]!);
  const parsed = parseNetwork(text);
  if (network === undefined || !parsed.ok)
    return fail(`"${text}" is neither an address nor a network such as 192.0.2.0/24`);
  // Mapped into IPv6 it means those AAAA records, not A records.
  return ok(
    network.length === parsed.value.octets.length
      ? parsed.value
      : { octets: network, prefixLength: parsed.value.prefixLength + 96 },
  );
}

function parsePrefix(text: string): Result<Network, string> {
  const parsed = parseNetwork(text);
  const lengths = PREFIX_LENGTHS.map((length) => `/${length}`).join(", ");
  if (!parsed.ok || parsed.value.octets.length !== 16)
    return fail(`"${text}" is not an IPv6 network such as 64:ff9b::/96`);
  const { octets, prefixLength } = parsed.value;
  if (!PREFIX_LENGTHS.includes(prefixLength))
    return fail(`"${text}" must be one of the lengths ${lengths} (RFC 6052 section 2.2)`);
  if (octets[8] !== 0)
    return fail(`"${text}" must have bits 64 to 71 clear (RFC 6052 section 2.2)`);
  return ok(parsed.value);
}

function parseDomain(text: string): Result<Uint8Array, string> {
  const parsed = parseName(text);
  return parsed.ok
    ? ok(foldName(parsed.value))
    : fail(`"${text}" is no domain name: ${parsed.error}`);
}

function parseTypeName(text: string): Result<number, string> {
  const type = parseType(text);
  return type === undefined ? fail(`"${text}" is not a type such as AAAA or TYPE65`) : ok(type);
}

function parseAlias(text: string): Result<Alias, string> {
  const refused = fail(
    `"${text}" is not "from,to" or "from,to,mask" with IPv4 addresses; from may be a range "first-last"`,
  );
  const parts = text.split(",").map((part) => part.trim());
  if (parts.length < 2 || parts.length > 3) return refused;
  const [from = "", ...more] = parts;
  const range = from.split("-").map((part) => parseIpv4(part.trim()));
  const [to, mask = 0xffffffff] = more.map(parseIpv4);
  const [first, last] = range;
  if (range.length > 2 || first === undefined || to === undefined) return refused;
  if (more.length === 2 && parseIpv4(more[1]!) === undefined) return refused;
  if (range.length === 1) return ok(subnetAlias(first, to, mask));
  if (last === undefined || last < first) return refused;
  return ok({ first, last, to, mask });
}

/** All addresses that are equal to `from` under the mask; its set bits stand in front, as in a netmask. */
function subnetAlias(from: number, to: number, mask: number): Alias {
  const first = (from & mask) >>> 0;
  return { first, last: (first | ~mask) >>> 0, to, mask };
}

function parseIpv4(text: string): number | undefined {
  const octets = parseAddress(text);
  if (octets === undefined || octets.length !== 4) return undefined;
  return octets.reduce((number, octet) => number * 256 + octet, 0);
}
