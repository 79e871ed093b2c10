/** Families of names that are answered without a server. */
import { counter, gauge, type Family } from "./family.ts";

export const localDataFamilies: readonly Family[] = [
  {
    name: "waypost_local_answers_total",
    help: "Questions that the main thread answered without a server, by what answered.",
    labels: ["source"],
    type: "counter",
    read: ({ localData }) =>
      Object.entries(localData().answers).map(([source, value]) => ({ labels: { source }, value })),
  },
  gauge(
    "waypost_local_names",
    "Names of records, hosts files and leases.",
    ({ localData }) => localData().names,
  ),
  gauge(
    "waypost_blocklist_names",
    "Names of blocklists; one in several lists counts in each.",
    ({ localData }) => localData().blockedNames,
  ),
  gauge(
    "waypost_blocklist_bytes",
    "Memory that they take.",
    ({ localData }) => localData().blockedOctets,
  ),
  counter(
    "waypost_cname_followed_total",
    "Chains of CNAMEs in servers' answers that went on in another zone.",
    ({ localData }) => localData().followed,
  ),
  counter(
    "waypost_cname_broken_total",
    "Questions answered SERVFAIL because their CNAMEs form a loop or are too many.",
    ({ localData }) => localData().brokenChains,
  ),
  {
    name: "waypost_search_list_questions_total",
    help: "Names that stub resolvers made with a search domain and that are not there; denied: known without asking.",
    labels: ["domain", "outcome"],
    type: "counter",
    read: ({ localData }) =>
      localData().searchDomains.flatMap(({ domain, denied, missed }) => [
        { labels: { domain, outcome: "denied" }, value: denied },
        { labels: { domain, outcome: "missed" }, value: missed },
      ]),
  },
];
