/** Files of a dnsmasq configuration as the system has them. Only regular files are read: nothing waits. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from "node:fs";
import { fail, ok, type Result } from "../../base.ts";
import type { ConfFiles } from "./statements.ts";

/** A file with more octets is refused unread. */
const MAX_FILE_OCTETS = 256 * 2 ** 20;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  ELOOP: "too many levels of symbolic links",
  ENOTDIR: "not a directory",
  ENAMETOOLONG: "file name too long",
  ENXIO: "not a regular file",
};

/** The real file system. */
export const systemFiles: ConfFiles = {
  read: (path) => attempt(() => readRegular(path)),
  list: (path) => attempt(() => ok(readdirSync(path))),
  isFile: (path) => attempt(() => ok(statSync(path).isFile())),
};

function readRegular(path: string): Result<{ text: string; identity: string }, string> {
  // Opening a FIFO would wait for a writer without this.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(file);
    const { dev, ino, size } = stats;
    const identity = `${dev}:${ino}`;
    if (path === "/dev/null") return ok({ text: "", identity });
    if (stats.isDirectory()) return fail("is a directory");
    if (!stats.isFile()) return fail("not a regular file");
    if (size > MAX_FILE_OCTETS) return fail(`larger than ${MAX_FILE_OCTETS} octets`);
    return ok({ text: readFileSync(file, "utf8"), identity });
  } finally {
    closeSync(file);
  }
}

function attempt<T>(run: () => Result<T, string>): Result<T, string> {
  try {
    return run();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return fail(reasons[code] ?? String(error));
  }
}
