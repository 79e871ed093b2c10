import { canonicalAddress } from "../address.ts";
import { SortedList, type Compare } from "./sorted.ts";

/**
 * Records by IP literal, whatever its spelling (Consul compares reverse names, to the same effect). Nearly every address has one record, which is then stored as it is; the
 * rest share a sorted list. Host names never come back as PTR owners and are left out.
 */
export class AddressIndex<K, T extends K & object> {
  readonly #compare: Compare<K>;
  readonly #records = new Map<string, T | SortedList<K, T>>();

  constructor(compare: Compare<K>) {
    this.#compare = compare;
  }

  /** The first record in storage order; any spelling of an IPv6 address will do. */
  first(address: string): T | undefined {
    const held = this.#records.get(canonicalAddress(address));
    return held instanceof SortedList ? held.first() : held;
  }

  /** Adds the record or replaces the one that compares equal. */
  put(address: string, record: T): void {
    if (!LITERAL.test(address)) return;
    const key = canonicalAddress(address);
    const held = this.#records.get(key);
    if (held instanceof SortedList) {
      held.put(record);
    } else if (held === undefined || this.#compare(held, record) === 0) {
      this.#records.set(key, record);
    } else {
      const list = new SortedList<K, T>(this.#compare);
      list.put(held);
      list.put(record);
      this.#records.set(key, list);
    }
  }

  remove(address: string, record: K): void {
    if (!LITERAL.test(address)) return;
    const key = canonicalAddress(address);
    const held = this.#records.get(key);
    if (held instanceof SortedList) {
      held.remove(record);
      if (held.size === 1) this.#records.set(key, held.first()!);
    } else if (held !== undefined && this.#compare(held, record) === 0) {
      this.#records.delete(key);
    }
  }
}

/** Rough on purpose: what merely looks like an address does no harm in the index. */
const LITERAL = /^[0-9.]+$|:/;
