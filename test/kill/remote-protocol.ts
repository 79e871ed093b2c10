/** Messages between a test under Node and a store under Bun; octets travel as base64. */
import type { DiskSpace, LogRow, SnapshotFile } from "../../src/ports.ts";

export type WireRow = Omit<LogRow, "data"> & { data: string };

export type Call =
  | { call: "load" }
  | { call: "next-rows" }
  | { call: "append"; rows: WireRow[] }
  | { call: "write"; at: { index: number; term: number }; chunks: string[] }
  | { call: "read"; file: SnapshotFile }
  | { call: "record"; file: SnapshotFile; restored: WireRow | null }
  | { call: "discard"; file: SnapshotFile }
  | { call: "trim"; keepFrom: number }
  | { call: "close" };

export type Answer =
  | { id: number; value: unknown; stats: Record<string, number> }
  | { id: number; error: { name: string; message: string } }
  | { space: DiskSpace }
  | { failure: string }
  | { warning: string };

export const toWire = (row: LogRow): WireRow => ({
  ...row,
  data: Buffer.from(row.data).toString("base64"),
});

export const fromWire = (row: WireRow): LogRow => ({
  ...row,
  data: new Uint8Array(Buffer.from(row.data, "base64")),
});
