/** Records of the catalog as Consul's API shows them (1.10; spec/http.md section 4). */
import type {
  CheckRecord,
  NodeRecord,
  QueryRecord,
  ServiceRecord,
  SessionRecord,
  TaggedAddress,
} from "../cluster/model.ts";
import type { CheckFields, ServiceFields } from "../cluster/command.ts";

/** Node of catalog/nodes, catalog/node and health/service. */
export function toNode(node: NodeRecord, datacenter: string) {
  return {
    ID: node.id,
    Node: node.node,
    Address: node.address,
    Datacenter: datacenter,
    TaggedAddresses: node.taggedAddresses,
    Meta: node.meta,
    CreateIndex: node.createIndex,
    ModifyIndex: node.modifyIndex,
  };
}

/** NodeService: a service below its node. */
export function toNodeService(service: ServiceRecord) {
  return {
    ...(service.kind === "" ? {} : { Kind: service.kind }),
    ID: service.id,
    Service: service.service,
    Tags: service.tags,
    Address: service.address,
    ...taggedAddresses("TaggedAddresses", service.taggedAddresses),
    Meta: service.meta,
    ...(service.port === 0 ? {} : { Port: service.port }),
    ...(service.socketPath === "" ? {} : { SocketPath: service.socketPath }),
    Weights: toWeights(service),
    EnableTagOverride: service.enableTagOverride,
    Proxy: service.proxy ?? {},
    Connect: service.connect ?? {},
    CreateIndex: service.createIndex,
    ModifyIndex: service.modifyIndex,
  };
}

/** ServiceNode of catalog/service: node and service in one flat object. */
export function toServiceNode(node: NodeRecord, service: ServiceRecord, datacenter: string) {
  return {
    ID: node.id,
    Node: node.node,
    Address: node.address,
    Datacenter: datacenter,
    TaggedAddresses: node.taggedAddresses,
    NodeMeta: node.meta,
    ServiceKind: service.kind,
    ServiceID: service.id,
    ServiceName: service.service,
    ServiceTags: service.tags,
    ServiceAddress: service.address,
    ...taggedAddresses("ServiceTaggedAddresses", service.taggedAddresses),
    ServiceWeights: toWeights(service),
    ServiceMeta: service.meta ?? {},
    ServicePort: service.port,
    ServiceSocketPath: service.socketPath,
    ServiceEnableTagOverride: service.enableTagOverride,
    ServiceProxy: service.proxy ?? {},
    ServiceConnect: service.connect ?? {},
    CreateIndex: service.createIndex,
    ModifyIndex: service.modifyIndex,
  };
}

/** HealthCheck of health/* and agent/checks. */
export function toHealthCheck(check: CheckRecord) {
  return {
    Node: check.node,
    CheckID: check.checkId,
    Name: check.name,
    Status: check.status,
    Notes: check.notes,
    Output: check.output,
    ServiceID: check.serviceId,
    ServiceName: check.serviceName,
    ServiceTags: check.serviceTags,
    Type: check.type,
    Interval: check.interval,
    Timeout: check.timeout,
    ExposedPort: check.exposedPort,
    Definition: check.definition,
    CreateIndex: check.createIndex,
    ModifyIndex: check.modifyIndex,
  };
}

/** The check of a local service or node, which has no indexes yet. */
export function toLocalCheck(
  node: string,
  check: CheckFields,
  service: { service: string; tags: readonly string[] } | undefined,
) {
  return toHealthCheck({
    ...check,
    node,
    serviceName: service?.service ?? "",
    serviceTags: service?.tags ?? [],
    createIndex: 0,
    modifyIndex: 0,
  });
}

/** AgentService of agent/services; agent/service/<id> adds ContentHash. */
export function toAgentService(service: ServiceFields, datacenter: string) {
  return {
    ...(service.kind === "" ? {} : { Kind: service.kind }),
    ID: service.id,
    Service: service.service,
    Tags: service.tags,
    Meta: service.meta ?? {},
    Port: service.port,
    Address: service.address,
    ...taggedAddresses("TaggedAddresses", service.taggedAddresses),
    ...(service.socketPath === "" ? {} : { SocketPath: service.socketPath }),
    Weights: toWeights(service),
    EnableTagOverride: service.enableTagOverride,
    Datacenter: datacenter,
  };
}

function toWeights({ weights }: Pick<ServiceFields, "weights">) {
  return { Passing: weights.passing, Warning: weights.warning };
}

/** Left out when there are none. */
function taggedAddresses<K extends string>(
  key: K,
  addresses: Readonly<Record<string, TaggedAddress>> | null,
): Partial<Record<K, Record<string, { Address: string; Port: number }>>> {
  if (addresses === null || Object.keys(addresses).length === 0) return {};
  const shown = Object.fromEntries(
    Object.entries(addresses).map(([tag, { address, port }]) => [
      tag,
      { Address: address, Port: port },
    ]),
  );
  return { [key]: shown } as Record<K, typeof shown>;
}

/** Session of session/*; LockDelay in nanoseconds. */
export function toSession(session: SessionRecord) {
  return {
    ID: session.id,
    Name: session.name,
    Node: session.node,
    LockDelay: Math.round(session.lockDelayMs * 1e6),
    Behavior: session.behavior,
    TTL: session.ttl,
    NodeChecks: session.nodeChecks,
    ServiceChecks:
      session.serviceChecks?.map(({ id, namespace }) => ({ ID: id, Namespace: namespace })) ?? null,
    ...(session.checks === null || session.checks.length === 0 ? {} : { Checks: session.checks }),
    CreateIndex: session.createIndex,
    ModifyIndex: session.modifyIndex,
  };
}

/** Prepared query of /v1/query; `token` is shown as given (callers hide it from those who may not see it). */
export function toQuery(query: QueryRecord, token: string) {
  const { template, service } = query;
  return {
    ID: query.id,
    Name: query.name,
    Session: query.session,
    Token: token,
    Template: {
      Type: template.type,
      Regexp: template.regexp,
      RemoveEmptyTags: template.removeEmptyTags,
    },
    Service: {
      Service: service.service,
      Failover: {
        NearestN: service.failover.nearestN,
        Datacenters: service.failover.datacenters,
      },
      OnlyPassing: service.onlyPassing,
      IgnoreCheckIDs: service.ignoreCheckIds,
      Near: service.near,
      Tags: service.tags,
      NodeMeta: service.nodeMeta,
      ServiceMeta: service.serviceMeta,
      Connect: service.connect,
    },
    DNS: { TTL: query.dns.ttl },
    CreateIndex: query.createIndex,
    ModifyIndex: query.modifyIndex,
  };
}
