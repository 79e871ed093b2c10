/** `external_services`: services without an agent, as configuration files declare them. */
import { ipVersion } from "../address.ts";
import { fail, ok, type Result } from "../base.ts";
import type { CheckFields } from "../cluster/command.ts";
import { decodeShape, type Decoded } from "../cluster/decode.ts";
import { isStatus, newCheckFields } from "../cluster/definition.ts";
import { OWNER_META, type ExternalEntry } from "../cluster/external/declared.ts";
import { metadataProblem } from "../cluster/metadata.ts";
import { isAnyAddress } from "../cluster/service-address.ts";
import { formatDuration } from "../duration.ts";
import { nearest } from "./nearest.ts";
import type { Definition } from "./read.ts";

/** Entries of all files; each becomes a record that the leader keeps. */
const MAX_ENTRIES = 10_000;
/** A check without an interval is run this often, as one of catalog/register. */
const DEFAULT_INTERVAL_MS = 30_000;

const checkMembers = {
  id: "string",
  name: "string",
  notes: "string",
  status: "string",
  http: "string",
  method: "string",
  header: { map: { list: "string" } },
  body: "string",
  disable_redirects: "bool",
  tls_server_name: "string",
  tls_skip_verify: "bool",
  tcp: "string",
  interval: "duration",
  timeout: "duration",
  success_before_passing: "int",
  failures_before_critical: "int",
  output_max_size: "int",
} as const;
const checkShape = { struct: checkMembers } as const;

const entryShape = {
  struct: {
    name: "string",
    id: "string",
    node: "string",
    address: "string",
    port: "int",
    tags: { list: "string" },
    meta: { map: "string" },
    weights: { pointer: { struct: { passing: "int", warning: "int" } } },
    ttl: { pointer: "duration" },
    check: { pointer: checkShape },
    checks: { list: checkShape },
  },
} as const;

type EntryBody = Decoded<typeof entryShape>;
type CheckBody = Decoded<typeof checkShape>;

/** Entries in the order of loading; the errors are whole sentences with file and key. */
export function parseExternalServices(
  definitions: readonly Definition[],
  ownNode: string,
): { entries: ExternalEntry[]; errors: string[] } {
  const entries: ExternalEntry[] = [];
  const errors: string[] = [];
  const seen = new Map<string, string>();
  for (const { value, file, where } of definitions) {
    const parsed = parseEntry(value, where, ownNode);
    if (!parsed.ok) {
      errors.push(`${file}: ${parsed.error}`);
      continue;
    }
    const { node, service } = parsed.value;
    const key = `${node.toLowerCase()} ${service.id}`;
    const before = seen.get(key);
    if (before !== undefined)
      errors.push(`${file}: ${where}: id "${service.id}" on node "${node}" is that of ${before}`);
    seen.set(key, `${file}: ${where}`);
    entries.push(parsed.value);
  }
  if (entries.length > MAX_ENTRIES)
    errors.push(`external_services: ${entries.length} entries, at most ${MAX_ENTRIES} are kept`);
  return { entries, errors };
}

function parseEntry(value: unknown, where: string, ownNode: string): Result<ExternalEntry, string> {
  const decoded = decodeShape(entryShape, value, {
    fold: (key) => key.toLowerCase().replaceAll("_", ""),
    unknown(path, known) {
      const near = nearest(path.slice(path.lastIndexOf(".") + 1), known);
      return `invalid config key ${where}.${path}${near === undefined ? "" : ` (did you mean ${near}?)`}`;
    },
  });
  if (!decoded.ok)
    return fail(decoded.error.startsWith("invalid") ? decoded.error : `${where}: ${decoded.error}`);
  const body = decoded.value;
  const id = body.id === "" ? body.name : body.id;
  const node = body.node === "" ? id : body.node;
  const checks = [...(body.check === null ? [] : [body.check]), ...(body.checks ?? [])];
  const problem =
    problemOfEntry(body, node, ownNode) ??
    checks.map(problemOfCheck).find((each) => each !== undefined);
  if (problem !== undefined) return fail(`${where}: ${problem}`);
  return ok({
    node,
    ownsNode: body.node === "",
    service: {
      id,
      service: body.name,
      kind: "",
      tags: body.tags ?? [],
      address: body.address,
      taggedAddresses: null,
      meta: body.meta,
      port: body.port,
      socketPath: "",
      weights: body.weights ?? { passing: 1, warning: 1 },
      enableTagOverride: false,
      proxy: null,
      connect: null,
    },
    checks: checks.map((check, i) => toCheck(check, { id, name: body.name, i, of: checks.length })),
    ttlSeconds: body.ttl === null ? undefined : Math.floor(body.ttl / 1000),
  });
}

