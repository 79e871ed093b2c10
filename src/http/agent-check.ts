/** /v1/agent/check(s): the checks registered with this agent. */
import { decodeShape } from "../cluster/decode.ts";
import { isStatus, parseCheck } from "../cluster/definition.ts";
import type { LocalCheck } from "../cluster/local.ts";
import type { LocalAgent } from "../cluster/local-agent.ts";
import { answerResult, requireNodeWrite, requireServiceWrite } from "./agent-rights.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";
import { healthCheckFields } from "./fields.ts";
import { filterOf } from "./select.ts";
import { toLocalCheck } from "./shapes.ts";

/** Routes of local checks. */
export function checkRoutes(local: LocalAgent): readonly Route[] {
  const set = (word: string, status: string) =>
    route(["PUT"], `/v1/agent/check/${word}/`, (call) =>
      setTtl(call, local, { status, output: call.query("note") }),
    );
  return [
    route(["GET"], "/v1/agent/checks", (call) => answerChecks(call, local)),
    route(["PUT"], "/v1/agent/check/register", (call) => answerRegister(call, local)),
    route(["PUT"], "/v1/agent/check/deregister/", (call) => answerDeregister(call, local)),
    route(["PUT"], "/v1/agent/check/update/", (call) => answerUpdate(call, local)),
    set("pass", "passing"),
    set("warn", "warning"),
    set("fail", "critical"),
  ];
}

function serviceOf(local: LocalAgent, serviceId: string) {
  return local.services.get(serviceId)?.fields;
}

function answerChecks(call: Call, local: LocalAgent): Reply {
  const rights = call.authorizer();
  const node = call.deps.info.nodeName;
  const passes = filterOf(call, healthCheckFields);
  const mayRead = ({ fields }: LocalCheck) => {
    const service = serviceOf(local, fields.serviceId);
    return service ? rights.serviceRead(service.service) : rights.nodeRead(node);
  };
  const shown = [...local.checks]
    .filter(([, check]) => mayRead(check))
    .map(([id, { fields }]) => {
      return [id, toLocalCheck(node, fields, serviceOf(local, fields.serviceId))] as const;
    })
    .filter(([, check]) => passes(check));
  return call.json(Object.fromEntries(shown));
}

/** A check of a service needs that service, a check of the node the node. */
function requireCheckWrite(call: Call, local: LocalAgent, serviceId: string): void {
  const service = serviceOf(local, serviceId);
  if (service) requireServiceWrite(call, service.service);
  else requireNodeWrite(call);
}

/** With ACLs on, a change needs the check to be known and writable; without, nothing. */
function requireKnownWritable(call: Call, local: LocalAgent, id: string): void {
  if (!call.deps.acl.enabled) return;
  call.authorizer(); // an unknown token is told first
  const check = local.checks.get(id);
  if (check === undefined) throw new HttpError(500, `Unknown check ${JSON.stringify(id)}`);
  requireCheckWrite(call, local, check.fields.serviceId);
}

async function answerRegister(call: Call, local: LocalAgent): Promise<Response> {
  const parsed = parseCheck(await call.readJson());
  if (!parsed.ok) throw new HttpError(parsed.error.status, parsed.error.text);
  const check = parsed.value;
  if (check.serviceId !== "" && !local.services.has(check.serviceId))
    throw new HttpError(500, `ServiceID ${JSON.stringify(check.serviceId)} does not exist`);
  requireCheckWrite(call, local, check.serviceId);
  const previous = local.checks.get(check.checkId);
  if (previous) requireCheckWrite(call, local, previous.fields.serviceId);
  const token = call.token() ?? check.token;
  return answerResult(call, await local.registerCheck({ ...check, token }));
}

async function answerDeregister(call: Call, local: LocalAgent): Promise<Response> {
  const id = call.argument;
  requireKnownWritable(call, local, id);
  if (id === "") throw new HttpError(500, "CheckID missing");
  return answerResult(call, await local.deregisterCheck(id));
}

const updateShape = { struct: { Status: "string", Output: "string" } } as const;

async function answerUpdate(call: Call, local: LocalAgent): Promise<Response> {
  const body = decodeShape(updateShape, await call.readJson());
  if (!body.ok) throw new HttpError(400, `Request decode failed: ${body.error}`);
  const { Status: status, Output: output } = body.value;
  if (!isStatus(status)) throw new HttpError(400, `Invalid check status: '${status}'`);
  return setTtl(call, local, { status, output });
}

async function setTtl(
  call: Call,
  local: LocalAgent,
  update: { status: string; output: string },
): Promise<Response> {
  const id = call.argument;
  requireKnownWritable(call, local, id);
  return answerResult(call, await local.updateTtl(id, update.status, update.output));
}
