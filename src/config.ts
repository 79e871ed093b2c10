import {
  parseConfigCheck,
  parseConfigService,
  refusalOfCheck,
  type CheckDefinition,
  type ServiceDefinition,
} from "./cluster/definition.ts";
import { isLoopback } from "./address.ts";
import { fail, ok, type Result } from "./base.ts";
import {
  dnsAddresses,
  resolveAddresses,
  type Addresses,
  type DnsAddresses,
} from "./config/addresses.ts";
import { followsInterfaces } from "./config/forwarder/listen.ts";
import type { AgentTls } from "./cluster/checks/dial/driver.ts";
import type { ExternalEntry } from "./cluster/external/declared.ts";
import { parseExternalServices } from "./config/external-services.ts";
import { readAccess, type LoadedAccess } from "./config/forwarder/access.ts";
import { doubtful } from "./config/forwarder/doubtful.ts";
import { readFilter, type LoadedFilter } from "./config/forwarder/filter.ts";
import { namesWithoutEffect, readLocalData, type LoadedLocal } from "./config/forwarder/local.ts";
import { ownDomains, withoutFormerAgent } from "./config/forwarder/own-domain.ts";
import {
  readAllZones,
  readRcodes,
  withServers,
  type LoadedZones,
} from "./config/forwarder/zones.ts";
import { withDnsmasq } from "./config/dnsmasq/layer.ts";
import { parseConfigText, readConfigPath, readText, type Format } from "./config/files.ts";
import { interfaceAddresses, type InterfaceAddress } from "./config/interface-address.ts";
import type { Machine } from "./config/machine.ts";
import { options, usedKeys, type Config, type UsedKey } from "./config/options.ts";
import { mergeLayers, readLayer, withOrigin, type Definition, type Layer } from "./config/read.ts";
import { brokenRules } from "./config/rules.ts";
import { expandTemplate } from "./config/sockaddr.ts";
import { inheritedKeys, loadCheckTls, loadUpstreamAuthorities } from "./config/tls.ts";
import { findIdentities, withoutBareHttps } from "./config/identities.ts";
import { resolveUpstreams, withoutDuplicates } from "./config/upstream.ts";
import { lookThroughLists } from "./config/name-lists.ts";
import { readMetricsAddress, warnAboutFilters } from "./config/telemetry.ts";
import { parseWatches } from "./config/watches.ts";
import { parseResolvConf, withoutOwn, type ResolvConf } from "./forwarder/resolvconf.ts";
import { newestFile } from "./forwarder/resolvconf/driver.ts";
import type { HttpsIdentity, SocketAddress, Upstream } from "./ports.ts";
import { inSlices, type Pace } from "./slices.ts";
import type { WatchDefinition } from "./watch/definition.ts";

/** Where a configuration comes from; flags have been parsed into layers (config/flags.ts). */
export type Sources = {
  /** Files and directories in the order given. */
  readonly paths: readonly string[];
  /** Holds for every file, whatever its name. */
  readonly format: Format | undefined;
  /** Lists of the command line: they come before those of the files. */
  readonly flagLists: Layer;
  /** Scalars of the command line: they win over the files. */
  readonly flagValues: Layer;
  /** Values of -hcl, in HCL or JSON: they win over everything. */
  readonly fragments: readonly string[];
  /** -dev: server on 127.0.0.1, nothing kept on disk. */
  readonly dev: boolean;
};

