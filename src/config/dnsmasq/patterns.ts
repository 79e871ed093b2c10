/**
 * What is said of name patterns by `server`, `local` and `address`. Half a million lines of lists say the
 * same few things: what is said is held once, and of each pattern some 60 octets.
 */
import { randomInt } from "node:crypto";
import { createNameIndex } from "../../forwarder/local/name-index.ts";

/** What was said for one name pattern. */
export type Said = {
  /** As `recursors` writes them. */
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

/** A line of a file. */
export type Place = { readonly path: string; readonly line: number };

export type Patterns = {
  get(pattern: string): Said | undefined;
  say(pattern: string, word: Word, place: Place): void;
  /** In the order in which they were met first, each with the place of that. */
  [Symbol.iterator](): Iterator<{ pattern: string; said: Said; place: string }>;
};

const NOTHING: Said = { servers: [], defaults: false, local: false, addresses: [], denied: false };

/** Longer patterns, which are rare, are held as texts. */
const MAX_PACKED = 240;
const MAX_LABEL_OCTETS = 63;
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
  const steps = new Map<string, Map<number, number>>();

  function find(pattern: string): number | undefined {
    const packed = asName(pattern);
    if (packed === undefined) return others.get(pattern);
    const found = index.get(packed);
    return found < 0 ? undefined : numbers.get(found);
  }

  function add(pattern: string, { path, line }: Place): number {
    const packed = asName(pattern);
    if (packed === undefined) {
      others.set(pattern, count);
      otherTexts.set(count, pattern);
      inIndex.set(count, UNUSED);
    } else {
      const place = index.add(packed);
      inIndex.set(count, place);
      numbers.set(place, count);
    }
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

  function stateOf(state: Said): number {
    const text = JSON.stringify(state);
    const known = stateNumbers.get(text);
    if (known !== undefined) return known;
    stateNumbers.set(text, states.length);
    return states.push(state) - 1;
  }

  function after(before: number, word: Word): number {
    const text = "text" in word ? `${word.kind} ${word.text}` : word.kind;
    let ofWord = steps.get(text);
    if (ofWord === undefined) steps.set(text, (ofWord = new Map<number, number>()));
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
    say(pattern, word, place) {
      const number = find(pattern) ?? add(pattern, place);
      said.set(number, after(said.get(number), word));
    },
    *[Symbol.iterator]() {
      for (let number = 0; number < count; number++) {
        const place = inIndex.get(number);
        yield {
          pattern: place === UNUSED ? otherTexts.get(number)! : asText(index.nameOf(place)),
          said: states[said.get(number)]!,
          place: `${paths[files.get(number)]}:${lines.get(number)}`,
        };
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
      return { ...said, servers: [...said.servers, word.text] };
    case "address":
      return said.addresses.includes(word.text)
        ? said
        : { ...said, addresses: [...said.addresses, word.text] };
  }
}

/** The text as labels of at most 63 octets, whatever is in it; undefined if it does not fit. */
function asName(text: string): Uint8Array | undefined {
  if (text.length > MAX_PACKED) return undefined;
  let lengthAt = 0;
  let at = 1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // The index does not tell capital letters from small ones.
    if (code > 0x7e || (code >= 0x41 && code <= 0x5a)) return undefined;
    if (at - lengthAt > MAX_LABEL_OCTETS) {
      scratch[lengthAt] = MAX_LABEL_OCTETS;
      lengthAt = at++;
    }
    scratch[at++] = code;
  }
  scratch[lengthAt] = at - lengthAt - 1;
  if (text.length > 0) scratch[at++] = 0;
  return scratch.subarray(0, at);
}

const scratch = new Uint8Array(256);

function asText(name: Uint8Array): string {
  let text = "";
  for (let at = 0; name[at]! !== 0; at += name[at]! + 1)
    text += String.fromCharCode(...name.subarray(at + 1, at + 1 + name[at]!));
  return text;
}

/** Numbers of 32 bits by index. */
function createNumbers(): { get(at: number): number; set(at: number, value: number): void } {
  let numbers = new Uint32Array(64);
  return {
    get: (at) => numbers[at]!,
    set(at, value) {
      if (at >= numbers.length) {
        const more = new Uint32Array(2 * numbers.length);
        more.set(numbers);
        numbers = more;
      }
      numbers[at] = value;
    },
  };
}
