/** What a lock and a semaphore have in common: waiting for a place, and watching over the one that is held. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../ports.ts";
import { attempt } from "../command.ts";
import type { HttpClient } from "../client.ts";
import { isRetryable, type Found, type LockStore, type ReadAsk } from "./store.ts";

/** A place that several want. Failures are CommandFailure with the sentence of Consul's client. */
export type Contended = {
  /** Waits for the place; undefined when `stop` or the time limit came first. */
  acquire(stop: AbortSignal): Promise<Held | undefined>;
  /** Gives it back, and the session with it. */
  release(): Promise<void>;
  /** Removes what it left in the store; "in use": somebody else holds it or waits. */
  destroy(): Promise<"removed" | "in use">;
};

/** A place that is held; `lost` resolves when it has to be assumed that it is not any more. */
export type Held = { lost: Promise<void> };

/** What both are made of. */
export type ContendedOptions = {
  http: HttpClient;
  store: LockStore;
  clock: Clock;
  sessionName: string;
  /** Give up after this time; 0: never. */
  tryMs: number;
  /** Failures in a row of the watch over a held place that are ridden out. */
  monitorRetries: number;
};

/** How long one look waits for a change. Consul's. */
const WAIT_MS = 15_000;
/** Wait after a refusal that nobody's holding explains: a lock delay. Consul's. */
const REFUSED_MS = 5_000;
/** Between retries of the watch. Consul's. */
const MONITOR_RETRY_MS = 1_000;

/**
 * Looks again and again until `look` settles it. `waitMs` is handed to each look, undefined when the
 * time is over. A look says: a value, on which index to wait, or that it was refused.
 */
export async function contend<T>(
  { tryMs, clock }: Pick<ContendedOptions, "tryMs" | "clock">,
  stop: AbortSignal,
  look: (ask: ReadAsk) => Promise<{ value: T } | { waitFor: string } | "refused" | "again">,
): Promise<T | undefined> {
  const startMs = clock.monotonicMs();
  const leftMs = () => (tryMs === 0 ? Infinity : startMs + tryMs - clock.monotonicMs());
  let index = "";
  for (let attempts = 0; ; attempts++) {
    if (stop.aborted || (attempts > 0 && leftMs() <= 0)) return undefined;
    let seen;
    try {
      seen = await look({ index, waitMs: Math.max(1, Math.min(WAIT_MS, leftMs())), signal: stop });
    } catch (error) {
      if (stop.aborted) return undefined;
      throw error;
    }
    if (typeof seen === "object" && "value" in seen) return seen.value;
    index = typeof seen === "object" ? seen.waitFor : "";
    if (seen === "refused")
      await sleep(Math.max(0, Math.min(REFUSED_MS, leftMs())), undefined, { signal: stop }).catch(
        () => {},
      );
  }
}

/** Resolves when `isHeld` is false of what `read` finds, or when it cannot be found out any more. */
export async function monitor(
  retries: number,
  stop: AbortSignal,
  read: (ask: ReadAsk) => Promise<Found>,
  isHeld: (found: Found) => boolean,
): Promise<void> {
  let index = "";
  let left = retries;
  while (!stop.aborted) {
    try {
      const found = await read({ index, waitMs: 0, consistent: true, signal: stop });
      if (!isHeld(found)) return;
      ({ index } = found);
      left = retries;
    } catch (error) {
      if (stop.aborted || left === 0 || !isRetryable(error)) return;
      left--;
      index = "";
      await sleep(MONITOR_RETRY_MS, undefined, { signal: stop }).catch(() => {});
    }
  }
}

/** A read outside of the wait for a place; `what` begins the sentence of a failure. */
export function readOnce(what: string, read: (ask: ReadAsk) => Promise<Found>): Promise<Found> {
  return attempt(what, read({ index: "", waitMs: 0, signal: new AbortController().signal }));
}
