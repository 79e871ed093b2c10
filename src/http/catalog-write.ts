/** PUT /v1/catalog/register and deregister: what Consul checks before the log, then a command. */
import type { Authorizer } from "../cluster/acl.ts";
import type {
  CheckFields,
  NodeFields,
  RegisterCommand,
  ServiceFields,
} from "../cluster/command.ts";
import type { Decoded } from "../cluster/decode.ts";
import { isAnyAddress } from "../cluster/service-address.ts";
import { instanceMembers, toInstanceFields } from "../cluster/instance-fields.ts";
import type { CatalogReader } from "../cluster/model.ts";
import { sameNode } from "../cluster/same.ts";
import { isUuid } from "../cluster/uuid.ts";
import { formatDuration } from "../duration.ts";
import { HttpError, type Call } from "./call.ts";

const serviceShape = {
  struct: { ...instanceMembers, Service: "string", CreateIndex: "int", ModifyIndex: "int" },
} as const;

const checkShape = {
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
        H2PING: "string",
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

const registerShape = {
  struct: {
    Datacenter: "string",
    ID: "string",
    Node: "string",
    Address: "string",
    TaggedAddresses: { map: "string" },
    NodeMeta: { map: "string" },
    Service: { pointer: serviceShape },
    Check: { pointer: checkShape },
    Checks: { list: checkShape },
    SkipNodeUpdate: "bool",
    // The API's own client library sends it; the token of a request comes with the request.
    Token: "string",
  },
} as const;

const deregisterShape = {
  struct: {
    Datacenter: "string",
    Node: "string",
    Address: "string",
    ServiceID: "string",
    CheckID: "string",
    Token: "string",
  },
} as const;

type ServiceBody = Decoded<typeof serviceShape>;
type CheckBody = Decoded<typeof checkShape>;
type DefinitionBody = CheckBody["Definition"];
type RegisterBody = Decoded<typeof registerShape>;

/** PUT /v1/catalog/register: `true` once the command is applied. */
export async function register(call: Call): Promise<Response> {
  const body = await call.readBody(registerShape);
  call.requireDatacenter(body.Datacenter);
  const rights = call.authorizer();
  const command = toCommand(body);
  if (call.deps.acl.enabled) requireRightsToRegister(rights, command, call.deps.reader);
  await call.propose(command);
  return call.json(true);
}

/** Throws 500 with Consul's texts for what is wrong with the request itself. */
function toCommand(body: RegisterBody): RegisterCommand {
  const problem = problemOfRegistration(body);
  if (problem !== undefined) throw new HttpError(500, problem);
  const checks = body.Check === null ? (body.Checks ?? []) : [...(body.Checks ?? []), body.Check];
  const node: NodeFields = {
    node: body.Node,
    id: body.ID.toLowerCase(),
    address: body.Address,
    taggedAddresses: body.TaggedAddresses,
    meta: body.NodeMeta,
  };
  return {
    type: "register",
    node,
    skipNodeUpdate: body.SkipNodeUpdate,
    service: body.Service === null ? null : toServiceFields(body.Service),
    checks: checks.map((check) => toCheckFields(check, body.Node)),
  };
}

function problemOfRegistration(body: RegisterBody): string | undefined {
  if (body.Node === "") return "Must provide node";
  if (body.ID !== "" && !isUuid(body.ID))
    return `Bad node ID: ${JSON.stringify(body.ID)} is not a UUID`;
  if (body.Address === "" && !body.SkipNodeUpdate)
    return "Must provide address if SkipNodeUpdate is not set";
  if (body.Service === null) return undefined;
  const { ID, Service, Address } = body.Service;
  if (Service === "" && ID !== "") return "Must provide service name with ID";
  if (Service === "") return "Must provide service name";
  return isAnyAddress(Address) ? "Invalid service address" : undefined;
}

function toServiceFields(body: ServiceBody): ServiceFields {
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

function toCheckFields(body: CheckBody, node: string): CheckFields {
  const checkId = body.CheckID === "" ? body.Name : body.CheckID;
  if (body.Node !== "" && body.Node.toLowerCase() !== node.toLowerCase())
    throw new HttpError(
      500,
      `check node ${JSON.stringify(body.Node)} does not match node ${JSON.stringify(node)}`,
    );
  if (checkId === "") throw new HttpError(500, "Must provide check name or ID");
  return {
    checkId,
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

/** Throws what Consul's vetRegisterWithACL gives for a caller who may not do all of it. */
function requireRightsToRegister(
  rights: Authorizer,
  command: RegisterCommand,
  reader: CatalogReader,
): void {
  const { service } = command;
  const name = command.node.node;
  const held = reader.node(name);
  const changesNode =
    held === undefined || (!command.skipNodeUpdate && !sameNode(held, command.node));
  if (changesNode && !rights.nodeWrite(name)) throw denied();
  if (service !== null) {
    if (!rights.serviceWrite(service.service)) throw denied();
    const replaced = reader.service(name, service.id);
    if (replaced !== undefined && !rights.serviceWrite(replaced.service)) throw denied();
  }
  for (const { serviceId, checkId } of command.checks) {
    if (serviceId === "") {
      if (!rights.nodeWrite(name)) throw denied();
    } else if (serviceId !== service?.id) {
      const other = reader.service(name, serviceId);
      if (other === undefined)
        throw new HttpError(500, `Unknown service '${serviceId}' for check '${checkId}'`);
      if (!rights.serviceWrite(other.service)) throw denied();
    }
  }
}

/** PUT /v1/catalog/deregister: `true`, also for what does not exist. */
export async function deregister(call: Call): Promise<Response> {
  const body = await call.readBody(deregisterShape);
  call.requireDatacenter(body.Datacenter);
  const rights = call.authorizer();
  if (body.Node === "") throw new HttpError(500, "Must provide node");
  const { Node: node, ServiceID: serviceId, CheckID: checkId } = body;
  if (call.deps.acl.enabled)
    requireRightsToDeregister(rights, { node, serviceId, checkId }, call.deps.reader);
  await call.propose({ type: "deregister", node, serviceId, checkId });
  return call.json(true);
}

/** Throws what Consul's vetDeregisterWithACL gives. */
function requireRightsToDeregister(
  rights: Authorizer,
  what: { node: string; serviceId: string; checkId: string },
  reader: CatalogReader,
): void {
  if (rights.nodeWrite(what.node)) return;
  if (what.serviceId !== "") {
    const service = reader.service(what.node, what.serviceId);
    if (service === undefined) throw new HttpError(500, `Unknown service '${what.serviceId}'`);
    if (!rights.serviceWrite(service.service)) throw denied();
  } else if (what.checkId !== "") {
    const check = reader.check(what.node, what.checkId);
    if (check === undefined) throw new HttpError(500, `Unknown check '${what.checkId}'`);
    if (check.serviceId === "" || !rights.serviceWrite(check.serviceName)) throw denied();
  } else throw denied();
}

function denied(): HttpError {
  return new HttpError(403, "Permission denied");
}
