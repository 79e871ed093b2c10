/** `domain`: the domain of names of hosts files and leases, for all addresses or for some. */
import { formatAddress, parseAddress } from "../../address.ts";
import { note, put, refuse, usableName, type Draft, type Handler } from "./draft.ts";
import { octetsOf, valueOf } from "./hosts.ts";
import { shown, splitList, splitOnce } from "./line.ts";
import { keepLocal, networkText } from "./servers.ts";
import type { Statement } from "./statements.ts";

const KEY = "forwarder.host_domains";

/** `domain=name[,network[,local]]`, `domain=name,first[,last]` or `domain=name,interface`. */
export const readDomain: Handler = (draft, statement) => {
  const [domain = "", where, ...rest] = splitList(statement.value).map(shown);
  if (domain === "#")
    return note(draft, statement, "the search line of resolv.conf is not taken for it: left out");
  const name = usableName(draft, statement, domain);
  if (name === undefined) return;
  if (where === undefined) {
    if (name !== "") put(draft, statement, "forwarder.host_domain", name);
    return;
  }
  const networks = where.includes("/")
    ? readNetwork(draft, statement, where, { name, rest })
    : readRange(draft, statement, where, rest[0]);
  if (name === "" || networks === undefined || networks.length === 0) return;
  // Of several that hold an address, the last one counts for dnsmasq, and the first one here.
  const before = (draft.values.get(KEY)?.value ?? []) as readonly object[]; // made here alone
  put(draft, statement, KEY, [{ domain: name, networks }, ...before]);
};

function readNetwork(
  draft: Draft,
  statement: Statement,
  text: string,
  { name, rest }: { name: string; rest: readonly string[] },
): string[] | undefined {
  const [literal, bits = ""] = splitOnce(text, "/");
  const address = parseAddress(literal);
  if (address === undefined || !/^\d+$/.test(bits) || Number(bits) > address.length * 8)
    return refuse(draft, statement, `${JSON.stringify(text)} is no network`);
  const network = networkText(address, Number(bits));
  if (rest.length > 0) {
    if (rest[0] !== "local") return refuse(draft, statement, 'expected "local"');
    if (Number(bits) > 0) keepLocal(draft, statement, [name, network]);
  }
  return [network];
}

function readRange(
  draft: Draft,
  statement: Statement,
  start: string,
  end: string | undefined,
): string[] | undefined {
  const first = parseAddress(start);
  if (first === undefined) {
    const own = draft.machine.addresses.filter((each) => each.name === start);
    if (own.length === 0)
      note(draft, statement, `${start} has no address now: looked at again by a reload`);
    return own.map(({ address, prefixLength }) =>
      networkText(parseAddress(address)!, prefixLength),
    );
  }
  const last = end === undefined ? first : parseAddress(end);
  if (last?.length !== first.length)
    return refuse(draft, statement, "expected the last address of the range");
  return rangeNetworks(valueOf(first), valueOf(last), first.length);
}

/** The fewest networks that hold just the addresses from `first` to `last`. */
function rangeNetworks(first: bigint, last: bigint, octets: number): string[] {
  const networks: string[] = [];
  for (let at = first; at <= last;) {
    let bits = octets * 8;
    let size = 1n;
    while (bits > 0 && at % (size * 2n) === 0n && at + size * 2n - 1n <= last) {
      size *= 2n;
      bits--;
    }
    networks.push(`${formatAddress(octetsOf(at, octets))}/${bits}`);
    at += size;
  }
  return networks;
}
