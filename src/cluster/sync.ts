/**
 * Keeps the catalog equal to the local state: what was touched at once, everything at start, every
 * minute or so, and when a leader appears; our own entries when somebody else has changed them.
 * Source: Consul's agent/ae (intervals) and agent/local.
 */
import type { Cancel, Clock, Log, Random, Timers } from "../ports.ts";
import { commandsForAll, commandsForTouched, overriddenTags, type Sides } from "./anti-entropy.ts";
import { createBlocked, type Writer } from "./blocked.ts";
import { newBucket, holdsAtMs, takeFrom, type Rate } from "./bucket.ts";
import type { Command, ServiceFields } from "./command.ts";
import type { Outcome } from "./engine.ts";
import { createFlapLimit, type FlapLimit } from "./flapping.ts";
import type { LocalService, LocalState } from "./local.ts";
import type { CatalogReader } from "./model.ts";
import type { OwnNode } from "./own-node.ts";
import { createRepair } from "./repair.ts";

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
/**
 * Rounds that write nothing but what checks say, of all checks of this agent: the next one takes what
 * came meanwhile, up to 128 checks in a command. So thousands of checks that change together are a
 * handful of commands, and a critical state waits 50 ms at most.
 */
export const STATUS_ROUNDS: Rate = { burst: 64, intervalMs: 50 };
/** Such rounds under way at the same time. */
const MAX_STATUS_ROUNDS = 2;
/** Up to this many members the interval is not scaled. */
const SCALE_THRESHOLD = 128;

/** Keeps the catalog's view of this node equal to what is registered here. */
export type Syncer = {
  touchService(id: string): void;
  touchCheck(id: string): void;
  /** Only status or output of a check have changed. */
  touchStatus(id: string): void;
  /**
   * Resolves when all that was touched before this call has been proposed and decided. It resolves
   * too when the catalog cannot be written now (that is logged and tried again later), when rights
   * are missing, and when a check's state has to wait because the check flaps or the agent's checks
   * change too often.
   */
  flush(): Promise<void>;
  /** The same for a comparison of everything. */
  syncAll(): Promise<void>;
  /** The command at this index of the log has touched this node. */
  nodeTouched(index: number): void;
  /** A leader was found or lost. */
  leadershipChanged(hasLeader: boolean): void;
  /** Ends the timers and waits for the round under way. */
  close(): Promise<void>;
  readonly counts: SyncCounts;
};

/** What waits, and what was done since the start. */
export type SyncCounts = Omit<FlapLimit["counts"], "held"> & {
  /** Touched and not written yet, or written when the check has calmed down. */
  pending: number;
  /** Entries that their tokens may not write. */
  blocked: number;
  /** Commands with nothing but what checks say. */
  statusCommands: number;
  /** Commands that put right what somebody else had changed. */
  repairCommands: number;
};

