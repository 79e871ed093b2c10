/** Names that are made of addresses, for whole ranges of them (dnsmasq `synth-domain`): nothing is kept but the ranges. */
import { formatAddress, parseAddress } from "../../address.ts";
import { nameUnder, parseReverseName, suffixOffset } from "../../dns/name.ts";
import { CLASS_IN, TYPE, type Rr } from "../../dns/rr.ts";
import type { RecordSet } from "./records.ts";

/** One range and how its names are written. */
export type SynthDomain = {
  /** Wire name in lower case. */
  readonly name: Uint8Array;
  /** 4 or 16 octets each, first not above last. */
  readonly first: Uint8Array;
  readonly last: Uint8Array;
  /** In front of each name, in lower case. */
  readonly prefix: string;
  /** Names are numbers from 0 on; else addresses with dashes. */
  readonly counted: boolean;
};

/** A, AAAA and PTR records of the ranges, for names that `find` has found nothing else for. */
export function createSynthSet(domains: readonly SynthDomain[], ttl: number): RecordSet {
  /** The address that the name says; undefined: none, or one outside of the ranges. */
  function addressOf(qname: Uint8Array): Uint8Array | undefined {
    for (const domain of domains) {
      const labelOctets = qname[0]!;
      if (suffixOffset(qname, domain.name) !== labelOctets + 1) continue;
      const label = String.fromCharCode(...qname.subarray(1, labelOctets + 1)).toLowerCase();
      if (!label.startsWith(domain.prefix)) continue;
      const address = readLabel(label.slice(domain.prefix.length), domain);
      if (address !== undefined && isInside(domain, address)) return address;
    }
    return undefined;
  }

  function nameOf(address: Uint8Array): Uint8Array | undefined {
    const domain = domains.find((each) => isInside(each, address));
    if (domain === undefined) return undefined;
    const { prefix, counted, first, name } = domain;
    const text = counted ? String(numberOf(address) - numberOf(first)) : dashed(address, prefix);
    return nameUnder(prefix + text, name);
  }

  function pointerOf(qname: Uint8Array): Uint8Array | undefined {
    const address = parseReverseName(qname);
    return address && nameOf(address);
  }

  return {
    nameCount: 0,
    find(qname, qtype, into) {
      if (into.length > 0) return;
      const add = (type: number, data: Uint8Array): void => {
        const record: Rr = { owner: qname, type, class: CLASS_IN, ttl, data };
        if (type === qtype || qtype === TYPE.ANY) into.push(record);
      };
      const address = addressOf(qname);
      if (address !== undefined) add(address.length === 4 ? TYPE.A : TYPE.AAAA, address);
      if (qtype !== TYPE.PTR && qtype !== TYPE.ANY) return;
      const target = pointerOf(qname);
      if (target !== undefined) add(TYPE.PTR, target);
    },
    hasName: (qname) => addressOf(qname) !== undefined || pointerOf(qname) !== undefined,
  };
}

/** In every spelling that says the address, or the number. */
function readLabel(text: string, { first, counted }: SynthDomain): Uint8Array | undefined {
  const isV4 = first.length === 4;
  if (!counted) {
    const address = parseAddress(text.replaceAll("-", isV4 ? "." : ":"));
    return address?.length === first.length ? address : undefined;
  }
  if (!/^\d{0,39}$/.test(text)) return undefined;
  const value = numberOf(first) + BigInt(text);
  if (value >> BigInt(first.length * 8) !== 0n) return undefined;
  return Uint8Array.from({ length: first.length }, (_, i) =>
    Number((value >> BigInt((first.length - 1 - i) * 8)) & 255n),
  );
}

/** 192.0.2.1 → 192-0-2-1; no name starts with a dash. */
function dashed(address: Uint8Array, prefix: string): string {
  const text = formatAddress(address).replaceAll(/[.:]/g, "-");
  return text.startsWith("-") && prefix === "" ? `0${text}` : text;
}

function isInside({ first, last }: SynthDomain, address: Uint8Array): boolean {
  if (address.length !== first.length) return false;
  return isOrdered(first, address) && isOrdered(address, last);
}

/** Is the first address not above the second? */
function isOrdered(a: Uint8Array, b: Uint8Array): boolean {
  for (const [i, octet] of a.entries()) if (octet !== b[i]) return octet < b[i]!;
  return true;
}

function numberOf(address: Uint8Array): bigint {
  return address.reduce((value, octet) => value * 256n + BigInt(octet), 0n);
}
