/**
 * The services and checks that this agent registered itself: rules of registration, replacement,
 * maintenance and status updates. Functions change the state in place and say what is to be done,
 * in this order of importance: what to write to the catalog, to disk, which checks to run.
 * Source: Consul 1.10.12 as recorded (agent-*.json) and its local state.
 */
import { fail, ok, type Result } from "../base.ts";
import type { CheckFields, ServiceFields } from "./command.ts";
import {
  fieldsOfCheck,
  fieldsOfServiceChecks,
  newCheckFields,
  type CheckDefinition,
  type ServiceDefinition,
  type Source,
} from "./definition.ts";
import { sameJson } from "./same.ts";

/** A service that was registered with this agent. */
export type LocalService = {
  readonly fields: ServiceFields;
  readonly token: string;
  readonly source: Source;
};

/** A check that was registered with this agent, or a maintenance mode. */
export type LocalCheck = {
  /** As the catalog should have it; status and output are the newest ones. */
  readonly fields: CheckFields;
  /** How it runs; null for maintenance checks. */
  readonly definition: CheckDefinition | null;
  readonly token: string;
  readonly source: Source;
  /** Monotonic time since when updates say critical; undefined while they do not. */
  readonly criticalSinceMs: number | undefined;
  /** The newest output is not to be written to the catalog yet. */
  readonly isOutputDeferred: boolean;
};

/** What is registered here, by id. */
export type LocalState = {
  readonly services: Map<string, LocalService>;
  readonly checks: Map<string, LocalCheck>;
  /** Ids of the checks of each service that has some. */
  readonly checkIds: Map<string, Set<string>>;
};

/** What is to be done after a change. Ids are those of `services` or `checks`. */
export type LocalOutput =
  | { type: "sync-service" | "save-service" | "drop-service" | "service-changed"; id: string }
  | { type: "sync-check" | "sync-status" | "save-check"; id: string }
  | { type: "drop-check" | "drop-status"; id: string }
  | { type: "start-check" | "stop-check" | "defer-output"; id: string };

/** State without any service or check. */
export function newLocalState(): LocalState {
  return { services: new Map(), checks: new Map(), checkIds: new Map() };
}

const NODE_MAINTENANCE = "_node_maintenance";

/** Check id of node maintenance, or of the maintenance of one service. */
function maintenanceCheckId(serviceId?: string): string {
  return serviceId === undefined ? NODE_MAINTENANCE : `_service_maintenance:${serviceId}`;
}

/** Ids of the checks of one service, in the order of their registration. */
export function checkIdsOf(state: Pick<LocalState, "checkIds">, serviceId: string): string[] {
  return [...(state.checkIds.get(serviceId) ?? [])];
}

function joinService({ checkIds }: LocalState, serviceId: string, checkId: string): void {
  const ids = checkIds.get(serviceId);
  if (ids !== undefined) ids.add(checkId);
  else if (serviceId !== "") checkIds.set(serviceId, new Set([checkId]));
}

function leaveService({ checkIds }: LocalState, serviceId: string, checkId: string): void {
  const ids = checkIds.get(serviceId);
  ids?.delete(checkId);
  if (ids?.size === 0) checkIds.delete(serviceId);
}

/**
 * Adds or replaces a service and the checks in its definition. A check that was there keeps status
 * and output, so that a repeated registration does not flap. Checks of the service that are not
 * mentioned stay, unless `replaceExistingChecks`; its maintenance mode stays in any case.
 */
export function registerService(
  state: LocalState,
  service: ServiceDefinition,
  options: { source: Source; replaceExistingChecks: boolean },
): LocalOutput[] {
  const { source } = options;
  const { id } = service.fields;
  state.services.set(id, { fields: service.fields, token: service.token, source });
  const outputs: LocalOutput[] = [
    { type: "sync-service", id },
    { type: "service-changed", id },
  ];
  const checks = fieldsOfServiceChecks(service);
  const owner = { serviceId: id, token: service.token };
  for (const [i, fields] of checks.entries())
    outputs.push(...putCheck(state, fields, { ...service.checks[i]!, ...owner }, source));
  // After its checks: a write that was cut off leaves no service behind that looks healthy without them.
  outputs.push({ type: source === "api" ? "save-service" : "drop-service", id });
  if (!options.replaceExistingChecks) return outputs;
  const kept = new Set([...checks.map(({ checkId }) => checkId), maintenanceCheckId(id)]);
  for (const checkId of checkIdsOf(state, id))
    if (!kept.has(checkId)) outputs.push(...removeCheck(state, checkId));
  return outputs;
}

