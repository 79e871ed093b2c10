/** Files of a configuration: only what ends is read, and no more of it than a configuration has. */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import { fail, ok, type Result } from "../base.ts";

/** A file with more octets is refused unread: a configuration of 200,000 services is smaller. */
const MAX_FILE_OCTETS = 256 * 2 ** 20;

/** What the program was started with, which whoever started it ends: `-config-file /dev/stdin`, `<(command)`. */
const GIVEN = /^\/(?:dev\/(?:stdin|fd\/\d+)|proc\/self\/fd\/\d+)$/;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EISDIR: "is a directory",
  ELOOP: "too many levels of symbolic links",
  ENOTDIR: "not a directory",
  ENAMETOOLONG: "file name too long",
  ENXIO: "not a regular file",
};

/** The text of a file and what tells it from others; an empty one for /dev/null. The error does not name the file. */
export function readRegular(path: string): Result<{ text: string; identity: string }, string> {
  return attempt(() => {
    // Opening a FIFO would wait for a writer without this.
    const mode = GIVEN.test(path) ? 0 : constants.O_NONBLOCK;
    const file = openSync(path, constants.O_RDONLY | mode);
    try {
      const stats = fstatSync(file);
      const identity = `${stats.dev}:${stats.ino}`;
      if (isNullDevice(stats)) return ok({ text: "", identity });
      if (stats.isDirectory()) return fail("is a directory");
      if (mode !== 0 && !stats.isFile()) return fail("not a regular file");
      if (stats.size > MAX_FILE_OCTETS) return fail(`larger than ${MAX_FILE_OCTETS} octets`);
      return ok({ text: readFileSync(file, "utf8"), identity });
    } finally {
      closeSync(file);
    }
  });
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
function isNullDevice(stats: Pick<Stats, "isCharacterDevice" | "rdev">): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0x103;
}
