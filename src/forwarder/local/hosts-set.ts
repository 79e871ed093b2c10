/** Names and addresses of hosts files and leases, packed: a million of them take about 130 MB. */
import { parseReverseName } from "../../dns/name.ts";
import { CLASS_IN, TYPE, type Rr } from "../../dns/rr.ts";
import { createNameIndex } from "./name-index.ts";
import { createNumbers } from "./numbers.ts";
import { addWithParents, type RecordSet } from "./records.ts";
import { hashSuffixes, type HashKey } from "./suffix-hash.ts";

/** A set that is being filled. */
export type HostsSet = RecordSet & {
  /**
   * An address (4 or 16 octets) of the name (wire, any case). `pointer`: its PTR record, unless it has one.
   * false: the name has MAX_ADDRESSES already.
   */
  add(name: Uint8Array, address: Uint8Array, pointer: boolean): boolean;
  /** As NameIndex.reserve. */
  reserve(names: number): void;
};

/** Of one name; no message could carry many more. */
export const MAX_ADDRESSES = 1000;

/** An empty set; all its records have this TTL. `path`: the file that fills it. */
export function createHostsSet(key: HashKey, ttl: number, path: string): HostsSet {
  const index = createNameIndex(key);
  /** Addresses as names, which they are by the reverse zones, in a shorter form. */
  const addresses = createNameIndex(key);
  /** By number of a name: its last entry + 1; by number of an address: the number of its name + 1. */
  const heads = createNumbers();
  const pointers = createNumbers();
  /** Of the entries: the one before of the same name + 1, and the address. */
  const previous = createNumbers();
  const where = createNumbers();
  let entryCount = 0;
  let nameCount = 0;
  const literal = new Uint8Array(34);

  /** The address in hexadecimal as one label: case of letters would count otherwise. */
  function labelOf(address: Uint8Array): Uint8Array {
    const digits = address.length * 2;
    literal[0] = digits;
    for (let i = 0; i < digits; i++) {
      const half = (address[i >> 1]! >> (i % 2 === 0 ? 4 : 0)) & 15;
      literal[i + 1] = half < 10 ? 0x30 + half : 0x57 + half;
    }
    literal[digits + 1] = 0;
    return literal.subarray(0, digits + 2);
  }

  function addressOf(number: number): Uint8Array {
    const label = addresses.nameOf(number);
    const octets = new Uint8Array(label[0]! / 2);
    for (let i = 0; i < octets.length; i++)
      octets[i] = (valueOf(label[2 * i + 1]!) << 4) | valueOf(label[2 * i + 2]!);
    return octets;
  }

  /** Number + 1 of the name that the address of this reverse name has; 0 for none. */
  function pointerOf(qname: Uint8Array): number {
    const address = parseReverseName(qname);
    if (address === undefined) return 0;
    const pointed = addresses.get(labelOf(address));
    // Who comes next looks for the QNAME.
    hashSuffixes(qname, key);
    return pointed < 0 ? 0 : pointers.get(pointed);
  }

  return {
    path,
    get nameCount() {
      return nameCount;
    },
    reserve(names) {
      index.reserve(names);
      addresses.reserve(names);
    },
    add(name, address, pointer) {
      const number = addWithParents(index, name);
      const literalNumber = addresses.add(labelOf(address));
      const head = heads.get(number);
      if (head === 0) nameCount++;
      let known = 0;
      for (let entry = head; entry > 0; entry = previous.get(entry - 1)) {
        if (where.get(entry - 1) === literalNumber) return true;
        if (++known === MAX_ADDRESSES) return false;
      }
      previous.set(entryCount, head);
      where.set(entryCount, literalNumber);
      heads.set(number, ++entryCount);
      if (pointer && pointers.get(literalNumber) === 0) pointers.set(literalNumber, number + 1);
      return true;
    },
    find(qname, qtype, into) {
      const number = index.findSuffix(qname, 0);
      const records: Rr[] = [];
      for (
        let entry = number < 0 ? 0 : heads.get(number);
        entry > 0;
        entry = previous.get(entry - 1)
      ) {
        const data = addressOf(where.get(entry - 1));
        const type = data.length === 4 ? TYPE.A : TYPE.AAAA;
        if (type === qtype || qtype === TYPE.ANY)
          records.push({ owner: qname, type, class: CLASS_IN, ttl, data });
      }
      // In the order of the file.
      into.push(...records.reverse());
      if (qtype !== TYPE.PTR && qtype !== TYPE.ANY) return;
      const target = pointerOf(qname);
      if (target > 0)
        into.push({
          owner: qname,
          type: TYPE.PTR,
          class: CLASS_IN,
          ttl,
          data: index.nameOf(target - 1),
        });
    },
    hasName: (qname) => index.findSuffix(qname, 0) >= 0 || pointerOf(qname) > 0,
  };
}

function valueOf(digit: number): number {
  return digit < 0x40 ? digit - 0x30 : digit - 0x57;
}
