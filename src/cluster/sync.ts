/**
 * Keeps the catalog equal to the local state: what was touched at once, everything at start, every
 * minute or so, and when a leader appears; our own entries when somebody else has changed them.
 * Source: Consul's agent/ae (intervals) and agent/local.
 */
import type { Cancel, Clock, Log, Random, Timers } from "../ports.ts";
import { commandsForAll, commandsForTouched, overriddenTags, type Sides } from "./anti-entropy.ts";
import { createBlocked, type Writer } from "./blocked.ts";
import type { Command, ServiceFields } from "./command.ts";
import type { Outcome } from "./engine.ts";
import { createFlapLimit, type FlapLimit } from "./flapping.ts";
import type { LocalService, LocalState } from "./local.ts";
import type { CatalogReader } from "./model.ts";
import type { OwnNode } from "./own-node.ts";
import { createRepair } from "./repair.ts";
import { createSyncQueue, type Scope, type Touched } from "./sync-queue.ts";

/** Time between full comparisons; up to once more of it (times the scale) is added at random. */
const FULL_SYNC_INTERVAL_MS = 60_000;
/** Wait after proposals that were refused or whose fate is unknown, doubled at random. */
const SYNC_RETRY_MS = 15_000;
/** A new leader is met with a full comparison within this time. */
const LEADER_SPREAD_MS = 3_000;
/** Proposals of one round that are under way at the same time. */
const MAX_PROPOSALS = 128;
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

/** `state` is read at the time of each round. */
export function createSyncer(state: LocalState, deps: SyncDeps): Syncer {
  let isClosed = false;
  let periodic: Cancel = () => {};
  let retry: Cancel | undefined;
  const written = { statusCommands: 0, repairCommands: 0 };
  const queue = createSyncQueue({ ...deps, run, servicesOfCheck });
  const flaps = createFlapLimit({ ...deps, due: (id) => queue.add([{ kind: "status", id }]) });
  const blocked = createBlocked({
    ...deps,
    state,
    nodeName: () => deps.own().node.node,
    allowed: (entries) => queue.add(entries),
  });
  const repair = createRepair({ ...deps, due: () => queue.compareOwn() });
  const gate = { ...blocked, takeWrite: (id: string) => flaps.take(id) };
  const randomBelow = (limitMs: number) => (deps.random.uint32() / 2 ** 32) * limitMs;

  function servicesOfCheck(id: string): string[] {
    const here = state.checks.get(id)?.fields.serviceId;
    const there = deps.reader.check(deps.own().node.node, id)?.serviceId;
    return [...new Set([here ?? "", there ?? ""])].filter((each) => each !== "");
  }

  async function run(now: Touched, scope: Scope): Promise<boolean> {
    const commands = commandsOf(now, scope);
    if (scope === "statuses" && commands.length > 0) {
      queue.statusesWritten();
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
    if (failures.length === 0) return true;
    const level = retry === undefined ? "warn" : "debug"; // once per try, not per registration
    deps.log(level, "catalog not written, will try again", { reason: failures[0] });
    scheduleRetry();
    return false;
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
    periodic = deps.timers.after(FULL_SYNC_INTERVAL_MS + spreadMs, () => void queue.flushAll());
  }

  function scheduleRetry(): void {
    if (retry !== undefined || isClosed) return;
    retry = deps.timers.after(SYNC_RETRY_MS + randomBelow(SYNC_RETRY_MS), () => {
      retry = undefined;
      queue.retry();
    });
  }

  return {
    touchService: (id) => queue.touch("service", id),
    touchCheck(id) {
      queue.touch("check", id);
      if (!state.checks.has(id)) flaps.forget(id);
    },
    touchStatus: (id) => queue.touch("status", id),
    flush: () => queue.flush(),
    syncAll: () => queue.flushAll(),
    nodeTouched: (index) => repair.touched(index),
    leadershipChanged(hasLeader) {
      if (!hasLeader || isClosed) return;
      retry?.();
      retry = deps.timers.after(randomBelow(LEADER_SPREAD_MS), () => {
        retry = undefined;
        queue.retry();
        void queue.flushAll();
      });
    },
    async close() {
      isClosed = true;
      periodic();
      retry?.();
      flaps.close();
      blocked.close();
      repair.close();
      await queue.close();
    },
    get counts() {
      const { flapping, held, heldTotal } = flaps.counts;
      return {
        pending: queue.pending + held,
        flapping,
        heldTotal,
        blocked: blocked.count,
        ...written,
      };
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