function problemOfEntry(body: EntryBody, node: string, ownNode: string): string | undefined {
  const { name, address, port, weights, ttl, meta } = body;
  if (name === "") return "name is missing";
  if (address === "") return "address is missing";
  if (isAnyAddress(address) || (ipVersion(address) === 0 && !isHostName(address)))
    return `address: expected an IP address or a host name, got ${JSON.stringify(address)}`;
  if (port < 0 || port > 65535) return `port: must be from 0 to 65535, got ${port}`;
  if (ttl !== null && ttl < 0) return "ttl: must not be negative";
  if (weights !== null && !(isWeight(weights.passing, 1) && isWeight(weights.warning, 0)))
    return "weights: passing must be from 1 to 65535, warning from 0 to 65535";
  if (node.toLowerCase() === ownNode.toLowerCase())
    return `node: "${node}" is this agent's own node; use services for what runs on it`;
  if (meta !== null && Object.hasOwn(meta, OWNER_META))
    return `meta: ${OWNER_META} is set by waypost`;
  const problem = metadataProblem(meta);
  return problem === undefined ? undefined : `meta: ${problem}`;
}

const isWeight = (weight: number, least: number): boolean => weight >= least && weight <= 65535;

function isHostName(text: string): boolean {
  const name = text.replace(/\.$/, "");
  return name.length <= 253 && name.split(".").every((label) => /^[\w-]{1,63}$/.test(label));
}

function problemOfCheck(check: CheckBody): string | undefined {
  const { http, tcp, status, interval, timeout } = check;
  if ((http === "") === (tcp === "")) return "check: give either http or tcp";
  if (http !== "" && !/^https?:/i.test(URL.canParse(http) ? new URL(http).protocol : ""))
    return `check: http: expected a URL, got ${JSON.stringify(http)}`;
  if (tcp !== "" && !/^(\[[^\]]+\]|[^:]+):\d{1,5}$/.test(tcp))
    return `check: tcp: expected an address such as "db.example.com:5432", got ${JSON.stringify(tcp)}`;
  if (interval < 0 || timeout < 0) return "check: interval and timeout must not be negative";
  if (status !== "" && !isStatus(status))
    return "check: status must be passing, warning or critical";
  if (check.success_before_passing < 0 || check.failures_before_critical < 0)
    return "check: thresholds must not be negative";
  return check.output_max_size < 0 ? "check: output_max_size must not be negative" : undefined;
}

/** As catalog/register keeps it, with the two thresholds beside what Consul 1.10 knows. */
function toCheck(
  body: CheckBody,
  service: { id: string; name: string; i: number; of: number },
): CheckFields {
  const suffix = service.of > 1 ? `:${service.i + 1}` : "";
  const definition = {
    Interval: formatDuration(body.interval || DEFAULT_INTERVAL_MS),
    Timeout: body.timeout > 0 ? formatDuration(body.timeout) : "",
    HTTP: body.http,
    Method: body.method,
    Header: body.header,
    Body: body.body,
    DisableRedirects: body.disable_redirects,
    TLSServerName: body.tls_server_name,
    TLSSkipVerify: body.tls_skip_verify,
    TCP: body.tcp,
    SuccessBeforePassing: body.success_before_passing,
    FailuresBeforeCritical: body.failures_before_critical,
    OutputMaxSize: body.output_max_size,
  };
  return {
    ...newCheckFields,
    checkId: body.id === "" ? `service:${service.id}${suffix}` : body.id,
    name: body.name === "" ? `Service '${service.name}' check` : body.name,
    status: body.status === "" ? "critical" : body.status,
    notes: body.notes,
    serviceId: service.id,
    type: body.http === "" ? "tcp" : "http",
    definition: Object.fromEntries(Object.entries(definition).filter(([, value]) => value)),
  };
}
