/** What follows from several lines of a dnsmasq configuration together, or from their absence. */
import { finishAuth } from "./auth.ts";
import { refuse, type Draft } from "./draft.ts";
import { lastOf } from "./handlers.ts";
import { shown, splitList } from "./line.ts";

const RESOLV_CONF = "/etc/resolv.conf";
const HOSTS = "/etc/hosts";
const LEASES = "/var/lib/misc/dnsmasq.leases";
const DNS_PORT = 53;

/** Settles what depends on several lines, and what holds where there is none; `start` is the place of that. */
export function finish(draft: Draft, start: string): void {
  const { values } = draft;
  const standard = (key: string, value: unknown): void => {
    if (!values.has(key)) values.set(key, { value, place: start });
  };
  standard("ports.dns", DNS_PORT);
  finishListening(draft, start, standard);
  finishTimes(draft);
  finishFiles(draft, standard);
  finishPorts(draft);
  finishMx(draft, start);
  finishSrv(draft);
  finishWildcards(draft);
  finishAuth(draft);
  refuseLoops(draft);
  const expand = values.get("forwarder.expand_hosts");
  const hasDomain = ["forwarder.host_domain", "forwarder.host_domains"].some((key) =>
    values.has(key),
  );
  if (expand !== undefined && !hasDomain) {
    values.delete("forwarder.expand_hosts");
    draft.notes.push(`${expand.place}: expand-hosts: no effect without a domain line`);
  }
  // What dnsmasq does unless it is told otherwise, and we do not.
  standard("forwarder.private_reverse", "forward");
  standard("forwarder.special_names", false);
  standard("forwarder.minimal_any", false);
  standard("forwarder.local_ttl", "0s");
  standard("dns_config.recursor_strategy", strategyOf(draft));
}

function strategyOf(draft: Draft): string {
  if (draft.later.has("all-servers")) return "parallel";
  return draft.later.has("strict-order") ? "sequential" : "fastest";
}

/** dnsmasq listens on every interface unless it is told addresses or interfaces; loopback comes with the latter. */
function finishListening(
  draft: Draft,
  start: string,
  standard: (key: string, value: unknown) => void,
): void {
  const { values } = draft;
  const addresses = values.get("listen");
  const interfaces = values.get("dns_listen.interfaces");
  const except = values.has("dns_listen.except_interfaces");
  const service = lastOf(draft, "local-service");
  if (interfaces !== undefined) {
    const names = interfaces.value as string[]; // a list made by append
    if (!names.includes("lo")) names.unshift("lo");
  }
  if (addresses !== undefined)
    values.set("addresses.dns", { ...addresses, value: (addresses.value as string[]).join(" ") });
  const bare = addresses === undefined && interfaces === undefined;
  if (bare && !except && service !== undefined && shown(service.value) === "host")
    values.set("addresses.dns", { value: "127.0.0.1 ::1", place: service.place });
  else if (bare) standard("addresses.dns", "0.0.0.0 ::");
  if (bare && !except) {
    if (service !== undefined)
      values.set("dns_access.local_service", { value: true, place: service.place });
    else
      draft.notes.push(
        `${start}: clients of connected networks alone are answered, as with local-service, since there is no listen-address and no interface; dns_access.allow adds others`,
      );
  } else if (!(addresses?.value as string[] | undefined)?.some((each) => /^[0:.]*$/.test(each)))
    standard("dns_access.local_service", false);
  const bind = lastOf(draft, "bind-interfaces");
  const dynamic = lastOf(draft, "bind-dynamic");
  // Unless it is told to bind, dnsmasq takes what comes to interfaces that appear later.
  const named = interfaces ?? values.get("dns_listen.except_interfaces");
  if (dynamic === undefined && bind === undefined && named !== undefined)
    values.set("dns_listen.dynamic", { value: true, place: named.place });
  if (dynamic !== undefined)
    values.set("dns_listen.dynamic", { value: true, place: dynamic.place });
  else if (bind !== undefined)
    values.set("dns_listen.dynamic", { value: false, place: bind.place });
}

/** Both bounds hold for what clients see: the smaller one is ours. */
function finishTimes(draft: Draft): void {
  for (const keyword of ["max-cache-ttl", "max-ttl"]) {
    const statement = lastOf(draft, keyword);
    if (statement === undefined) continue;
    const digits = shown(statement.value);
    if (!/^\d*$/.test(digits)) {
      refuse(draft, statement, `expected a number, got ${JSON.stringify(digits)}`);
      continue;
    }
    const given = Number(digits);
    // dnsmasq takes 0 for: no bound.
    if (given === 0) continue;
    const before = draft.values.get("forwarder.cache_max_ttl");
    const least =
      before === undefined ? given : Math.min(given, parseInt(String(before.value), 10));
    draft.values.set("forwarder.cache_max_ttl", { value: `${least}s`, place: statement.place });
  }
}