/** A configuration that has been read and found right. Frozen. */
export type LoadedConfig = {
  readonly config: Config;
  readonly addresses: Addresses;
  /** Certificate and key of HTTPS; undefined: it listens nowhere. */
  readonly https: HttpsIdentity | undefined;
  /** Certificate and key of DNS over TLS and over HTTPS; undefined: neither listens. */
  readonly dnsTls: HttpsIdentity | undefined;
  /** What checks show and trust; undefined: nothing of this agent, and the system's authorities. */
  readonly checkTls: AgentTls | undefined;
  /** Upstream DNS servers in order, IP literals; empty: names outside the domain are refused. */
  readonly upstreams: readonly Upstream[];
  /** Those of them that `recursors` names; the others come from `forwarder.resolv_conf`. */
  readonly recursors: readonly Upstream[];
  /** PEM of the authorities that certificates of upstream servers may be signed by, beside the system's. */
  readonly upstreamAuthorities: readonly string[];
  /** What is changed in answers of upstream servers. */
  readonly filter: LoadedFilter;
  /** Names that are answered here. */
  readonly local: LoadedLocal;
  /** Names with servers of their own, or none. */
  readonly zones: LoadedZones;
  /** RCODEs that lead to the next server; null: all but NOERROR and NXDOMAIN. */
  readonly nextOn: readonly number[] | null;
  /** Who may ask, how much, and with what. */
  readonly access: LoadedAccess;
  /** Services (with their checks) and checks of configuration files, in the order of loading. */
  readonly services: readonly ServiceDefinition[];
  readonly checks: readonly CheckDefinition[];
  /** `external_services`, in the order of loading. */
  readonly external: readonly ExternalEntry[];
  /** `watches`, in the order of loading. */
  readonly watches: readonly WatchDefinition[];
  /** Where metrics and health have a listener of their own. */
  readonly metricsAddress: SocketAddress | undefined;
  /** `servers-file` of `forwarder.dnsmasq_conf`, which is watched. */
  readonly serversFile: string | undefined;
  /** Nothing is kept on disk. */
  readonly dev: boolean;
  /** Whole sentences for the log. */
  readonly warnings: readonly string[];
};

/** At most this many errors are listed; the rest is counted. */
const maxErrors = 50;

/**
 * Reads, merges and checks a configuration: defaults, -dev, lists of flags, files in order, scalars
 * of flags, -hcl; later ones win, lists are appended, maps merged (the order of Consul 1.10). The
 * error side has one sentence per mistake, with file and key. Long lists of a dnsmasq configuration are
 * read at this `pace`; null: at once.
 */
