/**
 * Store and journal of an agent whose successor is starting: given away, taken back if it fails. What
 * is to be written in between waits; what is read is answered from memory.
 */
import type { Engine, Leadership, Outcome } from "../cluster/engine.ts";
import type { LocalJournal } from "../cluster/local-store.ts";

/** Writes that wait for the decision; a further one is refused. */
const WAITING_MAX = 4096;

/** Who may write: this process, the other one for now, or the other one for good. */
export type Lending = {
  readonly state: "ours" | "lent" | "gone";
  lend(): void;
  takeBack(): void;
  giveUp(): void;
  /** Resolves at once unless it is lent: true when it is ours again, false when it is gone or too many wait. */
  settled(): Promise<boolean>;
};

/** `isLent`: it begins with the other one. */
export function createLending(isLent: boolean): Lending {
  let state: Lending["state"] = isLent ? "lent" : "ours";
  let waiting: ((isOurs: boolean) => void)[] = [];
  function decide(next: "ours" | "gone"): void {
    state = next;
    for (const tell of waiting.splice(0)) tell(next === "ours");
  }
  return {
    get state() {
      return state;
    },
    lend() {
      state = "lent";
    },
    takeBack: () => decide("ours"),
    giveUp: () => decide("gone"),
    settled() {
      if (state !== "lent") return Promise.resolve(state === "ours");
      if (waiting.length === WAITING_MAX) return Promise.resolve(false);
      return new Promise((tell) => (waiting = [...waiting, tell]));
    },
  };
}

/** What a writer is told whose turn has not come. */
export const HANDED_OVER = "this agent hands over to its successor; ask again";

/** Gives away and takes back. Errors of the way back are thrown: the store cannot be used. */
export type Lendable = { lend(): Promise<void>; takeBack(): Promise<void> };

/** An engine whose store is closed while it is lent. `reopen` loads what was written meanwhile. */
export function lendableEngine(
  first: Engine,
  lending: Lending,
  reopen: () => Promise<Engine>,
): Engine & Lendable {
  let current = first;
  const listeners = new Set<(now: Leadership) => void>();
  const tell = (): void => {
    for (const listener of listeners) listener(current.leadership());
  };
  current.onLeadership(tell);
  const refused: Outcome = { outcome: "refused", reason: HANDED_OVER };

  return {
    async propose(command) {
      if (lending.state !== "ours" && !(await lending.settled())) return refused;
      return current.propose(command);
    },
    barrier(mode) {
      if (lending.state === "ours") return current.barrier(mode);
      // What was acknowledged here is in memory; whether there is something newer only the other one knows.
      if (mode === "lease") return "ok";
      return lending
        .settled()
        .then((isOurs): "ok" | "no leader" | Promise<"ok" | "no leader"> =>
          isOurs ? current.barrier(mode) : "no leader",
        );
    },
    leadership: () => current.leadership(),
    onLeadership(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async compact() {
      if (lending.state === "ours") await current.compact();
    },
    async restore(snapshot) {
      return lending.state === "ours" ? current.restore(snapshot) : refused;
    },
    stats: () => current.stats(),
    close: () => current.close(),
    async lend() {
      await current.close();
    },
    async takeBack() {
      // Where giving it failed, it may be open still.
      await current.close().catch(() => {});
      current = await reopen();
      current.onLeadership(tell);
      tell();
    },
  };
}

/** A journal whose file is closed while it is lent. */
export function lendableJournal(
  open: () => LocalJournal,
  lending: Lending,
): LocalJournal & Lendable {
  let current = open();
  const whenOurs = async (): Promise<void> => {
    if (lending.state !== "ours" && !(await lending.settled())) throw new Error(HANDED_OVER);
  };
  return {
    load: () => current.load(),
    async put(entry, isDurable) {
      await whenOurs();
      await current.put(entry, isDurable);
    },
    async remove(kind, id) {
      await whenOurs();
      await current.remove(kind, id);
    },
    close: () => current.close(),
    lend: () => current.close(),
    async takeBack() {
      current = open();
      await current.load();
    },
  };
}
