/** What each keyword that has a meaning here does to the draft. */
import { ipVersion } from "../../address.ts";
import { ENTRY_OCTETS } from "../../forwarder/settings.ts";
import { parseAddSubnet } from "../../forwarder/subnet.ts";
import {
  append,
  note,
  numberOf,
  put,
  refuse,
  usableName,
  type Draft,
  type Handler,
} from "./draft.ts";
import { readDomain } from "./domain.ts";
import { readDynamicHost, readHost, readInterfaceName, readSynth } from "./hosts.ts";
import { shown, splitList } from "./line.ts";
import {
  readCaa,
  readCname,
  readMx,
  readNaptr,
  readPtr,
  readRr,
  readSrv,
  readTxt,
} from "./records.ts";
import { keepLocal, readAddress, readNetworks, readRevServer, readServer } from "./servers.ts";
import type { Statement } from "./statements.ts";

/** dnsmasq's own bound of `min-cache-ttl`. */
const MIN_CACHE_TTL_MAX = 3600;
/** What `use-stale-cache` without a number, and with 0 ("for ever"), means. */
const DAY_SECONDS = 86_400;
const FOREVER_SECONDS = 366 * DAY_SECONDS;
const MAX_IN_FLIGHT = 65_536;
const MAX_CONNECTIONS = 65_536;
/** The least that is set. */
const CACHE_OCTETS_MIN = 2 ** 20;

const flag =
  (key: string, value: unknown): Handler =>
  (draft, statement) =>
    put(draft, statement, key, value);

const seconds =
  (key: string, max?: number): Handler =>
  (draft, statement) => {
    const given = numberOf(draft, statement);
    if (given !== undefined) put(draft, statement, key, `${Math.min(given, max ?? given)}s`);
  };

const text =
  (key: string): Handler =>
  (draft, statement) =>
    put(draft, statement, key, shown(statement.value));

/** One path per line; an empty one says nothing. */
const path =
  (key: string): Handler =>
  (draft, statement) => {
    if (statement.value !== "") append(draft, statement, key, shown(statement.value));
  };

/** Looked at when all lines are read, since it depends on others. */
const later: Handler = (draft, statement) => {
  const before = draft.later.get(statement.keyword);
  if (before === undefined) draft.later.set(statement.keyword, [statement]);
  else before.push(statement);
};

/** The last of several lines, or undefined. */
export function lastOf(draft: Draft, keyword: string): Statement | undefined {
  return draft.later.get(keyword)?.at(-1);
}

