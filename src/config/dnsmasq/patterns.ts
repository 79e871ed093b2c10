/**
 * What is said of name patterns by `server`, `local` and `address`. Half a million lines of lists say the
 * same few things: what is said is held once, and of each pattern some 60 octets.
 */
import { randomInt } from "node:crypto";
import { createNameIndex } from "../../forwarder/local/name-index.ts";
import type { NameListBuilder } from "../../forwarder/local/name-list.ts";
import { createNumbers } from "../../forwarder/local/numbers.ts";
import { createScratch } from "../../forwarder/local/scratch.ts";
import type { Slices } from "../../slices.ts";

/** What was said for one name pattern. */
export type Said = {
  /** As `recursors` writes them, each once. */
  readonly servers: readonly string[];
  /** `#`: the servers of all other names. */
  readonly defaults: boolean;
  /** Without a server: never forwarded. */
  readonly local: boolean;
  /** From `address`; "#" for the two null addresses. */
  readonly addresses: readonly string[];
  /** `address` without an address. */
  readonly denied: boolean;
};

/** What one line says. */
export type Word =
  | { readonly kind: "defaults" | "local" | "denied" }
  | { readonly kind: "server" | "address"; readonly text: string };

export type Patterns = {
  get(pattern: string): Said | undefined;
  /** `file:line` of the first line about it, which there must be. */
  placeOf(pattern: string): string;
  /** In this line of a file. */
  say(pattern: string, word: Word, path: string, line: number): void;
  /**
   * The same for the name, in any case, between these places of a text; without making a text of it. Of
   * the same word the caller keeps one object.
   */
  sayWithin(text: string, start: number, end: number, word: Word, path: string, line: number): void;
  /** All that is said of patterns but `except`, with the place of the first of them, in the order of these. */
  said(except?: string): Slices<{ said: Said; place: string }[]>;
  /** Adds all patterns but `except`, each to the list of what is said of it. */
  fill(listOf: (said: Said) => NameListBuilder | undefined, except?: string): Slices<void>;
};

const NOTHING: Said = { servers: [], defaults: false, local: false, addresses: [], denied: false };

/** Longer patterns, which are rare, are held as texts. */
const MAX_PACKED = 240;
const MAX_LABEL_OCTETS = 63;
/** Patterns between two chances to stop. */
const AT_ONCE = 512;
const UNUSED = 0xffff_ffff;

