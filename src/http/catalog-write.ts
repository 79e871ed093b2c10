/** PUT /v1/catalog/register and deregister: what Consul checks before the log, then a command. */
import type { Authorizer } from "../cluster/acl.ts";
import type { CheckFields, NodeFields, RegisterCommand } from "../cluster/command.ts";
import type { Decoded } from "../cluster/decode.ts";
import { isAnyAddress } from "../cluster/service-address.ts";
import type { CatalogReader } from "../cluster/model.ts";
import { sameNode } from "../cluster/same.ts";
import { HttpError, type Call } from "./call.ts";
import { checkShape, serviceShape, toCheckFields, toServiceFields } from "./catalog-body.ts";
import { requireRight } from "./rights.ts";
import { nodeIdProblem } from "./uuid.ts";

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
    checks: checks.map((check) => requireCheck(check, body.Node)),
  };
}

function problemOfRegistration(body: RegisterBody): string | undefined {
  if (body.Node === "") return "Must provide node";
  const idProblem = body.ID === "" ? undefined : nodeIdProblem(body.ID);
  if (idProblem !== undefined) return idProblem;
  if (body.Address === "" && !body.SkipNodeUpdate)
    return "Must provide address if SkipNodeUpdate is not set";
  if (body.Service === null) return undefined;
  const { ID, Service, Address } = body.Service;
  if (Service === "" && ID !== "") return "Must provide service name with ID";
  if (Service === "") return "Must provide service name";
  return isAnyAddress(Address) ? "Invalid service address" : undefined;
}

function requireCheck(body: RegisterBody["Check"] & object, node: string): CheckFields {
  if (body.Node !== "" && body.Node.toLowerCase() !== node.toLowerCase())
    throw new HttpError(
      500,
      `check node ${JSON.stringify(body.Node)} does not match node ${JSON.stringify(node)}`,
    );
  const check = toCheckFields(body);
  if (check.checkId === "") throw new HttpError(500, "Must provide check name or ID");
  return check;
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
  requireRight(!changesNode || rights.nodeWrite(name));
  if (service !== null) {
    requireRight(rights.serviceWrite(service.service));
    const replaced = reader.service(name, service.id);
    requireRight(replaced === undefined || rights.serviceWrite(replaced.service));
  }
  for (const { serviceId, checkId } of command.checks) {
    if (serviceId === "") {
      requireRight(rights.nodeWrite(name));
    } else if (serviceId !== service?.id) {
      const other = reader.service(name, serviceId);
      if (other === undefined)
        throw new HttpError(500, `Unknown service '${serviceId}' for check '${checkId}'`);
      requireRight(rights.serviceWrite(other.service));
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
    requireRight(rights.serviceWrite(service.service));
  } else if (what.checkId !== "") {
    const check = reader.check(what.node, what.checkId);
    if (check === undefined) throw new HttpError(500, `Unknown check '${what.checkId}'`);
    requireRight(check.serviceId !== "" && rights.serviceWrite(check.serviceName));
  } else requireRight(false);
}