/** By keyword; those that are not here have a note only (keywords.ts). */
export const handlers: Readonly<Record<string, Handler>> = {
  server: readServer,
  local: readServer,
  "rev-server": readRevServer,
  "servers-file": () => {},
  "resolv-file": later,
  "no-resolv": later,
  "strict-order": later,
  "all-servers": later,
  address: readAddress,
  "host-record": readHost,
  "dynamic-host": readDynamicHost,
  "interface-name": readInterfaceName,
  "synth-domain": readSynth,
  cname: readCname,
  "srv-host": readSrv,
  "txt-record": readTxt,
  "ptr-record": readPtr,
  "naptr-record": readNaptr,
  "caa-record": readCaa,
  "dns-rr": readRr,
  "mx-host": readMx,
  "mx-target": later,
  localmx: later,
  selfmx: later,
  "no-hosts": later,
  "addn-hosts": later,
  hostsdir: later,
  "expand-hosts": flag("forwarder.expand_hosts", true),
  domain: readDomain,
  "domain-suffix": readDomain,
  "localise-queries": flag("forwarder.localise_queries", true),
  "local-ttl": seconds("forwarder.local_ttl"),
  "domain-needed": flag("forwarder.domain_needed", true),
  "bogus-priv": flag("forwarder.private_reverse", "local"),
  "bogus-nxdomain": readNetworks("forwarder.bogus_nxdomain"),
  "ignore-address": readNetworks("forwarder.ignore_address"),
  alias: readAlias,
  "filter-A": (draft, statement) => append(draft, statement, "forwarder.filter_types", "A"),
  "filter-AAAA": (draft, statement) => append(draft, statement, "forwarder.filter_types", "AAAA"),
  "filter-rr": readTypes,
  "add-subnet": (draft, statement) => {
    const given = shown(statement.value) || "0";
    const parsed = parseAddSubnet(given);
    if (parsed.ok) put(draft, statement, "forwarder.add_subnet", given);
    else refuse(draft, statement, parsed.error);
  },
  "strip-subnet": flag("forwarder.strip_subnet", true),
  filterwin2k: flag("forwarder.filter_win2k", true),
  "stop-dns-rebind": flag("forwarder.rebind_protection", true),
  "rebind-localhost-ok": flag("forwarder.rebind_localhost_ok", true),
  "rebind-domain-ok": readRebindDomains,
  "cache-size": (draft, statement) => {
    const entries = numberOf(draft, statement);
    if (statement.value === "" && !statement.hasValue)
      return refuse(draft, statement, "needs a number");
    if (entries === 0) put(draft, statement, "forwarder.cache", false);
    else if (entries !== undefined)
      put(
        draft,
        statement,
        "forwarder.cache_size",
        Math.max(entries * ENTRY_OCTETS, CACHE_OCTETS_MIN),
      );
  },
  "no-negcache": flag("forwarder.cache_max_negative_ttl", "0s"),
  "neg-ttl": seconds("forwarder.cache_bare_negative_ttl"),
  "max-ttl": later,
  "max-cache-ttl": later,
  "min-cache-ttl": seconds("forwarder.cache_min_ttl", MIN_CACHE_TTL_MAX),
  "use-stale-cache": (draft, statement) => {
    const given = statement.value === "" ? DAY_SECONDS : numberOf(draft, statement);
    if (given === undefined) return;
    put(draft, statement, "forwarder.stale", true);
    put(draft, statement, "forwarder.stale_client_timeout", "0s");
    put(
      draft,
      statement,
      "forwarder.stale_max",
      `${Math.min(given || FOREVER_SECONDS, FOREVER_SECONDS)}s`,
    );
  },
  "fast-dns-retry": (draft, statement) => {
    const [first = "", total = ""] = splitList(statement.value);
    const retryMs = numberOf(draft, statement, first);
    numberOf(draft, statement, total);
    if (statement.value !== "" && retryMs !== undefined && retryMs < 50)
      refuse(draft, statement, "must be at least 50 (milliseconds)");
  },
  "dns-forward-max": (draft, statement) => {
    const given = numberOf(draft, statement);
    if (given !== undefined)
      put(draft, statement, "forwarder.max_in_flight", Math.min(Math.max(1, given), MAX_IN_FLIGHT));
  },
  "edns-packet-max": (draft, statement) => {
    const given = numberOf(draft, statement);
    if (given !== undefined)
      put(draft, statement, "dns_access.edns_payload", Math.min(Math.max(given, 512), 4096));
  },
  "query-port": later,
  "min-port": later,
  "max-port": later,
  "port-limit": atLeastOne,
  "max-tcp-connections": (draft, statement) => {
    const given = numberOf(draft, statement);
    if (given === 0) refuse(draft, statement, "must be at least 1");
    else if (given !== undefined)
      put(draft, statement, "dns_listen.tcp_max_connections", Math.min(given, MAX_CONNECTIONS));
  },
  port: (draft, statement) => {
    const given = numberOf(draft, statement, statement.value, 65535);
    if (given !== undefined) put(draft, statement, "ports.dns", given === 0 ? -1 : given);
  },
  "listen-address": (draft, statement) => {
    for (const address of splitList(statement.value).map(shown))
      if (ipVersion(address) === 0)
        refuse(draft, statement, `${JSON.stringify(address)} is no IP address`);
      else append(draft, statement, "listen", address);
  },
  interface: (draft, statement) => {
    for (const name of splitList(statement.value).map(shown))
      append(draft, statement, "dns_listen.interfaces", name === "" ? "lo" : name);
  },
  "except-interface": (draft, statement) => {
    for (const name of splitList(statement.value).map(shown))
      if (name !== "") append(draft, statement, "dns_listen.except_interfaces", name);
  },
  "bind-interfaces": later,
  "bind-dynamic": later,
  "local-service": (draft, statement) => {
    if (!["", "net", "host"].includes(shown(statement.value)))
      refuse(draft, statement, "expected net or host");
    else later(draft, statement);
  },
  "dns-loop-detect": flag("forwarder.loop_detection", true),
  "log-queries": (draft, statement) => {
    const form = shown(statement.value);
    const key = "forwarder.query_log";
    // Each line adds to those before it; proto has the numbers of extra.
    const before = draft.values.get(key)?.value ?? "dnsmasq";
    const isLess = form !== "proto" && (form !== "extra" || before === "dnsmasq-proto");
    put(draft, statement, key, isLess ? before : `dnsmasq-${form}`);
    if (form === "only_failed") put(draft, statement, `${key}_only_failed`, true);
    else if (!["", "extra", "proto"].includes(form))
      note(draft, statement, `all questions are logged, as without ${form}`);
  },
  "log-facility": readLogFacility,
  "log-async": (draft, statement) => void numberOf(draft, statement),
  "do-0x20-encode": flag("forwarder.mixed_case", true),
  "no-0x20-encode": flag("forwarder.mixed_case", false),
  "proxy-dnssec": flag("forwarder.trust_ad", true),
  "auth-zone": (draft, statement) => {
    later(draft, statement);
    const [zone = ""] = splitList(statement.value);
    const name = usableName(draft, statement, zone);
    if (name !== undefined && name !== "") keepLocal(draft, statement, [name]);
  },
  "auth-server": later,
  "auth-soa": later,
  "auth-ttl": later,
  "auth-sec-servers": later,
  "auth-peer": (draft, statement) => {
    for (const address of splitList(statement.value).map(shown))
      if (ipVersion(address) === 0)
        refuse(draft, statement, `${JSON.stringify(address)} is no IP address`);
  },
  "pid-file": text("pid_file"),
  "dhcp-range": later,
  "dhcp-leasefile": path("forwarder.leases"),
  "dhcp-lease": path("forwarder.leases"),
};