/** Nothing said of any name. */
export function createPatterns(): Patterns {
  const index = createNameIndex({ low: randomInt(2 ** 32), high: randomInt(2 ** 32) });
  const others = new Map<string, number>();
  /** By number of the pattern: what was said, where, and its number in the index. */
  const said = createNumbers();
  const files = createNumbers();
  const lines = createNumbers();
  const inIndex = createNumbers();
  /** By number in the index. */
  const numbers = createNumbers();
  const otherTexts = new Map<number, string>();
  let count = 0;

  const paths: string[] = [];
  const pathNumbers = new Map<string, number>();
  const states: Said[] = [];
  const stateNumbers = new Map<string, number>();
  /** By word: by state where it was said, the state afterwards. */
  const steps = new Map<Word, Map<number, number>>();
  /** By what they say, so that the same word is one object. */
  const words = new Map<string, Word>();
  const own = new Uint8Array(256);

  function find(pattern: string): number | undefined {
    const packed = asName(pattern, 0, pattern.length, false);
    if (packed === undefined) return others.get(pattern);
    const found = index.get(packed);
    return found < 0 ? undefined : numbers.get(found);
  }

  /** The number of a new pattern; it must be said of what else it is. */
  function begin(path: string, line: number): number {
    let file = pathNumbers.get(path);
    if (file === undefined) {
      file = paths.push(path) - 1;
      pathNumbers.set(path, file);
    }
    files.set(count, file);
    lines.set(count, line);
    said.set(count, stateOf(NOTHING));
    return count++;
  }

  /** The number of a pattern in its packed form. */
  function numberOf(packed: Uint8Array, path: string, line: number): number {
    const size = index.size;
    const place = index.add(packed);
    if (index.size === size) return numbers.get(place);
    const number = begin(path, line);
    inIndex.set(number, place);
    numbers.set(place, number);
    return number;
  }

  function otherNumberOf(pattern: string, path: string, line: number): number {
    const known = others.get(pattern);
    if (known !== undefined) return known;
    const number = begin(path, line);
    others.set(pattern, number);
    otherTexts.set(number, pattern);
    inIndex.set(number, UNUSED);
    return number;
  }

  const nothing = states.push(NOTHING) - 1;
  stateNumbers.set(JSON.stringify(NOTHING), nothing);

  function stateOf(state: Said): number {
    if (state === NOTHING) return nothing;
    const text = JSON.stringify(state);
    const known = stateNumbers.get(text);
    if (known !== undefined) return known;
    stateNumbers.set(text, states.length);
    return states.push(state) - 1;
  }

  function placeOf(number: number): string {
    return `${paths[files.get(number)]}:${lines.get(number)}`;
  }

  function wordOf(word: Word): Word {
    const text = "text" in word ? `${word.kind} ${word.text}` : word.kind;
    const known = words.get(text);
    if (known === undefined) words.set(text, word);
    return known ?? word;
  }

  function after(before: number, word: Word): number {
    let ofWord = steps.get(word);
    if (ofWord === undefined) steps.set(word, (ofWord = new Map<number, number>()));
    let state = ofWord.get(before);
    if (state === undefined) {
      state = stateOf(withWord(states[before]!, word));
      ofWord.set(before, state);
    }
    return state;
  }

  return {
    get(pattern) {
      const number = find(pattern);
      return number === undefined ? undefined : states[said.get(number)];
    },
    say(pattern, word, path, line) {
      const packed = asName(pattern, 0, pattern.length, false);
      const number =
        packed === undefined ? otherNumberOf(pattern, path, line) : numberOf(packed, path, line);
      said.set(number, after(said.get(number), wordOf(word)));
    },
    sayWithin(text, start, end, word, path, line) {
      const packed = asName(text, start, end, true);
      const number =
        packed === undefined
          ? otherNumberOf(text.slice(start, end).toLowerCase(), path, line)
          : numberOf(packed, path, line);
      said.set(number, after(said.get(number), word));
    },
    placeOf: (pattern) => placeOf(find(pattern)!),
    *said(except) {
      const left = except === undefined ? undefined : find(except);
      const met = new Uint8Array(states.length);
      const found: { said: Said; place: string }[] = [];
      for (let number = 0; number < count; number++) {
        if (number % AT_ONCE === 0) yield;
        const state = said.get(number);
        if (number === left || met[state] === 1) continue;
        met[state] = 1;
        found.push({ said: states[state]!, place: placeOf(number) });
      }
      return found;
    },
    *fill(listOf, except) {
      const left = except === undefined ? undefined : find(except);
      const listsOf = states.map(listOf);
      for (let number = 0; number < count; number++) {
        if (number % AT_ONCE === 0) yield;
        const list = number === left ? undefined : listsOf[said.get(number)];
        if (list === undefined) continue;
        const place = inIndex.get(number);
        if (place === UNUSED) list.add(otherTexts.get(number)!);
        else {
          index.copyName(place, own);
          list.addLabels(own);
        }
      }
    },
  };
}

function withWord(said: Said, word: Word): Said {
  switch (word.kind) {
    case "defaults":
      return { ...said, defaults: true };
    case "local":
      return { ...said, local: true };
    case "denied":
      return { ...said, denied: true };
    case "server":
      return said.servers.includes(word.text)
        ? said
        : { ...said, servers: [...said.servers, word.text] };
    case "address":
      return said.addresses.includes(word.text)
        ? said
        : { ...said, addresses: [...said.addresses, word.text] };
  }
}

/**
 * What stands between these places as labels of at most 63 octets, whatever is in it; undefined if it
 * does not fit, or capital letters count in it (`fold`: they do not), which the index does not see.
 */
function asName(text: string, start: number, end: number, fold: boolean): Uint8Array | undefined {
  if (end - start > MAX_PACKED) return undefined;
  let lengthAt = 0;
  let at = 1;
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    const isCapital = code >= 0x41 && code <= 0x5a;
    if (code > 0x7e || (isCapital && !fold)) return undefined;
    if (at - lengthAt > MAX_LABEL_OCTETS) {
      scratch.octets[lengthAt] = MAX_LABEL_OCTETS;
      lengthAt = at++;
    }
    scratch.octets[at++] = isCapital ? code | 0x20 : code;
  }
  scratch.octets[lengthAt] = at - lengthAt - 1;
  if (end > start) scratch.octets[at++] = 0;
  return scratch.first(at);
}

const scratch = createScratch(256);
