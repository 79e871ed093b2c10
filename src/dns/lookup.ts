/**
 * What a QNAME asks for: pure grammar, nothing is looked up. Spec of the DNS interface, section 2.
 * Everything is lower case: the catalog compares without case.
 */
import { hexDigit, suffixOffset } from "./name.ts";
import type { Zone } from "./settings.ts";
import { TYPE } from "./rr.ts";

/** What a name stands for. */
export type Lookup =
  | { kind: "node"; node: string; datacenter: string }
  | { kind: "service"; service: string; tag: string; datacenter: string }
  | { kind: "query"; query: string; datacenter: string }
  /** 4 or 16 octets. */
  | { kind: "addr"; address: Uint8Array }
  /** No kind, nothing before it, or more behind it than a datacenter. */
  | { kind: "none" };

const NONE: Lookup = { kind: "none" };

/**
 * `qname` must lie in `zone`. `datacenter` is "" where the name has none. The kind is the first
 * keyword from the right; for SRV a label with a leading `_` makes the keyword optional.
 */
export function parseLookup(qname: Uint8Array, qtype: number, zone: Zone): Lookup {
  const labels = readLabels(qname, suffixOffset(qname, zone.wire));
  for (let i = labels.length - 1; i >= 0; i--) {
    const label = labels[i]!;
    switch (label) {
      case "service":
        return parseService(labels, i, i + 1);
      case "node":
        return parseNode(labels, i);
      case "query":
        return parseQuery(labels, i);
      case "addr":
        return i === 1 ? parseAddr(labels[0]!) : NONE;
      case "connect":
      case "ingress":
        return NONE;
      default:
        if (qtype === TYPE.SRV && label.startsWith("_")) return parseService(labels, i + 1, i + 1);
    }
  }
  return NONE;
}

const utf8 = new TextDecoder("utf-8");
const DOT = 0x2e;
const BACKSLASH = 0x5c;

/**
 * Labels before `end` in lower case; names in the catalog may hold UTF-8. A dot or backslash inside a
 * label is escaped: never a separator.
 */
function readLabels(qname: Uint8Array, end: number): string[] {
  if (end === 0) return [];
  const text = qname.slice(1, end);
  let next = qname[0]!;
  for (let i = 0; i < text.length; i++) {
    const octet = text[i]!;
    if (i === next) {
      text[i] = DOT;
      next += octet + 1;
    } else if (octet === DOT || octet === BACKSLASH) return readOddLabels(qname, end);
  }
  return utf8.decode(text).toLowerCase().split(".");
}

function readOddLabels(qname: Uint8Array, end: number): string[] {
  const labels: string[] = [];
  for (let at = 0; at < end; at += qname[at]! + 1) {
    const text = utf8.decode(qname.slice(at + 1, at + 1 + qname[at]!)).toLowerCase();
    labels.push(text.replaceAll(/[.\\]/g, "\\$&"));
  }
  return labels;
}

/** Datacenter behind the kind: none, `<dc>`, or (not for queries) `<dc>.dc`; undefined for more. */
function parseSuffix(labels: string[], from: number, longForm: boolean): string | undefined {
  const count = labels.length - from;
  if (count === 0) return "";
  if (count === 1 || (longForm && count === 2 && labels[from + 1] === "dc")) return labels[from]!;
  return undefined;
}

/** `parts` labels before the kind, the suffix from `suffixAt` on. */
function parseService(labels: string[], parts: number, suffixAt: number): Lookup {
  const datacenter = parseSuffix(labels, suffixAt, true);
  if (datacenter === undefined || parts === 0) return NONE;
  const last = labels[parts - 1]!;
  if (parts === 2 && last.startsWith("_") && labels[0]!.startsWith("_")) {
    // RFC 2782: _service._proto. Only "tcp" means no tag.
    const tag = last.slice(1);
    return {
      kind: "service",
      service: labels[0]!.slice(1),
      tag: tag === "tcp" ? "" : tag,
      datacenter,
    };
  }
  const tag = parts === 1 ? "" : labels.slice(0, parts - 1).join(".");
  return { kind: "service", service: last, tag, datacenter };
}

function parseNode(labels: string[], parts: number): Lookup {
  const datacenter = parseSuffix(labels, parts + 1, true);
  if (datacenter === undefined || parts === 0) return NONE;
  return { kind: "node", node: labels.slice(0, parts).join("."), datacenter };
}

function parseQuery(labels: string[], parts: number): Lookup {
  const datacenter = parseSuffix(labels, parts + 1, false);
  if (datacenter === undefined || parts === 0) return NONE;
  const first = labels[0]!;
  // RFC 2782 form, Consul 1.15: the last part is a protocol and says nothing.
  const rfc2782 = parts >= 2 && first.startsWith("_") && labels[parts - 1]!.startsWith("_");
  const query = rfc2782
    ? labels
        .slice(0, parts - 1)
        .join(".")
        .slice(1)
    : labels.slice(0, parts).join(".");
  return { kind: "query", query, datacenter };
}

function parseAddr(hex: string): Lookup {
  if (hex.length !== 8 && hex.length !== 32) return NONE;
  const address = new Uint8Array(hex.length >> 1);
  for (let i = 0; i < address.length; i++) {
    const high = hexDigit(hex.charCodeAt(2 * i));
    const low = hexDigit(hex.charCodeAt(2 * i + 1));
    if (high < 0 || low < 0) return NONE;
    address[i] = (high << 4) | low;
  }
  return { kind: "addr", address };
}
