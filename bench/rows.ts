/** One comparison: what was measured, against whom, the ratio or figure, and the bar it must hold. */
export type Row = {
  what: string;
  ours: number;
  unit: string;
  against: string;
  theirs: number | null;
  /** ours / theirs, or ours itself where there is no peer. */
  figure: number;
  bar: number;
  /** "at most": figure <= bar is good; "at least": figure >= bar. */
  direction: "at most" | "at least";
};

/** A row that compares with a peer in the same run. */
export function ratio(
  what: string,
  unit: string,
  ours: number,
  against: string,
  theirs: number,
  direction: Row["direction"],
  bar: number,
): Row {
  return { what, ours, unit, against, theirs, figure: ours / theirs, bar, direction };
}

/** A row that stands by itself: memory, start time, cost of one operation. */
export function absolute(what: string, unit: string, ours: number, bar: number): Row {
  return {
    what,
    ours,
    unit,
    against: "",
    theirs: null,
    figure: ours,
    bar,
    direction: "at most",
  };
}

/** Whether the row holds its bar. */
export function holds(row: Row): boolean {
  return row.direction === "at most" ? row.figure <= row.bar : row.figure >= row.bar;
}

/** The rows as an aligned text table. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    `${round(row.ours)} ${row.unit}`,
    row.theirs === null ? "" : `${row.against} ${round(row.theirs)}`,
    row.theirs === null ? "" : `${round(row.figure)}x`,
    `${row.direction} ${row.bar}${row.theirs === null ? "" : "x"}`,
    holds(row) ? "ok" : "MISSED",
  ]);
  const all = [["what", "waypost", "peer", "ratio", "bar", ""], ...cells];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  return all
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column]!)).join("  "))
    .map((line) => line.trimEnd())
    .join("\n");
}

const round = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
