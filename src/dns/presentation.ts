/** Records, types and RCODEs as texts for people: RFC 1035 section 5.1, RFC 3597 for what is not known here. */
import { formatAddress } from "../address.ts";
import { readUint16, readUint32 } from "./message.ts";
import { formatName } from "./name.ts";
import { TYPE, type Rr } from "./rr.ts";

/** Names of the RCODEs that occur (RFC 6895 2.3). */
export const RCODE_NAMES: Readonly<Record<number, string>> = {
  0: "NOERROR",
  1: "FORMERR",
  2: "SERVFAIL",
  3: "NXDOMAIN",
  4: "NOTIMP",
  5: "REFUSED",
  16: "BADVERS",
};

/** Names of types (IANA registry of resource record types). */
export const TYPE_NAMES: Readonly<Record<number, string>> = {
  1: "A",
  2: "NS",
  5: "CNAME",
  6: "SOA",
  12: "PTR",
  13: "HINFO",
  15: "MX",
  16: "TXT",
  17: "RP",
  18: "AFSDB",
  24: "SIG",
  25: "KEY",
  28: "AAAA",
  29: "LOC",
  33: "SRV",
  35: "NAPTR",
  36: "KX",
  37: "CERT",
  39: "DNAME",
  41: "OPT",
  43: "DS",
  44: "SSHFP",
  45: "IPSECKEY",
  46: "RRSIG",
  47: "NSEC",
  48: "DNSKEY",
  50: "NSEC3",
  51: "NSEC3PARAM",
  52: "TLSA",
  53: "SMIMEA",
  55: "HIP",
  59: "CDS",
  60: "CDNSKEY",
  61: "OPENPGPKEY",
  62: "CSYNC",
  63: "ZONEMD",
  64: "SVCB",
  65: "HTTPS",
  99: "SPF",
  108: "EUI48",
  109: "EUI64",
  249: "TKEY",
  250: "TSIG",
  251: "IXFR",
  252: "AXFR",
  253: "MAILB",
  254: "MAILA",
  255: "ANY",
  256: "URI",
  257: "CAA",
};

/** `NXDOMAIN`; `RCODE11` for one without a name here. */
export function rcodeName(rcode: number): string {
  return RCODE_NAMES[rcode] ?? `RCODE${rcode}`;
}

/** The number of an RCODE that is given by name, as `RCODE11` too, in any case of letters. */
export function parseRcode(text: string): number | undefined {
  const word = text.toUpperCase();
  const number = /^RCODE(\d{1,4})$/.exec(word)?.[1];
  if (number !== undefined) return Number(number) <= 0xfff ? Number(number) : undefined;
  const found = Object.entries(RCODE_NAMES).find(([, name]) => name === word);
  return found && Number(found[0]);
}

/** `AAAA`; `TYPE65280` for one without a name here (RFC 3597 section 5). */
export function typeName(type: number): string {
  return TYPE_NAMES[type] ?? `TYPE${type}`;
}

/** The number of a type that is given by name, as `TYPE65280`, in any case of letters. */
export function parseType(text: string): number | undefined {
  const word = text.toUpperCase();
  const number = /^TYPE(\d{1,5})$/.exec(word)?.[1];
  if (number !== undefined) return Number(number) <= 0xffff ? Number(number) : undefined;
  const found = Object.entries(TYPE_NAMES).find(([, name]) => name === word);
  return found && Number(found[0]);
}

/** The data of a record as a zone file has it. Octets that are not what the type wants are shown in hex. */
export function formatData({ type, data }: Rr): string {
  return formatKnown(type, data) ?? `\\# ${data.length} ${hex(data)}`.trimEnd();
}

function formatKnown(type: number, data: Uint8Array): string | undefined {
  const { length } = data;
  switch (type) {
    case TYPE.A:
      return length === 4 ? formatAddress(data) : undefined;
    case TYPE.AAAA:
      return length === 16 ? formatAddress(data) : undefined;
    case TYPE.NS:
    case TYPE.CNAME:
    case TYPE.PTR:
    case TYPE.DNAME:
      return formatName(data);
    case TYPE.MX:
      return length < 3 ? undefined : `${readUint16(data, 0)} ${formatName(data.subarray(2))}`;
    case TYPE.SRV: {
      if (length < 7) return undefined;
      const numbers = [0, 2, 4].map((at) => readUint16(data, at));
      return `${numbers.join(" ")} ${formatName(data.subarray(6))}`;
    }
    case TYPE.SOA: {
      if (length < 22) return undefined;
      const numbers = [20, 16, 12, 8, 4].map((back) => readUint32(data, length - back));
      const primary = data.subarray(0, nameOctets(data));
      const mailbox = data.subarray(primary.length);
      return `${formatName(primary)} ${formatName(mailbox)} ${numbers.join(" ")}`;
    }
    case TYPE.TXT:
      return formatStrings(data);
    default:
      return undefined;
  }
}

function nameOctets(data: Uint8Array): number {
  let at = 0;
  while (data[at]! > 0) at += data[at]! + 1;
  return at + 1;
}

/** Character-strings in quotes; undefined if the octets are not just such. */
export function formatStrings(data: Uint8Array): string | undefined {
  const texts: string[] = [];
  let at = 0;
  while (at < data.length) {
    const end = at + 1 + data[at]!;
    if (end > data.length) return undefined;
    let text = "";
    for (const octet of data.subarray(at + 1, end))
      if (octet === 0x22 || octet === 0x5c) text += `\\${String.fromCharCode(octet)}`;
      else if (octet >= 0x20 && octet < 0x7f) text += String.fromCharCode(octet);
      else text += `\\${String(octet).padStart(3, "0")}`;
    texts.push(`"${text}"`);
    at = end;
  }
  return texts.length === 0 ? undefined : texts.join(" ");
}

function hex(data: Uint8Array): string {
  let text = "";
  for (const octet of data) text += octet.toString(16).padStart(2, "0");
  return text.toUpperCase();
}
