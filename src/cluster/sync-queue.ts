/**
 * What is to be written to the catalog next: who touched what, which rounds are under way, who waits for
 * which of them. What a round does is up to `run`.
 */
import { holdsAtMs, newBucket, takeFrom, type Rate } from "./bucket.ts";
import type { Cancel, Clock, Timers } from "../ports.ts";

/** Rounds under way at the same time; what is touched then waits until one of them has ended. */
const MAX_ROUNDS = 64;
/**
 * Rounds that write nothing but what checks say, of all checks of this agent: the next one takes what
 * came meanwhile, up to 128 checks in a command. So thousands of checks that change together are a
 * handful of commands, and a critical state waits 50 ms at most.
 */
export const STATUS_ROUNDS: Rate = { burst: 64, intervalMs: 50 };
/** Such rounds under way at the same time. */
const MAX_STATUS_ROUNDS = 2;
/** Name of a comparison of everything; others are `service:ID`, `check:ID` and `status:ID`. */
const ALL = "all";

type Waiting = { ended: Promise<void>; follow: (round: Promise<void>) => void };

/** Ids by what of them was touched. `statuses`: checks of which nothing else was touched, in rounds of their own. */
export type Touched = { services: Set<string>; checks: Set<string>; statuses: Set<string> };

const KINDS = { service: "services", check: "checks", status: "statuses" } as const;

function nothing(): Touched {
  return { services: new Set(), checks: new Set(), statuses: new Set() };
}

function sizeOf({ services, checks, statuses }: Touched): number {
  return services.size + checks.size + statuses.size;
}

/** What a round does: `own`: everything of ours, `all`: and what others wrote for this node goes. */
export type Scope = "touched" | "statuses" | "own" | "all";

/** Rounds of writes, one after the other for each service, side by side otherwise. */
export type SyncQueue = {
  /** Marks an id; who flushes next waits for it. */
  touch(kind: keyof typeof KINDS, id: string): void;
  /** Marks ids that nobody waits for. */
  add(entries: readonly { kind: keyof typeof KINDS; id: string }[]): void;
  /** A comparison as soon as it can be. */
  compareOwn(): void;
  /** Resolves when what was touched since the last flush has been through a round. */
  flush(): Promise<void>;
  /** The same for a comparison of everything. */
  flushAll(): Promise<void>;
  /** What failed is wanted again. */
  retry(): void;
  /** To be called by a round of statuses that writes. */
  statusesWritten(): void;
  /** Touched and not written. */
  readonly pending: number;
  /** Ends the timer and waits for the rounds under way. */
  close(): Promise<void>;
};

