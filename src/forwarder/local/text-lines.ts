/** Files of lines, piece by piece: what hosts files, leases and blocklists have in common. */

/** Takes a file in pieces: as text, or as the octets that it is made of. */
export type PieceReader<Piece extends string | Uint8Array, T> = {
  /** false: there is no room for more, the rest need not be read. The piece is the caller's again afterwards. */
  feed(piece: Piece): boolean;
  /** What the text says, and what was wrong with it. */
  end(): { value: T; problems: readonly string[] };
};

export type TextReader<T> = PieceReader<string, T>;
export type OctetReader<T> = PieceReader<Uint8Array, T>;

/** Longer lines are left out; no real one comes near. */
const MAX_LINE_LENGTH = 65_536;
/** Problems of one file that are told; the others are counted. */
const MAX_PROBLEMS = 5;

/** Problems of one file, with the numbers of their lines. */
export type Complaints = {
  add(line: number, problem: string): void;
  readonly list: readonly string[];
};

/** `path` begins every one of them. */
export function createComplaints(path: string): Complaints {
  const told: string[] = [];
  let more = 0;
  return {
    add(line, problem) {
      if (told.length < MAX_PROBLEMS) told.push(`${path}:${line}: ${problem}`);
      else more++;
    },
    get list() {
      return more === 0 ? told : [...told, `${path}: and ${more} more lines like these`];
    },
  };
}

/** Calls `onLine` with each line, without its end, numbered from 1; it gives false when it has had enough. */
export function createLines(
  complaints: Complaints,
  onLine: (text: string, line: number) => boolean,
): { feed(text: string): boolean; end(): void } {
  let rest = "";
  let line = 0;
  let skipping = false;
  let enough = false;

  function take(text: string): void {
    line++;
    if (text.length > MAX_LINE_LENGTH)
      complaints.add(line, `longer than ${MAX_LINE_LENGTH} characters: left out`);
    else if (!onLine(text, line)) enough = true;
  }

  return {
    feed(text) {
      let from = 0;
      for (let end = text.indexOf("\n"); end >= 0 && !enough; end = text.indexOf("\n", from)) {
        const piece = text.slice(from, end > from && text[end - 1] === "\r" ? end - 1 : end);
        from = end + 1;
        if (skipping) {
          skipping = false;
          line++;
          complaints.add(line, `longer than ${MAX_LINE_LENGTH} characters: left out`);
        } else take(rest + piece);
        rest = "";
      }
      if (!skipping) rest += text.slice(from);
      if (rest.length > MAX_LINE_LENGTH) {
        rest = "";
        skipping = true;
      }
      return !enough;
    },
    end() {
      if (rest !== "" && !enough) take(rest);
      rest = "";
    },
  };
}

/**
 * The same for octets: `onLine` gets the octets between `start` and `end`, valid until it returns. A line
 * that stands in two pieces is put together.
 */
export function createOctetLines(
  complaints: Complaints,
  onLine: (octets: Uint8Array, start: number, end: number, line: number) => boolean,
): { feed(octets: Uint8Array): boolean; end(): void } {
  let rest: Uint8Array = new Uint8Array(0);
  let line = 0;
  let tooLong = false;
  let enough = false;

  function take(octets: Uint8Array, start: number, end: number): void {
    line++;
    const isTooLong = tooLong || end - start > MAX_LINE_LENGTH;
    tooLong = false;
    if (isTooLong) complaints.add(line, `longer than ${MAX_LINE_LENGTH} characters: left out`);
    else {
      const bare = end > start && octets[end - 1] === 0x0d ? end - 1 : end;
      enough = !onLine(octets, start, bare, line);
    }
  }

  function keep(octets: Uint8Array): void {
    if (rest.length + octets.length > MAX_LINE_LENGTH) {
      tooLong = true;
      rest = new Uint8Array(0);
    } else if (!tooLong) rest = joined(rest, octets);
  }

  return {
    feed(octets) {
      let from = 0;
      for (let end = octets.indexOf(0x0a); end >= 0 && !enough; end = octets.indexOf(0x0a, from)) {
        if (rest.length > 0) {
          const whole = joined(rest, octets.subarray(from, end));
          rest = new Uint8Array(0);
          take(whole, 0, whole.length);
        } else take(octets, from, end);
        from = end + 1;
      }
      if (from < octets.length && !enough) keep(octets.subarray(from));
      return !enough;
    },
    end() {
      if ((rest.length > 0 || tooLong) && !enough) take(rest, 0, rest.length);
    },
  };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
