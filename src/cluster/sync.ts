/**
 * Keeps the catalog equal to the local state: what was touched at once, everything at start, every
 * minute or so, and when a leader appears. Source: Consul's agent/ae (intervals) and agent/local.
 */
import type { Cancel, Log, Random, Timers } from "../ports.ts";
import { commandsForAll, commandsForTouched, overriddenTags } from "./anti-entropy.ts";
import type { Command, ServiceFields } from "./command.ts";
import type { Outcome } from "./engine.ts";
import type { LocalState } from "./local.ts";
import type { CatalogReader } from "./model.ts";
import type { OwnNode } from "./own-node.ts";

/** Time between full comparisons; up to once more of it (times the scale) is added at random. */
const FULL_SYNC_INTERVAL_MS = 60_000;
/** Wait after proposals that were refused or whose fate is unknown, doubled at random. */
const SYNC_RETRY_MS = 15_000;
/** A new leader is met with a full comparison within this time. */
const LEADER_SPREAD_MS = 3_000;
/** Proposals of one round that are under way at the same time. */
const MAX_PROPOSALS = 128;
/** Rounds under way at the same time; what is touched then waits until one of them has ended. */
const MAX_ROUNDS = 64;
/** Up to this many members the interval is not scaled. */
const SCALE_THRESHOLD = 128;

/** Keeps the catalog's view of this node equal to what is registered here. */
export type Syncer = {
  touchService(id: string): void;
  touchCheck(id: string): void;
  /**
   * Resolves when all that was touched before this call has been proposed and decided. It resolves
   * too when the catalog cannot be written now: that is logged and tried again later.
   */
  flush(): Promise<void>;
  /** The same for a comparison of everything. */
  syncAll(): Promise<void>;
  /** A leader was found or lost. */
  leadershipChanged(hasLeader: boolean): void;
  /** Ends the timers and waits for the round under way. */
  close(): Promise<void>;
  /** Touched and not written yet. */
  readonly pending: number;
};

/** What the syncer needs of the rest. */
export type SyncDeps = {
  own(): OwnNode;
  reader: CatalogReader;
  propose(command: Command): Promise<Outcome>;
  timers: Timers;
  random: Pick<Random, "uint32">;
  /** Members of the pool: larger pools compare less often. */
  memberCount(): number;
  log: Log;
  /** The catalog overrides the tags of a local service. */
  onOverride(id: string, fields: ServiceFields): void;
};

/** Factor on the interval: 1 up to 128 members, one more for each doubling. */
export function scaleFactor(members: number): number {
  if (members <= SCALE_THRESHOLD) return 1;
  return Math.ceil(Math.log2(members) - Math.log2(SCALE_THRESHOLD)) + 1;
}

/** Name of a comparison of everything; others are `service:ID` and `check:ID`. */
const ALL = "all";

type Waiting = { ended: Promise<void>; follow: (round: Promise<void>) => void };

type Touched = { services: Set<string>; checks: Set<string> };

