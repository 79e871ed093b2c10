/** One comparison: what was measured, against whom, the ratio or figure, and the bar it must hold. */
export type Row = {
  what: string;
  ours: number;
  unit: string;
  against: string;
  theirs: number | null;
  /** What peers had in the same run where the bar is not about them; "" for nothing. */
  peers: string;
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
  const figure = ours / theirs;
  return { what, ours, unit, against, theirs, peers: "", figure, bar, direction };
}

/** A row that stands by itself: memory, start time, cost of one operation. `peers`: by name. */
export function absolute(
  what: string,
  unit: string,
  ours: number,
  bar: number,
  peers: Readonly<Record<string, number>> = {},
): Row {
  return {
    what,
    ours,
    unit,
    against: "",
    theirs: null,
    peers: Object.entries(peers)
      .map(([name, figure]) => `${name} ${round(figure)}`)
      .join(", "),
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
    row.theirs === null ? row.peers : `${row.against} ${round(row.theirs)}`,
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

function round(value: number): string {
  if (value === Infinity) return "never";
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(3);
}
