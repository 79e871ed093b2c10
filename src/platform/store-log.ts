/**
 * The log in SQLite: schema, settings, integrity at start, transactions. Synchronous; runs on the
 * store's own thread. Every row carries a CRC-32 of (index, term, kind, data) and a running 64-bit
 * hash over all rows before it, so a wrong, missing or foreign row is noticed at start.
 */
import { Database, type Statement } from "bun:sqlite";
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  statfsSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { SnapshotFile } from "../ports.ts";
import { damaged, refusal } from "./store-damage.ts";
import {
  FRAME_HEADER_OCTETS,
  type Frames,
  ROW_HEADER_OCTETS,
  readUint48,
  writeRowHeader,
} from "./store-frames.ts";

/** Snapshot to start from, as recorded in the log; `chain` is that of the row at its index. */
export type RecordedSnapshot = SnapshotFile & { sha256: string; chain: string };

/** Identity and hard state. */
export type LogMeta = {
  clusterId: string;
  serverId: string;
  term: number;
  snapshot: RecordedSnapshot | null;
};

/** Where the log ends. `chain` is the hash of all rows up to and with `index`. */
export type LogEnd = { index: number; term: number; chain: bigint };

const APPLICATION_ID = 0x57505354;
const FORMAT = 1;
/** Kind of a row that may follow a gap: a restored snapshot has used the indexes in between. */
const RESTORE = 1;
/** A process that was just told to end may take this long to let go of the files. */
const BUSY_TIMEOUT_MS = 1000;
/** Pages written since the last checkpoint that start the next; SQLite's own default. */
const CHECKPOINT_PAGES = 1000;
const PAGE_OCTETS = 4096;
const JOURNAL_LIMIT_OCTETS = 64 * 1024 * 1024;
/** Free pages worth giving back to the file system, and how many at a time. */
const VACUUM_PAGES = 4096;
const VACUUM_SLICE_PAGES = 512;

const SCHEMA = [
  "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) STRICT, WITHOUT ROWID",
  "CREATE TABLE log (idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL, crc INTEGER NOT NULL, chain INTEGER NOT NULL, data BLOB NOT NULL) STRICT",
] as const;

/** NFS, SMB and SMB2: their locks and their fsync cannot be trusted (sqlite.org/howtocorrupt.html). */
const NETWORK_FILE_SYSTEMS = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
]);

type Row = [number, number, number, number, number, number, Uint8Array];

/** Makes the folder (0700) and refuses one that cannot hold a log. */
export function prepareFolder(dir: string): void {
  try {
    if (!existsSync(dir)) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      chmodSync(dir, 0o700);
    }
    if (!statSync(dir).isDirectory()) throw refusal(`${dir}: is not a directory`);
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof Error && error.name === "StartRefused") throw error;
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw refusal(
      `${dir}: the data directory cannot be written (${code}); create it, owned by the user that runs waypost, or name another one`,
    );
  }
  const network = NETWORK_FILE_SYSTEMS.get(statfsSync(dir).type >>> 0);
  if (network !== undefined)
    throw refusal(`${dir}: lies on ${network}; the log needs a local file system`);
}

/** The SQLite file of the log: rows, hash chain, metadata. One thread only. */
export class LogFile {
  readonly path: string;
  readonly meta: LogMeta;
  /** True when this start created the log. */
  readonly created: boolean;
  /** Set by `verify`. */
  end: LogEnd = { index: 0, term: 0, chain: 0n };
  firstIndex = 1;
  rowCount = 0;
  rowOctets = 0;
  readonly #db: Database;
  readonly #insert: Statement;
  readonly #begin: Statement;
  readonly #commit: Statement;
  #pagesSinceCheckpoint = 0;

