/**
 * The client's network in questions to servers (RFC 7871): what is added, what of clients is left out,
 * and for whom an answer that came of it holds.
 */
import { parseAddress, unmapped } from "../address.ts";
import { fail, ok, type Result } from "../base.ts";
import { readUint16 } from "../dns/message.ts";
import type { ForwardRequest } from "../dns/answer.ts";
import { EDNS_PAYLOAD } from "./query.ts";

/** `address` null: the client's own. Either way no more than `prefixLength` bits of it are told. */
export type SubnetRule = { readonly address: Uint8Array | null; readonly prefixLength: number };

export type SubnetSettings = {
  /** By family of the client; null: nothing is added. */
  readonly add: { readonly v4: SubnetRule; readonly v6: SubnetRule } | null;
  /** What clients have put in is left out, or replaced by what is added. */
  readonly strip: boolean;
};

const OPTION_SUBNET = 8;
/** Of an option: code, length, family, two prefix lengths. */
const HEAD_OCTETS = 8;

/** `general`: it tells nothing of the client, so the answer is for all. */
export type SentSubnet = { readonly option: Uint8Array; readonly general: boolean };

/** The whole option that the question takes to servers; null: none. */
export function subnetFor(
  { add, strip }: SubnetSettings,
  { edns, client }: Pick<ForwardRequest, "edns" | "client">,
): SentSubnet | null {
  if (add === null) return null;
  const given = strip || edns === null ? undefined : findSubnet(edns.options);
  if (given !== undefined) return { option: given, general: false };
  const parsed = parseAddress(client.address.split("%", 1)[0]!);
  const own = parsed === undefined ? Uint8Array.of(0, 0, 0, 0) : unmapped(parsed);
  const option = optionOf(own.length === 4 ? add.v4 : add.v6, own);
  return { option, general: isConstant(add.v4) && isConstant(add.v6) };
}

/** A question that is passed on with what its client has put in, and this instead of the client's network. */
export function asPassed(request: ForwardRequest, settings: SubnetSettings): ForwardRequest {
  const { edns } = request;
  const sent = subnetFor(settings, request);
  if (edns === null && sent === null) return request;
  const { payload, options } = edns ?? { payload: EDNS_PAYLOAD, options: new Uint8Array(0) };
  const isLeftOut = settings.strip || sent !== null;
  const kept = isLeftOut ? without(options) : options;
  const all = sent === null ? kept : Uint8Array.of(...kept, ...sent.option);
  return { ...request, edns: { payload, options: all } };
}

/** Tells apart questions whose answers hold for one network alone. */
export function subnetKey({ option }: SentSubnet): string {
  return `@${String.fromCharCode(...option)}`;
}

/** Would they send the same? */
export function isSameSubnet(a: SubnetSettings | null, b: SubnetSettings | null): boolean {
  return shown(a) === shown(b);
}

function shown(settings: SubnetSettings | null): string {
  if (settings === null) return "";
  const { add, strip } = settings;
  const rules = add === null ? [] : [add.v4, add.v6];
  const texts = rules.map(
    ({ address, prefixLength }) => `${address?.join(".") ?? ""}/${prefixLength}`,
  );
  return `${strip} ${texts.join()}`;
}

/**
 * Does an answer with these options hold for everybody? Not if its scope says whom it is for, or if it
 * answers for another network than was asked (RFC 7871 7.3). Without the option it is nobody's in particular.
 */
export function isForAll(options: Uint8Array, sent: SentSubnet): boolean {
  if (sent.general) return true;
  const got = findSubnet(options);
  if (got === undefined) return true;
  const scope = got[HEAD_OCTETS - 1];
  if (scope !== 0 || got.length !== sent.option.length) return false;
  return got.every((octet, i) => i === HEAD_OCTETS - 1 || octet === sent.option[i]);
}

function optionOf({ address, prefixLength }: SubnetRule, own: Uint8Array): Uint8Array {
  const from = address ?? own;
  const octets = Math.ceil(prefixLength / 8);
  const option = new Uint8Array(HEAD_OCTETS + octets);
  option[1] = OPTION_SUBNET;
  option[3] = option.length - 4;
  option[5] = from.length === 4 ? 1 : 2;
  option[6] = prefixLength;
  option.set(from.subarray(0, octets), HEAD_OCTETS);
  const rest = prefixLength % 8;
  if (rest > 0) option[option.length - 1]! &= 0xff << (8 - rest);
  return option;
}

const isConstant = ({ address, prefixLength }: SubnetRule): boolean =>
  address !== null || prefixLength === 0;

function findSubnet(options: Uint8Array): Uint8Array | undefined {
  for (let at = 0; at + 4 <= options.length; at += 4 + readUint16(options, at + 2))
    if (readUint16(options, at) === OPTION_SUBNET) {
      const octets = readUint16(options, at + 2);
      if (octets < HEAD_OCTETS - 4) return undefined;
      return options.slice(at, at + 4 + octets);
    }
  return undefined;
}

function without(options: Uint8Array): Uint8Array {
  const kept: number[] = [];
  for (let at = 0; at + 4 <= options.length;) {
    const end = at + 4 + readUint16(options, at + 2);
    if (readUint16(options, at) !== OPTION_SUBNET) kept.push(...options.subarray(at, end));
    at = end;
  }
  return Uint8Array.from(kept);
}

/** "24,56" or "192.0.2.0/24,2001:db8::/48", as dnsmasq's add-subnet; what is missing tells nothing. */
export function parseAddSubnet(text: string): Result<NonNullable<SubnetSettings["add"]>, string> {
  const parts = text.split(",").map((part) => part.trim());
  const [v4, v6] = [parts[0] ?? "", parts[1] ?? "0"].map((part, i) => {
    const [, given, bits] = /^(?:([^/]+)\/)?(\d{1,3})$/.exec(part) ?? [];
    const address = given === undefined ? null : parseAddress(given);
    if (bits === undefined || address === undefined) return undefined;
    const most = address === null ? [32, 128][i]! : address.length * 8;
    return Number(bits) > most ? undefined : { address, prefixLength: Number(bits) };
  });
  if (v4 === undefined || v6 === undefined || parts.length > 2)
    return fail(
      `expected numbers of bits for IPv4 and IPv6, each perhaps behind an address, such as "24,56" or "192.0.2.0/24", got ${JSON.stringify(text)}`,
    );
  return ok({ v4, v6 });
}
