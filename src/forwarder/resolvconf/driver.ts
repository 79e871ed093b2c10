/** The files of `forwarder.resolv_conf` as they change: which of them holds, and when it says something new. */
import { lstatSync, readFileSync, readlinkSync, statSync, watch, type FSWatcher } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Cancel } from "../../ports.ts";
import { parseResolvConf, type ResolvConf } from "../resolvconf.ts";

/** Changes come in bursts (write, rename, link); they are looked at together. */
const SETTLE_MS = 200;
/** Where directories cannot be watched the files are looked at this often. */
const POLL_MS = 5000;
/** Links that are followed in one path, as the kernel does (path_resolution(7)). */
const MAX_LINKS = 40;

/** Who hears of the files. */
export type ResolvConfListener = {
  /** What the newest of the files says, and which one that is. */
  changed(conf: ResolvConf, path: string): void;
  /** Why nothing changes; each state of the files is complained about once. */
  problem(problem: string): void;
};

/**
 * The one that was written last, the first of those written at the same time (as dnsmasq chooses among
 * several `resolv-file`); undefined if none can be looked at, `error` says why of the first.
 */
export function newestFile(paths: readonly string[]): { path: string | undefined; error: string } {
  let newest: { path: string; mtimeNs: bigint } | undefined;
  let error = "";
  for (const path of paths)
    try {
      const { mtimeNs } = statSync(path, { bigint: true });
      if (newest === undefined || mtimeNs > newest.mtimeNs) newest = { path, mtimeNs };
    } catch (cause) {
      error ||= codeOf(cause);
    }
  return { path: newest?.path, error };
}

/**
 * Looks at the files now, and tells what the newest of them says: once at the start, then each time its
 * list of servers or its options differ, whichever file they come from. Files that are absent,
 * unreadable or name no server change nothing. Links are followed, and every directory on the way in
 * which one of them, or the file itself, can be replaced is watched.
 */
export function watchResolvConf(paths: readonly string[], on: ResolvConfListener): Cancel {
  const all = paths.join(", ");
  let known = "";
  let problem = "";
  let settling: NodeJS.Timeout | null = null;
  let watchers: FSWatcher[] = [];
  let watched = "";
  let stopped = false;

  function complain(found: string): void {
    if (found !== problem && found !== "") on.problem(found);
    problem = found;
  }

  function look(): void {
    const { path, error } = newestFile(paths);
    let text: string;
    try {
      if (path === undefined) return complain(unreadable(all, error));
      text = readFileSync(path, "utf8");
    } catch (cause) {
      return complain(unreadable(path ?? all, codeOf(cause)));
    }
    const conf = parseResolvConf(text);
    if (conf.servers.length === 0)
      return complain(`${path} names no server; keeping the servers known so far`);
    const ignored = conf.ignored.map(({ line, text: words }) => `${line} (${words.trim()})`);
    complain(ignored.length === 0 ? "" : `ignored in ${path}: line ${ignored.join(", line ")}`);
    const says = JSON.stringify({ ...conf, ignored: [] });
    if (says === known) return;
    known = says;
    on.changed(conf, path);
  }

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
          if (name === null || names.has(name)) settle();
        });
        watcher.on("error", () => watcher.close());
        watchers.push(watcher);
      } catch (cause) {
        on.problem(
          `cannot watch ${directory}: ${codeOf(cause)}; reading ${all} every ${POLL_MS / 1000} s`,
        );
      }
  }

  /** Watched first: what changes between the two looks is seen by one of them. */
  function follow(): void {
    watchDirectories();
    look();
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

function unreadable(what: string, code: string): string {
  return `cannot read ${what}: ${code}; keeping the servers known so far`;
}

function codeOf(error: unknown): string {
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
  return places;
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
