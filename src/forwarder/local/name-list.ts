/** Texts of names, a million of them in 25 MB: such as configurations made of lists of advertisers hold. */
import { MAX_NAME_OCTETS, isWithin } from "../../dns/name.ts";
import { createScratch } from "./scratch.ts";
import { atOnce, type Slices } from "../../slices.ts";

/** Wire names in lower case; each is valid until the next one of any list is asked for. */
export type PlainNames = Iterable<Uint8Array>;

/** Names between two chances to stop. */
const AT_ONCE = 512;
const MAX_LABEL_OCTETS = 63;
const DOT = 0x2e;

/**
 * Printable ASCII texts behind each other. A class so that it can be told from other values of the
 * configuration; as JSON it is a list.
 */
export class NameList implements Iterable<string> {
  readonly octets: Uint8Array;
  /** Where each text ends. */
  readonly ends: Uint32Array;

  /** What was found last. */
  #found: { outside: string; others: readonly number[] } | undefined;

  constructor(octets: Uint8Array, ends: Uint32Array) {
    this.octets = octets;
    this.ends = ends;
  }

  get length(): number {
    return this.ends.length;
  }

  at(i: number): string {
    return String.fromCharCode(
      ...this.octets.subarray(i === 0 ? 0 : this.ends[i - 1], this.ends[i]),
    );
  }

  *[Symbol.iterator](): Generator<string, void> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }

  /** The texts as a list of their own. */
  toJSON(): string[] {
    return [...this];
  }

  /**
   * Names with nothing but letters in lower case, digits, `-`, `_` and dots, outside of these domains; and
   * the numbers of all other texts.
   */
  split(domains: readonly Uint8Array[]): { plain: PlainNames; others: readonly number[] } {
    const others = atOnce(this.findOthers(domains));
    return { plain: { [Symbol.iterator]: () => this.#plain(new Set(others)) }, others };
  }

  /** The numbers that `split` gives, which does not have to look for them afterwards. */
  *findOthers(domains: readonly Uint8Array[]): Slices<readonly number[]> {
    const outside = domains.map((domain) => domain.join()).join(" ");
    if (this.#found?.outside === outside) return this.#found.others;
    const others: number[] = [];
    for (let i = 0; i < this.length; i++) {
      if (i % AT_ONCE === 0) yield;
      const wire = this.#wire(i);
      if (wire === undefined || domains.some((domain) => isWithin(wire, domain))) others.push(i);
    }
    this.#found = { outside, others };
    return others;
  }

  *#plain(others: ReadonlySet<number>): Generator<Uint8Array, void> {
    for (let i = 0; i < this.length; i++) {
      const wire = others.has(i) ? undefined : this.#wire(i);
      if (wire !== undefined) yield wire;
    }
  }

  /** undefined: not plain. */
  #wire(i: number): Uint8Array | undefined {
    const { octets } = this;
    const start = i === 0 ? 0 : this.ends[i - 1]!;
    const end = this.ends[i]!;
    if (end === start || end - start + 2 > MAX_NAME_OCTETS) return undefined;
    let lengthAt = 0;
    for (let from = start; from <= end; from++) {
      const octet = from === end ? DOT : octets[from]!;
      const at = from - start;
      if (octet === DOT) {
        const length = at - lengthAt;
        if (length === 0 || length > MAX_LABEL_OCTETS) return undefined;
        scratch.octets[lengthAt] = length;
        lengthAt = at + 1;
      } else if (isPlain(octet)) scratch.octets[at + 1] = octet;
      else return undefined;
    }
    scratch.octets[lengthAt] = 0;
    return scratch.first(lengthAt + 1);
  }
}

const scratch = createScratch(MAX_NAME_OCTETS + 1);

/** a to z, 0 to 9, `-`, `_`. */
function isPlain(octet: number): boolean {
  return (
    (octet >= 0x61 && octet <= 0x7a) ||
    (octet >= 0x30 && octet <= 0x39) ||
    octet === 0x2d ||
    octet === 0x5f
  );
}

/** Shorter lists are ordinary ones. */
const MIN_NAMES = 1000;

export type NameListBuilder = {
  /** Of printable ASCII. */
  add(text: string): void;
  /** A text whose octets are the labels of this wire name behind each other. */
  addLabels(name: Uint8Array): void;
  /** All that was added; few are an ordinary list. */
  list(): NameList | readonly string[];
};

/** A list that is being made. */
export function createNameListBuilder(): NameListBuilder {
  let octets = new Uint8Array(64);
  let ends = new Uint32Array(8);
  let used = 0;
  let count = 0;

  function makeRoom(length: number): void {
    if (used + length > octets.length) {
      const more = new Uint8Array(Math.max(2 * octets.length, used + length));
      more.set(octets);
      octets = more;
    }
    if (count < ends.length) return;
    const more = new Uint32Array(2 * count);
    more.set(ends);
    ends = more;
  }

  return {
    add(text) {
      makeRoom(text.length);
      for (let i = 0; i < text.length; i++) octets[used++] = text.charCodeAt(i);
      ends[count++] = used;
    },
    addLabels(name) {
      makeRoom(MAX_NAME_OCTETS);
      for (let at = 0; name[at]! !== 0; at += name[at]! + 1)
        for (let i = 1; i <= name[at]!; i++) octets[used++] = name[at + i]!;
      ends[count++] = used;
    },
    list() {
      const list = new NameList(octets.slice(0, used), ends.slice(0, count));
      return count < MIN_NAMES ? [...list] : list;
    },
  };
}
