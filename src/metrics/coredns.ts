/** Families as CoreDNS shows them: its names and labels, over what else we tell apart the sum. */
import { merged, summed } from "./exchange-families.ts";
import type { CoreDns, Family, Histogram, Sample } from "./family.ts";

/** The family under the name that CoreDNS has for it; none if it has none. */
export function asCoreDns(family: Family): Family[] {
  const { coredns } = family;
  if (coredns === undefined) return [];
  const described = {
    name: coredns.name ?? family.name.replace(/^waypost_/, "coredns_"),
    help: family.help,
    labels: coredns.labels ?? family.labels,
  };
  if (family.type === "histogram")
    return [
      {
        ...described,
        type: family.type,
        read: (sources) =>
          merged(
            family
              .read(sources)
              .filter(({ labels }) => coredns.has?.(labels) ?? true)
              .map((histogram) => ({
                ...coarser(histogram, coredns.bounds ?? histogram.bounds),
                labels: kept(histogram.labels, described, coredns),
              })),
          ),
      },
    ];
  return [
    {
      ...described,
      type: family.type,
      read: (sources) => added(family.read(sources), described, coredns),
    },
  ];
}

type Shown = { labels: readonly string[] };

/** With the labels that are CoreDNS's alone empty. */
function kept(
  ours: Sample["labels"],
  shown: Shown,
  { inItsWords = (labels) => labels }: CoreDns,
): Sample["labels"] {
  const labels = inItsWords(ours);
  return Object.fromEntries(shown.labels.map((label) => [label, labels[label] ?? ""]));
}

/** The same with these bounds, which are some of its own. */
function coarser(histogram: Histogram, bounds: readonly number[]): Histogram {
  const counts: number[] = Array.from({ length: bounds.length + 1 }, () => 0);
  for (const [i, count] of histogram.counts.entries()) {
    const upper = histogram.bounds[i] ?? Infinity;
    const found = bounds.findIndex((bound) => bound >= upper);
    counts[found < 0 ? bounds.length : found]! += count;
  }
  return { ...histogram, bounds, counts };
}

/** What is zero stays, so that a series is there before something happens. */
function added(samples: readonly Sample[], shown: Shown, coredns: CoreDns): Sample[] {
  const chosen = samples
    .filter(({ labels }) => coredns.has?.(labels) ?? true)
    .map(({ labels, value }) => ({ labels: kept(labels, shown, coredns), value }));
  const sums = summed(chosen);
  const keyOf = ({ labels }: Sample): string => Object.values(labels).join("\n");
  const known = new Set(sums.map(keyOf));
  for (const sample of chosen)
    if (!known.has(keyOf(sample))) {
      known.add(keyOf(sample));
      sums.push(sample);
    }
  return sums;
}
