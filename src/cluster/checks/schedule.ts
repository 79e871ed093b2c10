/** When the probes of this agent run: spread, one run of a check at a time, bounded in number. */
import type { Cancel, Random, Timers } from "../../ports.ts";
import type { CheckDefinition } from "../definition.ts";
import {
  countResult,
  firstDelayMs,
  intervalOf,
  type CheckStatus,
  type Counters,
  type ProbeResult,
} from "./check.ts";

/**
 * Starts one run of an HTTP or TCP check. It always settles: with a result, never with an error, at
 * the latest after the check's timeout; soon after `cancel`, when the result is dropped.
 */
export type Probe = (
  check: CheckDefinition,
  outputMaxOctets: number,
) => { result: Promise<ProbeResult>; cancel: Cancel };

/** Probes that run at the same time; the next one waits its turn (each check waits at most once). */
export const MAX_RUNNING_PROBES = 100;

type Scheduled = {
  check: CheckDefinition;
  outputMaxOctets: number;
  counters: Counters;
  /** The timer of the next run or the run itself. */
  cancel: Cancel;
};

/** Runs probes at their intervals. */
export type Schedule = {
  /** Runs this check from now on, in place of one with the same id. */
  start(id: string, check: CheckDefinition, outputMaxOctets: number): void;
  /** No report of this check comes after this call. Unknown ids: nothing happens. */
  stop(id: string): void;
  close(): void;
  /** Checks scheduled, probes running, probes waiting for a place. */
  readonly counts: { scheduled: number; running: number; waiting: number };
};

/** `report` is called for each run whose status counts (thresholds of the check). */
export function createSchedule(deps: {
  timers: Timers;
  random: Pick<Random, "uint32">;
  probe: Probe;
  report(id: string, status: CheckStatus, output: string): void;
}): Schedule {
  const scheduled = new Map<string, Scheduled>();
  const waiting = new Set<string>();
  let running = 0;

  function due(id: string, entry: Scheduled): void {
    if (running < MAX_RUNNING_PROBES) return run(id, entry);
    waiting.add(id);
    entry.cancel = () => void waiting.delete(id);
  }

  function run(id: string, entry: Scheduled): void {
    running++;
    const { result, cancel } = deps.probe(entry.check, entry.outputMaxOctets);
    entry.cancel = cancel;
    void result.then((found) => {
      running--;
      if (scheduled.get(id) === entry) finish(id, entry, found);
      runNextWaiting();
    });
  }

  function finish(id: string, entry: Scheduled, { status, output }: ProbeResult): void {
    entry.cancel = deps.timers.after(intervalOf(entry.check), () => due(id, entry));
    const reported = countResult(entry.counters, entry.check, status);
    if (reported !== undefined) deps.report(id, reported, output);
  }

  function runNextWaiting(): void {
    for (const id of waiting) {
      if (running >= MAX_RUNNING_PROBES) return;
      waiting.delete(id);
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
      stop(id);
      const counters = { successes: 0, failures: 0 };
      const entry: Scheduled = { check, outputMaxOctets, counters, cancel: () => {} };
      scheduled.set(id, entry);
      const delayMs = firstDelayMs(check, deps.random);
      entry.cancel = deps.timers.after(delayMs, () => due(id, entry));
    },
    stop,
    close() {
      for (const id of scheduled.keys()) stop(id);
    },
    get counts() {
      return { scheduled: scheduled.size, running, waiting: waiting.size };
    },
  };
}
