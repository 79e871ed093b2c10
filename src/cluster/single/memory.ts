/**
 * A log store without a disk, for servers that may forget everything when they end (`-dev`) and
 * for tests: what "the disk" holds is a plain value that outlives the store, and a gate decides
 * when each operation takes effect, when it is acknowledged and whether it fails.
 */
import { assert } from "../../base.ts";
import type { DiskSpace, LoadedLog, LogRow, LogStore, SnapshotFile, Stored } from "../../ports.ts";

/** What is durable. */
export type MemoryDisk = {
  term: number;
  rows: LogRow[];
  /** Snapshot files by name, also those not recorded. */
  files: Map<string, { file: SnapshotFile; chunks: Uint8Array[] }>;
  /** Name of the recorded one. */
  snapshot: string | null;
};

/** `before`: nothing has happened yet. `after`: the effect is durable, but nobody knows it yet. */
export type MemoryPoint = {
  operation: "append" | "write" | "record" | "discard" | "trim";
  when: "before" | "after";
  rows: readonly LogRow[];
};

/** "full" rolls back (only at `before`); a throw is the death of the store. */
export type MemoryGate = (point: MemoryPoint) => Promise<"go" | "full">;

/** A store in memory; its disk space is whatever the test says. */
export type MemoryStore = LogStore & { setSpace(space: DiskSpace): void };

const TRIM_SLICE = 2000;
const BATCH_ROWS = 512;

/** An empty disk. */
export function createMemoryDisk(): MemoryDisk {
  return { term: 0, rows: [], files: new Map(), snapshot: null };
}

/** A store over `disk`. Without a gate every operation succeeds at once. */
export function createMemoryStore(
  disk: MemoryDisk = createMemoryDisk(),
  gate: MemoryGate = () => Promise.resolve("go"),
): MemoryStore {
  const onSpace = new Set<(space: DiskSpace) => void>();
  const onFailure = new Set<(reason: string) => void>();
  let commitCount = 0;

  async function transaction(
    operation: MemoryPoint["operation"],
    rows: readonly LogRow[],
    effect: () => void,
  ): Promise<Stored> {
    if ((await gate({ operation, when: "before", rows })) === "full")
      return { stored: false, reason: "disk is full" };
    effect();
    commitCount++;
    await gate({ operation, when: "after", rows });
    return { stored: true };
  }

  function add(rows: readonly LogRow[]): void {
    for (const row of rows) {
      const last = disk.rows.at(-1)?.index ?? 0;
      const follows = row.index === last + 1 || (row.kind === "restore" && row.index > last);
      assert(follows || disk.rows.length === 0, "rows are dense");
      disk.rows.push({ ...row, data: row.data.slice() });
      disk.term = Math.max(disk.term, row.term);
    }
  }

  return {
    load: () => Promise.resolve(loadFrom(disk)),
    append: (rows) => transaction("append", rows, () => add(rows)),
    async writeSnapshot({ index, term }, source) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of source) chunks.push(chunk.slice());
      const octets = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      const file = { index, term, octets, name: `snapshot-${term}-${index}` };
      const effect = (): void => void disk.files.set(file.name, { file, chunks });
      const result = await transaction("write", [], effect);
      return result.stored ? { stored: true, file } : result;
    },
    // eslint-disable-next-line typescript/require-await
    async *readSnapshot({ name }) {
      const stored = disk.files.get(name);
      if (stored === undefined) throw new Error(`snapshot ${name} is missing`);
      yield* stored.chunks;
    },
    recordSnapshot: (file, restored) =>
      transaction("record", restored === null ? [] : [restored], () => {
        if (restored !== null) add([restored]);
        disk.snapshot = file.name;
        for (const name of disk.files.keys()) if (name !== file.name) disk.files.delete(name);
      }),
    async discardSnapshot(file) {
      await transaction("discard", [], () => void disk.files.delete(file.name));
    },
    async trim(keepFrom) {
      for (;;) {
        const below = disk.rows.findIndex((row) => row.index >= keepFrom);
        if (below <= 0) return;
        const count = Math.min(below, TRIM_SLICE);
        await transaction("trim", [], () => void disk.rows.splice(0, count));
      }
    },
    stats: () => ({
      commit_total: commitCount,
      log_entries: disk.rows.length,
      log_octets: disk.rows.reduce((sum, { data }) => sum + data.length, 0),
    }),
    onSpace: (listener) => subscribe(onSpace, listener),
    onFailure: (listener) => subscribe(onFailure, listener),
    close: () => Promise.resolve(),
    setSpace(space) {
      for (const listener of onSpace) listener(space);
    },
  };
}

function loadFrom(disk: MemoryDisk): LoadedLog {
  const snapshot = disk.snapshot === null ? null : (disk.files.get(disk.snapshot)?.file ?? null);
  for (const name of disk.files.keys()) if (name !== disk.snapshot) disk.files.delete(name);
  const from = snapshot?.index ?? 0;
  const rows = disk.rows.filter((row) => row.index > from);
  return {
    clusterId: "memory",
    serverId: "memory",
    term: disk.term,
    lastIndex: Math.max(disk.rows.at(-1)?.index ?? 0, from),
    snapshot,
    entries: inBatches(rows),
  };
}

// eslint-disable-next-line typescript/require-await
async function* inBatches(rows: LogRow[]): AsyncGenerator<LogRow[]> {
  for (let at = 0; at < rows.length; at += BATCH_ROWS) yield rows.slice(at, at + BATCH_ROWS);
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
