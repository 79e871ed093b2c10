/** Files of an agent below its data directory: the node id, and what Consul left of local services. */
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fail, ok, type Result } from "../../base.ts";
import type { Random } from "../../ports.ts";
import type { StoredKind } from "../local-store.ts";
import { isUuid } from "../uuid.ts";

/** Files that were being written when the program was killed. */
const TEMPORARY = ".tmp";

/** A file below `services` or `checks`; `name` is its path. */
export type OldFile = { kind: StoredKind; name: string; content: Result<string, string> };

/**
 * The files of local services, checks and TTL states, one per entry, as Consul and earlier versions
 * kept them; half-written ones are removed. Unreadable ones come with an error instead.
 */
export async function readOldFiles(dataDir: string): Promise<OldFile[]> {
  const files: OldFile[] = [];
  for (const kind of ["services", "checks", "checks/state"] as const) {
    const folder = join(dataDir, kind);
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(absent([]))) {
      const name = join(folder, entry.name);
      if (entry.name.endsWith(TEMPORARY)) await rm(name, { force: true });
      else if (entry.isFile()) files.push({ kind, name, content: await readText(name) });
    }
  }
  return files;
}

async function readText(path: string): Promise<Result<string, string>> {
  try {
    return ok(await readFile(path, "utf8"));
  } catch (error) {
    return fail(messageOf(error));
  }
}

/**
 * Replaces the content of `path` in `folder`, which is made if it is missing (mode 0700): a reader, and
 * a restart after a kill or a loss of power, sees the old content or the new one. Only the owner may
 * read the file. Rejects with an Error that names the path.
 */
export async function writeAtomically(folder: string, path: string, text: string): Promise<void> {
  const temporary = path + TEMPORARY;
  try {
    await writeFileSynced(temporary, text).catch(async (error: unknown) => {
      if (codeOf(error) !== "ENOENT") throw error;
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeFileSynced(temporary, text);
    });
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (error) {
    named(path)(error);
  }
}

async function writeFileSynced(path: string, text: string): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the names in a folder durable: without it a rename may be lost with the power (fsync(2)). */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * The node's UUID: the configured one (checked, in lower case), else the one in `<dataDir>/node-id`,
 * else a new one, which is written there. Throws an error that says what to do when the file holds
 * something else: a new id would make this a different node.
 */
export async function loadNodeId(
  dataDir: string | undefined,
  configured: string,
  random: Pick<Random, "uuid">,
): Promise<string> {
  if (configured !== "") {
    if (isUuid(configured)) return configured.toLowerCase();
    throw new Error(`node_id is not a UUID: ${configured}`);
  }
  if (dataDir === undefined) return random.uuid();
  const path = join(dataDir, "node-id");
  const text = await readFile(path, "utf8").catch(absent(undefined)).catch(unusable(dataDir));
  if (text !== undefined) {
    const id = text.trim().toLowerCase();
    if (isUuid(id)) return id;
    throw new Error(`${path} does not hold a UUID; restore it, or remove it to become a new node`);
  }
  const id = random.uuid();
  await writeAtomically(dataDir, path, id).catch(unusable(dataDir));
  return id;
}

function unusable(dataDir: string): (error: unknown) => never {
  return (error) => {
    throw new Error(`data_dir ${dataDir} cannot be used: ${messageOf(error)}`, { cause: error });
  };
}

/** For `catch`: the value if a file does not exist; other errors go on. */
export function absent<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (codeOf(error) === "ENOENT") return value;
    throw error;
  };
}

/** For `catch`: the error goes on as one that names the path. */
export function named(path: string): (error: unknown) => never {
  return (error) => {
    throw new Error(`${path}: ${messageOf(error)}`, { cause: error });
  };
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