/** `state` is read at the time of each round. */
export function createSyncer(state: LocalState, deps: SyncDeps): Syncer {
  let touched: Touched = { services: new Set(), checks: new Set() };
  let wantsAll = false;
  let isClosed = false;
  const rounds = new Set<Promise<void>>();
  /** Services and checks of the rounds under way, by name. */
  const busy = new Set<string>();
  let isAllUnderWay = false;
  /** Who waits for what could not begin, by name; "all": a comparison of everything. */
  const waiting = new Map<string, Waiting>();
  /** Touched since the last flush: whoever flushes waits for these. */
  let fresh: string[] = [];
  let periodic: Cancel = () => {};
  let retry: Cancel | undefined;
  const randomBelow = (limitMs: number) => (deps.random.uint32() / 2 ** 32) * limitMs;

  /**
   * Rounds of different services run side by side, so that those who register share a write of the
   * log. Of the same one they follow each other: the difference is taken from the catalog, so it must
   * show the last round. A comparison of everything runs alone.
   */
  function flush(): Promise<void> {
    const mine = fresh;
    fresh = [];
    if (isClosed) return settled();
    const begun = begin();
    const waits = mine.filter(isLeft).map(waitFor);
    if (begun) waits.push(begun);
    return waits.length === 1 ? waits[0]! : Promise.all(waits).then(() => undefined);
  }

  function isLeft(name: string): boolean {
    if (name === ALL) return wantsAll;
    const id = name.slice(name.indexOf(":") + 1);
    return (name.startsWith("service:") ? touched.services : touched.checks).has(id);
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

  function begin(): Promise<void> | undefined {
    if (isAllUnderWay || rounds.size >= MAX_ROUNDS || (wantsAll && rounds.size > 0))
      return undefined;
    const all = wantsAll;
    const [now, names] = take(all);
    if (!all && now.services.size + now.checks.size === 0) return undefined;
    for (const name of names) busy.add(name);
    isAllUnderWay = all;
    wantsAll = false;
    const ended = round(now, all).finally(() => {
      rounds.delete(ended);
      for (const name of names) busy.delete(name);
      if (all) isAllUnderWay = false;
      if (waiting.size > 0) void begin();
    });
    rounds.add(ended);
    for (const name of all ? [...waiting.keys()] : names) {
      waiting.get(name)?.follow(ended);
      waiting.delete(name);
    }
    return ended;
  }

  /** What may be written now, and what nobody else may write meanwhile. */
  function take(all: boolean): [Touched, string[]] {
    const before = touched;
    touched = { services: new Set(), checks: new Set() };
    if (all) return [before, []];
    const now: Touched = { services: new Set(), checks: new Set() };
    const names: string[] = [];
    for (const kind of ["services", "checks"] as const)
      for (const id of before[kind]) {
        const own = kind === "services" ? [`service:${id}`] : namesOfCheck(id);
        const isBusy = own.some((name) => busy.has(name));
        (isBusy ? touched : now)[kind].add(id);
        if (!isBusy) names.push(...own);
      }
    return [now, names];
  }

  /** A check and the service it belongs to, here and in the catalog. */
  function namesOfCheck(id: string): string[] {
    const here = state.checks.get(id)?.fields.serviceId;
    const there = deps.reader.check(deps.own().node.node, id)?.serviceId;
    const names = [`check:${id}`];
    if (here) names.push(`service:${here}`);
    if (there && there !== here) names.push(`service:${there}`);
    return names;
  }

  async function settled(): Promise<void> {
    while (rounds.size > 0) await Promise.all(rounds);
  }

  function syncAll(): Promise<void> {
    wantsAll = true;
    fresh.push(ALL);
    return flush();
  }

  async function round(now: Touched, all: boolean): Promise<void> {
    const commands = all
      ? compareAll(now)
      : commandsForTouched(state, deps.own(), deps.reader, now);
    const failures: string[] = [];
    for (let i = 0; i < commands.length; i += MAX_PROPOSALS) {
      const outcomes = commands.slice(i, i + MAX_PROPOSALS).map((command) => propose(command));
      for (const outcome of await Promise.all(outcomes))
        if (outcome !== undefined) failures.push(outcome);
      if (failures.length > 0) break;
    }
    if (all) schedulePeriodic();
    if (failures.length === 0) return;
    for (const id of now.services) touched.services.add(id);
    for (const id of now.checks) touched.checks.add(id);
    wantsAll ||= all;
    deps.log("warn", "catalog not written, will try again", { reason: failures[0] });
    scheduleRetry();
  }

  function compareAll(now: Touched): Command[] {
    const own = deps.own();
    for (const [id, fields] of overriddenTags(state, own, deps.reader, now))
      deps.onOverride(id, fields);
    return commandsForAll(state, own, deps.reader, now);
  }

  /** Gives the reason if the command may not be in the log. What `apply` refuses is final. */
  async function propose(command: Command): Promise<string | undefined> {
    const outcome = await deps.propose(command);
    if (outcome.outcome !== "committed") return outcome.reason;
    const { result } = outcome;
    if (typeof result === "object" && result !== null && "error" in result)
      deps.log("error", "the catalog refuses a local entry", {
        command: describe(command),
        error: result.error,
      });
    else deps.log("debug", "synced", { command: describe(command) });
    return undefined;
  }

  function schedulePeriodic(): void {
    periodic();
    if (isClosed) return;
    const spreadMs = randomBelow(FULL_SYNC_INTERVAL_MS * scaleFactor(deps.memberCount()));
    periodic = deps.timers.after(FULL_SYNC_INTERVAL_MS + spreadMs, () => void syncAll());
  }

  function scheduleRetry(): void {
    if (retry !== undefined || isClosed) return;
    retry = deps.timers.after(SYNC_RETRY_MS + randomBelow(SYNC_RETRY_MS), () => {
      retry = undefined;
      void flush();
    });
  }

  return {
    touchService(id) {
      touched.services.add(id);
      fresh.push(`service:${id}`);
    },
    touchCheck(id) {
      touched.checks.add(id);
      fresh.push(`check:${id}`);
    },
    flush,
    syncAll,
    leadershipChanged(hasLeader) {
      if (!hasLeader || isClosed) return;
      retry?.();
      wantsAll = true;
      retry = deps.timers.after(randomBelow(LEADER_SPREAD_MS), () => {
        retry = undefined;
        void flush();
      });
    },
    async close() {
      isClosed = true;
      periodic();
      retry?.();
      await settled();
    },
    get pending() {
      return touched.services.size + touched.checks.size;
    },
  };
}

function describe(command: Command): string {
  if (command.type === "register") {
    const parts = [command.service?.id, ...command.checks.map(({ checkId }) => checkId)];
    return `register ${parts.filter(Boolean).join(", ") || "node"}`;
  }
  if (command.type === "deregister")
    return `deregister ${command.serviceId || command.checkId || "node"}`;
  return command.type;
}
