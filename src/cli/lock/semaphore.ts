/**
 * A lock with several holders: each contender has a key of its own that its session holds, and one
 * key lists the holders. The algorithm, layout and texts of Consul's client (`api.Semaphore`).
 */
import { posix } from "node:path";
import { decodeShape } from "../../cluster/decode.ts";
import type { KvPair } from "../../cluster/kv-pair.ts";
import { loosely } from "../answer.ts";
import { attempt, CommandFailure } from "../command.ts";
import {
  contend,
  monitor,
  readOnce,
  type Contended,
  type ContendedOptions,
  type Held,
} from "./contended.ts";
import { createSession, type ManagedSession } from "../session.ts";
import type { ReadAsk } from "./store.ts";

/** Name of the key that lists the holders, below the prefix. A lock uses it too, so that the two meet. */
export const LOCK_KEY = ".lock";
/** Marks the keys of a semaphore. */
const SEMAPHORE_FLAGS = 0xe0f69a2baa414de0n;
const CONFLICT = "Existing key does not match semaphore use";
/** Each failed swap is the success of somebody else, so this many in a row do not happen. */
const SWAPS_MAX = 1_000;

type Holders = { limit: number; ids: Set<string> };

const holdersShape = { struct: { Limit: "int", Holders: { map: "bool" } } } as const;

/** The semaphore below a prefix with `limit` holders at a time. */
export function createSemaphore(
  prefix: string,
  limit: number,
  options: ContendedOptions,
): Contended {
  const { http, store, clock, sessionName, monitorRetries } = options;
  const lockKey = posix.join(prefix, LOCK_KEY);
  const contenderKey = (id: string) => posix.join(prefix, id);
  const flags = String(SEMAPHORE_FLAGS);
  let session: ManagedSession | undefined;
  let watching = new AbortController();

  const findLock = (pairs: readonly KvPair[]) => pairs.find(({ key }) => key === lockKey);

  /** Holders as the key lists them; without those whose session is gone if `pairs` are all keys below the prefix. */
  function holdersOf(lock: KvPair | undefined, pairs?: readonly KvPair[]): Holders {
    const holders = decodeHolders(lock, limit);
    if (pairs === undefined) return holders;
    const alive = new Set(pairs.map((pair) => pair.session));
    for (const id of holders.ids) if (!alive.has(id)) holders.ids.delete(id);
    return holders;
  }

  const swap = (holders: Holders, lock: KvPair | undefined) =>
    attempt(
      "failed to update lock",
      store.put(lockKey, encodeHolders(holders), { cas: lock?.modifyIndex ?? 0, flags }),
    );

  /** One look; takes a place if there is one. */
  async function look(id: string, ask: ReadAsk) {
    const { pairs, index } = await attempt("failed to read prefix", store.list(prefix, ask));
    const lock = findLock(pairs);
    if (lock !== undefined && lock.flags !== SEMAPHORE_FLAGS) throw new CommandFailure(CONFLICT);
    // Its end took the entry away, but would not keep us from a place.
    if (!pairs.some(({ session }) => session === id))
      throw new CommandFailure(`session ${id} has ended`);
    const holders = holdersOf(lock, pairs);
    if (holders.limit !== limit)
      throw new CommandFailure(
        `semaphore limit conflict (lock: ${holders.limit}, local: ${limit})`,
      );
    if (holders.ids.size >= limit) return { waitFor: index };
    holders.ids.add(id);
    return (await swap(holders, lock)) ? { value: true } : "again";
  }

  async function leave(id: string): Promise<void> {
    for (let swaps = 0; ; swaps++) {
      const { pairs } = await readOnce("failed to read lock", (ask) => store.read(lockKey, ask));
      const holders = holdersOf(pairs[0]);
      if (!holders.ids.delete(id) || (await swap(holders, pairs[0]))) break;
      if (swaps > SWAPS_MAX) throw new CommandFailure("failed to update lock: others are faster");
    }
    await attempt("failed to remove contender entry", store.remove(contenderKey(id), {}));
  }

  return {
    async acquire(stop): Promise<Held | undefined> {
      const made = await attempt(
        "failed to create session",
        createSession(http, clock, { Name: sessionName, Behavior: "delete" }),
      );
      const { id } = made;
      let isHeld = false;
      try {
        const isMade = await attempt(
          "failed to make contender entry",
          store.put(contenderKey(id), "", { acquire: id, flags }),
        );
        if (!isMade) throw new CommandFailure("failed to make contender entry: it is locked");
        isHeld = (await contend(options, stop, (ask) => look(id, ask))) ?? false;
      } finally {
        if (!isHeld) await made.end();
      }
      if (!isHeld) return undefined;
      session = made;
      watching = new AbortController();
      const watched = monitor(
        monitorRetries,
        watching.signal,
        (ask) => store.list(prefix, ask),
        ({ pairs }) => holdersOf(findLock(pairs), pairs).ids.has(id),
      );
      return { lost: Promise.race([watched, made.lost]) };
    },

    async release() {
      if (session === undefined) throw new CommandFailure("Semaphore not held");
      const held = session;
      session = undefined;
      watching.abort();
      try {
        await leave(held.id);
      } finally {
        await held.end();
      }
    },

    async destroy() {
      const list = await readOnce("failed to read prefix", (ask) => store.list(prefix, ask));
      const lock = findLock(list.pairs);
      if (lock === undefined) return "removed";
      if (lock.flags !== SEMAPHORE_FLAGS) throw new CommandFailure(CONFLICT);
      if (holdersOf(lock, list.pairs).ids.size > 0) return "in use";
      const isRemoved = await attempt(
        "failed to remove semaphore",
        store.remove(lockKey, { cas: lock.modifyIndex }),
      );
      return isRemoved ? "removed" : "in use";
    },
  };
}

function decodeHolders(lock: KvPair | undefined, limit: number): Holders {
  if (lock === undefined || lock.value === "") return { limit, ids: new Set() };
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(lock.value, "base64").toString());
  } catch (error) {
    throw new CommandFailure(`lock decoding failed: ${String(error)}`);
  }
  const decoded = decodeShape(holdersShape, value, loosely);
  if (!decoded.ok) throw new CommandFailure(`lock decoding failed: ${decoded.error}`);
  const { Limit, Holders } = decoded.value;
  return { limit: Limit, ids: new Set(Object.keys(Holders ?? {})) };
}

function encodeHolders({ limit, ids }: Holders): string {
  const members = Array.from(ids, (id) => [id, true] as const);
  return JSON.stringify({ Limit: limit, Holders: Object.fromEntries(members) });
}
