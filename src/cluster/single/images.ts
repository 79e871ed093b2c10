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
 * Makes a user's image the state and the newest entry. It is installed from what is on the disk,
 * before it is recorded: an image that the state machine rejects must not become the one to start
 * from. The error side says why nothing has changed. Rejects when the store is dead, or when the
 * machine holds the image and the log does not: only a restart makes them equal then.
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
    const problem = await install(store, machine, file);
    if (problem !== null) {
      await store.discardSnapshot(file);
      return fail(problem);
    }
    const data = new TextEncoder().encode(file.name);
    const recorded = await store.recordSnapshot(file, { index, term, kind: "restore", data });
    if (!recorded.stored) throw new Error(recorded.reason);
    return ok(file);
  } catch (error) {
    if (source.error === undefined) throw error;
    return fail(messageOf(source.error));
  }
}

async function install(
  store: LogStore,
  machine: StateMachine,
  file: SnapshotFile,
): Promise<string | null> {
  try {
    const { index, term } = file;
    await machine.install({ index, term, chunks: store.readSnapshot(file) });
    return null;
  } catch (error) {
    return messageOf(error);
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
