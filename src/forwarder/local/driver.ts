/**
 * Hosts files, leases and blocklists as they change: read in slices between which questions are answered,
 * again when they say something else. Only plain files are read, at most so many and so much of each.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { StringDecoder } from "node:string_decoder";
import type { Cancel } from "../../ports.ts";
import { codeOf, followPaths } from "../paths/driver.ts";
import type { OctetReader, TextReader } from "./text-lines.ts";

/** Octets read at a time; parsing them takes a few milliseconds. */
const SLICE_OCTETS = 65_536;
/** Of one file; the rest is left out. */
export const MAX_FILE_OCTETS = 128 * 1024 * 1024;
/** Of all files of one list; those after them are left out. */
const MAX_TOTAL_OCTETS = 2 * MAX_FILE_OCTETS;
/** Files in one directory; those after them, by name, are left out. */
const MAX_FILES = 1024;

/** What the files say now, by path in the order of the configuration and of the names in directories. */
export type FilesListener<T> = {
  changed(contents: readonly T[]): void;
  /** Each sentence once until it has changed. */
  problem(problem: string): void;
};

/** Files under way: `ready` when each has been read once, or cannot be. */
export type FollowedFiles = { readonly ready: Promise<void>; stop: Cancel };

type Known<T> = { stamp: string; digest: string; octets: number; value: T };

/**
 * Files, and directories of files: of those no file whose name begins with a dot, ends with `~`, or does
 * both with `#`, as dnsmasq has it. `createReader` gets the path and about how many octets come.
 */
export function followFiles<T>(
  paths: readonly string[],
  createReader: (path: string, octets: number) => OctetReader<T>,
  on: FilesListener<T>,
): FollowedFiles {
  let known = new Map<string, Known<T>>();
  let told = new Set<string>();
  let running: Promise<void> | null = null;
  let again = false;
  let stopped = false;
  let isFirst = true;

  async function readAll(): Promise<void> {
    const problems: string[] = [];
    const next = new Map<string, Known<T>>();
    let differs = false;
    let totalOctets = 0;
    for (const path of await listFiles(paths, problems)) {
      const before = known.get(path);
      try {
        const read = await readFile(path, before, createReader, problems, () => stopped);
        if (read === undefined) continue;
        totalOctets += read.octets;
        if (totalOctets > MAX_TOTAL_OCTETS) {
          problems.push(`${path}: left out, the files before it hold ${MAX_TOTAL_OCTETS} octets`);
          break;
        }
        next.set(path, read);
        differs ||= read.value !== before?.value;
      } catch (error) {
        problems.push(`cannot read ${path}: ${codeOf(error)}`);
      }
      if (stopped) break;
    }
    if (stopped) return;
    differs ||=
      next.size !== known.size || [...next.keys()].join("\n") !== [...known.keys()].join("\n");
    // What was there before these paths is to be forgotten even if they hold nothing.
    differs ||= isFirst;
    isFirst = false;
    known = next;
    for (const problem of problems) if (!told.has(problem)) on.problem(problem);
    told = new Set(problems);
    if (differs) on.changed([...known.values()].map(({ value }) => value));
  }

  /** One reading at a time; what changes meanwhile is read after it. */
  function look(): void {
    again = true;
    running ??= (async () => {
      while (again && !stopped) {
        again = false;
        await readAll();
      }
      running = null;
    })();
  }

  const cancel = followPaths(paths, { look, problem: (text) => on.problem(text) });
  return {
    ready: running ?? Promise.resolve(),
    stop() {
      stopped = true;
      cancel();
    },
  };
}

async function listFiles(paths: readonly string[], problems: string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths)
    try {
      const found = await stat(path);
      if (!found.isDirectory()) {
        files.push(path);
        continue;
      }
      const names = (await readdir(path)).filter((name) => !/^\.|~$|^#.*#$/.test(name)).toSorted();
      if (names.length > MAX_FILES)
        problems.push(`${path}: ${names.length} files, the first ${MAX_FILES} are read`);
      for (const name of names.slice(0, MAX_FILES)) {
        const file = join(path, name);
        // Directories inside are somebody else's, and may lead back here.
        if ((await stat(file).catch(() => undefined))?.isDirectory() !== true) files.push(file);
      }
    } catch (error) {
      problems.push(`cannot read ${path}: ${codeOf(error)}`);
    }
  return [...new Set(files)];
}

/** `before` itself if the file says the same; undefined for what is no plain file, or if nobody wants it any more. */
async function readFile<T>(
  path: string,
  before: Known<T> | undefined,
  createReader: (path: string, octets: number) => OctetReader<T>,
  problems: string[],
  isStopped: () => boolean,
): Promise<Known<T> | undefined> {
  // Opening a FIFO would wait for whoever writes to it.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await file.stat({ bigint: true });
    const isEmpty = path === "/dev/null";
    if (!found.isFile() && !isEmpty) {
      problems.push(`${path} is not a file: left out`);
      return undefined;
    }
    const stamp = `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs}`;
    if (stamp === before?.stamp) return before;
    const reader = createReader(path, Math.min(Number(found.size), MAX_FILE_OCTETS));
    const hash = createHash("sha1");
    const slice = Buffer.alloc(SLICE_OCTETS);
    let octets = 0;
    for (;;) {
      const { bytesRead } = await file.read(slice, 0, SLICE_OCTETS, octets);
      octets += bytesRead;
      const part = slice.subarray(0, bytesRead);
      hash.update(part);
      if (bytesRead === 0 || !reader.feed(part) || isStopped()) break;
      if (octets >= MAX_FILE_OCTETS) {
        problems.push(`${path}: only the first ${MAX_FILE_OCTETS} octets are read`);
        break;
      }
      await nextTurn();
    }
    const digest = hash.digest("hex");
    const { value, problems: wrong } = reader.end();
    problems.push(...wrong);
    if (isStopped()) return undefined;
    return digest === before?.digest ? { ...before, stamp } : { stamp, digest, octets, value };
  } finally {
    await file.close();
  }
}

/** A reader of UTF-8 texts as one of octets. */
export function ofText<T>(reader: TextReader<T>): OctetReader<T> {
  const decoder = new StringDecoder("utf8");
  return { feed: (octets) => reader.feed(decoder.write(octets)), end: () => reader.end() };
}

/** Lets everything that waits on the event loop pass. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
