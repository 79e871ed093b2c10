/** Notices of changes of files, by whatever way their path leads to another file. */
import { lstatSync, readlinkSync, statSync, watch, type FSWatcher } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Cancel } from "../../ports.ts";

/** Changes come in bursts (write, rename, link); they are looked at together. */
const SETTLE_MS = 200;
/** Where directories cannot be watched the files are looked at this often. */
const POLL_MS = 5000;
/** Links that are followed in one path, as the kernel does (path_resolution(7)). */
const MAX_LINKS = 40;

/** Who hears of the files. */
export type PathsListener = {
  /** To be looked at: once at the start, then whenever one may have changed, and every POLL_MS. */
  look(): void;
  /** Why changes are seen later than at once. */
  problem(problem: string): void;
};

/**
 * Links are followed, and every directory on the way in which one of them, or the file itself, can be
 * replaced is watched. Of a path that is a directory all files in it are.
 */
export function followPaths(paths: readonly string[], on: PathsListener): Cancel {
  let settling: NodeJS.Timeout | null = null;
  let watchers: FSWatcher[] = [];
  let watched = "";
  let stopped = false;

  /** Set anew when links or directories have changed. */
  function watchDirectories(): void {
    const places = new Map<string, Set<string>>();
    for (const path of paths)
      for (const { directory, name } of placesOf(path))
        places.set(directory, (places.get(directory) ?? new Set()).add(name));
    const wanted = [...places].map(([directory, names]) => identify(directory, names)).join("\n");
    if (wanted === watched) return;
    watched = wanted;
    for (const watcher of watchers) watcher.close();
    watchers = [];
    for (const [directory, names] of places)
      try {
        const watcher = watch(directory, (_event, name) => {
          if (name === null || names.has(name) || names.has(ANY_NAME)) settle();
        });
        watcher.on("error", () => watcher.close());
        watchers.push(watcher);
      } catch (cause) {
        on.problem(
          `cannot watch ${directory}: ${codeOf(cause)}; reading ${paths.join(", ")} every ${POLL_MS / 1000} s`,
        );
      }
  }

  /** Watched first: what changes between the two looks is seen by one of them. */
  function follow(): void {
    watchDirectories();
    on.look();
  }

  function settle(): void {
    if (stopped || settling !== null) return;
    settling = setTimeout(() => {
      settling = null;
      follow();
    }, SETTLE_MS);
  }

  follow();
  // Also where watching works: bind mounts change without an event.
  const poll = setInterval(follow, POLL_MS);
  poll.unref();
  return () => {
    stopped = true;
    clearInterval(poll);
    if (settling !== null) clearTimeout(settling);
    for (const watcher of watchers) watcher.close();
  };
}

/** The word of a failed system call. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "UNKNOWN";
}

/** A directory that was removed and made again has the same name, but another watch. */
function identify(directory: string, names: ReadonlySet<string>): string {
  let inode = 0n;
  try {
    inode = statSync(directory, { bigint: true }).ino;
  } catch {
    // Gone since: the next look finds its parent.
  }
  return `${directory} ${inode} ${[...names].join("/")}`;
}

type Place = { directory: string; name: string };

/** No file has this name: it stands for all of them. */
const ANY_NAME = "/";

/** Where a change gives the path another file: its own name, each link on the way, and the first part that is absent. */
function placesOf(path: string): Place[] {
  const places: Place[] = [];
  let rest = partsOf(resolve(path));
  let directory = "/";
  let links = 0;
  while (rest.length > 0) {
    const [name, ...further] = rest;
    rest = further;
    if (name === "..") {
      directory = dirname(directory);
      continue;
    }
    const here = join(directory, name!);
    const target = readPart(here);
    if (target !== "plain" || rest.length === 0) places.push({ directory, name: name! });
    if (target === "absent") break;
    if (target === "plain") directory = here;
    else {
      if (++links > MAX_LINKS) break;
      if (target.to.startsWith("/")) directory = "/";
      rest = [...partsOf(target.to), ...rest];
    }
  }
  if (rest.length === 0 && isDirectory(directory)) places.push({ directory, name: ANY_NAME });
  return places;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function readPart(path: string): "plain" | "absent" | { to: string } {
  try {
    return lstatSync(path).isSymbolicLink() ? { to: readlinkSync(path) } : "plain";
  } catch {
    return "absent"; // or hidden from us, which is the same
  }
}
