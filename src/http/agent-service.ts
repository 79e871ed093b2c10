/** /v1/agent/service(s) and /v1/agent/maintenance: the services registered with this agent. */
import { contentHash } from "../cluster/content-hash.ts";
import { parseService } from "../cluster/definition.ts";
import type { LocalService } from "../cluster/local.ts";
import { localTopic, type LocalAgent } from "../cluster/local-agent.ts";
import { answerResult, requireServiceWrite } from "./agent-rights.ts";
import { parseBoolean } from "../boolean.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";
import { agentServiceFields } from "./fields.ts";
import { hold, holdUntilMs, parseReadOptions } from "./read.ts";
import { requireRight } from "./rights.ts";
import { filterOf } from "./select.ts";
import { toAgentService } from "./shapes.ts";

/** Routes of local services and of maintenance. */
export function serviceRoutes(local: LocalAgent): readonly Route[] {
  return [
    route(["GET"], "/v1/agent/services", (call) => answerServices(call, local)),
    route(["GET"], "/v1/agent/service/", (call) => answerService(call, local)),
    route(["PUT"], "/v1/agent/service/register", (call) => answerRegister(call, local)),
    route(["PUT"], "/v1/agent/service/deregister/", (call) => answerDeregister(call, local)),
    route(["PUT"], "/v1/agent/service/maintenance/", (call) => answerMaintenance(call, local)),
    route(["PUT"], "/v1/agent/maintenance", (call) => answerNodeMaintenance(call, local)),
  ];
}

/** AgentService, with the Connect blocks that were given. */
export function shownService({ fields }: LocalService, datacenter: string) {
  return {
    ...toAgentService(fields, datacenter),
    ...(fields.proxy === null ? {} : { Proxy: fields.proxy }),
    ...(fields.connect === null ? {} : { Connect: fields.connect }),
  };
}

/** With ACLs on, a change needs the service to be known and writable; without, nothing. */
function requireKnownWritable(call: Call, local: LocalAgent, id: string): void {
  if (!call.deps.acl.enabled) return;
  call.authorizer(); // an unknown token is told first
  const service = local.services.get(id);
  if (service === undefined) throw new HttpError(500, `Unknown service ${JSON.stringify(id)}`);
  requireServiceWrite(call, service.fields.service);
}

function answerServices(call: Call, local: LocalAgent): Reply {
  const rights = call.authorizer();
  const passes = filterOf(call, agentServiceFields);
  const shown = [...local.services]
    .filter(([, { fields }]) => rights.serviceRead(fields.service))
    .map(([id, service]) => [id, shownService(service, call.deps.info.datacenter)] as const)
    .filter(([, service]) => passes(service));
  return call.json(Object.fromEntries(shown));
}

/** `?hash` holds while the content is the same, up to `?wait`. */
async function answerService(call: Call, local: LocalAgent): Promise<Response> {
  const { waitMs } = parseReadOptions(call);
  const wanted = call.query("hash");
  const untilMs = wanted === "" ? 0 : holdUntilMs(call, waitMs);
  const id = call.argument;
  for (let isOver = wanted === ""; ;) {
    const service = local.services.get(id);
    if (service === undefined) throw new HttpError(404, `unknown service ID: ${id}`);
    requireRight(call.authorizer().serviceRead(service.fields.service));
    const shown = shownService(service, call.deps.info.datacenter);
    const hash = contentHash(shown);
    if (isOver || hash !== wanted) {
      call.setHeader("X-Consul-ContentHash", hash);
      return call.json({ ...shown, ContentHash: hash });
    }
    isOver = (await hold(call, [localTopic(id)], untilMs)) !== "changed";
  }
}

async function answerRegister(call: Call, local: LocalAgent): Promise<Response> {
  const parsed = parseService(await call.readJson());
  if (!parsed.ok) throw new HttpError(parsed.error.status, parsed.error.text);
  const service = parsed.value;
  requireServiceWrite(call, service.fields.service);
  const previous = local.services.get(service.fields.id);
  if (previous) requireServiceWrite(call, previous.fields.service);
  const replace = call.query("replace-existing-checks");
  const replaces = call.has("replace-existing-checks") && (replace === "" || replace === "true");
  const token = call.token() ?? service.token;
  return answerResult(call, await local.registerService({ ...service, token }, replaces));
}

async function answerDeregister(call: Call, local: LocalAgent): Promise<Response> {
  const id = call.argument;
  requireKnownWritable(call, local, id);
  if (id === "") throw new HttpError(500, "ServiceID missing");
  return answerResult(call, await local.deregisterService(id));
}

async function answerMaintenance(call: Call, local: LocalAgent): Promise<Response> {
  const serviceId = call.argument;
  if (serviceId === "") throw new HttpError(400, "Missing service ID");
  const enable = readEnable(call);
  requireKnownWritable(call, local, serviceId);
  if (!local.services.has(serviceId))
    throw new HttpError(404, `No service registered with ID ${JSON.stringify(serviceId)}`);
  const reason = call.query("reason");
  const token = call.token() ?? "";
  return answerResult(call, await local.setMaintenance({ serviceId, enable, reason, token }));
}

async function answerNodeMaintenance(call: Call, local: LocalAgent): Promise<Response> {
  const enable = readEnable(call);
  requireRight(call.authorizer().nodeWrite(call.deps.info.nodeName));
  const [reason, token] = [call.query("reason"), call.token() ?? ""];
  return answerResult(call, await local.setMaintenance({ enable, reason, token }));
}

/** `?enable=` in the words of Go's strconv.ParseBool. */
function readEnable(call: Call): boolean {
  if (!call.has("enable")) throw new HttpError(400, "Missing value for enable");
  const word = call.query("enable");
  const enable = parseBoolean(word);
  if (enable === undefined)
    throw new HttpError(400, `Invalid value for enable: ${JSON.stringify(word)}`);
  return enable;
}
