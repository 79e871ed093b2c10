/** The files of `forwarder.resolv_conf` as they change: which of them holds, and when it says something new. */
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import type { Cancel } from "../../ports.ts";
import { codeOf, followPaths } from "../paths/driver.ts";
import { parseResolvConf, type ResolvConf } from "../resolvconf.ts";

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
 * unreadable or name no server change nothing. The way to them is watched as followPaths does it.
 */
export function watchResolvConf(paths: readonly string[], on: ResolvConfListener): Cancel {
  const all = paths.join(", ");
  let known = "";
  let problem = "";

  function complain(found: string): void {
    if (found !== problem && found !== "") on.problem(found);
    problem = found;
  }

  function look(): void {
    const { path, error } = newestFile(paths);
    let text: string;
    try {
      if (path === undefined) return complain(unreadable(all, error));
      const plain = readPlain(path);
      if (plain === undefined) return complain(unreadable(path, "it is no file"));
      text = plain;
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

  return followPaths(paths, { look, problem: (text) => on.problem(text) });
}

/** undefined for what is no file: a FIFO would be waited for, a device never ends. /dev/null is empty. */
function readPlain(path: string): string | undefined {
  if (path === "/dev/null") return "";
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return fstatSync(file).isFile() ? readFileSync(file, "utf8") : undefined;
  } finally {
    closeSync(file);
  }
}

function unreadable(what: string, code: string): string {
  return `cannot read ${what}: ${code}; keeping the servers known so far`;
}