/** What the syncer needs of the rest. */
export type SyncDeps = {
  own(): OwnNode;
  reader: CatalogReader;
  propose(command: Command): Promise<Outcome>;
  /** With whose rights an entry is written. */
  writerOf(entry: Pick<LocalService, "token" | "source">): Writer;
  clock: Pick<Clock, "monotonicMs">;
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

/** Name of a comparison of everything; others are `service:ID`, `check:ID` and `status:ID`. */
const ALL = "all";

type Waiting = { ended: Promise<void>; follow: (round: Promise<void>) => void };

/** `statuses`: checks of which nothing else was touched, in rounds of their own. */
type Touched = { services: Set<string>; checks: Set<string>; statuses: Set<string> };

const KINDS = { service: "services", check: "checks", status: "statuses" } as const;

function nothing(): Touched {
  return { services: new Set(), checks: new Set(), statuses: new Set() };
}

function sizeOf({ services, checks, statuses }: Touched): number {
  return services.size + checks.size + statuses.size;
}

/** What a round does: `own`: everything of ours, `all`: and what others wrote for this node goes. */
type Scope = "touched" | "statuses" | "own" | "all";

/** `state` is read at the time of each round. */
export function createSyncer(state: LocalState, deps: SyncDeps): Syncer {
  let touched = nothing();
  let wanted: "own" | "all" | undefined;
  /** What could not be written: again with the next flush, or the retry. */
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
  let periodic: Cancel = () => {};
  let retry: Cancel | undefined;
  const statusBucket = newBucket();
  let statusRounds = 0;
  let nextStatusRound: Cancel | undefined;
  const written = { statusCommands: 0, repairCommands: 0 };
  const flaps = createFlapLimit({
    ...deps,
    due(id) {
      touched.statuses.add(id);
      void begin();
    },
  });
  const blocked = createBlocked({
    ...deps,
    state,
    nodeName: () => deps.own().node.node,
    allowed(entries) {
      for (const { kind, id } of entries) touched[KINDS[kind]].add(id);
      void begin();
    },
  });
  const repair = createRepair({
    ...deps,
    due() {
      wanted ??= "own";
      void begin();
    },
  });
  const gate = { ...blocked, takeWrite: flaps.take };
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
    takeFailed();
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
    const ended = round(now, scope).finally(() => {
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

  /** What of these kinds may be written now, and what nobody else may write meanwhile. */
  function take(kinds: readonly (keyof Touched)[]): [Touched, string[]] {
    const now = nothing();
    const names: string[] = [];
    for (const kind of kinds)
      for (const id of touched[kind]) {
        const own = kind === "services" ? [`service:${id}`] : namesOfCheck(id);
        if (own.some((name) => busy.has(name))) continue;
        touched[kind].delete(id);
        now[kind].add(id);
        names.push(...own);
      }
    return [now, names];
  }

  /** A check and the service it belongs to, here and in the catalog. */
  function namesOfCheck(id: string): string[] {
    const here = state.checks.get(id)?.fields.serviceId;
    const there = deps.reader.check(deps.own().node.node, id)?.serviceId;
    const names = [`check:${id}`, `status:${id}`];
    if (here) names.push(`service:${here}`);
    if (there && there !== here) names.push(`service:${there}`);
    return names;
  }

  async function settled(): Promise<void> {
    while (rounds.size > 0) await Promise.all(rounds);
  }

  function syncAll(): Promise<void> {
    wanted = "all";
    fresh.push(ALL);
    return flush();
  }

  async function round(now: Touched, scope: Scope): Promise<void> {
    const commands = commandsOf(now, scope);
    if (scope === "statuses" && commands.length > 0) {
      takeFrom(statusBucket, STATUS_ROUNDS, deps.clock.monotonicMs());
      written.statusCommands += commands.length;
    }
    if (scope === "own" && commands.length > 0) {
      repair.repaired();
      written.repairCommands += commands.length;
      deps.log("info", "somebody else has changed this node in the catalog, it is put right", {
        commands: commands.length,
      });
    }
    const failures: string[] = [];
    for (let i = 0; i < commands.length; i += MAX_PROPOSALS) {
      const outcomes = commands.slice(i, i + MAX_PROPOSALS).map((command) => propose(command));
      for (const outcome of await Promise.all(outcomes))
        if (outcome !== undefined) failures.push(outcome);
      if (failures.length > 0) break;
    }
    if (scope === "all") schedulePeriodic();
    if (failures.length === 0) return;
    failed ??= { touched: nothing(), scope: undefined };
    for (const kind of Object.values(KINDS))
      for (const id of now[kind]) failed.touched[kind].add(id);
    if (scope === "all" || (scope === "own" && failed.scope === undefined)) failed.scope = scope;
    deps.log("warn", "catalog not written, will try again", { reason: failures[0] });
    scheduleRetry();
  }

  function commandsOf(now: Touched, scope: Scope): Command[] {
    const own = deps.own();
    const sides: Sides = { state, own, reader: deps.reader, gate };
    if (scope === "statuses")
      return commandsForTouched(sides, { services: now.services, checks: now.statuses });
    if (scope === "touched") return commandsForTouched(sides, now);
    for (const [id, fields] of overriddenTags(state, own, deps.reader, now))
      deps.onOverride(id, fields);
    return commandsForAll(sides, now, { removesOthers: scope === "all" });
  }

  /** Gives the reason if the command may not be in the log. What `apply` refuses is final. */
  async function propose(command: Command): Promise<string | undefined> {
    const outcome = await deps.propose(command);
    if (outcome.outcome !== "committed") return outcome.reason;
    repair.ours(outcome.index);
    const { result } = outcome;
    if (typeof result === "object" && result !== null && "error" in result) {
      // Somebody removed a service of these checks: the next time it comes with them.
      if (command.type === "register" && command.service === null && command.checks.length > 0)
        return String(result.error);
      deps.log("error", "the catalog refuses a local entry", {
        command: describe(command),
        error: result.error,
      });
    } else deps.log("debug", "synced", { command: describe(command) });
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
      if (!state.checks.has(id)) flaps.forget(id);
    },
    touchStatus(id) {
      touched.statuses.add(id);
      fresh.push(`status:${id}`);
    },
    flush,
    syncAll,
    nodeTouched: repair.touched,
    leadershipChanged(hasLeader) {
      if (!hasLeader || isClosed) return;
      retry?.();
      retry = deps.timers.after(randomBelow(LEADER_SPREAD_MS), () => {
        retry = undefined;
        wanted = "all";
        void flush();
      });
    },
    async close() {
      isClosed = true;
      periodic();
      retry?.();
      nextStatusRound?.();
      flaps.close();
      blocked.close();
      repair.close();
      await settled();
    },
    get counts() {
      const { flapping, held, heldTotal } = flaps.counts;
      const pending = sizeOf(touched) + (failed === undefined ? 0 : sizeOf(failed.touched)) + held;
      return { pending, flapping, heldTotal, blocked: blocked.count, ...written };
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
