/** The lines of a dnsmasq configuration in the order in which dnsmasq obeys them, through all files it names. */
import type { Result } from "../../base.ts";
import type { Slices } from "../../slices.ts";
import { nearest } from "../nearest.ts";
import { blocklistAnswer } from "./blocklist.ts";
import { keywords } from "./keywords.ts";
import { parseLine, shown, splitList } from "./line.ts";
import { plainLineAt, plainLine } from "./plain-line.ts";

/** One line that says something. */
export type Statement = {
  readonly keyword: string;
  /** As of line.ts, what quotes hide still hidden; "" where the line has none. */
  readonly value: string;
  readonly hasValue: boolean;
  /** `file:line`, as messages begin. */
  readonly place: string;
};

/** What the reader needs of the file system; files.ts has the real one. */
export type ConfFiles = {
  /**
   * The text in pieces, each but the last with whole lines; `identity` tells files apart, whatever their
   * path; the error is a reason without the path.
   */
  read(path: string): Slices<Result<{ pieces: readonly string[]; identity: string }, string>>;
  /** All names in a directory. */
  list(path: string): Result<string[], string>;
  /** Whether it is a regular file or a link to one. */
  isFile(path: string): Result<boolean, string>;
};

/** Gets what is said, line by line. */
export type Listener = {
  statement(statement: Statement): void;
  /**
   * The same for a line that says one thing of one name, as lists are made of: it stands in plainLine.
   * false: it is to be taken as a statement.
   */
  name(text: string, path: string, line: number): boolean;
};

/** What was read, beside the lines. Errors and notes are whole sentences that begin with file and line. */
export type Statements = {
  readonly errors: string[];
  readonly notes: string[];
  /** Files that only deny names, to be read as blocklists; all with the same answer. */
  readonly blocklists: readonly Blocklist[];
  /** The file of `servers-file`; undefined: none. */
  readonly serversFile: string | undefined;
};

/** A file that only denies names, and the line that includes it. */
export type Blocklist = {
  readonly path: string;
  readonly answer: "nxdomain" | "null";
  readonly place: string;
};

/** Lines of all files together; those beyond are an error. A list of names to deny is a file of its own. */
const MAX_STATEMENTS = 1_000_000;
/** More files than this are an error, as are files nested deeper than MAX_DEPTH. */
const MAX_FILES = 10_000;
const MAX_DEPTH = 32;
/** Octets of all files together; what is beyond is an error. A list of 1,000,000 names has 35 MB. */
const MAX_OCTETS = 256 * 2 ** 20;
/** Lines between two chances to stop. */
const LINES_AT_ONCE = 64;
/** Characters of a line; dnsmasq itself cuts lines at 1024. */
const MAX_LINE = 65_536;

type Walk = {
  readonly files: ConfFiles;
  readonly listener: Listener;
  readonly out: {
    errors: string[];
    notes: string[];
    blocklists: Blocklist[];
  };
  readonly seen: Set<string>;
  readonly once: Map<string, string>;
  readonly maxStatements: number;
  lines: number;
  octets: number;
  /** The first line that names a servers-file. */
  servers: Statement | undefined;
};

/**
 * Reads `path` and what it includes. A file that was read already is not read again, as in dnsmasq: so
 * circles end. Every mistake is told, not only the first.
 */
export function* readStatements(
  path: string,
  files: ConfFiles,
  listener: Listener,
  maxStatements = MAX_STATEMENTS,
): Slices<Statements> {
  const out = { errors: [], notes: [], blocklists: [] };
  const walk: Walk = {
    files,
    listener,
    out,
    seen: new Set(),
    once: new Map(),
    maxStatements,
    lines: 0,
    octets: 0,
    servers: undefined,
  };
  yield* readFile(walk, path, undefined, 0);
  const named = walk.servers;
  const serversFile = named === undefined ? undefined : shown(named.value) || undefined;
  if (named !== undefined && serversFile !== undefined)
    yield* readServers(walk, serversFile, named.place);
  return { ...out, serversFile };
}

function* readFile(
  walk: Walk,
  path: string,
  from: string | undefined,
  depth: number,
): Slices<void> {
  const error = (why: string): undefined =>
    void walk.out.errors.push(from === undefined ? `${path}: ${why}` : `${from}: ${path}: ${why}`);
  if (depth > MAX_DEPTH) return error(`included more than ${MAX_DEPTH} files deep`);
  const pieces = yield* take(walk, path, error);
  const { blocklists } = walk.out;
  const answer = yield* blocklistAnswer(pieces);
  if (answer !== undefined && (blocklists[0]?.answer ?? answer) === answer) {
    blocklists.push({ path, answer, place: from ?? `${path}:1` });
    return;
  }
  let line = 0;
  for (const text of pieces)
    for (let at = 0; at < text.length;) {
      if (line++ % LINES_AT_ONCE === 0) yield;
      if (plainLineAt(text, at) && walk.listener.name(text, path, line)) {
        if (walk.lines++ >= walk.maxStatements) return error(tooMany(walk));
        at = plainLine.next;
        continue;
      }
      const [content, next] = lineAt(text, at);
      at = next;
      const statement = readLine(walk, content, `${path}:${line}`, "error");
      if (statement === undefined) continue;
      if (walk.lines >= walk.maxStatements) return error(tooMany(walk));
      const { keyword, value, place } = statement;
      if (keyword === "conf-file") {
        if (value !== "") yield* readFile(walk, shown(value), place, depth + 1);
      } else if (keyword === "conf-dir") yield* readDirectory(walk, statement, depth + 1);
      else {
        if (keyword === "servers-file") walk.servers ??= statement;
        walk.lines++;
        walk.listener.statement(statement);
      }
    }
}