/** Adds or replaces one check. The error is Consul's: the service it belongs to is unknown. */
export function registerCheck(
  state: LocalState,
  check: CheckDefinition,
  source: Source,
): Result<LocalOutput[], string> {
  if (check.serviceId !== "" && !state.services.has(check.serviceId))
    return fail(`ServiceID ${JSON.stringify(check.serviceId)} does not exist`);
  return ok(putCheck(state, fieldsOfCheck(check, source), check, source));
}

function putCheck(
  state: LocalState,
  fields: CheckFields,
  definition: CheckDefinition | null,
  source: Source,
  token = definition?.token ?? "",
): LocalOutput[] {
  const id = fields.checkId;
  const previous = state.checks.get(id);
  const { status, output } = previous?.fields ?? fields;
  // A reload does not prolong a TTL, nor the time that a service may be critical. Registering by API
  // does, as in Consul: whoever still registers a service wants it.
  const goesOn =
    source === "config" &&
    previous?.source === "config" &&
    sameJson(previous.definition, definition);
  if (previous !== undefined) leaveService(state, previous.fields.serviceId, id);
  joinService(state, fields.serviceId, id);
  state.checks.set(id, {
    fields: { ...fields, status, output },
    definition,
    token,
    source,
    criticalSinceMs: goesOn ? previous.criticalSinceMs : undefined,
    isOutputDeferred: goesOn && previous.isOutputDeferred,
  });
  const outputs: LocalOutput[] = [
    { type: "sync-check", id },
    { type: source === "api" ? "save-check" : "drop-check", id },
  ];
  if (!goesOn) outputs.push({ type: "start-check", id });
  return outputs;
}

/** Removes a service and its checks; an unknown id does nothing. */
export function removeService(state: LocalState, id: string): LocalOutput[] {
  if (!state.services.delete(id)) return [];
  const outputs = checkIdsOf(state, id).flatMap((checkId) => removeCheck(state, checkId));
  return [
    { type: "sync-service", id },
    { type: "drop-service", id },
    { type: "service-changed", id },
    ...outputs,
  ];
}

/** Removes a check; an unknown id does nothing. */
export function removeCheck(state: LocalState, id: string): LocalOutput[] {
  const check = state.checks.get(id);
  if (check === undefined) return [];
  state.checks.delete(id);
  leaveService(state, check.fields.serviceId, id);
  return [
    { type: "sync-check", id },
    { type: "drop-check", id },
    { type: "drop-status", id },
    { type: "stop-check", id },
  ];
}

/**
 * Sets status and output of a check. A new status is written at once; a new output alone is
 * deferred (`defer-output`, once until it is due) when `checkUpdateIntervalMs` is above 0.
 */
export function updateCheck(
  state: LocalState,
  id: string,
  found: { status: string; output: string },
  options: { nowMs: number; checkUpdateIntervalMs: number; discardOutput: boolean },
): LocalOutput[] {
  const check = state.checks.get(id);
  if (check === undefined) return [];
  const { status } = found;
  const output = options.discardOutput ? "" : found.output;
  const criticalSinceMs =
    status === "critical" ? (check.criticalSinceMs ?? options.nowMs) : undefined;
  const fields = { ...check.fields, status, output };
  const same = check.fields.status === status && check.fields.output === output;
  const defers = options.checkUpdateIntervalMs > 0 && check.fields.status === status && !same;
  const isOutputDeferred = same ? check.isOutputDeferred : defers;
  state.checks.set(id, { ...check, fields, criticalSinceMs, isOutputDeferred });
  if (same) return [];
  if (!defers) return [{ type: "sync-status", id }];
  return check.isOutputDeferred ? [] : [{ type: "defer-output", id }];
}

/** The time of a deferred output has come. */
export function outputDue(state: LocalState, id: string): LocalOutput[] {
  const check = state.checks.get(id);
  if (check === undefined || !check.isOutputDeferred) return [];
  state.checks.set(id, { ...check, isOutputDeferred: false });
  return [{ type: "sync-status", id }];
}

/**
 * Node maintenance (no `serviceId`) or that of a service, on or off. Turning on what is on keeps
 * the first reason. The error is the text for an unknown service.
 */
export function setMaintenance(
  state: LocalState,
  target: { serviceId?: string; enable: boolean; reason: string; token?: string },
): Result<LocalOutput[], string> {
  const { serviceId, enable, reason, token = "" } = target;
  if (serviceId !== undefined && !state.services.has(serviceId))
    return fail(`No service registered with ID ${JSON.stringify(serviceId)}`);
  const checkId = maintenanceCheckId(serviceId);
  if (!enable) return ok(removeCheck(state, checkId));
  if (state.checks.has(checkId)) return ok([]);
  const scope = serviceId === undefined ? "node" : "service";
  const fields = maintenanceFields(serviceId, reason || defaultReason(scope));
  return ok(putCheck(state, fields, null, "api", token));
}

