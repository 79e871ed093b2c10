/** The tables of `snapshot inspect`, laid out as Consul lays them out. */
import type { Inspection, Stat } from "./inspect.ts";

/** A file's figures as text. */
export function prettyText({ Meta, Stats, StatsKV, TotalSize, TotalSizeKV }: Inspection): string {
  const meta = Object.entries(Meta).map(([name, value]) => [name, String(value)]);
  const blocks = [meta, statRows("Type", Stats, TotalSize)];
  if (StatsKV !== null) blocks.push(statRows("Key Name", StatsKV, TotalSizeKV));
  return blocks.map(columns).join("\n");
}

function statRows(title: string, stats: readonly Stat[], total: number): string[][] {
  const line = ["----", "----", "----"];
  return [
    [title, "Count", "Size"],
    line,
    ...stats.map(({ Name, Count, Sum }) => [Name, String(Count), sizeText(Sum)]),
    line,
    ["Total", "", sizeText(total)],
  ];
}

const GAP = 6;
const WIDTH_MIN = 8;

/** Lines that begin with a blank; every cell but the last is as wide as its column. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries())
      widths[i] = Math.max(widths[i] ?? WIDTH_MIN, (i === 0 ? 1 : 0) + cell.length + GAP);
  return rows
    .map((row) => {
      const cells = row.map((cell, i) => (i === 0 ? ` ${cell}` : cell));
      return `${cells.map((cell, i) => (i + 1 < cells.length ? cell.padEnd(widths[i]!) : cell)).join("")}\n`;
    })
    .join("");
}

const UNITS = ["B", "KB", "MB", "GB", "TB"] as const;

/** Octets with one digit after the point, in powers of 1024. */
function sizeText(octets: number): string {
  if (octets === 0) return "0";
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(octets) / 10));
  return `${(octets / 1024 ** power).toFixed(1).replace(/\.0$/, "")}${UNITS[power]!}`;
}
