/** Rows of the option table for names outside the domain. */
import { row, type Option } from "../kinds.ts";

const reload = { reloadable: true };

/** Options of the forwarder, by dotted key. */
export const forwarderOptions = {
  "forwarder.dnsmasq_conf": row(
    "text",
    "",
    "Configuration file of dnsmasq's to take over, with all it includes; what is said here wins.",
    { flag: "-dnsmasq-conf", ...reload },
  ),
  "forwarder.cache": row("boolean", true, "Keep answers of upstream servers.", reload),
  "forwarder.cache_size": row("octets", 64 * 2 ** 20, "Memory for them.", { min: 2 ** 16 }),
  "forwarder.cache_max_ttl": row("durationMs", 86_400_000, "Longest TTL of a kept answer.", {
    min: 0,
    ...reload,
  }),
  "forwarder.cache_max_negative_ttl": row("durationMs", 300_000, "The same for denials.", {
    min: 0,
    ...reload,
  }),
  "forwarder.cache_bare_negative_ttl": row(
    "durationMs",
    0,
    "Keep denials that come without an SOA so long; 0: not at all.",
    { min: 0, ...reload },
  ),
  "forwarder.cache_min_ttl": row(
    "durationMs",
    0,
    "Shorter TTLs of answers are raised to this; denials are not.",
    { min: 0, max: 3_600_000, ...reload },
  ),
  "forwarder.cache_file": row(
    "text",
    "",
    "File that keeps the cache over a restart; written at the stop and every few minutes.",
  ),
  "forwarder.stale": row(
    "boolean",
    true,
    "Give the last answer when no upstream gives a fresh one (RFC 8767).",
    reload,
  ),
  "forwarder.stale_client_timeout": row(
    "durationMs",
    400,
    "How long a fresh answer is waited for first; 0: not at all.",
    { min: 0, max: 60_000, ...reload },
  ),
  "forwarder.stale_ttl": row("durationMs", 30_000, "TTL that such answers are given.", {
    min: 0,
    ...reload,
  }),
  "forwarder.stale_max": row(
    "durationMs",
    86_400_000,
    "How long after its TTL an answer is good.",
    {
      min: 0,
      ...reload,
    },
  ),
  "forwarder.stale_recheck": row(
    "durationMs",
    5000,
    "How long after a failure such answers are given without waiting.",
    { min: 0, ...reload },
  ),
  "forwarder.last_known_good": row(
    "boolean",
    false,
    "Give the last answer also when upstreams deny what they had known, up to stale_max.",
    reload,
  ),
  "forwarder.prefetch": row(
    "boolean",
    true,
    "Ask again for names in demand before their answers run out.",
    reload,
  ),
  "forwarder.trust_ad": row("boolean", false, "Pass AD on; only for trusted upstreams.", reload),
  "forwarder.zones": row(
    "anything",
    [],
    "Names with servers of their own: objects of `names`, one of `servers`, `defaults`, `local`, and how they are asked.",
    reload,
  ),
  "forwarder.max_in_flight": row(
    "integer",
    4096,
    "Questions under way for names without a zone; beyond, the oldest fails. A zone has 1024 unless it says otherwise.",
    { min: 1, max: 65_536, ...reload },
  ),
  "forwarder.next_on": row(
    "texts",
    [],
    "RCODEs that lead to the next upstream, in place of the usual ones: all but NOERROR and NXDOMAIN.",
    reload,
  ),
  "forwarder.mixed_case": row(
    "boolean",
    true,
    "Ask upstreams with letters in random case, which forgers have to guess.",
    reload,
  ),
  "forwarder.packets_per_second": row(
    "integer",
    -1,
    "Packets to one upstream; 0: any number, -1: 1024, and any number to servers of this host.",
    { min: -1, ...reload },
  ),
  "forwarder.loop_detection": row(
    "boolean",
    true,
    "Stop asking upstreams that send the question back to this agent.",
    reload,
  ),
  "forwarder.probe_name": row(
    "text",
    ".",
    "Name that upstreams which are down are asked (NS) while no question goes to them; empty: they are not.",
    reload,
  ),
  "forwarder.port_range": row(
    "text",
    "",
    'Ports that questions over UDP come from, such as "1024-65535"; empty: those of the system.',
    reload,
  ),
  "forwarder.tls_ca_file": row(
    "text",
    "",
    "Authorities beside the system's for tls:// and https:// upstreams.",
    reload,
  ),
  "forwarder.resolv_conf": row(
    "paths",
    [],
    "File with upstreams, used if recursors is empty; of several the one that was written last.",
    reload,
  ),
  "forwarder.resolv_conf_always": row(
    "boolean",
    false,
    "Ask the servers of resolv_conf beside recursors, after them.",
    reload,
  ),
  "forwarder.minimal_any": row(
    "boolean",
    true,
    "Answer ANY over UDP with one short record (RFC 8482).",
    reload,
  ),
  "forwarder.query_log": row(
    "text",
    "",
    "Log of questions: dnsmasq's lines, those of its `log-queries=extra` or `=proto`, or JSON.",
    {
      words: ["", "dnsmasq", "dnsmasq-extra", "dnsmasq-proto", "json"],
      ...reload,
    },
  ),
  "forwarder.query_log_file": row(
    "text",
    "",
    "File of the query log, opened anew on SIGUSR2 and SIGHUP and when it was renamed; empty: the log.",
    reload,
  ),
  "forwarder.query_log_only_failed": row(
    "boolean",
    false,
    "Log only questions that end with an error, a denial or no reply.",
    reload,
  ),
  "forwarder.query_log_sample": row("number", 1, "Share of the questions that are logged.", {
    min: 0,
    max: 1,
    ...reload,
  }),
  "forwarder.query_log_rate": row("integer", 0, "Lines per second at most; 0: no limit.", {
    min: 0,
    ...reload,
  }),
  "forwarder.bogus_nxdomain": row(
    "texts",
    [],
    "Addresses and networks that turn an answer into NXDOMAIN.",
    reload,
  ),
  "forwarder.ignore_address": row(
    "texts",
    [],
    "Addresses and networks whose replies count as not received.",
    reload,
  ),
  "forwarder.alias": row(
    "texts",
    [],
    'IPv4 addresses to rewrite: "from,to" or "from,to,mask"; from may be a range.',
    reload,
  ),
  "forwarder.filter_types": row(
    "texts",
    [],
    "Types left out of answers; ANY cuts answers to ANY down.",
    reload,
  ),
  "forwarder.add_subnet": row(
    "text",
    "",
    'Tell upstreams the network of clients (RFC 7871): bits for IPv4 and IPv6, such as "24,56", or what to say instead, "192.0.2.0/24,2001:db8::/48". Answers for one network are not kept.',
    reload,
  ),
  "forwarder.strip_subnet": row(
    "boolean",
    false,
    "Do not pass on networks that clients have put into their questions.",
    reload,
  ),
  "forwarder.filter_win2k": row(
    "boolean",
    false,
    "Answer SOA, SRV, and ANY for names with an underscore without data.",
    reload,
  ),
  "forwarder.rebind_protection": row(
    "boolean",
    false,
    "Withhold private addresses that upstreams answer with.",
    reload,
  ),
  "forwarder.rebind_localhost_ok": row(
    "boolean",
    false,
    "Let 127.0.0.0/8, 0.0.0.0/8, ::1 and :: pass all the same.",
    reload,
  ),
  "forwarder.rebind_domains_ok": row(
    "texts",
    [],
    'Domains that may have private addresses; "" for names of one label.',
    reload,
  ),
  "forwarder.dns64_prefix": row(
    "texts",
    [],
    "IPv6 networks to make AAAA records under (RFC 6147), such as 64:ff9b::/96.",
    reload,
  ),
  "forwarder.dns64_clients": row(
    "texts",
    [],
    "Addresses and networks that get them; empty: everybody.",
    reload,
  ),
  "forwarder.dns64_exclude": row(
    "texts",
    ["::ffff:0:0/96"],
    "AAAA records that count as absent for this.",
    reload,
  ),
} as const satisfies Record<string, Option>;
