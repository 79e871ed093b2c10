/** Families of questions with their replies, under CoreDNS's names, labels and bounds. */
import {
  BADCOOKIE,
  COUNTED_TYPES,
  DURATION_BOUNDS_SECONDS,
  NODATA,
  SIZE_BOUNDS,
} from "../dns/cells.ts";
import type { Tally } from "../dns/meter.ts";
import { RCODE_NAMES, TYPE_NAMES } from "../dns/presentation.ts";
import { only, type Family, type Histogram, type Sample, type Sources } from "./family.ts";

const types = [...COUNTED_TYPES.map((type) => TYPE_NAMES[type]!), "other"];

/** A histogram of octets by listener, zone, view and transport. */
function sizes(name: string, help: string, figure: "questionOctets" | "replyOctets"): Family {
  return {
    name,
    help,
    labels: ["server", "zone", "view", "proto"],
    type: "histogram",
    coredns: asCoreDns,
    read: ({ tallies }) =>
      merged(
        tallies().map((tally) => ({
          labels: byProto(tally),
          bounds: SIZE_BOUNDS,
          ...tally.figures[figure],
        })),
      ),
  };
}

/** The name of what a tally counts as an RCODE. */
function rcodeName(counted: number): string {
  if (counted === NODATA) return RCODE_NAMES[0]!;
  if (counted === BADCOOKIE) return "BADCOOKIE";
  return RCODE_NAMES[counted] ?? String(counted);
}

const inZone = ({ server, zone, view }: Tally) => ({ server, zone, view });
const byProto = ({ server, zone, view, proto }: Tally) => ({ server, zone, view, proto });

/** One sample for each set of labels, what is zero left out. */
export function summed(samples: readonly Sample[]): Sample[] {
  const byLabels = new Map<string, Sample>();
  for (const { labels, value } of samples) {
    if (value === 0) continue;
    const key = Object.values(labels).join("\n");
    byLabels.set(key, { labels, value: value + (byLabels.get(key)?.value ?? 0) });
  }
  return [...byLabels.values()];
}

/** The same for histograms of the same bounds. */
export function merged(histograms: readonly Histogram[]): Histogram[] {
  const byLabels = new Map<string, Histogram>();
  for (const histogram of histograms) {
    if (histogram.counts.every((count) => count === 0)) continue;
    const key = Object.values(histogram.labels).join("\n");
    const known = byLabels.get(key);
    byLabels.set(
      key,
      known === undefined
        ? histogram
        : {
            ...histogram,
            sum: known.sum + histogram.sum,
            counts: known.counts.map((count, i) => count + histogram.counts[i]!),
          },
    );
  }
  return [...byLabels.values()];
}

const asCoreDns = {};

/** Those of `plugin.TimeBuckets`: sixteen from 0.25 ms on, each twice the one before. */
const COREDNS_DURATION_BOUNDS_SECONDS = DURATION_BOUNDS_SECONDS.filter((bound) => bound >= 0.00025);

