/** Those who wait for a change: topics, deadlines, limits. No sockets, no clock of its own. */
import type { Topic } from "../cluster/model.ts";
import type { Cancel, Clock, Timers } from "../ports.ts";

/** Requests that may wait at the same time; the next one is refused (the caller answers 503). */
const maxWaiters = 20_000;
/** Deadlines are kept in buckets of this many milliseconds: a wait ends up to that much late, never early. */
const bucketMs = 50;

/** `restored`: the whole state was replaced. `gone`: the client went away. `closed`: the agent stops. `full`: maxWaiters others wait already. */
export type Woken = "changed" | "restored" | "timeout" | "gone" | "closed" | "full";

/** Requests that wait for a change. */
export type Waiters = {
  /**
   * Resolves when one of `topics` is touched or `untilMs` (monotonic) has passed. Whoever read the
   * data and calls this in the same turn of the event loop misses no change.
   */
  wait(topics: readonly Topic[], untilMs: number, signal?: AbortSignal): Promise<Woken>;
  /** Ends the waits of everybody who named one of these topics. */
  wake(topics: Iterable<Topic>): void;
  /** Ends all waits: the whole state was replaced (restore). */
  wakeAll(): void;
  /** Ends all waits for good: the agent stops. Later waits end at once. */
  close(): void;
  /** Requests waiting now. */
  readonly count: number;
};

type Waiter = {
  topics: readonly Topic[];
  bucket: number;
  resolve: (woken: Woken) => void;
  signal: AbortSignal | undefined;
  onAbort: (() => void) | undefined;
};

/** The waiting room of one agent. */
export function createWaiters(world: { clock: Clock; timers: Timers; limit?: number }): Waiters {
  const limit = world.limit ?? maxWaiters;
  const byTopic = new Map<Topic, Set<Waiter>>();
  const byBucket = new Map<number, Set<Waiter>>();
  let count = 0;
  let closed = false;
  let alarm: { bucket: number; cancel: Cancel } | undefined;

  function finish(waiter: Waiter, woken: Woken): void {
    for (const topic of waiter.topics) leave(byTopic, topic, waiter);
    leave(byBucket, waiter.bucket, waiter);
    if (waiter.onAbort) waiter.signal?.removeEventListener("abort", waiter.onAbort);
    count--;
    waiter.resolve(woken);
  }

  function setAlarm(bucket: number): void {
    if (alarm !== undefined && alarm.bucket <= bucket) return;
    alarm?.cancel();
    const delayMs = Math.max(0, bucket * bucketMs - world.clock.monotonicMs());
    alarm = { bucket, cancel: world.timers.after(delayMs, ring) };
  }

  function ring(): void {
    alarm = undefined;
    const now = world.clock.monotonicMs() / bucketMs;
    let next = Infinity;
    for (const [bucket, waiters] of byBucket) {
      if (bucket > now) next = Math.min(next, bucket);
      else for (const waiter of waiters) finish(waiter, "timeout");
    }
    if (next !== Infinity) setAlarm(next);
  }

  function wakeAll(woken: Woken): void {
    for (const waiters of byBucket.values()) for (const waiter of waiters) finish(waiter, woken);
  }

  return {
    wait(topics, untilMs, signal) {
      if (closed) return Promise.resolve("closed");
      if (signal?.aborted) return Promise.resolve("gone");
      if (count >= limit) return Promise.resolve("full");
      return new Promise((resolve) => {
        const bucket = Math.ceil(untilMs / bucketMs);
        const waiter: Waiter = { topics, bucket, resolve, signal, onAbort: undefined };
        if (signal) {
          waiter.onAbort = () => finish(waiter, "gone");
          signal.addEventListener("abort", waiter.onAbort);
        }
        for (const topic of topics) join(byTopic, topic, waiter);
        join(byBucket, bucket, waiter);
        count++;
        setAlarm(bucket);
      });
    },
    wake(topics) {
      if (count === 0) return;
      for (const topic of topics) {
        const waiters = byTopic.get(topic);
        if (waiters) for (const waiter of waiters) finish(waiter, "changed");
      }
    },
    wakeAll: () => wakeAll("restored"),
    close() {
      closed = true;
      wakeAll("closed");
      alarm?.cancel();
      alarm = undefined;
    },
    get count() {
      return count;
    },
  };
}

function join<K>(map: Map<K, Set<Waiter>>, key: K, waiter: Waiter): void {
  const waiters = map.get(key);
  if (waiters) waiters.add(waiter);
  else map.set(key, new Set([waiter]));
}

function leave<K>(map: Map<K, Set<Waiter>>, key: K, waiter: Waiter): void {
  const waiters = map.get(key);
  if (waiters?.delete(waiter) && waiters.size === 0) map.delete(key);
}