function atLeastOne(draft: Draft, statement: Statement): void {
  if (numberOf(draft, statement) === 0) refuse(draft, statement, "must be at least 1");
}

function readAlias(draft: Draft, statement: Statement): void {
  const [from = "", to = "", mask] = splitList(statement.value).map(shown);
  const addresses = [...splitList(from, "-"), to, ...(mask === undefined ? [] : [mask])];
  if (addresses.length < 2 || !addresses.every((each) => ipVersion(each) === 4))
    return refuse(draft, statement, "expected IPv4 addresses: old,new[,mask]");
  append(
    draft,
    statement,
    "forwarder.alias",
    [from.replaceAll(" ", ""), to, mask ?? []].flat().join(","),
  );
}

function readTypes(draft: Draft, statement: Statement): void {
  for (const part of splitList(statement.value).map(shown)) {
    if (part === "" || part === "0") continue;
    if (!/^[a-z][a-z0-9-]*$|^\d{1,5}$/i.test(part))
      return refuse(draft, statement, `${JSON.stringify(part)} is no type of records`);
    append(
      draft,
      statement,
      "forwarder.filter_types",
      /^\d/.test(part) ? `TYPE${Number(part)}` : part.toUpperCase(),
    );
  }
}

function readRebindDomains(draft: Draft, statement: Statement): void {
  const parts = splitList(shown(statement.value).replace(/^\//, ""), "/");
  for (const part of parts.length > 1 ? parts.slice(0, -1) : parts) {
    const name = usableName(draft, statement, part);
    if (name !== undefined) append(draft, statement, "forwarder.rebind_domains_ok", name);
  }
}

const facilities =
  /^(auth|authpriv|cron|daemon|ftp|kern|lpr|mail|mark|news|security|syslog|user|uucp|local[0-7])$/i;

function readLogFacility(draft: Draft, statement: Statement): void {
  const target = shown(statement.value);
  if (target === "-") return;
  if (target.includes("/")) return put(draft, statement, "forwarder.query_log_file", target);
  if (!facilities.test(target))
    return refuse(draft, statement, `${JSON.stringify(target)} is no facility`);
  note(draft, statement, "the log goes to standard error, not to syslog");
}
