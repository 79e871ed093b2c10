/**
 * Definitions of services and checks as users write them: bodies of /v1/agent/service/register and
 * /v1/agent/check/register (PascalCase, any letter case, some aliases) and `service(s)`, `check(s)`
 * of configuration files (snake_case). Rules and texts as Consul 1.10.12.
 */
import { fail, ok, type Result } from "../base.ts";
import type { CheckFields, ServiceFields } from "./command.ts";
import { decodeShape, type Decoded, type DecodeOptions } from "./decode.ts";
import {
  checkShape,
  configServiceShape,
  serviceCheckShape,
  serviceShape,
} from "./definition-shapes.ts";
import { ipVersion } from "../address.ts";
import { formatDuration } from "../duration.ts";
import { isAnyAddress } from "./service-address.ts";
import { nullIfEmpty, toInstanceFields } from "./instance-fields.ts";
import { metadataProblem } from "./metadata.ts";
import type { TaggedAddress } from "./model.ts";

/** How a check finds out its status; "" if nothing says so. The words of HealthCheck.Type. */
export type CheckKind =
  "ttl" | "http" | "tcp" | "udp" | "alias" | "grpc" | "h2ping" | "script" | "docker" | "";

/** One check. Zero values ("", 0, null, false) mean: not given. */
export type CheckDefinition = {
  /** "" inside a service: derived from the service's id. */
  readonly checkId: string;
  readonly name: string;
  readonly notes: string;
  /** Status before the first result; "" means critical. */
  readonly status: string;
  readonly serviceId: string;
  readonly token: string;
  readonly ttlMs: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly http: string;
  readonly method: string;
  readonly header: Readonly<Record<string, readonly string[] | null>> | null;
  readonly body: string;
  readonly disableRedirects: boolean;
  readonly tlsServerName: string;
  readonly tlsSkipVerify: boolean;
  readonly tcp: string;
  readonly tcpUseTls: boolean;
  readonly udp: string;
  readonly grpc: string;
  readonly grpcUseTls: boolean;
  readonly h2ping: string;
  /** True unless it is switched off. */
  readonly h2pingUseTls: boolean;
  readonly args: readonly string[];
  readonly dockerContainerId: string;
  readonly shell: string;
  readonly aliasNode: string;
  readonly aliasService: string;
  readonly deregisterCriticalServiceAfterMs: number;
  readonly successBeforePassing: number;
  readonly failuresBeforeWarning: number;
  readonly failuresBeforeCritical: number;
  readonly outputMaxSize: number;
};

/** One service with its checks, ready for the catalog. */
export type ServiceDefinition = {
  readonly fields: ServiceFields;
  readonly token: string;
  readonly checks: readonly CheckDefinition[];
};

/** Why a body is refused: HTTP status and text. */
export type Refusal = { status: 400 | 500; text: string };

/** Where a definition comes from; configuration may do what remote callers may not. */
export type Source = "config" | "api";

type ServiceBody = Decoded<typeof serviceShape>;
type CheckBody = Decoded<typeof serviceCheckShape> | Decoded<typeof checkShape>;

/** Body of PUT /v1/agent/service/register (parsed JSON). Texts: Consul 1.10.12, spec 11.8 and 11.9. */
export function parseService(body: unknown): Result<ServiceDefinition, Refusal> {
  const decoded = decodeShape(serviceShape, body);
  if (!decoded.ok) return refuse(`Request decode failed: ${decoded.error}`);
  const problem = problemOfService(decoded.value);
  if (problem !== undefined) return refuse(problem);
  const service = toService(decoded.value);
  if (service.checks.some(({ status }) => status !== "" && !isStatus(status)))
    return refuse("Status for checks must 'passing', 'warning', 'critical'");
  const size = problemOfSize(service);
  return size === undefined ? ok(service) : refuse(size);
}

/** Body of PUT /v1/agent/check/register (parsed JSON). The check id defaults to the name. */
export function parseCheck(body: unknown): Result<CheckDefinition, Refusal> {
  const decoded = decodeShape(checkShape, body);
  if (!decoded.ok) return refuse(`Request decode failed: ${decoded.error}`);
  const check = toCheck(decoded.value);
  if (check.name === "") return refuse("Missing check name");
  if (check.status !== "" && !isStatus(check.status)) return refuse("Bad check status");
  const problem = problemOfCheck(check);
  if (problem !== undefined) return refuse(`Invalid check: ${problem}`);
  const size = problemOfSize(check);
  return size === undefined ? ok(check) : refuse(size);
}