function finishFiles(draft: Draft, standard: (key: string, value: unknown) => void): void {
  const pathsOf = (keyword: string) =>
    (draft.later.get(keyword) ?? []).map(({ value }) => shown(value)).filter((path) => path !== "");
  if (!draft.later.has("no-resolv")) {
    const given = draft.later.get("resolv-file");
    const paths = pathsOf("resolv-file");
    const hasServers = (draft.names.get(".")?.servers.length ?? 0) > 0;
    if (hasServers && (given === undefined || paths.length > 0))
      standard("forwarder.resolv_conf_always", true);
    if (given === undefined) standard("forwarder.resolv_conf", RESOLV_CONF);
    else if (paths.length > 0)
      draft.values.set("forwarder.resolv_conf", {
        value: paths.length === 1 ? paths[0] : paths,
        place: given[0]!.place,
      });
  }
  // The last of several hosts files is read first by dnsmasq, which decides whose PTR record holds.
  const hosts = [
    ...(draft.later.has("no-hosts") ? [] : [HOSTS]),
    ...pathsOf("addn-hosts").toReversed(),
    ...pathsOf("hostsdir"),
  ];
  if (hosts.length > 0) standard("forwarder.hosts", hosts);
  // Whoever serves DHCP here goes on to write its leases there.
  const range = lastOf(draft, "dhcp-range");
  if (range !== undefined && !draft.values.has("forwarder.leases"))
    draft.values.set("forwarder.leases", { value: [LEASES], place: range.place });
}

function finishPorts(draft: Draft): void {
  const [least, most] = ["min-port", "max-port"].map((keyword) => {
    const statement = lastOf(draft, keyword);
    if (statement === undefined) return undefined;
    const digits = shown(statement.value);
    if (/^\d{0,5}$/.test(digits) && Number(digits) <= 65535)
      return { port: Number(digits), place: statement.place };
    return refuse(draft, statement, "must be from 0 to 65535");
  });
  const low = Math.max(1, least?.port || 1024);
  const high = most?.port || 65535;
  const place = least?.place ?? most?.place;
  if (place === undefined) return;
  if (low <= high) draft.values.set("forwarder.port_range", { value: `${low}-${high}`, place });
  else draft.notes.push(`${place}: no port lies from ${low} to ${high}: left out`);
}

/**
 * `mx-host` without a target gets that of `mx-target`, or this host; `mx-target` or `localmx` alone an MX
 * for this host. `localmx` and `selfmx` give one to every host.
 */
function finishMx({ records, later, machine, errors, values }: Draft, start: string): void {
  const statement = later.get("mx-target")?.[0];
  const target =
    statement === undefined ? machine.hostname : shown(statement.value).replace(/\.$/, "");
  const place = statement?.place ?? start;
  if (statement !== undefined && target === "") errors.push(`${place}: mx-target: bad MX target`);
  for (const record of records)
    if (record.type === "MX")
      record.data = /^\d+ $/.test(record.data) ? `${record.data}${target}.` : `${record.data}.`;
  const [self, local] = [later.get("selfmx")?.[0], later.get("localmx")?.[0]];
  if (self !== undefined) values.set("forwarder.host_mx", { value: "self", place: self.place });
  else if (local !== undefined)
    values.set("forwarder.host_mx", { value: `${target}.`, place: local.place });
  const own = machine.hostname.toLowerCase();
  if (
    (statement !== undefined || local !== undefined) &&
    !records.some((each) => each.type === "MX" && each.name.toLowerCase() === own)
  )
    records.push({
      name: machine.hostname,
      type: "MX",
      data: `1 ${target}.`,
      place: statement?.place ?? local?.place ?? start,
    });
}

/** A service without a domain of its own is one of `domain`. */
function finishSrv({ records, values }: Draft): void {
  const domain = values.get("forwarder.host_domain")?.value;
  if (typeof domain !== "string") return;
  for (const record of records)
    if (record.type === "SRV" && /^[^.]*\.[^.]*$/.test(record.name)) record.name += `.${domain}`;
}

/** `cname=*.a.example,...` is for all names below in zones of `auth-zone` alone. */
function finishWildcards({ records, later, notes }: Draft): void {
  const zones = (later.get("auth-zone") ?? []).map(({ value }) =>
    shown(splitList(value)[0] ?? "")
      .toLowerCase()
      .replace(/\.$/, ""),
  );
  for (const record of records) {
    if (record.type !== "CNAME" || !record.name.startsWith("\\*.")) continue;
    const below = record.name.slice("\\*.".length);
    if (zones.some((zone) => `.${below.toLowerCase()}`.endsWith(`.${zone}`))) {
      record.name = below;
      record.wildcard = true;
    } else
      notes.push(
        `${record.place}: cname: *.${below} is for that name alone, outside of zones of auth-zone`,
      );
  }
}

/** Aliases that lead back to themselves: dnsmasq does not start with them. */
function refuseLoops({ records, errors }: Draft): void {
  const links = records.filter(({ type }) => type === "CNAME");
  const targets = new Map(
    links.map(({ name, data }) => [name.toLowerCase(), data.toLowerCase().replace(/\.$/, "")]),
  );
  const harmless = new Set<string>();
  for (const { name, place } of links) {
    const road = new Set<string>();
    let at: string | undefined = name.toLowerCase();
    while (at !== undefined && !harmless.has(at) && !road.has(at)) {
      road.add(at);
      at = targets.get(at);
    }
    if (at !== undefined && road.has(at)) errors.push(`${place}: cname: ${name} leads to a loop`);
    else for (const each of road) harmless.add(each);
  }
}
