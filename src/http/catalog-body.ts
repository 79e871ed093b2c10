/** Services and checks as bodies of catalog/register and txn bring them. */
import type { CheckFields, ServiceFields } from "../cluster/command.ts";
import type { Decoded } from "../cluster/decode.ts";
import { instanceMembers, toInstanceFields } from "../cluster/instance-fields.ts";
import { formatDuration } from "../duration.ts";

/** NodeService in a body. */
export const serviceShape = {
  struct: { ...instanceMembers, Service: "string", CreateIndex: "int", ModifyIndex: "int" },
} as const;

/** HealthCheck in a body; definitions as Consul 1.10 knows them. */
export const checkShape = {
  struct: {
    Node: "string",
    CheckID: "string",
    Name: "string",
    Status: "string",
    Notes: "string",
    Output: "string",
    ServiceID: "string",
    ServiceName: "string",
    ServiceTags: { list: "string" },
    Type: "string",
    Interval: "string",
    Timeout: "string",
    ExposedPort: "int",
    Definition: {
      struct: {
        HTTP: "string",
        TLSServerName: "string",
        TLSSkipVerify: "bool",
        Header: { map: { list: "string" } },
        Method: "string",
        Body: "string",
        DisableRedirects: "bool",
        TCP: "string",
        TCPUseTLS: "bool",
        UDP: "string",
        H2PING: "string",
        H2PingUseTLS: "bool",
        Interval: "duration",
        IntervalDuration: "duration",
        OutputMaxSize: "int",
        Timeout: "duration",
        TimeoutDuration: "duration",
        DeregisterCriticalServiceAfter: "duration",
        DeregisterCriticalServiceAfterDuration: "duration",
        ScriptArgs: { list: "string" },
        DockerContainerID: "string",
        Shell: "string",
        GRPC: "string",
        GRPCUseTLS: "bool",
        AliasNode: "string",
        AliasService: "string",
        TTL: "duration",
      },
    },
    CreateIndex: "int",
    ModifyIndex: "int",
  },
} as const;

type ServiceBody = Decoded<typeof serviceShape>;
type CheckBody = Decoded<typeof checkShape>;
type DefinitionBody = CheckBody["Definition"];

/** The id defaults to the name; weights that cannot be are silently the default. */
export function toServiceFields(body: ServiceBody): ServiceFields {
  const fields = toInstanceFields(body, body.Service);
  const { passing, warning } = fields.weights;
  const areValid = isWeight(passing, 1) && isWeight(warning, 0);
  return {
    ...fields,
    id: body.ID === "" ? body.Service : body.ID,
    weights: areValid ? fields.weights : { passing: 1, warning: 1 },
  };
}

function isWeight(weight: number, least: number): boolean {
  return weight >= least && weight <= 65535;
}

/** The id defaults to the name, the status to critical, the type to what the definition names. */
export function toCheckFields(body: CheckBody): CheckFields {
  return {
    checkId: body.CheckID === "" ? body.Name : body.CheckID,
    name: body.Name,
    status: body.Status === "" ? "critical" : body.Status,
    notes: body.Notes,
    output: body.Output,
    serviceId: body.ServiceID,
    type: body.Type === "" ? typeOfDefinition(body.Definition) : body.Type,
    interval: body.Interval,
    timeout: body.Timeout,
    exposedPort: body.ExposedPort,
    definition: toDefinition(body.Definition),
  };
}

/** The word for what the definition names; "" when it names nothing that could run. */
function typeOfDefinition(body: DefinitionBody): string {
  const repeats = body.Interval > 0 || body.IntervalDuration > 0;
  if (body.GRPC !== "" && repeats) return "grpc";
  if (body.HTTP !== "" && repeats) return "http";
  if (body.TTL > 0) return "ttl";
  if (body.TCP !== "" && repeats) return "tcp";
  if (body.UDP !== "" && repeats) return "udp";
  if (body.AliasNode !== "" || body.AliasService !== "") return "alias";
  if (body.ScriptArgs !== null && body.ScriptArgs.length > 0 && repeats)
    return body.DockerContainerID === "" ? "script" : "docker";
  return body.H2PING !== "" && repeats ? "h2ping" : "";
}

/** Members that were given, durations as Go prints them. */
function toDefinition(body: DefinitionBody): Record<string, unknown> {
  const {
    Interval,
    IntervalDuration,
    Timeout,
    TimeoutDuration,
    DeregisterCriticalServiceAfter,
    DeregisterCriticalServiceAfterDuration,
    TTL,
    ...plain
  } = body;
  const durations = {
    Interval: Interval || IntervalDuration,
    Timeout: Timeout || TimeoutDuration,
    DeregisterCriticalServiceAfter:
      DeregisterCriticalServiceAfter || DeregisterCriticalServiceAfterDuration,
    TTL,
  };
  const definition: Record<string, unknown> = {};
  for (const [name, ms] of Object.entries(durations))
    if (ms !== 0) definition[name] = formatDuration(ms);
  for (const [name, value] of Object.entries(plain)) if (value) definition[name] = value;
  return definition;
}
