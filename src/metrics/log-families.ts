/** Families of the log engine: each shows one figure of `Engine.stats()` under its own name. */
import type { Family } from "./family.ts";

type Row = [type: "counter" | "gauge", name: string, figure: string, help: string];

/** What every engine and every store tells. */
const always: readonly Row[] = [
  ["gauge", "last_index", "last_index", "Last index in the log."],
  ["gauge", "term", "term", "Current term."],
  ["gauge", "leader", "leader", "1 while this server leads."],
  ["gauge", "queue_entries", "queue_entries", "Proposals waiting to be written."],
  ["gauge", "uncommitted_bytes", "uncommitted_octets", "Octets of proposals not yet committed."],
  ["counter", "proposals_total", "propose_total", "Commands proposed."],
  ["counter", "committed_total", "committed_total", "Commands committed."],
  ["counter", "refused_total", "refused_total", "Proposals refused."],
  ["counter", "unknown_total", "unknown_total", "Proposals whose outcome is unknown."],
  ["counter", "commits_total", "batch_total", "Batches written, each durable as a whole."],
  ["gauge", "batch_entries_max", "batch_entries_max", "Most commands in one batch."],
  [
    "counter",
    "commit_wait_seconds_total",
    "commit_wait_seconds_sum",
    "Time from handing a batch to the store until it was durable.",
  ],
  ["gauge", "commit_wait_seconds_max", "commit_wait_seconds_max", "The longest of these times."],
  ["counter", "apply_seconds_total", "apply_seconds_sum", "Time spent in the state machine."],
  ["gauge", "entries", "log_entries", "Entries in the log, those below the snapshot included."],
  ["gauge", "entries_bytes", "log_octets", "Octets of their commands."],
  ["counter", "snapshots_total", "snapshot_total", "Snapshots written."],
  ["counter", "snapshots_failed_total", "snapshot_failed_total", "Snapshots that found no room."],
  ["gauge", "snapshot_seconds", "snapshot_seconds_last", "Time the last snapshot took; 0: none."],
  ["gauge", "snapshot_index", "snapshot_index", "Index of the last snapshot; 0: none."],
  ["gauge", "snapshot_bytes", "snapshot_octets", "Size of the last snapshot."],
  [
    "gauge",
    "bytes_since_snapshot",
    "octets_since_snapshot",
    "Octets of the commands since the last snapshot.",
  ],
  ["counter", "restores_total", "restore_total", "Snapshots of users taken over."],
  ["gauge", "load_seconds", "load_seconds", "Time the start took to read snapshot and log."],
  ["gauge", "load_entries", "load_entries", "Entries applied again at the start."],
  ["gauge", "space_low", "space_low", "1 while the disk has little space left."],
  ["gauge", "space_full", "space_full", "1 while writes are refused for lack of space."],
];

/** What only a store on disk tells; without one (-dev) these families are empty. */
const onDisk: readonly Row[] = [
  ["counter", "fsync_seconds_total", "fsync_seconds_sum", "Time spent in fsync."],
  ["gauge", "fsync_seconds_max", "fsync_seconds_max", "The longest fsync."],
  ["gauge", "store_bytes", "store_octets", "Size of the store on disk."],
  ["gauge", "wal_bytes", "wal_octets", "Size of its write-ahead log."],
  ["gauge", "disk_free_bytes", "disk_free_octets", "Free space on its disk."],
];

/** Names of the families that are empty without a store on disk. */
export const onDiskFamilies: readonly string[] = onDisk.map(([, name]) => nameOf(name));

export const logFamilies: readonly Family[] = [...always, ...onDisk].map(
  ([type, name, figure, help]) => ({
    name: nameOf(name),
    help,
    labels: [],
    type,
    read({ log }) {
      const value = log()[figure];
      return value === undefined ? [] : [{ labels: {}, value }];
    },
  }),
);

function nameOf(name: string): string {
  return `waypost_log_${name}`;
}
