/** `auth-zone` and what is said of all such zones: they are local, with an SOA record and name servers. */
import { parseAddress } from "../../address.ts";
import { formatName } from "../../dns/name.ts";
import { reverseNames } from "../../forwarder/local/reverse-names.ts";
import { note, refuse, usableName, type Draft } from "./draft.ts";
import { lastOf } from "./handlers.ts";
import { shown, splitList, splitOnce } from "./line.ts";
import { absolute } from "./records.ts";
import { keepLocal, networkText } from "./servers.ts";
import type { Statement } from "./statements.ts";

/** dnsmasq's own `auth-ttl`. */
const TTL_SECONDS = 600;
/** SERIAL, REFRESH, RETRY and EXPIRE; zones are not transferred, so nobody compares the serial. */
const USUAL_NUMBERS = [1, 1200, 180, 1_209_600];
/** Lengths of networks that say none. */
const USUAL_BITS = { 4: 24, 16: 64 } as const;

/**
 * SOA and NS records of the zones, and the TTL of what is in them. If `auth-server` names an address or an
 * interface, the reverse zones of their networks are such zones, too.
 */
export function finishAuth(draft: Draft): void {
  const { records, later } = draft;
  const statements = later.get("auth-zone") ?? [];
  const ttl = secondsOf(draft);
  const zones = statements.flatMap((statement) => {
    const name = textOf(splitList(statement.value)[0]);
    return name === "" ? [] : [{ name, statement }];
  });
  const ends = zones.map(({ name }) => `.${name.toLowerCase()}`);
  for (const record of records) {
    const owner = `.${record.name.toLowerCase()}`;
    if (ends.some((end) => owner.endsWith(end))) record.ttl = ttl;
  }
  const apex = readApex(draft, ttl);
  if (apex === undefined) {
    for (const { statement } of zones.slice(0, 1))
      note(draft, statement, "without auth-server the zone has no SOA record");
    return;
  }
  for (const { name, statement } of zones) {
    addApex(draft, statement, name, apex);
    for (const part of splitList(statement.value).slice(1).map(shown))
      addNetwork(draft, statement, part, apex);
  }
}

/** What all the zones have: data of their SOA record and their name servers. */
type Apex = {
  readonly soa: string;
  readonly servers: readonly string[];
  readonly ttl: number;
  /** Names of addresses are answered for the networks of the zones. */
  readonly reverse: boolean;
};

function readApex(draft: Draft, ttl: number): Apex | undefined {
  const statement = lastOf(draft, "auth-server");
  if (statement === undefined) return undefined;
  const [server = "", ...places] = splitList(statement.value).map(shown);
  const primary = usableName(draft, statement, server);
  if (primary === undefined || primary === "") return undefined;
  if (places.length > 0)
    note(
      draft,
      statement,
      `who asks ${places.join(", ")} gets the same answers as all others: dns_listen, dns_access and forwarder.views say who gets which`,
    );
  const secondaries = (draft.later.get("auth-sec-servers") ?? []).flatMap((each) =>
    splitList(each.value)
      .map((text) => usableName(draft, each, text))
      .filter((name) => name !== undefined && name !== ""),
  );
  const given = splitList(lastOf(draft, "auth-soa")?.value ?? "").map(shown);
  const [serial, master = "", ...times] = given;
  const mailbox = master === "" ? `hostmaster.${primary}` : master.replace("@", ".");
  const numbers = [serial, ...times].slice(0, USUAL_NUMBERS.length);
  const values = USUAL_NUMBERS.map((usual, i) => parseInt(numbers[i] ?? "", 10) || usual);
  const soa = [absolute(primary), absolute(textOf(mailbox)), ...values.map(bounded), ttl];
  return {
    soa: soa.join(" "),
    servers: [primary, ...secondaries].map((name) => absolute(name!)),
    ttl,
    reverse: places.length > 0,
  };
}

function addApex(
  { records }: Draft,
  { place }: Statement,
  name: string,
  { soa, servers, ttl }: Apex,
): void {
  records.push({ name, type: "SOA", data: soa, ttl, place });
  for (const data of servers) records.push({ name, type: "NS", data, ttl, place });
}

/** `[exclude:]network[/length]` or `interface[/4|/6]`; which addresses of names are told does not depend on it. */
function addNetwork(draft: Draft, statement: Statement, part: string, apex: Apex): void {
  const [text, bits] = splitOnce(part.replace(/^exclude:/, ""), "/");
  const octets = parseAddress(text);
  const isFamily = octets === undefined && /^[46]$/.test(bits ?? "4");
  if (!isFamily && !/^\d*$/.test(bits ?? ""))
    return refuse(draft, statement, `${JSON.stringify(part)} is no network`);
  if (octets === undefined && !isFamily)
    return refuse(
      draft,
      statement,
      `${JSON.stringify(part)} is neither a network nor an interface`,
    );
  if (!apex.reverse || part.startsWith("exclude:")) return;
  const own = draft.machine.addresses.filter(
    ({ name, family }) => name === text && (bits === undefined || family === Number(bits)),
  );
  const networks =
    octets === undefined
      ? own.map(({ address, prefixLength }) => ({ address: parseAddress(address)!, prefixLength }))
      : [
          {
            address: octets,
            prefixLength: bits ? Number(bits) : USUAL_BITS[octets.length as 4 | 16],
          },
        ];
  for (const { address, prefixLength } of networks) {
    if (prefixLength < 1 || prefixLength > address.length * 8) {
      note(draft, statement, `${JSON.stringify(part)} is no network: left out`);
      continue;
    }
    const network = networkText(address, prefixLength);
    keepLocal(draft, statement, [network]);
    const prefix = parseAddress(network.slice(0, network.indexOf("/")))!;
    for (const name of reverseNames(prefix, prefixLength))
      addApex(draft, statement, textOf(formatName(name)), apex);
  }
}

function secondsOf(draft: Draft): number {
  const statement = lastOf(draft, "auth-ttl");
  const digits = shown(statement?.value ?? "");
  if (/^\d*$/.test(digits)) return digits === "" ? TTL_SECONDS : bounded(Number(digits));
  refuse(draft, statement!, `expected a number, got ${JSON.stringify(digits)}`);
  return TTL_SECONDS;
}

function textOf(name: string | undefined): string {
  return shown(name ?? "").replace(/\.$/, "");
}

function bounded(value: number): number {
  return Math.min(Math.max(0, value), 2 ** 31 - 1);
}