export const exchangeFamilies: readonly Family[] = [
  {
    name: "waypost_dns_requests_total",
    help: "Questions that were answered or given up, by listener, zone, transport, family (1: IPv4, 2: IPv6) and type.",
    labels: ["server", "zone", "view", "proto", "family", "type"],
    type: "counter",
    coredns: asCoreDns,
    read: ({ tallies }) =>
      summed(
        tallies().flatMap((tally) =>
          tally.figures.questions.map((value, type) => ({
            labels: { ...byProto(tally), family: String(tally.family), type: types[type]! },
            value,
          })),
        ),
      ),
  },
  {
    name: "waypost_dns_request_duration_seconds",
    help: "Time from question to reply.",
    labels: ["server", "zone", "view", "type"],
    type: "histogram",
    coredns: { bounds: COREDNS_DURATION_BOUNDS_SECONDS },
    read: ({ tallies }) =>
      merged(
        tallies().flatMap((tally) =>
          tally.figures.durations.map((spread, type) => ({
            labels: { ...inZone(tally), type: types[type]! },
            bounds: DURATION_BOUNDS_SECONDS,
            ...spread,
          })),
        ),
      ),
  },
  sizes("waypost_dns_request_size_bytes", "Octets of questions.", "questionOctets"),
  {
    name: "waypost_dns_do_requests_total",
    help: "Questions with DO set.",
    labels: ["server", "view", "zone"],
    type: "counter",
    coredns: asCoreDns,
    read: ({ tallies }) =>
      summed(tallies().map((tally) => ({ labels: inZone(tally), value: tally.figures.dnssecOk }))),
  },
  sizes("waypost_dns_response_size_bytes", "Octets of replies.", "replyOctets"),
  {
    name: "waypost_dns_responses_total",
    help: "Replies, by RCODE and by what gave them: catalog, cache, forward, local, acl, or the server itself.",
    labels: ["server", "zone", "view", "rcode", "plugin"],
    type: "counter",
    coredns: asCoreDns,
    read: ({ tallies }) =>
      summed(
        tallies().flatMap((tally) =>
          tally.figures.rcodes.map((value, rcode) => ({
            labels: { ...inZone(tally), rcode: rcodeName(rcode), plugin: tally.plugin },
            value,
          })),
        ),
      ),
  },
  {
    name: "waypost_shed_dropped_total",
    help: "Questions not answered as they deserve: the queue to the main thread was full, or the client had too many.",
    labels: ["server", "reason"],
    type: "counter",
    // The plugin drops questions before they are looked at, and answers that are not sent.
    coredns: {
      inItsWords: ({ reason, ...labels }) => ({
        ...labels,
        reason: reason === "queue_full" ? "query" : "response",
      }),
    },
    read: ({ tallies }) =>
      summed(
        tallies().flatMap(({ server, figures }) => [
          { labels: { server, reason: "queue_full" }, value: figures.shedQueue },
          { labels: { server, reason: "rate" }, value: figures.shedRate },
        ]),
      ),
  },
  {
    name: "waypost_local_localhost_requests_total",
    help: "Questions for names below localhost.",
    labels: [],
    type: "counter",
    coredns: asCoreDns,
    read: ({ tallies }) =>
      only(
        tallies()
          .filter(({ zone }) => zone === "localhost.")
          .reduce((sum, { figures }) => sum + total(figures.questions), 0),
      ),
  },
];

/** Questions outside the domain that the cache could have answered, and those that it did. */
export const cacheUseFamilies: readonly Family[] = [
  {
    name: "waypost_cache_requests_total",
    help: "Questions that were looked for in the cache, those that workers answered included.",
    labels: ["server", "zones", "view"],
    type: "counter",
    coredns: asCoreDns,
    read: (sources) => looked(sources, ["cache", "forward"]),
  },
  {
    name: "waypost_cache_hits_total",
    help: "Questions answered from the cache, those that workers answered included.",
    labels: ["server", "type", "zones", "view"],
    type: "counter",
    coredns: asCoreDns,
    read: (sources) =>
      summed(
        lookups(sources, ["cache"]).flatMap(({ server, zone, view, figures: { rcodes } }) => {
          const success = rcodes[0]!;
          const labels = { server, type: "success", zones: zone, view };
          return [
            { labels, value: success },
            { labels: { ...labels, type: "denial" }, value: total(rcodes) - success },
          ];
        }),
      ),
  },
  {
    name: "waypost_cache_misses_total",
    help: "Questions for which servers were asked, or would have been.",
    labels: ["server", "zones", "view"],
    type: "counter",
    coredns: asCoreDns,
    read: (sources) => looked(sources, ["forward"]),
  },
];

function lookups({ tallies, forwarder }: Sources, plugins: readonly string[]): Tally[] {
  if (forwarder().cache === null) return [];
  return tallies().filter(({ plugin }) => plugins.includes(plugin));
}

function looked(sources: Sources, plugins: readonly string[]): Sample[] {
  return summed(
    lookups(sources, plugins).map(({ server, zone, view, figures }) => ({
      labels: { server, zones: zone, view },
      value: total(figures.rcodes),
    })),
  );
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
