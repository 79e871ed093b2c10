/** Files of a configuration: only what ends is read, and no more of it than a configuration has. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { fail, ok, type Result } from "../base.ts";
import { atOnce, type Slices } from "../slices.ts";

/** A file with more octets is refused unread: a configuration of 200,000 services is smaller. */
const MAX_FILE_OCTETS = 256 * 2 ** 20;

/** Octets read at a time. */
const PIECE_OCTETS = 65_536;

/** What the program was started with, which whoever started it ends: `-config-file /dev/stdin`, `<(command)`. */
const GIVEN = /^\/(?:dev\/(?:stdin|fd\/(\d+))|proc\/self\/fd\/(\d+))$/;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EISDIR: "is a directory",
  ELOOP: "too many levels of symbolic links",
  ENOTDIR: "not a directory",
  ENAMETOOLONG: "file name too long",
  ENXIO: "not a regular file",
};

/** A file that is open, and what tells it from others; `file` null: /dev/null. `close` may be called once. */
type Opened = { file: number | null; identity: string; close: () => void };

/** The text of a file; an empty one for /dev/null. The error does not name the file. */
export function readRegular(path: string): Result<string, string> {
  const read = atOnce(readRegularPieces(path));
  return read.ok ? ok(read.value.pieces.join("")) : read;
}

/** The same in pieces, each but the last with whole lines, and what tells the file from others. */
export function* readRegularPieces(
  path: string,
): Slices<Result<{ pieces: readonly string[]; identity: string }, string>> {
  const opened = attempt(() => openRegular(path));
  if (!opened.ok) return opened;
  const { file, identity, close } = opened.value;
  const pieces: string[] = [];
  if (file === null) return ok({ pieces, identity });
  const decoder = new StringDecoder("utf8");
  const octets = Buffer.alloc(PIECE_OCTETS);
  let rest = "";
  try {
    for (let total = 0; ;) {
      const read = attempt(() => ok(readSync(file, octets, 0, PIECE_OCTETS, null)));
      if (!read.ok) return read;
      total += read.value;
      // Whoever writes goes on.
      if (total > MAX_FILE_OCTETS) return fail(`larger than ${MAX_FILE_OCTETS} octets`);
      if (read.value === 0) break;
      const text = decoder.write(octets.subarray(0, read.value));
      const end = text.lastIndexOf("\n") + 1;
      if (end > 0) {
        pieces.push(rest + text.slice(0, end));
        rest = text.slice(end);
      } else rest += text;
      yield;
    }
  } finally {
    close();
  }
  rest += decoder.end();
  if (rest !== "") pieces.push(rest);
  return ok({ pieces, identity });
}

function openRegular(path: string): Result<Opened, string> {
  const given = GIVEN.exec(path);
  const { file, close } = given === null ? openFile(path, constants.O_NONBLOCK) : openGiven(given);
  const stats = fstatSync(file);
  const identity = `${stats.dev}:${stats.ino}`;
  const refusal = refusalOf(stats, given === null);
  if (refusal === undefined && !isNullDevice(stats)) return ok({ file, identity, close });
  close();
  return refusal === undefined ? ok({ file: null, identity, close: () => {} }) : fail(refusal);
}

/** `mode` O_NONBLOCK: opening a FIFO does not wait for a writer. */
function openFile(path: string, mode: number) {
  const file = openSync(path, constants.O_RDONLY | mode);
  return { file, close: () => closeSync(file) };
}

function openGiven([path, byDev = "0", byProc = byDev]: RegExpExecArray) {
  try {
    return openFile(path, 0);
  } catch (error) {
    // A socket cannot be opened by its path, but it is open.
    if (!(error instanceof Error && "code" in error && error.code === "ENXIO")) throw error;
    return { file: Number(byProc), close: () => {} };
  }
}

function refusalOf(stats: Stats, mustEnd: boolean): string | undefined {
  if (isNullDevice(stats)) return undefined;
  if (stats.isDirectory()) return "is a directory";
  if (mustEnd && !stats.isFile()) return "not a regular file";
  return stats.size > MAX_FILE_OCTETS ? `larger than ${MAX_FILE_OCTETS} octets` : undefined;
}

/** What the run gives back; what the file system throws becomes an error, in words. */
export function attempt<T>(run: () => Result<T, string>): Result<T, string> {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof Error)) return fail(String(error));
    const code = "code" in error ? String(error.code) : "";
    return fail(reasons[code] ?? error.message);
  }
}

/** /dev/null, by whatever name; its numbers are 1 and 3 (Linux, devices.txt). */
function isNullDevice(stats: { isCharacterDevice(): boolean; rdev: number }): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0x103;
}