export async function loadConfig(
  sources: Sources,
  machine: Machine,
  pace: Pace | null = null,
): Promise<Result<LoadedConfig, string[]>> {
  const { layers, serversFile } = await inSlices(
    withDnsmasq(readLayers(sources), machine, sources.dev),
    pace,
  );
  const merged = mergeLayers(layers);
  const { warnings } = merged;
  const config = createConfig(merged, machine);
  const errors = brokenRules(config, sources.dev);
  // What could not be read may have held it.
  if (config.data_dir === "" && !sources.dev && merged.errors.length === 0)
    errors.push("data_dir cannot be empty");
  warnAboutServers(config, warnings);
  warnAboutFilters(config, warnings);
  const local = interfaceAddresses(machine.interfaces, machine.defaultInterface);
  const addresses = withoutBareHttps(config, resolveAddresses(config, local, warnings), warnings);
  if (!addresses.ok) errors.push(...addresses.error);
  const identities = addresses.ok
    ? findIdentities(merged, config, addresses.value, errors)
    : undefined;
  const checkTls = loadCheckTls(config);
  if (!checkTls.ok) errors.push(...checkTls.error);
  const authorities = loadUpstreamAuthorities(config);
  if (!authorities.ok) errors.push(...authorities.error);
  if (addresses.ok) warnAboutHttp(config, addresses.value, { warnings, errors });
  const { services, checks } = parseDefinitions(merged, config);
  const external = parseExternalServices(merged.external, config.node_name);
  const watches = parseWatches(merged.watches);
  await inSlices(lookThroughLists(config, ownDomains(config)), pace);
  const { filter, errors: filterErrors } = readFilter(config);
  errors.push(...filterErrors);
  const localData = readLocalData(config);
  errors.push(...localData.errors);
  const declaredZones = readAllZones(
    config["forwarder.zones"],
    localData.local.views,
    ownDomains(config),
    errors,
  );
  warnings.push(...namesWithoutEffect(localData.local, declaredZones, config));
  warnings.push(...doubtful(config, localData.local, declaredZones));
  const problems = { warnings, errors };
  const metricsAddress = readMetricsAddress(config["metrics.address"], problems);
  const nextOn = readRcodes(config["forwarder.next_on"], "forwarder.next_on", errors);
  const { access, errors: accessErrors } = readAccess(config, localData.local.views);
  errors.push(...accessErrors);
  merged.errors.push(...external.errors, ...watches.errors);
  warnings.push(...watches.warnings);
  const all = () =>
    firstErrors([...merged.errors, ...errors.map((each) => withOrigin(merged, each))]);
  if (!addresses.ok || !checkTls.ok || !authorities.ok || merged.errors.length + errors.length > 0)
    return fail(all());
  const surroundings = { local, machine, warnings, errors };
  const resolve = (texts: readonly string[], key: string) =>
    resolveServers(texts, key, surroundings);
  const recursors = await resolve(config.recursors, "recursors");
  const upstreams = findUpstreams(config, recursors, surroundings, addresses.value);
  const found = await withServers(declaredZones, resolve);
  const zones = withoutFormerAgent(found, { config, local, warnings });
  if (errors.length > 0) return fail(all());
  return ok(
    Object.freeze({
      config: Object.freeze({ ...config, server: true }),
      addresses: Object.freeze(addresses.value),
      https: identities?.https,
      dnsTls: identities?.dnsTls,
      checkTls: checkTls.value,
      upstreams: Object.freeze(upstreams),
      recursors: Object.freeze(recursors),
      upstreamAuthorities: authorities.value,
      filter: Object.freeze(filter),
      local: localData.local,
      zones,
      nextOn,
      access: Object.freeze(access),
      services: Object.freeze(services),
      checks: Object.freeze(checks),
      external: Object.freeze(external.entries),
      watches: Object.freeze(watches.watches),
      metricsAddress,
      serversFile,
      dev: sources.dev,
      warnings: Object.freeze([...new Set(warnings)]),
    }),
  );
}

/** The servers of a resolv.conf, and those among them that are left out as being this agent itself. */
export type ResolvConfServers = { servers: SocketAddress[]; own: SocketAddress[] };

/** The servers of a resolv.conf that are not this agent itself, which would ask itself for ever. */
export function resolvConfServers(
  conf: Pick<ResolvConf, "servers">,
  addresses: Pick<Addresses, "dns">,
  machine: Pick<Machine, "interfaces" | "defaultInterface">,
): ResolvConfServers {
  const local = interfaceAddresses(machine.interfaces, machine.defaultInterface);
  const servers = withoutOwn(conf.servers, {
    listening: addresses.dns,
    host: local.map(({ address }) => address),
  });
  return { servers, own: conf.servers.filter((server) => !servers.includes(server)) };
}

/** What is said of the servers of `path` that are left out; undefined if all are taken and there are any. */
export function leftOut(path: string, { servers, own }: ResolvConfServers): string | undefined {
  if (servers.length === 0) return `${path} names no other DNS server`;
  if (own.length === 0) return undefined;
  const names = own.map(({ address, port }) => `${address} port ${port}`).join(", ");
  return `${path} names this agent itself, which is not asked: ${names}`;
}

/**
 * Where DNS listens now, if that follows the interfaces of the machine (`dns_listen`); undefined if it is
 * what the configuration says.
 */
export function followedDnsAddresses(
  config: Config,
  machine: Pick<Machine, "interfaces" | "defaultInterface">,
): DnsAddresses | undefined {
  if (!followsInterfaces(config, config["addresses.dns"].split(/\s+/))) return undefined;
  const local = interfaceAddresses(machine.interfaces, machine.defaultInterface);
  return dnsAddresses(config, local, []);
}

const devTree = { bind_addr: "127.0.0.1", log_level: "debug", server: true };

