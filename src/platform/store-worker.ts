/**
 * The store's own thread: everything that waits for the disk. One request at a time touches the
 * log; a snapshot being written or rows being trimmed let appends pass between their slices. After
 * a failure that leaves the log's state in doubt nothing is done any more.
 */
import { existsSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { parentPort } from "node:worker_threads";
import type { SnapshotFile } from "../ports.ts";
import { ACCEPT_LOSS, damaged, rolledBack } from "./store-damage.ts";
import { FRAME_HEADER_OCTETS, type Frames, packRows } from "./store-frames.ts";
import { LogFile, prepareFolder } from "./store-log.ts";
import { type Mark, MarkerWriter, readMarker } from "./store-marker.ts";
import type { Failure, Opened, Report, Request } from "./store-protocol.ts";
import { isSnapshotName, readSnapshotFile, SnapshotWriter, syncFolder } from "./store-snapshot.ts";

/** Rows deleted by one transaction (raft.md section 1: a large one would hold up appends). */
const TRIM_SLICE_ROWS = 2000;
const TICK_MS = 1000;
const BATCH_OCTETS = 256 * 1024;

let dir = "";
let log: LogFile;
let marker: MarkerWriter | undefined;
let rows: Generator<Frames> | undefined;
let chunks: Generator<Frames> | undefined;
let writer: SnapshotWriter | undefined;
/** SHA-256 of files written in this life, until they are recorded. */
const digests = new Map<string, string>();
let dead = false;
let ticker: ReturnType<typeof setInterval> | undefined;

function report(message: Report, transfer: ArrayBuffer[] = []): void {
  parentPort!.postMessage(message, transfer);
}

parentPort!.on("message", ({ id, request }: { id: number; request: Request }) => {
  if (request.op === "append") return append(id, request.frames);
  void handle(request).then(
    (value) => {
      const buffer = (value as Frames | null)?.buffer;
      report({ id, value }, buffer instanceof ArrayBuffer ? [buffer] : []);
    },
    (error: unknown) => report({ id, failure: failureOf(error) }),
  );
});

/** The hot one: no promise, and the answer leaves before the checkpoint. */
function append(id: number, frames: Frames): void {
  try {
    const seconds = transaction(() => log.append(frames));
    report({ id, value: seconds });
  } catch (error) {
    report({ id, failure: failureOf(error) });
    return;
  }
  checkpoint(() => log.checkpointIfDue());
}

/** Without space the log stays as it is, and commits say so themselves. A failed sync is the end. */
function checkpoint(run: () => void): void {
  try {
    if (!dead) run();
  } catch (error) {
    if (!isFull(error)) die(error);
  }
}

async function handle(request: Exclude<Request, { op: "append" }>): Promise<unknown> {
  switch (request.op) {
    case "open":
      return open(request.dir);
    case "next-rows": {
      const next = rows!.next();
      if (!next.done) return next.value;
      startServing();
      return null;
    }
    case "write-begin":
      writer = undefined;
      writer = new SnapshotWriter(dir, request.at, log.meta.clusterId);
      return null;
    case "write-chunks":
      await writer!.write(request.frames);
      return null;
    case "write-end": {
      const { sha256, ...file } = await writer!.finish();
      digests.set(file.name, sha256);
      return file;
    }
    case "write-abort":
      writer?.abort();
      return null;
    case "read-begin":
      chunks = readSnapshotFile(dir, fileToRead(request.file), log.meta.clusterId);
      return null;
    case "next-chunks": {
      const next = chunks!.next();
      return next.done ? null : next.value;
    }
    case "read-end":
      chunks?.return(undefined);
      return null;
    case "record":
      return record(request);
    case "discard":
      rmSync(join(dir, request.file.name), { force: true });
      return null;
    case "trim":
      return trim(request.keepFrom);
    case "close":
      return close();
  }
}

/** Order matters: nothing is created, cleaned or rewritten before what is there was understood. */
function open(folder: string): Opened {
  dir = folder;
  prepareFolder(dir);
  const paths = { log: join(dir, "log.db"), marker: join(dir, "marker") };
  const isNew = !existsSync(paths.log) || statSync(paths.log).size === 0;
  if (isNew) refuseRemains(paths);
  log = new LogFile(dir);
  if (log.created) {
    syncFolder(dir);
    syncFolder(dirname(dir));
  }
  const accepted = existsSync(join(dir, ACCEPT_LOSS));
  const lastIndex = log.lastIndex();
  const warnings: string[] = [];
  const mark = checkMarker(paths, lastIndex, accepted, warnings);
  const { snapshot, clusterId, serverId, term } = log.meta;
  if (snapshot !== null && lastIndex < snapshot.index)
    throw damaged(paths.log, `ends with entry ${lastIndex}, before its snapshot ${snapshot.index}`);
  cleanLeftovers();
  rows = verifiedRows(mark);
  return { clusterId, serverId, term, lastIndex, snapshot, warnings };
}

/** An empty or missing log beside anything else is not a new server, it is a lost log. */
function refuseRemains(paths: { log: string; marker: string }): void {
  const remains = readdirSync(dir).filter(
    (name) => name === "marker" || name === "log.db-wal" || isSnapshotName(name),
  );
  const left = remains.filter((name) => statSync(join(dir, name)).size > 0);
  if (left.length > 0)
    throw damaged(paths.log, `is missing or empty, but ${left.join(", ")} are there`);
}

function checkMarker(
  paths: { log: string; marker: string },
  lastIndex: number,
  accepted: boolean,
  warnings: string[],
): Mark | null {
  const finding = compareWithMarker(paths.marker, lastIndex);
  if (!("problem" in finding)) return finding.mark;
  if (!accepted)
    throw rolledBack(finding.file === "log" ? paths.log : paths.marker, finding.problem);
  warnings.push(`loss accepted: ${finding.problem}`);
  return null;
}

function compareWithMarker(
  path: string,
  lastIndex: number,
): { mark: Mark | null } | { file: "log" | "marker"; problem: string } {
  // A death between creating the log and its marker: nothing was ever acknowledged.
  if (!existsSync(path))
    return lastIndex === 0
      ? { mark: null }
      : { file: "marker", problem: `is missing, so entry ${lastIndex} may not be the last one` };
  const mark = readMarker(path);
  if (mark === null) {
    if (lastIndex === 0 && statSync(path).size === 0) return { mark: null };
    return { file: "marker", problem: "is damaged, so nobody knows which entry is the last one" };
  }
  if (mark.clusterId !== log.meta.clusterId)
    return { file: "marker", problem: "belongs to another log" };
  if (mark.index > lastIndex) {
    const problem = `ends with entry ${lastIndex}, but entry ${mark.index} was acknowledged`;
    return { file: "log", problem };
  }
  return { mark };
}

/** Interrupted snapshots, and finished ones that the log does not know. */
function cleanLeftovers(): void {
  const keep = log.meta.snapshot?.name;
  for (const name of readdirSync(dir))
    if (isSnapshotName(name) && name !== keep) rmSync(join(dir, name), { force: true });
}

/** Verifies every row; hands out those after the snapshot in buffers of about 256 KiB. */
function* verifiedRows(mark: Mark | null): Generator<Frames> {
  const { snapshot } = log.meta;
  const from = snapshot?.index ?? 0;
  let buffer = new ArrayBuffer(BATCH_OCTETS);
  let view = new DataView(buffer);
  let all = new Uint8Array(buffer);
  let octets = 0;
  const full: Frames[] = [];
  const renew = (size: number): void => {
    buffer = new ArrayBuffer(size);
    view = new DataView(buffer);
    all = new Uint8Array(buffer);
    octets = 0;
  };
  const place = (payload: number, index: number) => {
    if (index <= from + 1) octets = 0;
    const needed = FRAME_HEADER_OCTETS + payload;
    if (octets + needed > buffer.byteLength) {
      if (octets > 0) full.push({ buffer, octets });
      renew(Math.max(BATCH_OCTETS, needed));
    }
    view.setUint32(octets, payload, true);
    const at = octets + FRAME_HEADER_OCTETS;
    octets += needed;
    return { view, at, all };
  };
  const verified = log.verify(place, (index, term, chain) => {
    if (snapshot !== null && index === snapshot.index)
      if (term !== snapshot.term || String(chain) !== snapshot.chain)
        throw damaged(log.path, `entry ${index} is not the one that ${snapshot.name} ends with`);
    if (mark !== null && index === mark.index && chain !== mark.chain)
      throw damaged(log.path, `entry ${index} is not the one that was acknowledged`);
  });
  for (const index of verified) {
    if (index <= from) octets = 0;
    while (full.length > 0) yield full.shift()!;
  }
  if (octets > 0) yield { buffer, octets };
  const first = log.rowCount > 0 ? log.firstIndex : 1;
  if (first > Math.max(from, 1))
    throw damaged(log.path, `begins with entry ${first}; entries from ${from + 1} are missing`);
}

/** From here on the log is sound and ours. */
function startServing(): void {
  rows = undefined;
  marker = new MarkerWriter(join(dir, "marker"), { clusterId: log.meta.clusterId, ...log.end });
  syncFolder(dir);
  rmSync(join(dir, ACCEPT_LOSS), { force: true });
  tick();
  ticker = setInterval(tick, TICK_MS);
}

/** Runs one transaction and marks it. A rolled back one throws "full"; any other failure is final. */
function transaction(run: () => number): number {
  if (dead) throw new Error("the log store has failed before");
  try {
    const seconds = run();
    marker!.write({ clusterId: log.meta.clusterId, ...log.end });
    return seconds;
  } catch (error) {
    if (!isFull(error) || !log.rollback()) dead = true;
    throw error;
  }
}

function record({ file, restored }: Extract<Request, { op: "record" }>): number {
  const previous = log.meta.snapshot?.name;
  const sha256 = digests.get(file.name);
  if (sha256 === undefined) throw new Error(`${file.name} was not written in this life`);
  const frames = packRows(restored === null ? [] : [restored]);
  const seconds = transaction(() => log.append(frames, { ...file, sha256, chain: "" }));
  digests.delete(file.name);
  if (previous !== undefined && previous !== file.name)
    rmSync(join(dir, previous), { force: true });
  return seconds;
}

function fileToRead(file: SnapshotFile): SnapshotFile {
  const { snapshot } = log.meta;
  return snapshot?.name === file.name ? snapshot : file;
}

/** Without space it stops early; the next one goes on from there. */
async function trim(keepFrom: number): Promise<null> {
  let more = true;
  try {
    while (more && !dead) {
      transaction(() => {
        more = log.deleteSlice(keepFrom, TRIM_SLICE_ROWS);
        return 0;
      });
      await pause();
    }
    while (!dead && log.vacuumSlice()) await pause();
  } catch (error) {
    if (dead || !isFull(error)) throw error;
  }
  checkpoint(() => log.truncateWal());
  return null;
}

async function pause(): Promise<void> {
  checkpoint(() => log.checkpointIfDue());
  await new Promise((resolve) => setImmediate(resolve));
}

/** Syncs the marker; reports space and sizes. */
function tick(): void {
  marker!.sync().catch(die);
  try {
    const { bavail, blocks, bsize } = statfsSync(dir);
    const space = { freeOctets: bavail * bsize, totalOctets: blocks * bsize };
    const stats = {
      log_entries: log.rowCount,
      log_octets: log.rowOctets,
      store_octets: sizeOfAll(),
      wal_octets: sizeOf("log.db-wal"),
      disk_free_octets: space.freeOctets,
    };
    report({ event: "tick", space, stats });
  } catch (error) {
    // Clients may have taken the last descriptor: what could not be measured now is measured next time.
    if (!isExhausted(error)) die(error);
  }
}

function sizeOfAll(): number {
  return readdirSync(dir).reduce((sum, name) => sum + sizeOf(name), 0);
}

function sizeOf(name: string): number {
  return statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0;
}

function die(error: unknown): void {
  if (dead) return;
  dead = true;
  report({ event: "failed", message: messageOf(error) });
}

function close(): null {
  clearInterval(ticker);
  marker?.close();
  if (marker === undefined || dead) return null;
  checkpoint(() => log.truncateWal());
  log.close();
  return null;
}

function failureOf(error: unknown): Failure {
  const message = messageOf(error);
  if ((error as { name?: string }).name === "StartRefused") return { kind: "refused", message };
  if (!dead && isFull(error)) return { kind: "full", message: "disk is full" };
  if (!dead && isExhausted(error)) return { kind: "full", message: "too many open files" };
  return { kind: "failed", message };
}

function isFull(error: unknown): boolean {
  const { code = "" } = error as { code?: string };
  return ["SQLITE_FULL", "ENOSPC", "EDQUOT"].includes(code);
}

/** No descriptor is left; only snapshots and measurements need new ones, the log has its own open. */
function isExhausted(error: unknown): boolean {
  const { code = "" } = error as { code?: string };
  return ["EMFILE", "ENFILE"].includes(code);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
