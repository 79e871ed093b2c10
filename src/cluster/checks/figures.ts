/** What runs of checks came to: counts and durations by kind, for metrics. Never by check. */
import type { CheckKind } from "../definition.ts";
import type { CheckStatus } from "./check.ts";

/** Upper bounds of durations in seconds; most answers come within milliseconds, timeouts take 10 s. */
const DURATION_BOUNDS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60] as const;

/** Figures of one kind since the start; `durationCounts` has one more member for what is above the last bound. */
export type KindFigures = {
  readonly kind: CheckKind;
  readonly runs: Readonly<Record<CheckStatus, number>>;
  readonly skipped: number;
  /** Changes to each status. */
  readonly changes: Readonly<Record<CheckStatus, number>>;
  readonly durationBounds: readonly number[];
  readonly durationCounts: readonly number[];
  readonly durationSum: number;
};

/** Counters of a schedule. */
export type RunFigures = {
  /** A run ended; a stopped one is not counted. */
  ran(kind: CheckKind, status: CheckStatus, durationMs: number): void;
  /** Runs that were due and did not take place. */
  skipped(kind: CheckKind, count: number): void;
  /** A check has another status than before. */
  changed(kind: CheckKind, status: CheckStatus): void;
  /** One row for each kind that occurred. */
  read(): readonly KindFigures[];
};

/** Counters that are all zero. */
export function createRunFigures(): RunFigures {
  const kinds = new Map<CheckKind, ReturnType<typeof newKind>>();
  const of = (kind: CheckKind) => {
    const known = kinds.get(kind) ?? newKind(kind);
    kinds.set(kind, known);
    return known;
  };
  return {
    ran(kind, status, durationMs) {
      const figures = of(kind);
      const seconds = durationMs / 1000;
      const bound = DURATION_BOUNDS.findIndex((upper) => seconds <= upper);
      figures.runs[status]++;
      figures.durationCounts[bound === -1 ? DURATION_BOUNDS.length : bound]!++;
      figures.durationSum += seconds;
    },
    skipped: (kind, count) => void (of(kind).skipped += count),
    changed: (kind, status) => void of(kind).changes[status]++,
    read: () => [...kinds.values()],
  };
}

function newKind(kind: CheckKind) {
  return {
    kind,
    runs: { passing: 0, warning: 0, critical: 0 },
    skipped: 0,
    changes: { passing: 0, warning: 0, critical: 0 },
    durationBounds: DURATION_BOUNDS,
    durationCounts: Array.from({ length: DURATION_BOUNDS.length + 1 }, () => 0),
    durationSum: 0,
  };
}
