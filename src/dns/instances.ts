/** Which instances of a service may be named, and with what weight. */
import type { CheckRecord, ServiceRecord } from "../cluster/model.ts";
import type { Instance } from "../cluster/query-execute.ts";
import type { Reading } from "./reading.ts";

/**
 * Instances of a service (lower-case name and tag, "" for any tag) that are readable and have no
 * critical check (with `only_passing`: none but passing ones), in storage order.
 */
export function usableInstances(reading: Reading, service: string, tag: string): Instance[] {
  const { catalog, authorizer, settings, trace } = reading;
  const leftOut = { tag: 0, critical: 0, notPassing: 0, acl: 0 };
  reading.topics.push(`service:${service}`);
  const usable: Instance[] = [];
  for (const record of catalog.instancesOf(service)) {
    if (tag !== "" && !hasTag(record, tag)) {
      leftOut.tag++;
      continue;
    }
    const checks = catalog.checksOfInstance(record.node, record.id);
    const unfit = whyUnfit(checks, settings.onlyPassing);
    if (unfit !== undefined) {
      leftOut[unfit]++;
      continue;
    }
    if (!authorizer.serviceRead(record.service) || !authorizer.nodeRead(record.node)) {
      leftOut.acl++;
      continue;
    }
    const node = catalog.node(record.node);
    if (node !== undefined) usable.push({ node, service: record, checks });
  }
  if (trace !== undefined) {
    let instances = usable.length;
    for (const count of Object.values(leftOut)) instances += count;
    trace.add({ step: "service", service, tag, instances, usable: usable.length, leftOut });
  }
  return usable;
}

function hasTag({ tags }: ServiceRecord, lowerTag: string): boolean {
  return tags.some((tag) => tag.length === lowerTag.length && tag.toLowerCase() === lowerTag);
}

function whyUnfit(
  checks: readonly CheckRecord[],
  onlyPassing: boolean,
): "critical" | "notPassing" | undefined {
  let unfit: "notPassing" | undefined;
  for (const { status } of checks) {
    if (status === "critical") return "critical";
    if (onlyPassing && status !== "passing") unfit = "notPassing";
  }
  return unfit;
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
