/** A snapshot of the cache in a file. */
import { open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fail, type Result } from "../../base.ts";
import type { Forwarder } from "../forward.ts";
import type { Restored } from "./decode.ts";

/** A file is read as a whole; a larger one is none of ours. */
const MAX_OCTETS = 2 ** 30;
/** Work on a snapshot goes on so long at a time; then questions come first. */
const SLICE_MS = 2;

const pause = (): Promise<void> => new Promise((resume) => setImmediate(resume));

/**
 * Writes what is kept to a new file beside `path`, which takes its name when it is whole and on disk.
 * Returns its octets. Rejects with what the file system says; `path` is as it was then.
 */
export async function writeSnapshot(
  path: string,
  forwarder: Pick<Forwarder, "snapshot">,
): Promise<number> {
  // Taking the name of a device would take it from everybody.
  const held = await stat(path).catch(() => undefined);
  if (held !== undefined && !held.isFile()) throw new Error("it is no file");
  const partial = `${path}.${process.pid}.partial`;
  const blocks = forwarder.snapshot();
  const file = await open(partial, "w", 0o600);
  let octets = 0;
  try {
    for (let block = blocks.next(); block.done !== true; block = blocks.next()) {
      // oxlint-disable no-await-in-loop -- one after the other
      if (block.value === undefined) await pause();
      else {
        await file.writeFile(block.value);
        octets += block.value.length;
      }
      // oxlint-enable no-await-in-loop
    }
    await file.sync();
    await file.close();
    await rename(partial, path);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(partial, { force: true });
    throw error;
  }
  return octets;
}

/** Removes what writers that were killed have left beside `path`, and nothing that others may have called so. */
export async function removePartial(path: string): Promise<void> {
  const folder = dirname(path);
  const beginning = `${basename(path)}.`;
  for (const name of await readdir(folder).catch(() => []))
    if (name.startsWith(beginning) && /^\d+\.partial$/.test(name.slice(beginning.length)))
      await rm(join(folder, name), { force: true }).catch(() => {}); // of somebody else
}

/**
 * Puts back what the file holds. An error says what is wrong with its octets. Rejects with what the
 * file system says.
 */
export async function readSnapshot(
  path: string,
  forwarder: Pick<Forwarder, "restore">,
): Promise<Result<Restored, string>> {
  const found = await stat(path);
  if (!found.isFile()) return fail("it is no file");
  const { size } = found;
  if (size > MAX_OCTETS) return fail(`it has more than ${MAX_OCTETS} octets`);
  const slices = forwarder.restore(await readFile(path));
  let pausedAtMs = performance.now();
  for (;;) {
    const slice = slices.next();
    if (slice.done === true) return slice.value;
    if (performance.now() - pausedAtMs < SLICE_MS) continue;
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await pause();
    pausedAtMs = performance.now();
  }
}