function tooMany({ maxStatements }: Walk): string {
  return `more than ${maxStatements} lines in all files; names to deny may be more, as address=/name/ lines in a file of their own`;
}

/** `conf-dir=path[,*.conf][,.bak]`: with a star what is read, without one what is left out. */
function* readDirectory(walk: Walk, { value, place }: Statement, depth: number): Slices<void> {
  const [directory = "", ...suffixes] = splitList(value).map(shown);
  if (directory === "") return;
  const only = suffixes.filter((each) => /^\*./.test(each)).map((each) => each.slice(1));
  const never = suffixes.filter((each) => each !== "" && !each.startsWith("*"));
  const ends = (name: string, list: readonly string[]) =>
    list.some((suffix) => name.length > suffix.length && name.endsWith(suffix));
  const listed = walk.files.list(directory);
  if (!listed.ok) {
    walk.out.errors.push(`${place}: cannot access directory ${directory}: ${listed.error}`);
    return;
  }
  const names = listed.value.filter(
    (name) =>
      !/^\.|~$|^#.*#$/.test(name) && (only.length === 0 || ends(name, only)) && !ends(name, never),
  );
  for (const path of names.map((name) => `${directory}/${name}`).toSorted(byOctets)) {
    const isFile = walk.files.isFile(path);
    if (!isFile.ok) walk.out.errors.push(`${place}: cannot access ${path}: ${isFile.error}`);
    else if (isFile.value) yield* readFile(walk, path, place, depth);
  }
}

function byOctets(a: string, b: string): number {
  return a < b ? -1 : 1;
}

/** `servers-file` has only servers; what is wrong in it is left out, and dnsmasq goes on as well. */
function* readServers(walk: Walk, path: string, from: string): Slices<void> {
  const pieces = yield* take(
    walk,
    path,
    (why) => void walk.out.notes.push(`${from}: ${path}: ${why}`),
  );
  let line = 0;
  for (const text of pieces)
    for (let at = 0; at < text.length;) {
      if (line++ % LINES_AT_ONCE === 0) yield;
      if (
        text.startsWith("server=", at) &&
        plainLineAt(text, at) &&
        walk.listener.name(text, path, line)
      ) {
        at = plainLine.next;
        continue;
      }
      const [content, next] = lineAt(text, at);
      at = next;
      const place = `${path}:${line}`;
      const statement = readLine(walk, content, place, "note");
      if (statement === undefined) continue;
      if (statement.keyword === "server" || statement.keyword === "rev-server")
        walk.listener.statement(statement);
      else
        walk.out.notes.push(
          `${place}: a servers-file has server and rev-server lines only: left out`,
        );
    }
}

/** The text of a file that was not read yet, within the bounds; none otherwise. */
function* take(
  walk: Walk,
  path: string,
  error: (why: string) => undefined,
): Slices<readonly string[]> {
  const refuse = (why: string): readonly string[] => {
    error(why);
    return [];
  };
  if (path === "-") return refuse("standard input is not read: give a file");
  const read = yield* walk.files.read(path);
  if (!read.ok) return refuse(read.error);
  const { pieces, identity } = read.value;
  if (walk.seen.has(identity)) return [];
  walk.seen.add(identity);
  for (const { length } of pieces) walk.octets += length;
  if (walk.seen.size > MAX_FILES) return refuse(`more than ${MAX_FILES} files`);
  if (walk.octets > MAX_OCTETS) return refuse(`more than ${MAX_OCTETS} octets in all files`);
  return pieces;
}

/** The line that begins there, and where the next one does. */
function lineAt(text: string, from: number): [string, number] {
  const end = text.indexOf("\n", from);
  const line = text.slice(from, end < 0 ? undefined : end);
  // What follows a zero octet is not seen, as in C.
  const content = line.includes("\0") ? line.slice(0, line.indexOf("\0")) : line;
  return [content, end < 0 ? text.length : end + 1];
}

function readLine(
  { out, once }: Walk,
  text: string,
  place: string,
  into: "error" | "note",
): Statement | undefined {
  const refuse = (why: string) =>
    void (into === "error" ? out.errors : out.notes).push(`${place}: ${why}`);
  if (text.length > MAX_LINE) return refuse(`the line is longer than ${MAX_LINE} characters`);
  const line = parseLine(text);
  if (!line.ok) return refuse(line.error);
  if (line.value === undefined) return undefined;
  const { keyword, value } = line.value;
  const known = Object.hasOwn(keywords, keyword) ? keywords[keyword] : undefined;
  if (known === undefined) return refuse(unknown(keyword));
  if (known.value === "none" && value !== undefined) return refuse(`${keyword} takes no value`);
  if (known.value === "needed" && value === undefined) return refuse(`${keyword} needs a value`);
  if ("refused" in known) return refuse(`${keyword}: ${known.refused}`);
  if (known.once) {
    const first = once.get(keyword);
    if (first !== undefined) return refuse(`${keyword} may stand once only, and is at ${first}`);
    once.set(keyword, place);
  }
  return { keyword, value: value ?? "", hasValue: value !== undefined, place };
}

function unknown(keyword: string): string {
  const short = keyword.slice(0, 40);
  const near = nearest(short.replace(/^-+/, ""), Object.keys(keywords));
  const hint = near === undefined ? "" : ` (did you mean ${near}?)`;
  return `dnsmasq knows no option ${JSON.stringify(short)}${hint}`;
}
