/**
 * Questions that only a search list can have made: `www.example.com.corp.example`, asked because a stub
 * resolver tries every suffix before the name itself (`ndots`).
 */
import { foldName, isWithin, nameKey, suffixOffset } from "../../dns/name.ts";

/**
 * Top-level domains that are hardly ever a label of somebody's own. Those of countries and the newer ones
 * are (`eu`, `dev`, `app`, `cloud`): what is below them is forwarded.
 */
const TOP_LEVEL = ["com", "net", "org", "edu", "gov", "mil", "arpa", "info", "biz"];

/** Questions of one search domain. */
export type SearchCounts = {
  /** Presentation form is for the reader to make. */
  readonly domain: Uint8Array;
  /** Answered here, because no such name can be there. */
  denied: number;
  /** Answered NXDOMAIN by a server, or from what is kept of it. */
  missed: number;
};

/** See createSearchList. */
export type SearchList = {
  /** The search domain that the name was put in front of; undefined if the name may be meant so. */
  deniedBy(qname: Uint8Array): Uint8Array | undefined;
  /** A name that was answered so. */
  noteDenied(qname: Uint8Array): void;
  /** A name below a search domain that does not exist. */
  noteMissed(qname: Uint8Array): void;
  readonly counts: readonly SearchCounts[];
};

/** Wire names in lower case. `own`: our domains, which stand for themselves just as `com` does. */
export function createSearchList(
  domains: readonly Uint8Array[],
  own: readonly Uint8Array[],
): SearchList {
  const utf8 = new TextEncoder();
  const top = TOP_LEVEL.map((text) => Uint8Array.from([text.length, ...utf8.encode(text), 0]));
  const ends = new Set([...top, ...own, ...domains].map(nameKey));
  const lengths = [...new Set([...top, ...own, ...domains].map(({ length }) => length))];
  const counts = domains.map((domain) => ({ domain, denied: 0, missed: 0 }));
  /** The longest search domain that the name is below. */
  const below = (qname: Uint8Array): SearchCounts | undefined => {
    let best: SearchCounts | undefined;
    for (const each of counts)
      if (suffixOffset(qname, each.domain) > 0 && each.domain.length > (best?.domain.length ?? 0))
        best = each;
    return best;
  };
  return {
    counts,
    deniedBy(qname) {
      const found = below(qname);
      if (found === undefined) return undefined;
      const end = qname.length - found.domain.length;
      for (const length of lengths) {
        const start = end - (length - 1);
        // At least one label in front: `com.corp.example` itself may be somebody's.
        if (start <= 0 || !isLabelStart(qname, start)) continue;
        const part = new Uint8Array(length);
        part.set(qname.subarray(start, end));
        if (ends.has(nameKey(foldName(part)))) return found.domain;
      }
      return undefined;
    },
    noteDenied(qname) {
      const found = below(qname);
      if (found !== undefined) found.denied++;
    },
    noteMissed(qname) {
      const found = below(qname);
      if (found !== undefined && isWithin(qname, found.domain)) found.missed++;
    },
  };
}

function isLabelStart(name: Uint8Array, offset: number): boolean {
  let at = 0;
  while (at < offset) at += name[at]! + 1;
  return at === offset;
}
