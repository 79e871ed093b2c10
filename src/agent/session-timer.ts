/** The leader's timer that ends sessions whose TTL has passed. */
import type { Command } from "../cluster/command.ts";
import type { Outcome } from "../cluster/engine.ts";
import type { CatalogReader, Topic } from "../cluster/model.ts";
import { createSessionExpiry, type SessionExpiry } from "../cluster/session-expiry.ts";
import type { Cancel, Clock, Timers } from "../ports.ts";

/** At least this long between two looks, also when a proposal was refused. */
const LOOK_MS = 500;
/** Sessions that one look ends at most; when more are due the next look follows as soon as they are gone. */
const ENDS_PER_LOOK = 1000;

/** The book of session deadlines with the timer that ends what has expired. */
export type SessionTimer = {
  expiry: SessionExpiry;
  /** To be called with what an applied command touched. */
  touched(topics: readonly Topic[]): void;
  /** To be called when a snapshot took the place of everything: every TTL starts afresh. */
  restart(): void;
  stop: Cancel;
};

/** Starts with the sessions that are there. */
export function startSessionTimer(deps: {
  reader: CatalogReader;
  propose: (command: Command) => Promise<Outcome>;
  clock: Clock;
  timers: Timers;
}): SessionTimer {
  const { reader, propose, clock, timers } = deps;
  const expiry = createSessionExpiry();
  let armed: { atMs: number; cancel: Cancel } | undefined;
  let ending = false;
  let stopped = false;

  /** A look that comes before anything is due costs little: an alarm that is early enough stays. */
  function arm(leastMs: number): void {
    const next = expiry.nextMs();
    if (next === undefined || stopped || ending) return;
    const nowMs = clock.monotonicMs();
    const atMs = Math.max(nowMs + leastMs, next);
    if (armed !== undefined && armed.atMs <= atMs) return;
    armed?.cancel();
    armed = { atMs, cancel: timers.after(atMs - nowMs, () => void look()) };
  }

  async function look(): Promise<void> {
    armed = undefined;
    const due = expiry.due(clock.monotonicMs(), ENDS_PER_LOOK);
    if (due.length === 0) return arm(0); // what was due has been renewed
    ending = true;
    const outcomes = await Promise.all(due.map((id) => propose({ type: "session-destroy", id })));
    ending = false;
    // What is still there stays due, and the next look asks again.
    const isDone = outcomes.every(({ outcome }) => outcome === "committed");
    arm(isDone && due.length === ENDS_PER_LOOK ? 0 : LOOK_MS);
  }

  function restart(): void {
    expiry.clear();
    expiry.follow(reader, clock.monotonicMs());
    arm(LOOK_MS);
  }
  restart();
  return {
    expiry,
    touched(topics) {
      if (!topics.includes("sessions")) return;
      for (const topic of topics) {
        if (!topic.startsWith(SESSION)) continue;
        const id = topic.slice(SESSION.length);
        expiry.followOne(id, reader.session(id), clock.monotonicMs());
      }
      arm(LOOK_MS);
    },
    restart,
    stop() {
      stopped = true;
      armed?.cancel();
    },
  };
}

const SESSION = "session:";
