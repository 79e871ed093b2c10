/**
 * The path of a Unix socket, which changes hands without being absent: a socket is bound beside it and
 * then takes it by rename(2). What was there before goes on with those who are connected.
 */
import { lstatSync, readdirSync, renameSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { basename, dirname, join } from "node:path";
import { cannotListen } from "../listening.ts";

/** Octets of a path that a Unix socket may have (sun_path of Linux, with its final zero). */
const PATH_OCTETS_MAX = 107;

/** A socket of this process at a path. */
export type UnixPath = {
  readonly path: string;
  /** Where it is to be bound. Bun removes this one when the listener stops, whoever has it then. */
  readonly bindTo: string;
  /** From here on clients come to us. No effect if it has been done, or bound in place. */
  take: () => void;
  /** Removes the path if it is still ours; no error. */
  release: () => void;
};

/** Does nothing yet. A path that is too long for another one beside it is bound in place. */
export function createUnixPath(path: string): UnixPath {
  const beside = `${path}.${process.pid}`;
  if (Buffer.byteLength(beside) > PATH_OCTETS_MAX)
    return { path, bindTo: path, take() {}, release() {} };
  let inode: number | undefined;
  return {
    path,
    bindTo: beside,
    take() {
      if (inode !== undefined) return;
      inode = lstatSync(beside).ino;
      renameSync(beside, path);
    },
    release() {
      const isOurs = inode !== undefined && inode === lstatSync(path, absent)?.ino;
      if (isOurs) rmSync(path, { force: true });
    },
  };
}

const absent = { throwIfNoEntry: false } as const;

/**
 * A socket file that nobody listens on is what a killed process leaves behind: at the path or, if it did
 * not come to take it, beside it. Rejects if somebody has the path, unless it `isShared` with us.
 */
export async function removeStale(path: string, isShared: boolean): Promise<void> {
  if (!isShared) {
    const found = await lookAt(path);
    if (found === "alive") throw new Error(cannotListen("HTTP", { path }, "EADDRINUSE"));
    if (found === "stale") rmSync(path, { force: true });
  }
  const beginning = `${basename(path)}.`;
  for (const name of siblings(path)) {
    if (!name.startsWith(beginning) || !/^\d+$/.test(name.slice(beginning.length))) continue;
    const beside = join(dirname(path), name);
    // oxlint-disable-next-line no-await-in-loop -- one at most, as a rule
    if ((await lookAt(beside)) === "stale") rmSync(beside, { force: true });
  }
}

function siblings(path: string): string[] {
  try {
    return readdirSync(dirname(path));
  } catch {
    return []; // binding says what is wrong there
  }
}

function lookAt(path: string): Promise<"alive" | "stale" | "no socket"> {
  if (lstatSync(path, absent)?.isSocket() !== true) return Promise.resolve("no socket");
  return new Promise((resolve) => {
    const probe = connect(path, () => resolve("alive")).on("error", () => resolve("stale"));
    probe.on("connect", () => probe.destroy());
  });
}
