/** Which instances of a service may be named, and with what weight. */
import type { CheckRecord, ServiceRecord } from "../cluster/model.ts";
import type { Instance } from "../cluster/query-execute.ts";
import type { Reading } from "./reading.ts";

/**
 * Instances of a service (lower-case name and tag, "" for any tag) that are readable and have no
 * critical check (with `only_passing`: none but passing ones), in storage order.
 */
export function usableInstances(reading: Reading, service: string, tag: string): Instance[] {
  const { catalog, authorizer, settings } = reading;
  reading.topics.push(`service:${service}`);
  const usable: Instance[] = [];
  for (const record of catalog.instancesOf(service)) {
    if (tag !== "" && !hasTag(record, tag)) continue;
    const checks = catalog.checksOfInstance(record.node, record.id);
    if (!isUsable(checks, settings.onlyPassing)) continue;
    if (!authorizer.serviceRead(record.service) || !authorizer.nodeRead(record.node)) continue;
    const node = catalog.node(record.node);
    if (node !== undefined) usable.push({ node, service: record, checks });
  }
  return usable;
}

function hasTag({ tags }: ServiceRecord, lowerTag: string): boolean {
  return tags.some((tag) => tag.length === lowerTag.length && tag.toLowerCase() === lowerTag);
}

function isUsable(checks: readonly CheckRecord[], onlyPassing: boolean): boolean {
  for (const { status } of checks)
    if (status === "critical" || (onlyPassing && status !== "passing")) return false;
  return true;
}

/**
 * Weight of the instance's SRV record (Consul 1.10 `findWeight`): that of the worst state among its
 * checks; 0 if critical or in maintenance, 1 for a state that has no name.
 */
export function instanceWeight({ service, checks }: Instance): number {
  let state = "passing";
  for (const { checkId, status } of checks) {
    if (checkId === "_node_maintenance" || checkId.startsWith("_service_maintenance:")) return 0;
    if (status === "critical") state = "critical";
    else if (status === "warning") state = state === "critical" ? state : "warning";
    else if (status !== "passing") return 1;
  }
  if (state === "critical") return 0;
  return state === "warning" ? service.weights.warning : service.weights.passing;
}
