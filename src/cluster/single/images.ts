/** Images of the state machine on their way to the store and back. */
import type { LogStore, SnapshotFile } from "../../ports.ts";
import { fail, ok, type Result } from "../../base.ts";
import type { Snapshot, StateMachine } from "../engine.ts";

/** Writes and records an image; the error side says why there was no room. Rejects when the store is dead. */
export async function saveImage(
  store: LogStore,
  { index, term, chunks }: Snapshot,
): Promise<Result<SnapshotFile, string>> {
  const written = await store.writeSnapshot({ index, term }, chunks);
  if (!written.stored) return fail(written.reason);
  const recorded = await store.recordSnapshot(written.file, null);
  if (recorded.stored) return ok(written.file);
  await store.discardSnapshot(written.file);
  return fail(recorded.reason);
}

/**
 * Makes a user's image the newest entry and the state. What is on the disk is built aside before it
 * is recorded: an image that the state machine rejects must not become the one to start from. The
 * error side says why nothing has changed. Rejects when the store is dead.
 */
export async function restoreImage(
  store: LogStore,
  machine: StateMachine,
  { index, term, chunks }: Snapshot,
): Promise<Result<SnapshotFile, string>> {
  const source = watch(chunks);
  try {
    const written = await store.writeSnapshot({ index, term }, source.chunks);
    if (!written.stored) return fail(written.reason);
    const { file } = written;
    const prepared = await prepare(store, machine, file);
    if (!prepared.ok) {
      await store.discardSnapshot(file);
      return prepared;
    }
    const data = new TextEncoder().encode(file.name);
    const recorded = await store.recordSnapshot(file, { index, term, kind: "restore", data });
    if (!recorded.stored) {
      await store.discardSnapshot(file);
      return fail(recorded.reason);
    }
    prepared.value();
    return ok(file);
  } catch (error) {
    if (source.error === undefined) throw error;
    return fail(messageOf(source.error));
  }
}

async function prepare(
  store: LogStore,
  machine: StateMachine,
  file: SnapshotFile,
): Promise<Result<() => void, string>> {
  try {
    const { index, term } = file;
    return ok(await machine.prepare({ index, term, chunks: store.readSnapshot(file) }));
  } catch (error) {
    return fail(messageOf(error));
  }
}

/** Tells a broken source of the user's from a broken store of ours. */
function watch(chunks: Snapshot["chunks"]) {
  const source = { chunks: pass(), error: undefined as unknown };
  async function* pass() {
    try {
      yield* chunks;
    } catch (error) {
      source.error = error ?? new Error("unreadable image");
      throw error;
    }
  }
  return source;
}

/** The words of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
