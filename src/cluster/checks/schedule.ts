/**
 * When the checks of this agent run. Each has a place of its own in its interval, found from its id,
 * so that checks started together are spread and one that is registered again keeps its place. It
 * is due at that place of every interval, however long a run takes.
 */
import type { Cancel, Clock, Random, Timers } from "../../ports.ts";
import { kindOfCheck, type CheckDefinition, type CheckKind } from "../definition.ts";
import {
  countResult,
  intervalOf,
  newCounters,
  phaseOf,
  type CheckStatus,
  type Counters,
  type ProbeResult,
} from "./check.ts";
import { createRunFigures, type RunFigures } from "./figures.ts";

/**
 * Starts one run of a check. It always settles: with a result, never with an error, at the latest
 * after the check's timeout; soon after `cancel`, when the result is dropped.
 */
export type Probe = (
  check: CheckDefinition,
  outputMaxOctets: number,
) => { result: Promise<ProbeResult>; cancel: Cancel };

/** What a run needs of the machine: a socket, or a process. */
export type RunClass = "socket" | "process";

/**
 * Runs of each class at the same time. A socket is a descriptor and some kilobytes, a process takes
 * a share of the processors. When full, a run that is due waits, longest first; each check waits at
 * most once, and its next runs are skipped until it had its turn.
 */
export const MAX_RUNNING: Readonly<Record<RunClass, number>> = { socket: 4_096, process: 64 };

/** The class of a kind. */
function classOfKind(kind: CheckKind): RunClass {
  return kind === "script" ? "process" : "socket";
}

type Scheduled = {
  check: CheckDefinition;
  kind: CheckKind;
  outputMaxOctets: number;
  counters: Counters;
  /** Monotonic time at which the run under way was due, or the next one is. */
  dueMs: number;
  /** The timer of the next run, the place in the queue or the run itself. */
  cancel: Cancel;
};

/** Runs probes at their intervals. */
export type Schedule = {
  /**
   * Runs this check from now on, in place of one with the same id. Exactly the same check goes on
   * undisturbed, and so does its run.
   */
  start(id: string, check: CheckDefinition, outputMaxOctets: number): void;
  /** No report of this check comes after this call. Unknown ids: nothing happens. */
  stop(id: string): void;
  close(): void;
  /** Checks scheduled, probes running, probes waiting for a place. */
  readonly counts: { scheduled: number; running: number; waiting: number };
  readonly figures: Pick<RunFigures, "read" | "changed">;
};

/** `report` is called for each run whose status counts (thresholds of the check). */
export function createSchedule(deps: {
  clock: Pick<Clock, "monotonicMs">;
  timers: Timers;
  random: Pick<Random, "uint32">;
  probe: Probe;
  /** Fewer sockets at the same time than MAX_RUNNING, where descriptors are few. */
  maxSockets?: number | undefined;
  report(id: string, status: CheckStatus, output: string): void;
}): Schedule {
  const { clock, timers } = deps;
  const salt = deps.random.uint32();
  const scheduled = new Map<string, Scheduled>();
  const figures = createRunFigures();
  const classes = {
    socket: {
      limit: deps.maxSockets ?? MAX_RUNNING.socket,
      running: 0,
      waiting: new Set<string>(),
    },
    process: { limit: MAX_RUNNING.process, running: 0, waiting: new Set<string>() },
  };

  /** Sets the timer for the next place of this check after now; places that passed are skipped. */
  function plan(id: string, entry: Scheduled): void {
    const intervalMs = intervalOf(entry.check);
    const nowMs = clock.monotonicMs();
    const missed = Math.max(0, Math.floor((nowMs - entry.dueMs) / intervalMs));
    if (missed > 0) figures.skipped(entry.kind, missed);
    entry.dueMs += (missed + 1) * intervalMs;
    entry.cancel = timers.after(entry.dueMs - nowMs, () => due(id, entry));
  }

  function due(id: string, entry: Scheduled): void {
    const lateMs = clock.monotonicMs() - entry.dueMs;
    if (lateMs >= intervalOf(entry.check)) {
      // The process stood still: all checks are due at once, and each waits for its next place.
      figures.skipped(entry.kind, 1);
      return plan(id, entry);
    }
    const place = classes[classOfKind(entry.kind)];
    if (place.running < place.limit) return run(id, entry);
    place.waiting.add(id);
    entry.cancel = () => void place.waiting.delete(id);
  }

  function run(id: string, entry: Scheduled): void {
    const place = classes[classOfKind(entry.kind)];
    place.running++;
    const startedMs = clock.monotonicMs();
    const { result, cancel } = deps.probe(entry.check, entry.outputMaxOctets);
    entry.cancel = cancel;
    void result.then((found) => {
      place.running--;
      if (scheduled.get(id) === entry) {
        figures.ran(entry.kind, found.status, clock.monotonicMs() - startedMs);
        finish(id, entry, found);
      }
      runNextWaiting(place);
    });
  }

  function finish(id: string, entry: Scheduled, { status, output }: ProbeResult): void {
    plan(id, entry);
    const reported = countResult(entry.counters, entry.check, status);
    if (reported !== undefined) deps.report(id, reported, output);
  }

  function runNextWaiting(place: (typeof classes)[RunClass]): void {
    for (const id of place.waiting) {
      if (place.running >= place.limit) return;
      place.waiting.delete(id);
      run(id, scheduled.get(id)!);
    }
  }

  function stop(id: string): void {
    const entry = scheduled.get(id);
    scheduled.delete(id);
    entry?.cancel();
  }

  return {
    start(id, check, outputMaxOctets) {
      const known = scheduled.get(id);
      if (known !== undefined && isSame(known, check, outputMaxOctets)) return;
      stop(id);
      const intervalMs = intervalOf(check);
      const nowMs = clock.monotonicMs();
      const phaseMs = phaseOf(id, salt) * intervalMs;
      const entry: Scheduled = {
        check,
        kind: kindOfCheck(check),
        outputMaxOctets,
        counters: newCounters(check),
        dueMs: phaseMs + Math.ceil((nowMs - phaseMs) / intervalMs) * intervalMs,
        cancel: () => {},
      };
      scheduled.set(id, entry);
      entry.cancel = timers.after(entry.dueMs - nowMs, () => due(id, entry));
    },
    stop,
    close() {
      for (const id of scheduled.keys()) stop(id);
    },
    get counts() {
      const { socket, process } = classes;
      return {
        scheduled: scheduled.size,
        running: socket.running + process.running,
        waiting: socket.waiting.size + process.waiting.size,
      };
    },
    figures,
  };
}

/** Definitions are plain data that are made in one place, so their members come in one order. */
function isSame(known: Scheduled, check: CheckDefinition, outputMaxOctets: number): boolean {
  return (
    known.outputMaxOctets === outputMaxOctets &&
    JSON.stringify(known.check) === JSON.stringify(check)
  );
}