function readLayers(sources: Sources): Layer[] {
  const layers: Layer[] = [];
  const refused = readLayer({}, "");
  if (sources.dev) layers.push(readLayer(devTree, "-dev"));
  layers.push(sources.flagLists);
  for (const path of sources.paths) {
    const files = readConfigPath(path, sources.format);
    if (files.ok) layers.push(...files.value.map(({ file, tree }) => readLayer(tree, file)));
    else refused.errors.push(...files.error);
  }
  layers.push(sources.flagValues);
  for (const [i, text] of sources.fragments.entries()) {
    const fragment = parseConfigText(text, "hcl", `-hcl ${i + 1}`);
    if (fragment.ok) layers.push(readLayer(fragment.value.tree, fragment.value.file));
    else refused.errors.push(fragment.error);
  }
  return [refused, ...layers];
}

function createConfig(merged: Layer, machine: Machine): Config {
  const values = Object.fromEntries(
    usedKeys.map((key) => [
      key,
      merged.values.get(key) ??
        merged.values.get(inheritedKeys[key] ?? key) ??
        options[key].default,
    ]),
  );
  const config = values as Config; // each value was parsed by the row of its key
  const given = (key: UsedKey) => merged.values.has(key);
  const datacenter = config.datacenter.toLowerCase();
  // What starts without `server` is run as a client, whose supervisor takes 1 for a failure.
  const isClient = !config.server;
  return {
    ...config,
    leave_on_terminate: given("leave_on_terminate") ? config.leave_on_terminate : isClient,
    skip_leave_on_interrupt: given("skip_leave_on_interrupt")
      ? config.skip_leave_on_interrupt
      : !isClient,
    node_name: config.node_name === "" ? machine.hostname : config.node_name,
    node_id: config.node_id.toLowerCase(),
    datacenter,
    primary_datacenter: config.primary_datacenter.toLowerCase() || datacenter,
    domain: qualified(config.domain),
    alt_domain: config.alt_domain === "" ? "" : qualified(config.alt_domain),
    log_level: config.log_level === "err" ? "error" : config.log_level,
  };
}

function qualified(name: string): string {
  return name.toLowerCase().replace(/\.?$/, ".");
}

function warnAboutServers(config: Config, warnings: string[]): void {
  // Who brings a dnsmasq.conf has never heard of it.
  if (!config.server && config["forwarder.dnsmasq_conf"] === "")
    warnings.push("server is false, but this version has no client mode: it runs as a server");
  if (config.bootstrap_expect > 1)
    warnings.push(
      `bootstrap_expect is ${config.bootstrap_expect}, but this version runs one server on its own: it does not wait for others`,
    );
  if (!/^[A-Za-z0-9-]{1,63}$/.test(config.node_name))
    warnings.push(
      `node_name "${config.node_name}" cannot be found by DNS: use letters, digits and dashes, at most 63`,
    );
}

/** Settings of the HTTP side that harm only together. */
function warnAboutHttp(
  config: Config,
  { http, https, dnsTls, dnsHttps }: Addresses,
  { warnings, errors }: { warnings: string[]; errors: string[] },
): void {
  const isUsed =
    https.length + dnsTls.length + dnsHttps.length > 0 || config.enable_agent_tls_for_checks;
  const isGiven = config["tls.https.cert_file"] !== "" || config["tls.dns.cert_file"] !== "";
  if (isGiven && !isUsed)
    warnings.push(
      "certificates are not used: none of ports.https, ports.dns_tls and ports.dns_https is set",
    );
  const exposed = [...http, ...https].find((at) => "port" in at && !isLoopback(at.address));
  if (!config.enable_script_checks || config["acl.enabled"] || exposed === undefined) return;
  if (config.allow_unprotected_script_checks)
    warnings.push(
      "enable_script_checks without ACLs: whoever reaches the HTTP API can run programs here",
    );
  else
    errors.push(
      "enable_script_checks: whoever reaches the HTTP API could run programs here, because it listens beyond loopback and ACLs are off; use enable_local_script_checks, acl.enabled or client_addr 127.0.0.1, or set allow_unprotected_script_checks",
    );
}