/** `run` gives whether all of it is in the catalog, or will never be; else it comes again. */
export function createSyncQueue(deps: {
  run(now: Touched, scope: Scope): Promise<boolean>;
  /** The services that a check belongs to, here and in the catalog. */
  servicesOfCheck(id: string): string[];
  clock: Pick<Clock, "monotonicMs">;
  timers: Timers;
}): SyncQueue {
  let touched = nothing();
  let wanted: "own" | "all" | undefined;
  /** What could not be written: again with the next registration, or the retry. */
  let failed: { touched: Touched; scope: "own" | "all" | undefined } | undefined;
  let isClosed = false;
  const rounds = new Set<Promise<void>>();
  /** Services and checks of the rounds under way, by name. */
  const busy = new Set<string>();
  let isAllUnderWay = false;
  /** Who waits for what could not begin, by name; "all": a comparison of everything. */
  const waiting = new Map<string, Waiting>();
  /** Touched since the last flush: whoever flushes waits for these. */
  let fresh: string[] = [];
  const statusBucket = newBucket();
  let statusRounds = 0;
  let nextStatusRound: Cancel | undefined;

  /**
   * Rounds of different services run side by side, so that those who register share a write of the
   * log. Of the same one they follow each other: the difference is taken from the catalog, so it must
   * show the last round. A comparison of everything runs alone.
   */
  function flush(): Promise<void> {
    const mine = fresh;
    fresh = [];
    if (isClosed) return settled();
    // States alone do not bring back what failed: in an outage each of them would try everything again.
    if (mine.some((name) => !name.startsWith("status:"))) takeFailed();
    const begun = begin();
    const waits = mine.filter((name) => isLeft(name) && !isTooEarly(name)).map(waitFor);
    if (begun) waits.push(begun);
    return waits.length === 1 ? waits[0]! : Promise.all(waits).then(() => undefined);
  }

  /** Whoever reports states faster than they are written is not slowed down by that. */
  function isTooEarly(name: string): boolean {
    return nextStatusRound !== undefined && name.startsWith("status:");
  }

  function takeFailed(): void {
    if (failed === undefined) return;
    for (const kind of Object.values(KINDS))
      for (const id of failed.touched[kind]) touched[kind].add(id);
    wanted = failed.scope === "all" ? "all" : (wanted ?? failed.scope);
    failed = undefined;
  }

  function isLeft(name: string): boolean {
    if (name === ALL) return wanted === "all";
    const colon = name.indexOf(":");
    return touched[KINDS[name.slice(0, colon) as keyof typeof KINDS]].has(name.slice(colon + 1));
  }

  /** Ends with the round that takes it. */
  function waitFor(name: string): Promise<void> {
    let wait = waiting.get(name);
    if (wait === undefined) {
      let follow: Waiting["follow"] = () => {};
      const ended = new Promise<void>((resolve) => (follow = resolve));
      waiting.set(name, (wait = { ended, follow }));
    }
    return wait.ended;
  }

  /** What can be begun now is; resolves when that has ended. */
  function begin(): Promise<void> | undefined {
    if (isClosed || isAllUnderWay) return undefined;
    if (wanted !== undefined) {
      if (rounds.size > 0) return undefined;
      const scope = wanted;
      const now = touched;
      touched = nothing();
      wanted = undefined;
      return start(now, [], scope);
    }
    const first = beginWith(["services", "checks"], "touched");
    const second = mayWriteStatuses() ? beginWith(["statuses"], "statuses") : undefined;
    return first && second ? Promise.all([first, second]).then(() => undefined) : (first ?? second);
  }

  function beginWith(kinds: readonly (keyof Touched)[], scope: Scope): Promise<void> | undefined {
    if (rounds.size >= MAX_ROUNDS) return undefined;
    const [now, names] = take(kinds);
    return names.length === 0 ? undefined : start(now, names, scope);
  }

  /** Sees to it that they are begun later, if it is too early. */
  function mayWriteStatuses(): boolean {
    if (touched.statuses.size === 0 || statusRounds >= MAX_STATUS_ROUNDS) return false;
    const waitMs = holdsAtMs(statusBucket, STATUS_ROUNDS, 1) - deps.clock.monotonicMs();
    if (waitMs <= 0) return true;
    nextStatusRound ??= deps.timers.after(Math.ceil(waitMs), () => {
      nextStatusRound = undefined;
      void begin();
    });
    return false;
  }

  function start(now: Touched, names: readonly string[], scope: Scope): Promise<void> {
    const isAll = scope === "own" || scope === "all";
    for (const name of names) busy.add(name);
    isAllUnderWay = isAll;
    if (scope === "statuses") statusRounds++;
    const ended = runWith(now, scope).finally(() => {
      rounds.delete(ended);
      for (const name of names) busy.delete(name);
      if (isAll) isAllUnderWay = false;
      if (scope === "statuses") statusRounds--;
      void begin();
    });
    rounds.add(ended);
    for (const name of isAll ? [...waiting.keys()] : names) {
      if (name === ALL && scope === "own") continue;
      waiting.get(name)?.follow(ended);
      waiting.delete(name);
    }
    return ended;
  }

  async function runWith(now: Touched, scope: Scope): Promise<void> {
    if (await deps.run(now, scope)) return;
    failed ??= { touched: nothing(), scope: undefined };
    for (const kind of Object.values(KINDS))
      for (const id of now[kind]) failed.touched[kind].add(id);
    if (scope === "all" || (scope === "own" && failed.scope === undefined)) failed.scope = scope;
  }

  /** What of these kinds may be written now, and what nobody else may write meanwhile. */
  function take(kinds: readonly (keyof Touched)[]): [Touched, string[]] {
    const now = nothing();
    const names: string[] = [];
    for (const kind of kinds)
      for (const id of touched[kind]) {
        const own =
          kind === "services"
            ? [`service:${id}`]
            : [
                `check:${id}`,
                `status:${id}`,
                ...deps.servicesOfCheck(id).map((each) => `service:${each}`),
              ];
        if (own.some((name) => busy.has(name))) continue;
        touched[kind].delete(id);
        now[kind].add(id);
        names.push(...own);
      }
    return [now, names];
  }

  async function settled(): Promise<void> {
    while (rounds.size > 0) await Promise.all(rounds);
  }

  return {
    touch(kind, id) {
      touched[KINDS[kind]].add(id);
      fresh.push(`${kind}:${id}`);
    },
    add(entries) {
      for (const { kind, id } of entries) touched[KINDS[kind]].add(id);
      void begin();
    },
    compareOwn() {
      wanted ??= "own";
      void begin();
    },
    flush,
    flushAll() {
      wanted = "all";
      fresh.push(ALL);
      return flush();
    },
    retry() {
      takeFailed();
      void begin();
    },
    statusesWritten: () => void takeFrom(statusBucket, STATUS_ROUNDS, deps.clock.monotonicMs()),
    get pending() {
      return sizeOf(touched) + (failed === undefined ? 0 : sizeOf(failed.touched));
    },
    async close() {
      isClosed = true;
      nextStatusRound?.();
      await settled();
    },
  };
}
