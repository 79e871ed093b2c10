/** The leader's timer that ends sessions whose TTL has passed. */
import type { Command } from "../cluster/command.ts";
import type { Outcome } from "../cluster/engine.ts";
import type { CatalogReader, Topic } from "../cluster/model.ts";
import { createSessionExpiry, type SessionExpiry } from "../cluster/session-expiry.ts";
import type { Cancel, Clock, Timers } from "../ports.ts";

/** At least this long between two looks, also when a proposal was refused. */
const LOOK_MS = 500;

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
  let armed: Cancel | undefined;
  let stopped = false;

  function arm(): void {
    armed?.();
    armed = undefined;
    const next = expiry.nextMs();
    if (next === undefined || stopped) return;
    armed = timers.after(Math.max(LOOK_MS, next - clock.monotonicMs()), () => {
      for (const id of expiry.due(clock.monotonicMs()))
        // Whatever becomes of it: a session that is still there stays due, and the next look asks again.
        void propose({ type: "session-destroy", id });
      arm();
    });
  }

  function follow(): void {
    expiry.follow(reader, clock.monotonicMs());
    arm();
  }
  follow();
  return {
    expiry,
    touched(topics) {
      if (topics.includes("sessions")) follow();
    },
    restart() {
      expiry.clear();
      follow();
    },
    stop() {
      stopped = true;
      armed?.();
    },
  };
}
