/** /v1/agent/health/service: health of local services, as status code for load balancers. */
import { healthOfService, worstStatus, type AggregatedStatus } from "../cluster/local.ts";
import type { LocalCheck, LocalService } from "../cluster/local.ts";
import type { LocalAgent } from "../cluster/local-agent.ts";
import { shownService } from "./agent-service.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";
import { requireRight } from "./rights.ts";

/** Routes by id and by name. */
export function localHealthRoutes(local: LocalAgent): readonly Route[] {
  return [
    route(["GET"], "/v1/agent/health/service/id/", (call) => answerById(call, local)),
    route(["GET"], "/v1/agent/health/service/name/", (call) => answerByName(call, local)),
  ];
}

const codes: Record<AggregatedStatus, number> = {
  passing: 200,
  warning: 429,
  critical: 503,
  maintenance: 503,
};

function wantsText(call: Call): boolean {
  if ((call.header("Accept") ?? "").startsWith("text/plain")) return true;
  return call.query("format") === "text";
}

function answerById(call: Call, local: LocalAgent): Reply {
  const id = call.argument;
  if (id === "") throw new HttpError(500, "Bad request: Missing serviceID");
  const rights = call.authorizer();
  const service = local.services.get(id);
  if (service === undefined) {
    const reason = `ServiceId ${id} not found`;
    setReason(call, reason);
    if (wantsText(call)) return call.json(reason, 404);
    return call.json({ AggregatedStatus: "critical", Service: null, Checks: null }, 404);
  }
  requireRight(rights.serviceRead(service.fields.service));
  const health = healthOf(call, local, service);
  return answer(call, health.AggregatedStatus, health);
}

function answerByName(call: Call, local: LocalAgent): Reply {
  const name = call.argument;
  if (name === "") throw new HttpError(500, "Bad request: Missing service Name");
  requireRight(call.authorizer().serviceRead(name));
  const found = [...local.services.values()]
    .filter(({ fields }) => fields.service === name)
    .map((service) => healthOf(call, local, service));
  if (found.length > 0)
    return answer(call, worstStatus(found.map(({ AggregatedStatus: status }) => status)), found);
  const reason = `ServiceName ${name} Not Found`;
  setReason(call, reason);
  return wantsText(call) ? call.text(404, reason, "text/plain") : call.json([], 404);
}

function answer(call: Call, status: AggregatedStatus, body: unknown): Reply {
  setReason(call, status);
  if (wantsText(call)) return call.text(codes[status], status, "text/plain");
  return call.json(body, codes[status]);
}

/** The id may hold characters that a header may not; Go sends them as blanks. */
function setReason(call: Call, reason: string): void {
  call.setHeader("X-Consul-Reason", reason.replaceAll(/[^\x20-\x7e]/g, " "));
}

function healthOf(call: Call, local: LocalAgent, service: LocalService) {
  const { info } = call.deps;
  const { status, checks } = healthOfService(local, service.fields.id);
  return {
    AggregatedStatus: status,
    Service: shownService(service, info.datacenter),
    Checks: checks.map((check) => shownCheck(info.nodeName, check, local)),
  };
}

/** The shape of Consul's client library: no type, no tags, an empty definition spelled out. */
function shownCheck(node: string, { fields }: LocalCheck, local: LocalAgent) {
  return {
    Node: node,
    CheckID: fields.checkId,
    Name: fields.name,
    Status: fields.status,
    Notes: fields.notes,
    Output: fields.output,
    ServiceID: fields.serviceId,
    ServiceName: local.services.get(fields.serviceId)?.fields.service ?? "",
    ServiceTags: null,
    Type: "",
    Definition: {
      Interval: "0s",
      Timeout: "0s",
      DeregisterCriticalServiceAfter: "0s",
      HTTP: "",
      Header: null,
      Method: "",
      Body: "",
      TLSServerName: "",
      TLSSkipVerify: false,
      TCP: "",
      GRPC: "",
      GRPCUseTLS: false,
    },
    CreateIndex: 0,
    ModifyIndex: 0,
  };
}
