/**
 * A change of the host's files that can be shown, made and undone. What stood there before is written
 * down first, so that it can be taken back whatever happens in between.
 */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fail, ok, type Result } from "../../base.ts";
import { fileReason } from "../../file-reason.ts";
import { isObject } from "../../config/kinds.ts";

/** What stands at a path. */
export type FileState =
  | { kind: "absent" }
  | { kind: "file"; text: string; mode: number }
  | { kind: "link"; target: string };

/** One path before and after. */
export type FileChange = { path: string; before: FileState; after: FileState };

/** Largest file that is read: those that are changed here have a few lines. */
const MAX_OCTETS = 1 << 20;
/** Rights of a file that was not there before. */
const NEW_FILE_MODE = 0o644;
/** Where the changes that were made are written down, below the root. */
const RECORDS = "/var/lib/waypost-setup";

export const absent: FileState = { kind: "absent" };

/** A file with this text and the rights that `before` had. */
export function fileLike(before: FileState, text: string): FileState {
  return { kind: "file", text, mode: before.kind === "file" ? before.mode : NEW_FILE_MODE };
}

/** What stands at `path` below `root`; the error is one sentence. */
export function readState(root: string, path: string): Result<FileState, string> {
  const full = join(root, path);
  try {
    const stat = lstatSync(full, { throwIfNoEntry: false });
    if (stat === undefined) return ok(absent);
    if (stat.isSymbolicLink()) return ok({ kind: "link", target: readlinkSync(full) });
    if (!stat.isFile()) return fail(`${full} is neither a file nor a symbolic link`);
    if (stat.size > MAX_OCTETS) return fail(`${full} has more than ${MAX_OCTETS} octets`);
    return ok({ kind: "file", text: readFileSync(full, "utf8"), mode: stat.mode & 0o7777 });
  } catch (error) {
    return fail(fileReason(error, full));
  }
}

/** Same kind, text or target? Rights do not count: others may have set them since. */
export function isSame(a: FileState, b: FileState): boolean {
  if (a.kind === "file") return b.kind === "file" && a.text === b.text;
  if (a.kind === "link") return b.kind === "link" && a.target === b.target;
  return b.kind === "absent";
}

/** The changes as people read them: removed lines with -, new ones with +. */
export function showChanges(root: string, changes: readonly FileChange[]): string {
  return changes
    .map(({ path, before, after }) => {
      const old = linesOf(before);
      const now = linesOf(after);
      const lines = [
        ...old.map((line) => (now.includes(line) ? `    ${line}` : `  - ${line}`)),
        ...now.filter((line) => !old.includes(line)).map((line) => `  + ${line}`),
      ];
      return `${join(root, path)}${titles[`${before.kind} ${after.kind}`] ?? ""}\n${lines.join("\n")}\n`;
    })
    .join("\n");
}

const titles: Readonly<Record<string, string>> = {
  "absent file": " (new)",
  "file absent": " (removed)",
  "link file": " (was a symbolic link)",
  "file link": " (becomes a symbolic link)",
};

function linesOf(state: FileState): string[] {
  if (state.kind === "absent") return [];
  if (state.kind === "link") return [`-> ${state.target}`];
  return state.text.replace(/\n$/, "").split("\n");
}

/**
 * Makes the changes, all or none: one that fails takes back those before it. `name` is that of the
 * record; the error is one sentence.
 */
export function makeChanges(
  root: string,
  name: string,
  changes: readonly FileChange[],
): Result<void, string> {
  const record = recordPath(root, name);
  try {
    mkdirSync(dirname(record), { recursive: true, mode: 0o700 });
    replaceFile(record, `${JSON.stringify({ version: 1, changes }, null, 2)}\n`, 0o600);
  } catch (error) {
    return fail(fileReason(error, record));
  }
  const done: FileChange[] = [];
  for (const change of changes) {
    const written = writeState(root, change.path, change.after);
    if (written.ok) {
      done.push(change);
      continue;
    }
    for (const { path, before } of done.toReversed()) writeState(root, path, before);
    rmSync(record, { force: true });
    return fail(`${written.error}; nothing was changed`);
  }
  return ok(undefined);
}

/** The changes of this name that were made and not yet undone; undefined: none. */
export function recordedChanges(
  root: string,
  name: string,
): Result<readonly FileChange[] | undefined, string> {
  const state = readState(root, join(RECORDS, `${name}.json`));
  if (!state.ok) return state;
  if (state.value.kind !== "file") return ok(undefined);
  const damaged = fail(`${recordPath(root, name)} is damaged; undo by hand and remove it`);
  try {
    const record: unknown = JSON.parse(state.value.text);
    const changes: unknown = isObject(record) ? record["changes"] : undefined;
    if (!Array.isArray(changes)) return damaged;
    return changes.every(isChange) ? ok(changes) : damaged;
  } catch {
    return damaged;
  }
}

/** Takes recorded changes back. Refused if somebody has changed one of the files since. */
export function undoChanges(
  root: string,
  name: string,
  changes: readonly FileChange[],
): Result<void, string> {
  const left: FileChange[] = [];
  for (const change of changes) {
    const now = readState(root, change.path);
    if (!now.ok) return now;
    if (isSame(now.value, change.before)) continue;
    if (!isSame(now.value, change.after))
      return fail(
        `${join(root, change.path)} was changed by somebody else since; ` +
          `what stood there before is kept in ${recordPath(root, name)}`,
      );
    left.push(change);
  }
  for (const { path, before } of left.toReversed()) {
    const written = writeState(root, path, before);
    if (!written.ok) return written;
  }
  rmSync(recordPath(root, name), { force: true });
  return ok(undefined);
}

const recordPath = (root: string, name: string): string => join(root, RECORDS, `${name}.json`);

function isChange(value: unknown): value is FileChange {
  return (
    isObject(value) &&
    typeof value["path"] === "string" &&
    isState(value["before"]) &&
    isState(value["after"])
  );
}

function isState(value: unknown): value is FileState {
  if (!isObject(value)) return false;
  const { kind, target, text, mode } = value;
  if (kind === "absent") return true;
  if (kind === "link") return typeof target === "string";
  return kind === "file" && typeof text === "string" && typeof mode === "number";
}

function writeState(root: string, path: string, state: FileState): Result<void, string> {
  const full = join(root, path);
  try {
    if (state.kind === "absent") rmSync(full, { force: true });
    else {
      mkdirSync(dirname(full), { recursive: true });
      if (state.kind === "file") replaceFile(full, state.text, state.mode);
      else {
        const fresh = `${full}.waypost-new`;
        rmSync(fresh, { force: true });
        symlinkSync(state.target, fresh);
        renameSync(fresh, full);
      }
    }
    return ok(undefined);
  } catch (error) {
    return fail(fileReason(error, full));
  }
}

/** Whole or not at all, for readers as for a crash. In a container, a mounted file cannot be replaced. */
function replaceFile(path: string, text: string, mode: number): void {
  const fresh = `${path}.waypost-new`;
  try {
    writeFileSync(fresh, text, { mode });
    chmodSync(fresh, mode); // whatever the umask
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    if (!(error instanceof Error && "code" in error && error.code === "EBUSY")) throw error;
    writeFileSync(path, text);
  }
}
