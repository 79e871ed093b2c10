/** Families as CoreDNS shows them: its names and labels, over what else we tell apart the sum. */
import { merged, summed } from "./exchange-families.ts";
import type { CoreDns, Family, Sample } from "./family.ts";

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
              .map((histogram) => ({ ...histogram, labels: kept(histogram.labels, described) })),
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
function kept(labels: Sample["labels"], shown: Shown): Sample["labels"] {
  return Object.fromEntries(shown.labels.map((label) => [label, labels[label] ?? ""]));
}

/** What is zero stays, so that a series is there before something happens. */
function added(samples: readonly Sample[], shown: Shown, { has }: CoreDns): Sample[] {
  const chosen = samples
    .filter(({ labels }) => has?.(labels) ?? true)
    .map(({ labels, value }) => ({ labels: kept(labels, shown), value }));
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
