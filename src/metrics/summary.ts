/** Count, sum, least, largest and spread of figures that come one by one. */
export type Summary = {
  count: number;
  sum: number;
  min: number;
  max: number;
  squares: number;
};

export function newSummary(): Summary {
  return { count: 0, sum: 0, min: Infinity, max: -Infinity, squares: 0 };
}

export function addTo(summary: Summary, value: number): void {
  summary.count++;
  summary.sum += value;
  summary.squares += value * value;
  if (value < summary.min) summary.min = value;
  if (value > summary.max) summary.max = value;
}

/** Of a sample, as go-metrics has it; 0 for a single figure. */
export function standardDeviation({ count, sum, squares }: Summary): number {
  if (count < 2) return 0;
  return Math.sqrt(Math.max(0, (count * squares - sum * sum) / (count * (count - 1))));
}
