/** Hosts files (hosts(5)) and files of DHCP leases, as dnsmasq 2.90 reads and writes them. */
import { covers, parseAddress, type Network } from "../../address.ts";
import { foldName, parseName } from "../../dns/name.ts";
import { createHostsSet, MAX_ADDRESSES, type HostsSet } from "./hosts-set.ts";
import type { HashKey } from "./suffix-hash.ts";
import { createComplaints, createLines, type TextReader } from "./text-lines.ts";

/** Names of one file; the rest of the file is left out. */
const MAX_HOSTS_NAMES = 1_000_000;
/** Octets per line that room is made for. */
const USUAL_LINE_OCTETS = 32;

/** The domain of names whose addresses are in one of these networks. */
export type HostDomain = { readonly name: Uint8Array; readonly networks: readonly Network[] };

export type HostsOptions = {
  key: HashKey;
  ttlSeconds: number;
  /** Names of one label stand for themselves and for themselves in this domain; null: for themselves. */
  expandWith: Uint8Array | null;
  /** Before `expandWith`: that of the first whose networks hold the address. Not given: none. */
  domains?: readonly HostDomain[];
  /** A name of other scripts as questions have it (RFC 5890). Not given: as it is written. */
  asciiDomain?: (text: string) => string;
};

/** Reads a hosts file of about `octets`. */
export function createHostsReader(
  path: string,
  octets: number,
  { key, ttlSeconds, asciiDomain, ...domains }: HostsOptions,
): TextReader<HostsSet> {
  const set = createHostsSet(key, ttlSeconds, path);
  set.reserve(Math.min(MAX_HOSTS_NAMES, Math.floor(octets / USUAL_LINE_OCTETS)));
  const complaints = createComplaints(path);
  const lines = createLines(complaints, (text, line) => {
    const comment = text.indexOf("#");
    const words = (comment < 0 ? text : text.slice(0, comment)).trim().split(/\s+/);
    const [literal = "", ...names] = words;
    if (literal === "") return true;
    const address = parseAddress(literal);
    if (address === undefined) {
      // Zones of link-local addresses mean nothing to whoever asks; dnsmasq calls them bad too.
      const why = literal.includes("%")
        ? "an address with a zone, which no answer can hold"
        : "no address";
      complaints.add(line, `${JSON.stringify(shortened(literal))} is ${why}: left out`);
      return true;
    }
    for (const [i, word] of names.entries()) {
      const name = parseName(asciiDomain?.(word) ?? word);
      if (!name.ok || name.value.length === 1) {
        complaints.add(line, `${JSON.stringify(shortened(word))} is no domain name: left out`);
        continue;
      }
      if (!addHost(set, name.value, address, { ...domains, pointer: i === 0 }))
        complaints.add(
          line,
          `${JSON.stringify(shortened(word))} has more than ${MAX_ADDRESSES} addresses`,
        );
    }
    if (set.nameCount < MAX_HOSTS_NAMES) return true;
    complaints.add(line, `more than ${MAX_HOSTS_NAMES} names: the rest is left out`);
    return false;
  });
  return {
    feed: (text) => lines.feed(text),
    end() {
      lines.end();
      return { value: set, problems: complaints.list };
    },
  };
}

/** The longer name is that of the PTR record. false: the name has too many addresses. */
function addHost(
  set: Pick<HostsSet, "add">,
  name: Uint8Array,
  address: Uint8Array,
  {
    expandWith: usual,
    domains,
    pointer,
  }: Pick<HostsOptions, "expandWith" | "domains"> & { pointer: boolean },
): boolean {
  const isBare = name[name[0]! + 1] === 0;
  const isNear = ({ networks }: HostDomain) => networks.some((each) => covers(each, address));
  const expandWith = isBare ? (domains?.find(isNear)?.name ?? usual) : null;
  if (expandWith !== null && name.length - 1 + expandWith.length <= 255) {
    const full = new Uint8Array(name.length - 1 + expandWith.length);
    full.set(foldName(name));
    full.set(expandWith, name.length - 1);
    set.add(full, address, pointer);
    return set.add(name, address, false);
  }
  return set.add(name, address, pointer);
}

/** One lease. `untilSeconds`: since 1970; Infinity: for ever. */
export type Lease = { name: Uint8Array; address: Uint8Array; untilSeconds: number };

/** Leases of one file; the rest of the file is left out. */
const MAX_LEASES = 100_000;

/**
 * Reads what dnsmasq writes (`dhcp-leasefile`): end, MAC address or IAID, address, name or `*`, client
 * id. Leases without a name, and the line with the server's DUID, say nothing.
 */
export function createLeasesReader(path: string): TextReader<Lease[]> {
  const leases: Lease[] = [];
  const complaints = createComplaints(path);
  const lines = createLines(complaints, (text, line) => {
    const [until = "", , literal = "", word = ""] = text.trim().split(/\s+/);
    if (until === "" || until === "duid" || word === "*") return true;
    const address = parseAddress(literal);
    const name = parseName(word);
    if (address === undefined || !/^\d{1,12}$/.test(until) || !name.ok || word === "") {
      complaints.add(line, "this is no lease: left out");
      return true;
    }
    const untilSeconds = until === "0" ? Infinity : Number(until);
    leases.push({ name: name.value, address, untilSeconds });
    if (leases.length < MAX_LEASES) return true;
    complaints.add(line, `more than ${MAX_LEASES} leases: the rest is left out`);
    return false;
  });
  return {
    feed: (text) => lines.feed(text),
    end() {
      lines.end();
      return { value: leases, problems: complaints.list };
    },
  };
}

/**
 * Names of the leases that last, and when the first of them ends (seconds since 1970; Infinity: never).
 * `isTaken`: others have the name for addresses of this family, and the lease does not get it.
 */
export function leasesAt(
  leases: readonly Lease[],
  nowSeconds: number,
  { key, ttlSeconds, ...domains }: HostsOptions,
  isTaken: (name: Uint8Array, address: Uint8Array) => boolean = () => false,
): { set: HostsSet; untilSeconds: number } {
  const set = createHostsSet(key, ttlSeconds, "DHCP leases");
  const free: Pick<HostsSet, "add"> = {
    add: (name, address, pointer) => isTaken(name, address) || set.add(name, address, pointer),
  };
  let first = Infinity;
  for (const { name, address, untilSeconds } of leases) {
    if (untilSeconds <= nowSeconds) continue;
    first = Math.min(first, untilSeconds);
    addHost(free, name, address, { ...domains, pointer: true });
  }
  return { set, untilSeconds: first };
}

function shortened(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}