/** Keys of configuration files: any case, underscores or none (Consul accepts both spellings). */
export const configKey = (key: string) => key.toLowerCase().replaceAll("_", "");

function configOptions(where: string): DecodeOptions {
  return {
    fold: configKey,
    isFile: true,
    unknown: (path) => `invalid config key ${where}.${path}`,
  };
}

/** One element of `services`, or `service`. `where` names it in errors, for example `services[0]`. */
export function parseConfigService(
  value: unknown,
  where: string,
): Result<ServiceDefinition, string> {
  const decoded = decodeShape(configServiceShape, value, configOptions(where));
  if (!decoded.ok) return fail(within(where, decoded.error));
  const body = asInBody(decoded.value);
  const problem = problemOfService(body);
  if (problem !== undefined) return fail(`${where}: ${problem}`);
  const service = toService(body);
  const tagged = problemOfTaggedAddresses(service.fields.taggedAddresses);
  if (tagged !== undefined) return fail(`${where}: ${tagged}`);
  const bad = service.checks.find(({ status }) => status !== "" && !isStatus(status));
  if (bad) return fail(`${where}: Status for checks must 'passing', 'warning', 'critical'`);
  const size = problemOfSize(service);
  return size === undefined ? ok(service) : fail(`${where}: ${size}`);
}

/** Files differ from bodies: weights that they do not name are 1, `check` comes after `checks`. */
function asInBody(service: Decoded<typeof configServiceShape>): ServiceBody {
  const { Weights: weights, Check: check, Checks: checks } = service;
  return {
    ...service,
    Weights: weights && { Passing: weights.Passing ?? 1, Warning: weights.Warning ?? 1 },
    Check: null,
    Checks: [...(checks ?? []), ...(check === null || isZero(check) ? [] : [check])],
  };
}

/** One element of `checks`, or `check`. */
export function parseConfigCheck(value: unknown, where: string): Result<CheckDefinition, string> {
  const decoded = decodeShape(checkShape, value, configOptions(where));
  if (!decoded.ok) return fail(within(where, decoded.error));
  const check = toCheck(decoded.value);
  if (check.name === "") return fail(`${where}: Missing check name`);
  if (check.status !== "" && !isStatus(check.status)) return fail(`${where}: Bad check status`);
  const problem = problemOfCheck(check);
  return problem === undefined ? ok(check) : fail(`${where}: Invalid check: ${problem}`);
}

function within(where: string, error: string): string {
  return error.startsWith("invalid config key") ? error : `${where}: ${error}`;
}

/**
 * Most characters of a definition, with what its checks repeat of the service's names. A command of
 * the log holds 1.5 MiB: what could never be committed must not be acknowledged.
 */
const MAX_DEFINITION_CHARACTERS = 262_144;

function problemOfSize(definition: ServiceDefinition | CheckDefinition): string | undefined {
  const repeated =
    "checks" in definition
      ? definition.checks.length *
        2 *
        (definition.fields.id.length + definition.fields.service.length)
      : 0;
  const characters = JSON.stringify(definition).length + repeated;
  if (characters <= MAX_DEFINITION_CHARACTERS) return undefined;
  return `Definition too large: ${characters} characters, at most ${MAX_DEFINITION_CHARACTERS} are accepted`;
}

function refuse(text: string): { ok: false; error: Refusal } {
  return fail({ status: 400, text });
}

/** Is this one of the three words for a status? Case matters. */
export function isStatus(word: string): word is "passing" | "warning" | "critical" {
  return word === "passing" || word === "warning" || word === "critical";
}

function problemOfService(body: ServiceBody): string | undefined {
  if (body.Name === "") return "Missing service name";
  if (isAnyAddress(body.Address)) return "Invalid service address";
  const weights = body.Weights === null ? undefined : problemOfWeights(body.Weights);
  if (weights !== undefined) return `Invalid Weights: ${weights}`;
  const meta = metadataProblem(body.Meta);
  if (meta !== undefined) return `Invalid Service Meta: ${meta}`;
  for (const check of checksOf(body)) {
    const problem = problemOfCheck(toCheck(check));
    if (problem !== undefined) return `Invalid check: ${problem}`;
  }
  return undefined;
}

