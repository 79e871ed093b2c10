/** Those who wait for a change: topics, deadlines, limits. No sockets, no clock of its own. */
import type { Topic } from "../cluster/model.ts";
import type { Cancel, Clock, Timers } from "../ports.ts";
import { createTopicIndex } from "./topic-index.ts";

/** Requests that may wait at the same time; the next one is refused (the caller answers 503). */
const maxWaiters = 20_000;
/**
 * At most this many waits end at once; the next ones follow sliceMs later, so that answering a crowd
 * leaves the event loop to others in between. Measured: a slice takes about 1 ms.
 */
const sliceWaiters = 32;
const sliceMs = 1;
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
  /** Ends the waits of everybody whom one of these topics concerns (topic-index.ts), in slices. */
  wake(topics: Iterable<Topic>): void;
  /** Ends all waits: the whole state was replaced (restore). In slices. */
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
  /** Why the wait is about to end; it counts until its slice comes. */
  due: Woken | undefined;
};

/** The waiting room of one agent. */
export function createWaiters(world: { clock: Clock; timers: Timers; limit?: number }): Waiters {
  const limit = world.limit ?? maxWaiters;
  const byTopic = createTopicIndex<Waiter>();
  const byBucket = new Map<number, Set<Waiter>>();
  const slices = createSlices(world, finish);
  let count = 0;
  let closed = false;
  let alarm: { bucket: number; cancel: Cancel } | undefined;

  function finish(waiter: Waiter): void {
    if (waiter.onAbort) waiter.signal?.removeEventListener("abort", waiter.onAbort);
    count--;
    waiter.resolve(waiter.due!);
  }

  /** Nothing wakes the waiter any more. */
  function retire(waiter: Waiter, due: Woken): void {
    for (const topic of waiter.topics) byTopic.leave(topic, waiter);
    leave(byBucket, waiter.bucket, waiter);
    waiter.due = due;
  }

  function abort(waiter: Waiter): void {
    if (waiter.due !== undefined) slices.remove(waiter);
    else retire(waiter, "gone");
    waiter.due = "gone";
    finish(waiter);
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
    const due: Waiter[] = [];
    let next = Infinity;
    for (const [bucket, waiters] of byBucket)
      if (bucket > now) next = Math.min(next, bucket);
      else for (const waiter of waiters) due.push(waiter);
    for (const waiter of due) retire(waiter, "timeout");
    slices.add(due);
    if (next !== Infinity) setAlarm(next);
  }

  function retireAll(due: Woken): Waiter[] {
    const all = [...byBucket.values()].flatMap((waiters) => [...waiters]);
    for (const waiter of all) retire(waiter, due);
    return all;
  }

  return {
    wait(topics, untilMs, signal) {
      if (closed) return Promise.resolve("closed");
      if (signal?.aborted) return Promise.resolve("gone");
      if (count >= limit) return Promise.resolve("full");
      return new Promise((resolve) => {
        const bucket = Math.ceil(untilMs / bucketMs);
        const none = { onAbort: undefined, due: undefined };
        const waiter: Waiter = { topics, bucket, resolve, signal, ...none };
        if (signal) {
          waiter.onAbort = () => abort(waiter);
          signal.addEventListener("abort", waiter.onAbort);
        }
        for (const topic of topics) byTopic.join(topic, waiter);
        join(byBucket, bucket, waiter);
        count++;
        setAlarm(bucket);
      });
    },
    wake(topics) {
      if (byTopic.size === 0) return;
      const due: Waiter[] = [];
      const take = (waiter: Waiter) => {
        retire(waiter, "changed");
        due.push(waiter);
      };
      for (const topic of topics) byTopic.take(topic, take);
      slices.add(due);
    },
    wakeAll: () => slices.add(retireAll("restored")),
    close() {
      closed = true;
      const last = [...slices.takeAll(), ...retireAll("closed")];
      for (const waiter of last) finish(waiter);
      alarm?.cancel();
      alarm = undefined;
    },
    get count() {
      return count;
    },
  };
}

/**
 * Lets the waits that are due end slice by slice. Crowds take turns: one that comes later, or a single
 * waiter, does not stand behind all of an earlier crowd. Holds at most maxWaiters.
 */
function createSlices(world: { clock: Clock; timers: Timers }, finish: (waiter: Waiter) => void) {
  let crowds: Set<Waiter>[] = [];
  let startedMs = -Infinity;
  let left = 0;
  let cancel: Cancel | undefined;

  function begin(nowMs: number): void {
    startedMs = nowMs;
    left = sliceWaiters;
  }

  function run(): void {
    while (left > 0) {
      const crowd = crowds.shift();
      if (crowd === undefined) return;
      const share = Math.max(1, Math.floor(sliceWaiters / (crowds.length + 1)));
      let taken = 0;
      for (const waiter of crowd) {
        if (left === 0 || taken === share) break;
        crowd.delete(waiter);
        taken++;
        left--;
        finish(waiter);
      }
      if (crowd.size > 0) crowds.push(crowd);
    }
    if (crowds.length > 0) cancel ??= world.timers.after(sliceMs, next);
  }

  function next(): void {
    cancel = undefined;
    begin(world.clock.monotonicMs());
    run();
  }

  return {
    add(due: readonly Waiter[]): void {
      if (due.length === 0) return;
      const nowMs = world.clock.monotonicMs();
      // While others stand in line their timer begins the next slice.
      if (crowds.length === 0 && nowMs - startedMs >= sliceMs) begin(nowMs);
      crowds.push(new Set(due));
      run();
    },
    /** For one that is due but whose client has just gone. */
    remove(waiter: Waiter): void {
      for (const crowd of crowds) crowd.delete(waiter);
    },
    takeAll(): Waiter[] {
      cancel?.();
      cancel = undefined;
      const all = crowds.flatMap((crowd) => [...crowd]);
      crowds = [];
      return all;
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
