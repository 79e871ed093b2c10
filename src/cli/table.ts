/** Columns as Consul prints them: blanks between, two unless told, every cell but the last padded. */
import { stripVTControlCharacters, styleText } from "node:util";
import type { World } from "./world.ts";

/**
 * Rows of cells → lines, the first row being the header, which is bold on a terminal. Empty cells
 * stay empty. "" for no rows at all.
 */
export function table(rows: readonly (readonly string[])[], world: World, gap = 2): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, width(cell));
  return rows
    .map((row, line) => {
      const text = row
        .map((cell, i) => cell + " ".repeat(Math.max(0, widths[i]! - width(cell))))
        .join(" ".repeat(gap))
        .trimEnd();
      return `${line === 0 ? paint(world, "bold", text) : text}\n`;
    })
    .join("");
}

/** Characters as a terminal counts them, colours left out. */
function width(cell: string): number {
  return Array.from(stripVTControlCharacters(cell)).length;
}

/** Colour on a terminal, plain text elsewhere. */
export function paint(
  world: World,
  colour: "green" | "yellow" | "red" | "bold" | "dim",
  text: string,
): string {
  // Whether there is a terminal, and one that takes colours, is the world's decision.
  return world.isTerminal ? styleText(colour, text, { validateStream: false }) : text;
}