function problemOfWeights({ Passing, Warning }: { Passing: number; Warning: number }) {
  if (Passing < 1) return "Passing must be greater than 0";
  if (Warning < 0) return "Warning must be greater or equal than 0";
  if (Passing > 65535 || Warning > 65535) return "DNS Weight must be between 0 and 65535";
  return undefined;
}

/** What is wrong with a check, in Consul's words after `Invalid check: `; undefined if nothing. */
function problemOfCheck(check: CheckDefinition): string | undefined {
  const hasInterval =
    check.args.length > 0 ||
    check.http !== "" ||
    check.tcp !== "" ||
    check.udp !== "" ||
    check.grpc !== "" ||
    check.h2ping !== "";
  const isAlias = check.aliasNode !== "" || check.aliasService !== "";
  if (check.intervalMs > 0 && check.ttlMs > 0) return "Interval and TTL cannot both be specified";
  if (hasInterval && check.intervalMs <= 0)
    return "Interval must be > 0 for Script, HTTP, H2PING, or TCP checks";
  if (hasInterval && isAlias) return "Interval cannot be set for Alias checks";
  if (isAlias && check.ttlMs > 0) return "TTL must be not be set for Alias checks";
  if (!hasInterval && !isAlias && check.ttlMs <= 0) return "TTL must be > 0 for TTL checks";
  if (check.outputMaxSize < 0) return "MaxOutputMaxSize must be positive";
  if (
    check.failuresBeforeWarning > check.failuresBeforeCritical &&
    check.failuresBeforeCritical > 0
  )
    return "FailuresBeforeWarning can't be higher than FailuresBeforeCritical";
  return undefined;
}

/** Why tagged addresses are refused; undefined if they are fine. Consul answers 500 with it. */
export function problemOfTaggedAddresses(
  addresses: Readonly<Record<string, TaggedAddress>> | null,
): string | undefined {
  for (const [tag, version] of [
    ["lan_ipv4", 4],
    ["wan_ipv4", 4],
    ["lan_ipv6", 6],
    ["wan_ipv6", 6],
  ] as const) {
    const given = addresses?.[tag];
    if (given && ipVersion(given.address) !== version)
      return `Service tagged address "${tag}" must be a valid ipv${version} address`;
  }
  return undefined;
}

/** The kind of a valid check. */
export function kindOfCheck(check: CheckDefinition): CheckKind {
  if (check.grpc !== "") return "grpc";
  if (check.http !== "") return "http";
  if (check.ttlMs > 0) return "ttl";
  if (check.tcp !== "") return "tcp";
  if (check.udp !== "") return "udp";
  if (check.aliasNode !== "" || check.aliasService !== "") return "alias";
  if (check.dockerContainerId !== "") return "docker";
  if (check.args.length > 0) return "script";
  return check.h2ping === "" ? "" : "h2ping";
}

/** Which script checks this agent would run. */
export type ScriptSettings = { enableScriptChecks: boolean; enableLocalScriptChecks: boolean };

/**
 * Why this agent will not take a check on: Consul's text for scripts that are disabled, our own for
 * kinds that have no runner; undefined if it will. A check that would never run is never accepted.
 */
export function refusalOfCheck(
  check: CheckDefinition,
  source: Source,
  settings: ScriptSettings,
): string | undefined {
  const kind = kindOfCheck(check);
  if (check.args.length > 0) {
    if (source === "api" && !settings.enableScriptChecks)
      return "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true";
    if (!settings.enableScriptChecks && !settings.enableLocalScriptChecks)
      return "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or 'enable_local_script_checks' to true";
  }
  return kind === "" ? 'Checks of type "" are not supported' : undefined;
}

/** `Check` (unless it is empty), then `Checks`. */
function checksOf(body: ServiceBody): Decoded<typeof serviceCheckShape>[] {
  const checks = body.Checks ?? [];
  return body.Check === null || isZero(body.Check) ? checks : [body.Check, ...checks];
}

function isZero(check: Decoded<typeof serviceCheckShape>): boolean {
  return Object.values(check).every((value) => !value);
}

