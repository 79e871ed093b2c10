/** Messages between the main thread (store.ts) and the store's thread (store-worker.ts). */
import type { DiskSpace, LogRow, SnapshotFile } from "../ports.ts";
import type { Frames } from "./store-frames.ts";

/** What the main thread asks; each is answered by a Report with its id. */
export type Request =
  | { op: "open"; dir: string }
  /** Verified rows after the snapshot, or null at the end. Buffers are drawn one at a time. */
  | { op: "next-rows" }
  | { op: "append"; frames: Frames }
  | { op: "write-begin"; at: { index: number; term: number } }
  | { op: "write-chunks"; frames: Frames }
  | { op: "write-end" }
  | { op: "write-abort" }
  | { op: "read-begin"; file: SnapshotFile }
  | { op: "next-chunks" }
  | { op: "read-end" }
  | { op: "record"; file: SnapshotFile; restored: LogRow | null }
  | { op: "discard"; file: SnapshotFile }
  | { op: "trim"; keepFrom: number }
  | { op: "close" };

/** Value of the answer to `open`. */
export type Opened = {
  clusterId: string;
  serverId: string;
  term: number;
  lastIndex: number;
  snapshot: SnapshotFile | null;
  /** Things an operator should know, such as an accepted loss. */
  warnings: string[];
};

/** `full`: rolled back as a whole. `refused`: the start cannot go on. `failed`: the store is dead. */
export type Failure = { kind: "full" | "refused" | "failed"; message: string };

/** What the store's thread says: answers, and events of its own. */
export type Report =
  | { id: number; value: unknown }
  | { id: number; failure: Failure }
  | { event: "tick"; space: DiskSpace; stats: Record<string, number> }
  | { event: "failed"; message: string };
