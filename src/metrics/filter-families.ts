/** Families of what is changed in answers, and of the log of questions. */
import { counter, type Family } from "./family.ts";

/** Labels of the filters: their options. */
const filterNames = {
  minimalAny: "minimal_any",
  win2k: "filter_win2k",
  bogusNxdomain: "bogus_nxdomain",
  alias: "alias",
  rebind: "rebind_protection",
  types: "filter_types",
  dns64: "dns64",
} as const;

export const filterFamilies: readonly Family[] = [
  {
    name: "waypost_filter_changes_total",
    help: "Answers that a filter has changed or given, by the option.",
    labels: ["filter"],
    type: "counter",
    read({ filters }) {
      const counts = filters();
      return (Object.keys(filterNames) as (keyof typeof filterNames)[]).map((key) => ({
        labels: { filter: filterNames[key] },
        value: counts[key],
      }));
    },
  },
  {
    name: "waypost_proxy_ignored_replies_total",
    help: "Replies of an upstream server with an address of forwarder.ignore_address.",
    labels: ["to"],
    type: "counter",
    read: ({ forwarder }) =>
      forwarder().servers.map(({ label, counts }) => ({
        labels: { to: label },
        value: counts.ignored,
      })),
  },
  counter(
    "waypost_query_log_lines_total",
    "Lines of the query log.",
    ({ queryLog }) => queryLog().lines,
  ),
  {
    name: "waypost_query_log_dropped_total",
    help: "Lines that are not in it: more than the rate allows, than the disk takes, than workers can hand over.",
    labels: ["reason"],
    type: "counter",
    read({ queryLog }) {
      const { overRate, lost, unlogged } = queryLog();
      return [
        { labels: { reason: "rate" }, value: overRate },
        { labels: { reason: "disk" }, value: lost },
        { labels: { reason: "queue" }, value: unlogged },
      ];
    },
  },
];
