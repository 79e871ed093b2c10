/** A lock with one holder: a key that a session holds. The algorithm and texts of Consul's client (`api.Lock`). */
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

/** Marks a key that is used as a lock, so that a semaphore at the same place is noticed. */
const LOCK_FLAGS = 0x2ddccbc058a50c18n;
const CONFLICT = "Existing key does not match lock use";

/** The lock at a key. */
export function createMutex(key: string, options: ContendedOptions): Contended {
  const { http, store, clock, sessionName, monitorRetries } = options;
  const flags = String(LOCK_FLAGS);
  let session: ManagedSession | undefined;
  let watching = new AbortController();

  /** One look; takes the lock if nobody has it. */
  async function look(id: string, ask: ReadAsk) {
    const seen = await attempt("failed to read lock", store.read(key, ask));
    const [pair] = seen.pairs;
    if (pair !== undefined && pair.flags !== LOCK_FLAGS) throw new CommandFailure(CONFLICT);
    if (pair?.session === id) return { value: true };
    if (pair !== undefined && pair.session !== "") return { waitFor: seen.index };
    const isTaken = await attempt(
      "failed to acquire lock",
      store.put(key, "", { acquire: id, flags }),
    );
    if (isTaken) return { value: true };
    const after = await attempt("failed to read lock", store.read(key, { ...ask, index: "" }));
    const holder = after.pairs[0]?.session ?? "";
    return holder === "" ? "refused" : { waitFor: after.index };
  }

  return {
    async acquire(stop): Promise<Held | undefined> {
      const made = await attempt(
        "failed to create session",
        createSession(http, clock, { Name: sessionName }),
      );
      let isHeld = false;
      try {
        isHeld = (await contend(options, stop, (ask) => look(made.id, ask))) ?? false;
      } finally {
        if (!isHeld) await made.end();
      }
      if (!isHeld) return undefined;
      session = made;
      watching = new AbortController();
      const watched = monitor(
        monitorRetries,
        watching.signal,
        (ask) => store.read(key, ask),
        ({ pairs }) => pairs[0]?.session === made.id,
      );
      return { lost: Promise.race([watched, made.lost]) };
    },

    async release() {
      if (session === undefined) throw new CommandFailure("Lock not held");
      const held = session;
      session = undefined;
      watching.abort();
      try {
        await attempt("failed to release lock", store.put(key, "", { release: held.id, flags }));
      } finally {
        await held.end();
      }
    },

    async destroy() {
      const [pair] = (await readOnce("failed to read lock", (ask) => store.read(key, ask))).pairs;
      if (pair === undefined) return "removed";
      if (pair.flags !== LOCK_FLAGS) throw new CommandFailure(CONFLICT);
      if (pair.session !== "") return "in use";
      const isRemoved = await attempt(
        "failed to remove lock",
        store.remove(key, { cas: pair.modifyIndex }),
      );
      return isRemoved ? "removed" : "in use";
    },
  };
}