function parseDefinitions(merged: Layer, config: Config) {
  const services: ServiceDefinition[] = [];
  const checks: CheckDefinition[] = [];
  const settings = {
    enableScriptChecks: config.enable_script_checks,
    enableLocalScriptChecks: config.enable_local_script_checks,
  };
  const accept = (check: CheckDefinition, { file, where }: Definition) => {
    const refusal = refusalOfCheck(check, "config", settings);
    if (refusal !== undefined) merged.errors.push(`${file}: ${where}: ${refusal}`);
  };
  for (const definition of merged.services) {
    const parsed = parseConfigService(definition.value, definition.where);
    if (!parsed.ok) merged.errors.push(`${definition.file}: ${parsed.error}`);
    else {
      for (const check of parsed.value.checks) accept(check, definition);
      services.push(parsed.value);
    }
  }
  for (const definition of merged.checks) {
    const parsed = parseConfigCheck(definition.value, definition.where);
    if (!parsed.ok) merged.errors.push(`${definition.file}: ${parsed.error}`);
    else {
      accept(parsed.value, definition);
      checks.push(parsed.value);
    }
  }
  return { services, checks };
}

type Surroundings = {
  local: readonly InterfaceAddress[];
  machine: Machine;
  warnings: string[];
  errors: string[];
};

/** The files of `forwarder.resolv_conf` that count: none where `recursors` are enough. */
export function resolvConfFiles(
  config: Pick<Config, "recursors" | "forwarder.resolv_conf" | "forwarder.resolv_conf_always">,
): readonly string[] {
  const isEnough = config.recursors.length > 0 && !config["forwarder.resolv_conf_always"];
  return isEnough ? [] : config["forwarder.resolv_conf"];
}

/** `recursors`, else or besides the servers of `forwarder.resolv_conf`. */
function findUpstreams(
  config: Config,
  recursors: readonly Upstream[],
  surroundings: Surroundings,
  addresses: Addresses,
): readonly Upstream[] {
  const { warnings } = surroundings;
  const files = resolvConfFiles(config);
  if (files.length < config["forwarder.resolv_conf"].length)
    warnings.push("forwarder.resolv_conf is not read, because recursors are given");
  if (files.length === 0) return recursors;
  const file = newestFile(files).path ?? files[0]!;
  const text = readText(file);
  if (!text.ok) {
    // At boot the file may come later than this program: an error would leave the host without DNS.
    if (recursors.length === 0)
      warnings.push(`forwarder.resolv_conf: ${text.error}: names outside the domain are refused`);
    return recursors;
  }
  const found = resolvConfServers(parseResolvConf(text.value), addresses, surroundings.machine);
  const warning = leftOut(file, found);
  // That the host asks this agent itself is as it should be where recursors are given.
  if (warning !== undefined && recursors.length === 0)
    warnings.push(
      found.servers.length > 0 ? warning : `${warning}: names outside the domain are refused`,
    );
  return withoutDuplicates([...recursors, ...found.servers]);
}

async function resolveServers(
  texts: readonly string[],
  key: string,
  { local, machine, errors }: Surroundings,
): Promise<Upstream[]> {
  const words: string[] = [];
  for (const text of texts) {
    const expanded = expandTemplate(text, local);
    if (expanded.ok) words.push(...expanded.value.split(/\s+/).filter((each) => each !== ""));
    else errors.push(`${key}: ${expanded.error}`);
  }
  const lookup = (host: string) => machine.lookup(host);
  return resolveUpstreams(words, { key, lookup, errors });
}

function firstErrors(errors: readonly string[]): string[] {
  const distinct = [...new Set(errors)];
  const more = distinct.length - maxErrors;
  return more > 0 ? [...distinct.slice(0, maxErrors), `and ${more} more`] : distinct;
}