function toService(body: ServiceBody): ServiceDefinition {
  const given = toInstanceFields(body, body.Name);
  const addresses = withOwnAddress(given.taggedAddresses ?? {}, body.Address, body.Port);
  const fields: ServiceFields = {
    ...given,
    id: body.ID === "" ? body.Name : body.ID,
    taggedAddresses: nullIfEmpty(addresses),
  };
  return { fields, token: body.Token, checks: checksOf(body).map(toCheck) };
}

/** An IP literal as address also becomes `lan_ipv4`, `wan_ipv4` (or v6) unless those were given. */
function withOwnAddress(
  given: Readonly<Record<string, TaggedAddress>>,
  address: string,
  port: number,
): Record<string, TaggedAddress> {
  const version = ipVersion(address);
  if (version === 0) return given;
  return {
    [`lan_ipv${version}`]: { address, port },
    [`wan_ipv${version}`]: { address, port },
    ...given,
  };
}

function toCheck(body: CheckBody): CheckDefinition {
  const checkId = "CheckID" in body ? body.CheckID : body.ID === "" ? body.Name : body.ID;
  return {
    checkId,
    name: body.Name,
    notes: body.Notes,
    status: body.Status,
    serviceId: "ServiceID" in body ? body.ServiceID : "",
    token: "Token" in body ? body.Token : "",
    ttlMs: body.TTL,
    intervalMs: body.Interval,
    timeoutMs: body.Timeout,
    http: body.HTTP,
    method: body.Method,
    header: body.Header,
    body: body.Body,
    disableRedirects: body.DisableRedirects,
    tlsServerName: body.TLSServerName,
    tlsSkipVerify: body.TLSSkipVerify,
    tcp: body.TCP,
    tcpUseTls: body.TCPUseTLS,
    udp: body.UDP,
    grpc: body.GRPC,
    grpcUseTls: body.GRPCUseTLS,
    h2ping: body.H2PING,
    h2pingUseTls: body.H2PingUseTLS ?? true,
    args: body.ScriptArgs ?? [],
    dockerContainerId: body.DockerContainerID,
    shell: body.Shell,
    aliasNode: body.AliasNode,
    aliasService: body.AliasService,
    deregisterCriticalServiceAfterMs: body.DeregisterCriticalServiceAfter,
    successBeforePassing: body.SuccessBeforePassing,
    failuresBeforeWarning: body.FailuresBeforeWarning,
    failuresBeforeCritical: body.FailuresBeforeCritical,
    outputMaxSize: body.OutputMaxSize,
  };
}

/** A check that was kept on disk: what `serviceCheckShape` gave, and what is stored beside it. */
export function checkFromStored(
  body: Decoded<typeof serviceCheckShape>,
  owner: { serviceId: string; token: string },
): CheckDefinition {
  return { ...toCheck(body), ...owner };
}

/** Catalog fields of the checks inside a service, with their ids and names derived. */
export function fieldsOfServiceChecks(service: ServiceDefinition): CheckFields[] {
  const { id, service: name } = service.fields;
  return service.checks.map((check, i) => {
    const suffix = service.checks.length > 1 ? `:${i + 1}` : "";
    return {
      ...newCheckFields,
      checkId: check.checkId === "" ? `service:${id}${suffix}` : check.checkId,
      name: check.name === "" ? `Service '${name}' check` : check.name,
      status: check.status === "" ? "critical" : check.status,
      notes: check.notes,
      serviceId: id,
      type: kindOfCheck(check),
    };
  });
}

/** Catalog fields of a check of its own. Those from configuration have no type, as in Consul 1.10. */
export function fieldsOfCheck(check: CheckDefinition, source: Source): CheckFields {
  return {
    ...newCheckFields,
    checkId: check.checkId,
    name: check.name,
    status: check.status === "" ? "critical" : check.status,
    notes: check.notes,
    serviceId: check.serviceId,
    type: source === "config" ? "" : kindOfCheck(check),
    interval: formatDuration(check.intervalMs),
    timeout: formatDuration(check.timeoutMs),
  };
}

/** Members that all new checks share. */
export const newCheckFields: CheckFields = {
  checkId: "",
  name: "",
  status: "critical",
  notes: "",
  output: "",
  serviceId: "",
  type: "",
  interval: "",
  timeout: "",
  exposedPort: 0,
  definition: {},
};
