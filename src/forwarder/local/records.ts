/** Records of our own, by name: what `forwarder.records`, hosts files and leases say. */
import { equalNames } from "../../dns/name.ts";
import { TYPE, type Rr } from "../../dns/rr.ts";
import { createNameIndex, type NameIndex } from "./name-index.ts";
import { hashSuffixes, suffixes, type HashKey } from "./suffix-hash.ts";

/**
 * One source of records. `find` and `hasName` are about the name that hashSuffixes was given last, which
 * is also `qname`: so many sources share one pass over it.
 */
export type RecordSet = {
  /** Puts records of the name into `into`, with the owner spelled as asked: those of the type, all for ANY, and a CNAME for any type. */
  find(qname: Uint8Array, qtype: number, into: Rr[]): void;
  /** Is there anything at the name or below it? */
  hasName(qname: Uint8Array): boolean;
  /** Names, without those that only have names below them. */
  readonly nameCount: number;
  /** The file that says them; not given: the configuration. */
  readonly path?: string;
};

/** A record as it is configured. `wildcard`: for the names below `owner` that are not there (RFC 4592). */
export type LocalRecord = Rr & { readonly wildcard: boolean };

/** The set of these records. */
export function createRecordSet(records: readonly LocalRecord[], key: HashKey): RecordSet {
  const index = createNameIndex(key);
  const data: Rr[][] = [];
  const wild: Rr[][] = [];
  let nameCount = 0;
  let hasWild = false;
  for (const { wildcard, ...record } of records) {
    const number = addWithParents(index, record.owner);
    const into = wildcard ? wild : data;
    hasWild ||= wildcard;
    if (!wildcard && data[number] === undefined) nameCount++;
    const kept = (into[number] ??= []);
    if (!kept.some((other) => isSame(other, record))) kept.push(record);
  }

  /** Records behind a wildcard at the closest name that exists (RFC 4592 section 3.3.1). */
  function findWild(qname: Uint8Array): readonly Rr[] | undefined {
    for (let label = 1; label <= suffixes.count; label++) {
      const number = index.findSuffix(qname, label);
      if (number >= 0) return wild[number];
    }
    return undefined;
  }

  return {
    nameCount,
    find(qname, qtype, into) {
      const number = index.findSuffix(qname, 0);
      const found = number >= 0 ? data[number] : hasWild ? findWild(qname) : undefined;
      if (found === undefined) return;
      for (const record of found)
        if (isAskedFor(record.type, qtype)) into.push({ ...record, owner: qname });
    },
    hasName: (qname) =>
      index.findSuffix(qname, 0) >= 0 || (hasWild && findWild(qname) !== undefined),
  };
}

/** Does a record of this type answer the question, or lead on? */
function isAskedFor(type: number, qtype: number): boolean {
  return type === qtype || type === TYPE.CNAME || qtype === TYPE.ANY;
}

/** The number of the name in the index; the names above it are there as well from then on. */
export function addWithParents(index: NameIndex, name: Uint8Array): number {
  let known = index.get(name);
  if (known >= 0) return known;
  known = index.add(name);
  for (let at = name[0]! + 1; at < name.length - 1; at += name[at]! + 1) {
    const parent = name.subarray(at);
    if (index.get(parent) >= 0) break;
    index.add(parent);
  }
  return known;
}

function isSame(a: Rr, b: Rr): boolean {
  return (
    a.type === b.type &&
    a.data.length === b.data.length &&
    a.data.every((octet, i) => octet === b.data[i])
  );
}

/**
 * A name that leads back to itself through CNAMEs of the records; undefined if there is none. Chains that
 * end outside are fine.
 */
export function findLoop(records: readonly LocalRecord[], key: HashKey): Uint8Array | undefined {
  const links = records.filter(({ type }) => type === TYPE.CNAME);
  const set = createRecordSet(links, key);
  for (const { owner } of links) {
    let name = owner;
    for (let steps = 0; steps <= links.length; steps++) {
      const found: Rr[] = [];
      hashSuffixes(name, key);
      set.find(name, TYPE.CNAME, found);
      const next = found[0]?.data;
      if (next === undefined) break;
      if (equalNames(next, owner)) return owner;
      name = next;
    }
  }
  return undefined;
}
