/** Files of lines, piece by piece: what hosts files, leases and blocklists have in common. */

/** Takes a text in pieces. */
export type TextReader<T> = {
  /** false: there is no room for more, the rest need not be read. */
  feed(text: string): boolean;
  /** What the text says, and what was wrong with it. */
  end(): { value: T; problems: readonly string[] };
};

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
