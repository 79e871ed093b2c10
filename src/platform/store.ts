/**
 * The durable log store: a `LogStore` whose files live in one folder and whose waiting is done on a
 * thread of its own (store-worker.ts), so that an fsync never stops the main thread.
 */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Cancel, DiskSpace, LogRow, LogStore, SnapshotFile } from "../ports.ts";
import { type Frames, packChunks, packRows, unpackChunks, unpackRows } from "./store-frames.ts";
import type { Failure, Opened, Report, Request } from "./store-protocol.ts";

/** Octets of snapshot chunks that are sent to the store's thread at a time. */
const CHUNKS_OCTETS = 512 * 1024;

/**
 * Opens or creates the log in the folder `log` of the data directory (both made with mode 0700;
 * nobody else may keep files in `log`) on a thread of its own. `load` rejects with an Error named "StartRefused" when the folder is damaged,
 * in use or cannot be written; its message is for the operator. `warn` gets findings that do not
 * prevent a start.
 */
export function openStore(dataDir: string, warn: (message: string) => void): LogStore {
  return new FileStore(join(dataDir, "log"), warn);
}

type Waiting = { resolve(value: unknown): void; reject(error: Error): void };

class FileStore implements LogStore {
  readonly #dir: string;
  readonly #warn: (message: string) => void;
  readonly #worker = new Worker(new URL("./store-worker.ts", import.meta.url));
  readonly #waiting = new Map<number, Waiting>();
  readonly #onSpace = new Set<(space: DiskSpace) => void>();
  readonly #onFailure = new Set<(reason: string) => void>();
  readonly #counters = {
    commit_total: 0,
    fsync_seconds_sum: 0,
    fsync_seconds_max: 0,
    commit_entries_sum: 0,
  };
  #stats: Record<string, number> = {};
  #space: DiskSpace | undefined;
  #lastId = 0;
  #failure: string | undefined;
  #closed = false;

  constructor(dir: string, warn: (message: string) => void) {
    this.#dir = dir;
    this.#warn = warn;
    this.#worker.on("message", (report: Report) => this.#receive(report));
    this.#worker.on("error", (error) => this.#die(`the store's thread failed: ${error.message}`));
    this.#worker.on("exit", () => this.#die("the store's thread ended"));
  }

  async load() {
    const opened = (await this.#ask({ op: "open", dir: this.#dir })) as Opened;
    for (const warning of opened.warnings) this.#warn(warning);
    const { clusterId, serverId, term, lastIndex, snapshot } = opened;
    return { clusterId, serverId, term, lastIndex, snapshot, entries: this.#entries() };
  }

  async *#entries(): AsyncGenerator<readonly LogRow[]> {
    for await (const frames of this.#draw({ op: "next-rows" })) yield unpackRows(frames);
  }

  /** Asks for the next buffer while the last one is being worked on: both threads are busy. */
  async *#draw(request: { op: "next-rows" } | { op: "next-chunks" }): AsyncGenerator<Frames> {
    let coming = this.#ask(request);
    for (;;) {
      const frames = (await coming) as Frames | null;
      if (frames === null) return;
      coming = this.#ask(request);
      // A consumer that stops early leaves this one unread.
      coming.catch(() => {});
      yield frames;
    }
  }

  async append(rows: readonly LogRow[]) {
    const frames = packRows(rows);
    try {
      const seconds = (await this.#ask({ op: "append", frames }, [frames.buffer])) as number;
      this.#committed(seconds, rows.length);
      return { stored: true } as const;
    } catch (error) {
      return fullOrThrow(error);
    }
  }

  async writeSnapshot(
    at: { index: number; term: number },
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ) {
    try {
      await this.#ask({ op: "write-begin", at });
      for await (const frames of packed(chunks))
        await this.#ask({ op: "write-chunks", frames }, [frames.buffer]);
      const file = (await this.#ask({ op: "write-end" })) as SnapshotFile;
      return { stored: true, file } as const;
    } catch (error) {
      if (this.#failure === undefined) await this.#ask({ op: "write-abort" });
      return fullOrThrow(error);
    }
  }

  async *readSnapshot(file: SnapshotFile): AsyncGenerator<Uint8Array> {
    await this.#ask({ op: "read-begin", file });
    try {
      for await (const frames of this.#draw({ op: "next-chunks" })) yield* unpackChunks(frames);
    } finally {
      if (this.#failure === undefined) await this.#ask({ op: "read-end" });
    }
  }

  async recordSnapshot(file: SnapshotFile, restored: LogRow | null) {
    try {
      const seconds = (await this.#ask({ op: "record", file, restored })) as number;
      this.#committed(seconds, restored === null ? 0 : 1);
      return { stored: true } as const;
    } catch (error) {
      return fullOrThrow(error);
    }
  }

  async discardSnapshot(file: SnapshotFile) {
    await this.#ask({ op: "discard", file });
  }

  async trim(keepFrom: number) {
    await this.#ask({ op: "trim", keepFrom });
  }

  stats() {
    return { ...this.#stats, ...this.#counters };
  }

  onSpace(listener: (space: DiskSpace) => void): Cancel {
    this.#onSpace.add(listener);
    if (this.#space !== undefined) listener(this.#space);
    return () => this.#onSpace.delete(listener);
  }

  onFailure(listener: (reason: string) => void): Cancel {
    this.#onFailure.add(listener);
    return () => this.#onFailure.delete(listener);
  }

  async close() {
    if (this.#closed) return;
    try {
      if (this.#failure === undefined) await this.#ask({ op: "close" });
    } finally {
      this.#closed = true;
      await this.#worker.terminate();
    }
  }

  #committed(seconds: number, entries: number): void {
    const counters = this.#counters;
    counters.commit_total++;
    counters.commit_entries_sum += entries;
    counters.fsync_seconds_sum += seconds;
    if (seconds > counters.fsync_seconds_max) counters.fsync_seconds_max = seconds;
  }

  #ask(request: Request, transfer: ArrayBuffer[] = []): Promise<unknown> {
    if (this.#failure !== undefined) return Promise.reject(new Error(this.#failure));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, request }, transfer);
    });
  }

  #receive(report: Report): void {
    if ("event" in report) {
      if (report.event === "failed") return this.#die(report.message);
      this.#stats = report.stats;
      this.#space = report.space;
      for (const listener of this.#onSpace) listener(report.space);
      return;
    }
    const waiting = this.#waiting.get(report.id);
    this.#waiting.delete(report.id);
    if ("value" in report) waiting?.resolve(report.value);
    else waiting?.reject(errorOf(report.failure));
  }

  #die(reason: string): void {
    if (this.#failure !== undefined || this.#closed) return;
    this.#failure = reason;
    for (const waiting of this.#waiting.values()) waiting.reject(new Error(reason));
    this.#waiting.clear();
    for (const listener of this.#onFailure) listener(reason);
  }
}

/** Buffers of about 512 KiB; a chunk is never divided. */
async function* packed(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Frames> {
  let pending: Uint8Array[] = [];
  let octets = 0;
  for await (const chunk of chunks) {
    pending.push(chunk);
    octets += chunk.length;
    if (octets < CHUNKS_OCTETS) continue;
    yield packChunks(pending);
    pending = [];
    octets = 0;
  }
  if (pending.length > 0) yield packChunks(pending);
}

const FULL = "StoreFull";

function errorOf({ kind, message }: Failure): Error {
  const error = new Error(message);
  if (kind === "full") error.name = FULL;
  if (kind === "refused") error.name = "StartRefused";
  return error;
}

function fullOrThrow(error: unknown): { stored: false; reason: string } {
  if (error instanceof Error && error.name === FULL)
    return { stored: false, reason: error.message };
  throw error;
}
