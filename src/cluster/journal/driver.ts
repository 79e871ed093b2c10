/** The journal of the local services and checks in its file below the data directory. */
import { mkdir, open, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fail, ok, type Result } from "../../base.ts";
import type { Cancel, Log, Timers } from "../../ports.ts";
import { absent, named, readOldFiles, syncFolder } from "../local/driver.ts";
import { takeOver, type LocalJournal, type StoredEntry } from "../local-store.ts";
import { change, createCore, defaultLimits, finish, nextWork } from "./core.ts";
import type { Core, JournalLimits, Wanted, Work } from "./core.ts";
import { keyOf, readJournal, type Journal } from "./lines.ts";

/** Wait after a failed write until the file is rewritten, if nobody wants a change before. */
const RETRY_MS = 15_000;

/**
 * The file grows by this. A sync of octets that were there before needs no change of the file's size
 * to be durable too: 0.07 instead of 0.12 ms on top of the log's own (ext4, virtual disk).
 */
const ROOM_OCTETS = 256 * 1024;

/** Told when a change is on disk, or why it is not. */
type Settle = (outcome: Result<void, Error>) => void;

/**
 * The journal in `<dataDir>/local/journal`, readable by the owner alone (it holds tokens). One write
 * serves all who wait for it. `load` rejects when the file is damaged, with an Error for the operator;
 * the first one takes over what Consul, or an earlier waypost, left in `services` and `checks`.
 */
