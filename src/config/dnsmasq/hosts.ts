/** Lines that give names to addresses: `host-record`, `interface-name`, `dynamic-host`, `synth-domain`. */
import { formatAddress, ipVersion, parseAddress } from "../../address.ts";
import { note, nameOf, put, refuse, usableName, type Draft, type Handler } from "./draft.ts";
import { shown, splitList, splitOnce } from "./line.ts";
import { add, absolute } from "./records.ts";
import type { Statement } from "./statements.ts";

/** `host-record`: names, addresses and a TTL in any order; of each family the last address counts. */
export const readHost: Handler = (draft, statement) => {
  const parts = splitList(statement.value).map(shown);
  if (parts.length < 2) return refuse(draft, statement, "expected a name, a comma and an address");
  const names: string[] = [];
  const addresses = new Map<number, string>();
  let ttl: number | undefined;
  for (const part of parts) {
    const version = ipVersion(part);
    if (/^\d*$/.test(part)) ttl = Number(part);
    else if (version !== 0) addresses.set(version, part);
    else {
      const name = usableName(draft, statement, part);
      if (name !== undefined) names.push(name);
    }
  }
  for (const address of addresses.values()) addHost(draft, statement, names, { address, ttl });
};

/** A and AAAA records of all names, and the PTR record of the first one if the address has none yet. */
function addHost(
  draft: Draft,
  statement: Statement,
  names: readonly string[],
  { address, ttl }: { address: string; ttl?: number | undefined },
): void {
  const octets = parseAddress(address);
  if (octets === undefined) return;
  const type = octets.length === 4 ? "A" : "AAAA";
  for (const name of names) add(draft, statement, { name, type, data: formatAddress(octets), ttl });
  const reverse = reverseName(octets);
  const [first] = names;
  if (first === undefined || draft.reverse.has(reverse)) return;
  draft.reverse.add(reverse);
  add(draft, statement, { name: reverse, type: "PTR", data: absolute(first), ttl });
}

/** `interface-name`: `name,interface[/4|/6]`, with the addresses that the interface has now. */
export const readInterfaceName: Handler = (draft, statement) => {
  const [owner = "", given = ""] = splitList(statement.value).map(shown);
  const [label, family] = splitOnce(given, "/");
  if (label === "" || (family !== undefined && family !== "4" && family !== "6"))
    return refuse(
      draft,
      statement,
      "expected a name, a comma and an interface, as in eth0 or eth0/4",
    );
  const name = usableName(draft, statement, owner);
  if (name === undefined) return;
  const found = draft.machine.addresses.filter(
    (each) => each.name === label && (family === undefined || each.family === Number(family)),
  );
  if (found.length === 0)
    note(draft, statement, `${label} has no such address now: looked at again by a reload`);
  for (const { address } of found)
    if (!/^fe[89ab]/i.test(address)) addHost(draft, statement, [name], { address });
};

/** `dynamic-host`: `name,[IPv4,][IPv6,]interface`: the host parts, in the networks of the interface. */
export const readDynamicHost: Handler = (draft, statement) => {
  const parts = splitList(statement.value).map(shown);
  const label = parts.pop();
  const [owner, ...hosts] = parts;
  if (owner === undefined || label === undefined || hosts.length === 0)
    return refuse(draft, statement, "expected a name, an address and an interface");
  const name = usableName(draft, statement, owner);
  for (const host of hosts) {
    const octets = parseAddress(host);
    if (octets === undefined)
      return refuse(draft, statement, `${JSON.stringify(host)} is no address`);
    for (const { address, prefixLength } of draft.machine.addresses.filter(
      (each) => each.name === label,
    )) {
      const network = parseAddress(address);
      if (name === undefined || network?.length !== octets.length) continue;
      const mixed = octets.map((octet, i) => {
        const kept = Math.max(0, Math.min(8, prefixLength - i * 8));
        const mask = (0xff00 >> kept) & 0xff;
        return (network[i]! & mask) | (octet & ~mask & 0xff);
      });
      addHost(draft, statement, [name], { address: formatAddress(mixed) });
    }
  }
};

/** `synth-domain`: `domain,first,last[,prefix[*]]` or `domain,network/length[,prefix[*]]`. */
export const readSynth: Handler = (draft, statement) => {
  const [domain = "", range = "", ...rest] = splitList(statement.value).map(shown);
  const [literal, bits] = splitOnce(range, "/");
  const start = parseAddress(literal);
  if (start === undefined) return refuse(draft, statement, `${JSON.stringify(range)} is no range`);
  const most = start.length * 8;
  if (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > most))
    return refuse(draft, statement, "bad prefix length");
  const last = bits === undefined ? parseAddress(rest.shift() ?? literal) : undefined;
  if (bits === undefined && last?.length !== start.length)
    return refuse(draft, statement, "expected the last address of the range");
  const name = usableName(draft, statement, domain);
  const prefix = nameOf(rest[0] ?? "");
  if (!prefix.ok) return refuse(draft, statement, prefix.error);
  if (name === undefined) return;
  const counted = prefix.value.name.endsWith("*");
  const word = counted ? prefix.value.name.slice(0, -1) : prefix.value.name;
  if (word.length > MAX_PREFIX || !/^[\w-]*$/.test(word))
    return note(
      draft,
      statement,
      `${JSON.stringify(word)} cannot stand before addresses: left out`,
    );
  // Of several that hold an address, the last one counts for dnsmasq, and the first one here.
  const before = (draft.values.get(SYNTH)?.value ?? []) as readonly object[]; // made here alone
  const to = last === undefined ? `/${Number(bits)}` : `-${formatAddress(last)}`;
  const entry = { domain: name, range: formatAddress(start) + to, prefix: word, counted };
  put(draft, statement, SYNTH, [entry, ...before]);
};

const SYNTH = "forwarder.synth_domains";
/** As `forwarder.synth_domains` has it. */
const MAX_PREFIX = 24;

/** An address as a number. */
export function valueOf(octets: Uint8Array): bigint {
  return octets.reduce((value, octet) => value * 256n + BigInt(octet), 0n);
}

/** A number as the octets of an address. */
export function octetsOf(value: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) =>
    Number((value >> BigInt((length - 1 - i) * 8)) & 255n),
  );
}

/** The name of an address's PTR record, without the final dot. */
function reverseName(octets: Uint8Array): string {
  if (octets.length === 4) return `${[...octets].toReversed().join(".")}.in-addr.arpa`;
  const hex = [...octets].map((octet) => octet.toString(16).padStart(2, "0")).join("");
  return `${hex.split("").toReversed().join(".")}.ip6.arpa`;
}
