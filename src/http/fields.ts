/** Fields that filter expressions may name, per shape (Consul 1.10; spec/http.md section 5). */
import type { Fields } from "./filter.ts";

const textMap: Fields = { map: "text" };
const addressMap: Fields = { map: { members: { Address: "text", Port: "integer" } } };
const weights: Fields = { members: { Passing: "integer", Warning: "integer" } };

/** Members of Node. */
export const nodeFields: Fields = {
  members: {
    ID: "text",
    Node: "text",
    Address: "text",
    Datacenter: "text",
    TaggedAddresses: textMap,
    Meta: textMap,
  },
};

/** Members of NodeService. */
export const nodeServiceFields: Fields = {
  members: {
    Kind: "text",
    ID: "text",
    Service: "text",
    Tags: "texts",
    Address: "text",
    TaggedAddresses: addressMap,
    Meta: textMap,
    Port: "integer",
    SocketPath: "text",
    Weights: weights,
    EnableTagOverride: "boolean",
  },
};

/** Members of AgentService. */
export const agentServiceFields: Fields = {
  members: { ...nodeServiceFields.members, ContentHash: "text", Datacenter: "text" },
};

/** Members of ServiceNode. */
export const serviceNodeFields: Fields = {
  members: {
    ID: "text",
    Node: "text",
    Address: "text",
    Datacenter: "text",
    TaggedAddresses: textMap,
    NodeMeta: textMap,
    ServiceKind: "text",
    ServiceID: "text",
    ServiceName: "text",
    ServiceTags: "texts",
    ServiceAddress: "text",
    ServiceTaggedAddresses: addressMap,
    ServiceWeights: weights,
    ServiceMeta: textMap,
    ServicePort: "integer",
    ServiceSocketPath: "text",
    ServiceEnableTagOverride: "boolean",
  },
};

/** Members of HealthCheck. */
export const healthCheckFields: Fields = {
  members: {
    Node: "text",
    CheckID: "text",
    Name: "text",
    Status: "text",
    Notes: "text",
    Output: "text",
    ServiceID: "text",
    ServiceName: "text",
    ServiceTags: "texts",
    Type: "text",
    Interval: "text",
    Timeout: "text",
    ExposedPort: "integer",
  },
};

/** Members of an entry of health/service. */
export const healthServiceFields: Fields = {
  members: { Node: nodeFields, Service: nodeServiceFields, Checks: { each: healthCheckFields } },
};

/** A member of agent/members. */
export const memberFields: Fields = {
  members: {
    Name: "text",
    Addr: "text",
    Port: "integer",
    Tags: textMap,
    Status: "integer",
    ProtocolMin: "integer",
    ProtocolMax: "integer",
    ProtocolCur: "integer",
    DelegateMin: "integer",
    DelegateMax: "integer",
    DelegateCur: "integer",
  },
};