export function createLocalJournal(
  dataDir: string,
  deps: { timers: Timers; log: Log; limits?: JournalLimits },
): LocalJournal {
  const { timers, log, limits = defaultLimits } = deps;
  const path = join(dataDir, "local", "journal");
  let core: Core<Settle> | undefined;
  let loading: Promise<Core<Settle>> | undefined;
  let file: FileHandle | undefined;
  /** Octets that the file has, with the room behind the last line. */
  let fileOctets = 0;
  let working: Promise<void> | undefined;
  /** What was asked for before the journal was read; each has somebody who waits. */
  const early: ((core: Core<Settle>) => void)[] = [];
  let retry: Cancel | undefined;
  let isTurning = false;
  let isClosed = false;

  function loaded(): Promise<Core<Settle>> {
    return (loading ??= load().then((read) => {
      core = read;
      for (const run of early.splice(0)) run(read);
      return read;
    }));
  }

  async function load(): Promise<Core<Settle>> {
    const octets = await readFile(path).catch(absent(null)).catch(named(path));
    if (octets === null) return createFromOldFiles();
    const journal = readJournal(octets);
    if (!journal.ok) throw damaged(path, journal.error);
    if (journal.value.cutOctets > 0)
      log("warn", "the last write of the journal was not finished, it is left out", {
        path,
        octets: journal.value.cutOctets,
      });
    const left = await readOldFiles(dataDir);
    if (left.length > 0)
      log("warn", "files of local services are not read: what they held was taken over before", {
        journal: path,
        file: left[0]!.name,
        files: left.length,
      });
    file = await open(path, "r+").catch(named(path));
    fileOctets = octets.length;
    return createCore<Settle>(limits, journal.value);
  }

  /** They go once the journal that holds them is durable. */
  async function createFromOldFiles(): Promise<Core<Settle>> {
    const entries = new Map<string, StoredEntry>();
    const taken: string[] = [];
    for (const { kind, name, content } of await readOldFiles(dataDir)) {
      const entry = content.ok ? takeOver(kind, content.value) : content;
      if (entry.ok) {
        entries.set(keyOf(entry.value), entry.value);
        taken.push(name);
      } else log("error", `cannot use ${name}, it is left as it is: ${entry.error}`);
    }
    if (taken.length === 0) return createCore<Settle>(limits, null);
    const empty: Journal = { entries, sequence: 0, baseOctets: 0, octets: 0, cutOctets: 1 };
    const created = createCore<Settle>(limits, empty);
    const work = nextWork(created, true)!;
    const written = await perform(work);
    if (!written.ok) throw written.error;
    finish(created, { octets: written.value });
    for (const name of taken) await rm(name, { force: true }).catch(named(name));
    log("info", "local services and checks taken over", { journal: path, files: taken.length });
    return created;
  }

  function ask(wanted: Wanted): Promise<void> {
    return new Promise((resolve, reject) => {
      if (isClosed) return reject(new Error(`${path}: the agent is being stopped`));
      const settle: Settle = (outcome) => (outcome.ok ? resolve() : reject(outcome.error));
      const run = (of: Core<Settle>): void => {
        if (!change(of, wanted, settle)) resolve();
        // A service and its checks are asked for one after the other: one write has them all.
        else if (!isTurning) {
          isTurning = true;
          queueMicrotask(() => {
            isTurning = false;
            turn(of);
          });
        }
      };
      if (core !== undefined) return run(core);
      early.push(run);
      loaded().catch(reject);
    });
  }

  /** Nothing is begun while something is under way: whoever does that goes on with the next. */
  function turn(of: Core<Settle>, isRetry = false): void {
    const first = nextWork(of, isRetry);
    if (first !== null) working = work(of, first);
  }

  async function work(of: Core<Settle>, first: Work<Settle>): Promise<void> {
    for (let next: Work<Settle> | null = first; next !== null; next = nextWork(of)) {
      const written = await perform(next);
      const refs = finish(of, written.ok ? { octets: written.value } : "failed");
      for (const settle of refs) settle(written.ok ? ok(undefined) : written);
      if (!written.ok) retryLater(of);
    }
  }

  function retryLater(of: Core<Settle>): void {
    if (retry !== undefined || isClosed) return;
    retry = timers.after(RETRY_MS, () => {
      retry = undefined;
      turn(of, true);
    });
  }

  /** Octets of the file that a rewrite made. */
  async function perform(next: Work<Settle>): Promise<Result<number, Error>> {
    try {
      if (next.type === "rewrite") return ok(await rewrite(next.chunks));
      const end = next.at + next.octets.length;
      await writeWhole(file!, end > fileOctets ? withRoom(next.octets) : next.octets, next.at);
      if (end > fileOctets) fileOctets = end + ROOM_OCTETS;
      if (next.sync) await file!.datasync();
      return ok(end);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return fail(new Error(`${path}: ${reason}`, { cause: error }));
    }
  }

  /** A new file takes the old one's place once it is durable. */
  async function rewrite(chunks: Iterable<Uint8Array>): Promise<number> {
    const folder = dirname(path);
    if ((await mkdir(folder, { recursive: true, mode: 0o700 })) !== undefined)
      await syncFolder(dirname(folder));
    const temporary = `${path}.tmp`;
    const made = await open(temporary, "w", 0o600);
    try {
      let octets = 0;
      for (const chunk of chunks) {
        await writeWhole(made, chunk, octets);
        octets += chunk.length;
      }
      await writeWhole(made, new Uint8Array(ROOM_OCTETS), octets);
      await made.sync();
      await rename(temporary, path);
      await syncFolder(folder);
      const old = file;
      file = made;
      fileOctets = octets + ROOM_OCTETS;
      await old?.close();
      return octets;
    } catch (error) {
      if (file !== made) await made.close();
      throw error;
    }
  }

  return {
    load: async () => [...(await loaded()).entries.values()],
    put: (entry, isDurable) => ask({ ...entry, isDurable }),
    remove: (kind, id) => ask({ kind, id, text: null, isDurable: true }),
    async close() {
      isClosed = true;
      retry?.();
      await loading?.catch(() => {}); // whoever asked for it is told
      await Promise.resolve(); // what was asked for before is begun
      await working;
      await file?.close();
      file = undefined;
    },
  };
}

function withRoom(octets: Uint8Array): Uint8Array {
  const roomy = new Uint8Array(octets.length + ROOM_OCTETS);
  roomy.set(octets);
  return roomy;
}

/** A write may take less than all when the disk is filling up. */
async function writeWhole(file: FileHandle, octets: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < octets.length;) {
    const { bytesWritten } = await file.write(octets, at, octets.length - at, position + at);
    at += bytesWritten;
  }
}

function damaged(path: string, finding: string): Error {
  const folder = dirname(path);
  return new Error(
    `${path}: ${finding}. Services registered with this agent would be lost: restore ${folder} from a backup, or move it aside (mv ${folder} ${folder}.damaged) to start without them.`,
  );
}
