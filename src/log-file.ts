import { closeSync, openSync, readdirSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";

/** Consul's `log_file` and `log_rotate_*`. */
export type LogFileSettings = {
  /** A file, or a directory (existing, or with a final /) that gets waypost.log. */
  path: string;
  /** 0: no limit. */
  rotateBytes: number;
  rotateDurationMs: number;
  /** Old files kept; 0: all, -1: none. */
  maxFiles: number;
  wallMs(): number;
};

/** An open log file. `write` throws if the disk refuses. */
export type LogFile = { write(line: string): void; close(): void };

/**
 * Opens a log file for appending. Before a line that would pass the size, or after the duration, the
 * file is renamed to `name-<milliseconds>.log` and a new one begun. Throws if it cannot be opened.
 */
export function openLogFile(settings: LogFileSettings): LogFile {
  const path = filePath(settings.path);
  let descriptor = openSync(path, "a", 0o640);
  let octets = statSync(path).size;
  let startedMs = settings.wallMs();
  const rotate = () => {
    closeSync(descriptor);
    const extension = extname(path);
    const stem = path.slice(0, path.length - extension.length);
    renameSync(path, `${stem}-${settings.wallMs()}${extension}`);
    removeOld(path, settings.maxFiles);
    descriptor = openSync(path, "a", 0o640);
    octets = 0;
    startedMs = settings.wallMs();
  };
  return {
    write(line) {
      const length = Buffer.byteLength(line);
      const tooLarge = settings.rotateBytes > 0 && octets + length > settings.rotateBytes;
      const tooOld = settings.wallMs() - startedMs >= settings.rotateDurationMs;
      if (octets > 0 && (tooLarge || tooOld)) rotate();
      writeSync(descriptor, line);
      octets += length;
    },
    close: () => closeSync(descriptor),
  };
}

function filePath(path: string): string {
  const isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  return isDirectory || path.endsWith("/") ? join(path, "waypost.log") : path;
}

function removeOld(path: string, maxFiles: number): void {
  if (maxFiles === 0) return;
  const extension = extname(path);
  const stem = basename(path, extension);
  const old = readdirSync(dirname(path))
    .filter((name) => name.startsWith(`${stem}-`) && name.endsWith(extension))
    .filter((name) => /^\d+$/.test(name.slice(stem.length + 1, name.length - extension.length)))
    .toSorted();
  const excess = maxFiles < 0 ? old : old.slice(0, Math.max(0, old.length - maxFiles));
  for (const name of excess) rmSync(join(dirname(path), name), { force: true });
}