  /** Opens or creates `log.db` in `dir` and checks its structure; the rows are left to `verify`. */
  constructor(dir: string) {
    this.path = join(dir, "log.db");
    try {
      this.#db = new Database(this.path, { create: true, readwrite: true });
      chmodSync(this.path, 0o600);
      this.#settings();
      this.created = this.#createIfEmpty();
      if (!this.created) this.#checkStructure();
      this.meta = this.#readMeta();
    } catch (error) {
      throw this.#explain(error);
    }
    this.#insert = this.#db.prepare("INSERT INTO log VALUES (?, ?, ?, ?, (? << 32) | ?, ?)");
    this.#begin = this.#db.prepare("BEGIN IMMEDIATE");
    this.#commit = this.#db.prepare("COMMIT");
  }

  /** exclusive before WAL: no shared-memory file, and nobody else opens the log. */
  #settings(): void {
    const db = this.#db;
    db.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    db.run("PRAGMA locking_mode = EXCLUSIVE");
    db.run(`PRAGMA page_size = ${PAGE_OCTETS}`);
    db.run("PRAGMA auto_vacuum = INCREMENTAL");
    db.run("PRAGMA journal_mode = WAL");
    db.run("PRAGMA synchronous = FULL");
    // Ours instead of SQLite's, which runs inside a commit and keeps a failed sync to itself.
    db.run("PRAGMA wal_autocheckpoint = 0");
    db.run(`PRAGMA journal_size_limit = ${JOURNAL_LIMIT_OCTETS}`);
    db.run("PRAGMA foreign_keys = OFF");
    for (const [name, wanted] of [
      ["journal_mode", "wal"],
      ["synchronous", 2],
      ["locking_mode", "exclusive"],
      ["wal_autocheckpoint", 0],
      ["journal_size_limit", JOURNAL_LIMIT_OCTETS],
    ] as const) {
      const [found] = this.#values(`PRAGMA ${name}`)[0] ?? [];
      if (found !== wanted)
        throw refusal(
          `${this.path}: SQLite answers ${String(found)} for ${name}, not ${wanted}; this file system cannot hold the log`,
        );
    }
  }

  #createIfEmpty(): boolean {
    const [tables] = this.#values("SELECT count(*) FROM sqlite_schema")[0]!;
    if (tables !== 0) return false;
    this.#db.transaction(() => {
      this.#db.run(`PRAGMA application_id = ${APPLICATION_ID}`);
      this.#db.run(`PRAGMA user_version = ${FORMAT}`);
      for (const statement of SCHEMA) this.#db.run(statement);
      this.#putMeta("clusterId", crypto.randomUUID());
      this.#putMeta("serverId", crypto.randomUUID());
      this.#putMeta("term", "0");
      this.#putMeta("snapshot", "null");
    })();
    return true;
  }

  #checkStructure(): void {
    const [application] = this.#values("PRAGMA application_id")[0]!;
    const [format] = this.#values("PRAGMA user_version")[0]!;
    if (application !== APPLICATION_ID) throw damaged(this.path, "is not a log of waypost");
    if (Number(format) > FORMAT)
      throw refusal(
        `${this.path}: has format ${String(format)}, this waypost knows ${FORMAT}; it was written by a newer version, start that one`,
      );
    if (format !== FORMAT) throw damaged(this.path, `has format ${String(format)}`);
    const schema = this.#values("SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY rowid");
    if (JSON.stringify(schema.flat()) !== JSON.stringify(SCHEMA))
      throw damaged(this.path, "the tables are not those of a log");
    const findings = this.#values("PRAGMA quick_check(3)").flat().map(String);
    if (findings.join() !== "ok")
      throw damaged(this.path, `quick_check: ${findings.join("; ").replaceAll(/\s+/g, " ")}`);
  }

  #readMeta(): LogMeta {
    const read = (key: string): string => {
      const row = this.#db.query("SELECT value, crc FROM meta WHERE key = ?").values(key)[0];
      const [value, crc] = row ?? [];
      if (typeof value !== "string" || crc !== crc32(`${key}=${value}`))
        throw damaged(this.path, `the record "${key}" is wrong`);
      return value;
    };
    return {
      clusterId: read("clusterId"),
      serverId: read("serverId"),
      term: Number(read("term")),
      snapshot: JSON.parse(read("snapshot")) as RecordedSnapshot | null,
    };
  }

  #putMeta(key: string, value: string): void {
    const statement = this.#db.query("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)");
    statement.run(key, value, crc32(`${key}=${value}`));
  }

  /** Index of the last row, without verifying it; 0 if there is none. */
  lastIndex(): number {
    return Number(this.#values("SELECT coalesce(max(idx), 0) FROM log")[0]![0]);
  }

  /**
   * All rows in order, verified, each put into `frame` form by `take`, which returns the data view
   * and offset where the row's payload begins. Sets `end`. `at` is called per row with its chain.
   */
  *verify(
    place: (
      payloadOctets: number,
      index: number,
    ) => { view: DataView; at: number; all: Uint8Array },
    seen: (index: number, term: number, chain: bigint) => void,
  ): Generator<number> {
    const select = this.#db.prepare(
      "SELECT idx, term, kind, crc, (chain >> 32) & 4294967295, chain & 4294967295, data FROM log WHERE idx > ? ORDER BY idx LIMIT 256",
    );
    let previous = -1;
    let chain = 0n;
    try {
      for (;;) {
        const rows = select.values(previous) as Row[];
        if (rows.length === 0) break;
        for (const [index, term, kind, crc, high, low, data] of rows) {
          if (previous === -1) this.firstIndex = index;
          else if (index !== previous + 1 && !(index > previous && kind === RESTORE))
            throw damaged(this.path, `entry ${previous + 1} is missing`);
          const { view, at, all } = place(ROW_HEADER_OCTETS + data.length, index);
          writeRowHeader(view, at, index, term, kind);
          all.set(data, at + ROW_HEADER_OCTETS);
          const payload = all.subarray(at, at + ROW_HEADER_OCTETS + data.length);
          if (crc32(payload) !== crc || kind > 1)
            throw damaged(this.path, `entry ${index} does not match its checksum`);
          const stored = (BigInt(high) << 32n) | BigInt(low);
          // What came before the first row is gone; its own checksum and its successor vouch for it.
          const expected =
            previous === -1 && index > 1 ? stored : Bun.hash.xxHash64(payload, chain);
          if (expected !== stored)
            throw damaged(this.path, `entry ${index} does not follow from entry ${index - 1}`);
          chain = stored;
          previous = index;
          this.end = { index, term, chain };
          this.rowCount++;
          this.rowOctets += data.length;
          seen(index, term, chain);
          yield index;
        }
      }
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** One transaction. Fills in the frames' CRCs; returns the seconds that the commit took. */
  append(frames: Frames, snapshot: RecordedSnapshot | null = null): number {
    const { buffer, octets } = frames;
    const view = new DataView(buffer);
    let { index, term, chain } = this.end;
    let count = 0;
    let dataOctets = 0;
    this.#begin.run();
    for (let at = 0; at < octets;) {
      const length = view.getUint32(at, true);
      at += FRAME_HEADER_OCTETS;
      const payload = new Uint8Array(buffer, at, length);
      const crc = crc32(payload);
      index = readUint48(view, at);
      term = readUint48(view, at + 6);
      chain = Bun.hash.xxHash64(payload, chain);
      const high = Number(chain >> 32n);
      const low = Number(chain & 0xffffffffn);
      const data = payload.subarray(ROW_HEADER_OCTETS);
      this.#insert.run(index, term, view.getUint8(at + 12), crc, high, low, data);
      dataOctets += data.length;
      count++;
      at += length;
    }
    if (term > this.meta.term) this.#putMeta("term", String(term));
    if (snapshot !== null) {
      snapshot.chain = String(snapshot.index === index ? chain : this.#chainAt(snapshot.index));
      this.#putMeta("snapshot", JSON.stringify(snapshot));
    }
    const startMs = performance.now();
    this.#commit.run();
    const seconds = (performance.now() - startMs) / 1000;
    this.end = { index, term, chain };
    this.meta.term = Math.max(this.meta.term, term);
    if (snapshot !== null) this.meta.snapshot = snapshot;
    this.rowCount += count;
    this.rowOctets += dataOctets;
    this.#pagesSinceCheckpoint += 2 + Math.ceil((dataOctets + 40 * count) / PAGE_OCTETS);
    return seconds;
  }

  #chainAt(index: number): bigint {
    const select = "SELECT (chain >> 32) & 4294967295, chain & 4294967295 FROM log WHERE idx = ?";
    const [high, low] = this.#db.query(select).values(index)[0] as [number, number];
    return (BigInt(high) << 32n) | BigInt(low);
  }

  /** After a failed transaction: true if it is certainly gone. */
  rollback(): boolean {
    try {
      if (this.#db.inTransaction) this.#db.run("ROLLBACK");
      return true;
    } catch {
      return false;
    }
  }

  /** Deletes up to `count` of the oldest rows below `keepFrom`; false when none is left. */
  deleteSlice(keepFrom: number, count: number): boolean {
    const until = Math.min(this.firstIndex + count, keepFrom, this.end.index);
    if (until <= this.firstIndex) return false;
    this.#begin.run();
    const sum = "SELECT count(*), coalesce(sum(length(data)), 0) FROM log WHERE idx < ?";
    const [rows, octets] = this.#db.query(sum).values(until)[0] as [number, number];
    this.#db.query("DELETE FROM log WHERE idx < ?").run(until);
    this.#commit.run();
    // Not `until`: a restore may have left a gap there.
    this.firstIndex = Number(this.#values("SELECT min(idx) FROM log")[0]![0]);
    this.rowCount -= rows;
    this.rowOctets -= octets;
    this.#pagesSinceCheckpoint += 2 + Math.ceil(octets / PAGE_OCTETS);
    return this.firstIndex < keepFrom && this.firstIndex < this.end.index;
  }

  /** Gives some free pages back to the file system; false when it is not worth while. */
  vacuumSlice(): boolean {
    const [free] = this.#values("PRAGMA freelist_count")[0] as [number];
    if (free < VACUUM_PAGES) return false;
    this.#db.query(`PRAGMA incremental_vacuum(${VACUUM_SLICE_PAGES})`).all();
    this.#pagesSinceCheckpoint += 2 * VACUUM_SLICE_PAGES;
    return true;
  }

  /** Moves the write-ahead log into the database when it has grown; a failed sync throws. */
  checkpointIfDue(): void {
    if (this.#pagesSinceCheckpoint < CHECKPOINT_PAGES) return;
    this.#pagesSinceCheckpoint = 0;
    this.#db.run("PRAGMA wal_checkpoint(PASSIVE)");
  }

  /** The same, and cuts the file of the write-ahead log to nothing. */
  truncateWal(): void {
    this.#pagesSinceCheckpoint = 0;
    this.#db.run("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  close(): void {
    this.#db.close();
  }

  #values(sql: string): unknown[][] {
    return this.#db.query(sql).values();
  }

  #explain(error: unknown): unknown {
    const { code = "", message } = error as { code?: string; message: string };
    if (/^SQLITE_(CORRUPT|NOTADB|FORMAT|SCHEMA|ERROR|CANTOPEN)/.test(code))
      return damaged(this.path, `SQLite says "${message}"`);
    if (/^SQLITE_(BUSY|LOCKED)/.test(code))
      return refusal(
        `${this.path}: is in use by another process; two servers cannot share a data directory`,
      );
    if (/^SQLITE_(READONLY|PERM|AUTH)/.test(code))
      return refusal(`${this.path}: cannot be written (${message}); check owner and mode`);
    if (code === "SQLITE_FULL")
      return refusal(`${this.path}: the disk is full; make space and start again`);
    return error;
  }
}