function maintenanceFields(serviceId: string | undefined, notes: string): CheckFields {
  return {
    ...newCheckFields,
    checkId: maintenanceCheckId(serviceId),
    name: serviceId === undefined ? "Node Maintenance Mode" : "Service Maintenance Mode",
    notes,
    serviceId: serviceId ?? "",
    type: "maintenance",
  };
}

function defaultReason(scope: "node" | "service"): string {
  return `Maintenance mode is enabled for this ${scope}, but no reason was provided. This is a default message.`;
}

/** Puts back a check from disk. Its status starts as critical (Consul's choice: nobody knows yet). */
export function restoreCheck(
  state: LocalState,
  stored: { fields: CheckFields; definition: CheckDefinition | null; token: string },
): Result<LocalOutput[], string> {
  const { fields, definition, token } = stored;
  if (fields.serviceId !== "" && !state.services.has(fields.serviceId))
    return fail(`ServiceID ${JSON.stringify(fields.serviceId)} does not exist`);
  const unknown = { ...fields, status: "critical", output: "" };
  return ok(putCheck(state, unknown, definition, "api", token));
}

/**
 * Makes the entries from configuration exactly these: others that came from configuration go, those
 * registered by API stay, unless configuration now defines the same id. Errors name what was left out.
 */
export function applyConfiguration(
  state: LocalState,
  config: { services: readonly ServiceDefinition[]; checks: readonly CheckDefinition[] },
): { outputs: LocalOutput[]; errors: string[] } {
  const outputs: LocalOutput[] = [];
  const errors: string[] = [];
  const serviceIds = new Set(config.services.map(({ fields }) => fields.id));
  const checkIds = new Set(config.checks.map(({ checkId }) => checkId));
  for (const service of config.services)
    for (const { checkId } of fieldsOfServiceChecks(service)) checkIds.add(checkId);
  for (const [id, { source }] of state.services)
    if (source === "config" && !serviceIds.has(id)) outputs.push(...removeService(state, id));
  for (const [id, { source }] of state.checks)
    if (source === "config" && !checkIds.has(id)) outputs.push(...removeCheck(state, id));
  for (const service of config.services)
    outputs.push(
      ...registerService(state, service, { source: "config", replaceExistingChecks: false }),
    );
  for (const check of config.checks) {
    const registered = registerCheck(state, check, "config");
    if (registered.ok) outputs.push(...registered.value);
    else errors.push(`check ${JSON.stringify(check.checkId)}: ${registered.error}`);
  }
  return { outputs, errors };
}

/** deregister_critical_service_after below this is raised to it. Consul: CheckDeregisterIntervalMin. */
export const MIN_DEREGISTER_AFTER_MS = 60_000;

/** Services with a check that has been critical for longer than it allows. */
export function overdueServices(state: LocalState, nowMs: number): string[] {
  const overdue = new Set<string>();
  for (const { fields, definition, criticalSinceMs } of state.checks.values()) {
    const afterMs = definition?.deregisterCriticalServiceAfterMs ?? 0;
    if (afterMs <= 0 || fields.serviceId === "" || criticalSinceMs === undefined) continue;
    if (nowMs - criticalSinceMs > Math.max(afterMs, MIN_DEREGISTER_AFTER_MS))
      overdue.add(fields.serviceId);
  }
  return [...overdue];
}

/** Words of /v1/agent/health. */
export type AggregatedStatus = "passing" | "warning" | "critical" | "maintenance";

/** Health of one local instance: its checks and the node's own; maintenance is worst. */
export function healthOfService(
  state: { readonly checks: ReadonlyMap<string, LocalCheck> },
  serviceId: string,
): { status: AggregatedStatus; checks: LocalCheck[] } {
  const checks = [...state.checks.values()]
    .filter(({ fields }) => fields.serviceId === "" || fields.serviceId === serviceId)
    .sort((a, b) => (a.fields.checkId < b.fields.checkId ? -1 : 1));
  return { status: worstStatus(checks.map(({ fields }) => statusWord(fields))), checks };
}

function statusWord({ checkId, status }: CheckFields): AggregatedStatus {
  if (checkId === NODE_MAINTENANCE || checkId.startsWith("_service_maintenance:"))
    return "maintenance";
  return status === "passing" || status === "warning" ? status : "critical";
}

/** The worst of several: maintenance, critical, warning, passing; passing if there are none. */
export function worstStatus(statuses: readonly AggregatedStatus[]): AggregatedStatus {
  const order = ["maintenance", "critical", "warning"] as const;
  return order.find((word) => statuses.includes(word)) ?? "passing";
}
