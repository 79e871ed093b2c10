/**
 * The candidate that a mistyped word most likely meant: smallest Damerau-Levenshtein distance
 * (swaps of neighbours count one) up to a third of the word's length; undefined if none is that
 * near. A dotted key is also found by its last part alone, at one step more.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const typed = word.toLowerCase();
  let best: string | undefined;
  let fewest = Infinity;
  for (const candidate of candidates) {
    const known = candidate.toLowerCase();
    const steps = Math.min(
      stepsWithinLimit(typed, known),
      1 + stepsWithinLimit(lastPart(typed), lastPart(known)),
    );
    if (steps >= fewest) continue;
    fewest = steps;
    best = candidate;
  }
  return best;
}

function lastPart(key: string): string {
  return key.slice(key.lastIndexOf(".") + 1);
}

function stepsWithinLimit(typed: string, known: string): number {
  const steps = distance(typed, known);
  return steps <= Math.floor(typed.length / 3) ? steps : Infinity;
}

/** Insertions, deletions, substitutions and swaps of neighbours from `a` to `b`. */
function distance(a: string, b: string): number {
  let beforeAbove: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = a[i - 1] === b[j - 1] ? 0 : 1;
      let steps = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + changed);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        steps = Math.min(steps, beforeAbove[j - 2]! + 1);
      row.push(steps);
    }
    beforeAbove = above;
    above = row;
  }
  return above[b.length]!;
}
