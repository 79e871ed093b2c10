/** Names of `forwarder.zones` and `forwarder.addresses`: suffixes, texts, networks. */
import { formatAddress, parseAddress } from "../../address.ts";
import { fail, ok, type Result } from "../../base.ts";
import { foldName, formatName, parseName } from "../../dns/name.ts";
import { NameList } from "../../forwarder/local/name-list.ts";
import type { NameMatch } from "../../forwarder/rules.ts";
import { asciiDomain } from "./domain-text.ts";

/**
 * `corp.example` and everything below it; `*.corp.example` only what is below; `*corp.example` by text;
 * "" names of one label; `.`, `*` and `#` every name; `10.0.0.0/8` and `2001:db8::/33` the names of these
 * addresses. The error is the second half of a sentence that starts with the key.
 */
export function parseNameMatch(text: string): Result<NameMatch, string> {
  if (text === "") return ok({ kind: "single label" });
  if (text === "." || text === "*" || text === "#")
    return ok({ kind: "suffix", name: new Uint8Array(1) });
  if (text.includes("/")) return parseNetwork(text);
  const below = text.startsWith("*.");
  const byText = !below && text.startsWith("*");
  // ".corp.example" is "corp.example" in dnsmasq, for historical reasons.
  const rest = byText ? text.slice(1) : text.replace(/^\*?\.+/, "");
  const parsed = parseName(byText ? rest : asciiDomain(rest));
  if (!parsed.ok) return fail(`${JSON.stringify(text)} is no domain name: ${parsed.error}`);
  if (parsed.value.length === 1) return fail(`${JSON.stringify(text)} is no domain name`);
  const kind = below ? "below" : byText ? "text" : "suffix";
  return ok({ kind, name: foldName(parsed.value) });
}

/** As parseNameMatch reads it. */
export function formatNameMatch(match: NameMatch): string {
  if (match.kind === "single label") return "";
  if (match.kind === "suffixes") return `${match.count} names`;
  if (match.kind === "reverse") return `${formatAddress(match.address)}/${match.bits}`;
  const name = formatName(match.name);
  const shown = name === "." ? name : name.slice(0, -1);
  return match.kind === "suffix" ? shown : `${match.kind === "below" ? "*." : "*"}${shown}`;
}

function parseNetwork(text: string): Result<NameMatch, string> {
  const refused = (why: string) => fail(`${JSON.stringify(text)} is no network: ${why}`);
  const [literal = "", length = "", more] = text.split("/");
  const address = parseAddress(literal);
  if (address === undefined || more !== undefined)
    return refused("expected an address, a slash and a number, as in 10.0.0.0/8");
  const most = address.length * 8;
  if (!/^\d{1,3}$/.test(length) || Number(length) > most || Number(length) < 1)
    return refused(`the number behind the slash must be from 1 to ${most}`);
  const bits = Number(length);
  const prefix = maskAddress(address, bits);
  if (prefix.some((octet, i) => octet !== address[i]))
    return refused(`bits are set behind the prefix; it would be ${formatAddress(prefix)}/${bits}`);
  return ok({ kind: "reverse", address: prefix, bits });
}

/** The address with all bits behind the first `bits` clear. */
function maskAddress(address: Uint8Array, bits: number): Uint8Array {
  return address.map((octet, i) => {
    const kept = Math.max(0, Math.min(8, bits - i * 8));
    return octet & (0xff00 >> kept) & 0xff;
  });
}

/**
 * Matches of the texts, `visit`ed in their order; those of a packed list as one, but for names within
 * `domains`, which others look for one by one. A text that is no name is a problem.
 */
export function visitMatches(
  names: NameList | readonly string[],
  domains: readonly Uint8Array[],
  visit: (match: NameMatch) => void,
  problem: (i: number, why: string) => void,
): void {
  const one = (text: string, i: number): void => {
    const match = parseNameMatch(text);
    if (match.ok) visit(match.value);
    else problem(i, match.error);
  };
  if (!(names instanceof NameList)) {
    for (const [i, text] of names.entries()) one(text, i);
    return;
  }
  const { plain, others } = names.split(domains);
  visit({ kind: "suffixes", names: plain, count: names.length - others.length });
  for (const i of others) one(names.at(i), i);
}
