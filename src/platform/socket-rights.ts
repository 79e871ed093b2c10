/** Owner, group and mode of Unix sockets: `unix_sockets` of the configuration. */
import { chmodSync, chownSync, readFileSync } from "node:fs";

/** Texts of the configuration; empty: as the system gives them. */
export type SocketRights = { mode: string; user: string; group: string };

/**
 * Binds a Unix socket so that at no time anybody may connect who may not in the end: only the process's
 * own user until owner and mode are set. `bind` must do its work before it returns. Throws with the key
 * whose value the system refuses; what was bound is handed to `undo` then.
 */
export function bindWithRights<T>(
  path: string,
  { mode, user, group }: SocketRights,
  { bind, undo }: { bind: () => T; undo: (bound: T) => void },
): T {
  const uid = user === "" ? -1 : idOf("user", user);
  const gid = group === "" ? -1 : idOf("group", group);
  const umask = process.umask(0o077);
  let bound: T;
  try {
    bound = bind();
  } finally {
    process.umask(umask);
  }
  try {
    if (uid !== -1 || gid !== -1) chownSync(path, uid, gid);
    chmodSync(path, mode === "" ? 0o777 & ~umask : Number.parseInt(mode, 8));
    return bound;
  } catch (error) {
    undo(bound);
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`unix_sockets: owner and mode of ${path} cannot be set: ${reason}`, {
      cause: error,
    });
  }
}

/** A name of the system's list comes before a number, as in Consul. */
function idOf(kind: "user" | "group", name: string): number {
  const file = kind === "user" ? "/etc/passwd" : "/etc/group";
  const line = readFileSync(file, "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${name}:`));
  const id = line?.split(":")[2] ?? name;
  if (!/^\d{1,9}$/.test(id))
    throw new Error(`unix_sockets.${kind}: invalid ${kind} specified: ${name}`);
  return Number(id);
}
