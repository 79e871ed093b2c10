/** Rows of the option table for names that are answered here. */
import { row, type Option } from "../kinds.ts";

const reload = { reloadable: true };

/** Options of local data, by dotted key. */
export const localOptions = {
  "forwarder.addresses": row(
    "anything",
    [],
    "Addresses of whole domains: objects of `names` and `addresses`; none: no such name, `#`: 0.0.0.0 and ::.",
    reload,
  ),
  "forwarder.records": row(
    "anything",
    [],
    "Records: objects of `name`, `type`, `data` (as in a zone file), `ttl`, `wildcard`.",
    reload,
  ),
  "forwarder.hosts": row(
    "texts",
    [],
    "Hosts files, and directories of them; followed as they change.",
    reload,
  ),
  "forwarder.leases": row("texts", [], "Files of DHCP leases, as dnsmasq writes them.", reload),
  "forwarder.expand_hosts": row(
    "boolean",
    false,
    "Names of one label in hosts files also with host_domain.",
    reload,
  ),
  "forwarder.host_domain": row(
    "text",
    "",
    "Domain of the names of hosts files and leases.",
    reload,
  ),
  "forwarder.host_domains": row(
    "anything",
    [],
    "Instead of host_domain, by address: objects of `domain` and `networks`; the first that holds the address.",
    reload,
  ),
  "forwarder.host_mx": row(
    "text",
    "",
    "MX of names with an address in hosts files, leases or records, and no MX: this host, or `self`.",
    reload,
  ),
  "forwarder.synth_domains": row(
    "anything",
    [],
    "Names made of addresses: objects of `domain`, `range` (network or first-last), `prefix`, `counted` (numbers from 0).",
    reload,
  ),
  "forwarder.localise_queries": row(
    "boolean",
    false,
    "Of several addresses of a name only those in the client's network.",
    reload,
  ),
  "forwarder.local_ttl": row("durationMs", 0, "TTL of local data that says no other.", {
    min: 0,
    ...reload,
  }),
  "forwarder.domain_needed": row(
    "boolean",
    false,
    "Do not forward A and AAAA of names without a dot.",
    reload,
  ),
  "forwarder.short_names": row(
    "boolean",
    false,
    "Answer a name without a dot that is a service of the catalog, and nothing else here, with a CNAME to `<name>.service.<domain>`.",
    reload,
  ),
  "forwarder.private_reverse": row(
    "text",
    "auto",
    "Names of private addresses (RFC 6303), with `special_names` also home.arpa (RFC 8375), without a zone: of servers with a private address only, of none, of any.",
    { words: ["auto", "local", "forward"], ...reload },
  ),
  "forwarder.special_names": row(
    "boolean",
    true,
    "Answer localhost, invalid, onion and resolver.arpa here (RFC 6761, RFC 7686, RFC 9462).",
    reload,
  ),
  "forwarder.search_domains": row(
    "texts",
    [],
    "Never forward `*.com.<one of these>` and the like; count their misses.",
    reload,
  ),
  "forwarder.blocklists": row(
    "texts",
    [],
    "Files of names to block: plain, hosts lines, `address=/x/`, `||x^`; followed as they change.",
    reload,
  ),
  "forwarder.blocklist_answer": row(
    "text",
    "nxdomain",
    "What blocked names get; null: 0.0.0.0 and ::.",
    { words: ["nxdomain", "null", "refused"], ...reload },
  ),
  "forwarder.views": row(
    "anything",
    [],
    "Zones, addresses and records for some clients: objects of `name`, `clients` (networks), `zones`, `addresses`, `records`.",
    reload,
  ),
} as const satisfies Record<string, Option>;
