/**
 * Service and node identities: rules that need no policy. Consul 1.10 agent/structs/acl.go has the
 * templates, agent/consul/acl_endpoint.go the texts.
 */
import type { AclGrants, AclNodeIdentity, AclServiceIdentity } from "./command.ts";
import { rulesOf, type Rules } from "./acl-rules.ts";

/** Lower case, digits, dashes and underscores, not at the ends; at most 256 characters. */
const IDENTITY_NAME = /^[a-z0-9](?:[a-z0-9_-]{0,254}[a-z0-9])?$/;
const ALLOWED = "Only alphanumeric characters, '-' and '_' are allowed";

/** Why these identities cannot be those of a token or a role; Consul's text. */
export function identityProblem(
  { serviceIdentities = [], nodeIdentities = [] }: AclGrants,
  holder: { kind: "token" | "role"; isLocal: boolean },
): string | undefined {
  const { kind } = holder;
  for (const { serviceName, datacenters } of serviceIdentities) {
    if (serviceName === "")
      return `Service identity is missing the service name field on this ${kind}`;
    const shown = `Service identity ${JSON.stringify(serviceName)}`;
    if (holder.isLocal && datacenters.length > 0)
      return `${shown} cannot specify a list of datacenters on a local token`;
    if (!IDENTITY_NAME.test(serviceName)) return `${shown} has an invalid name. ${ALLOWED}`;
  }
  for (const { nodeName, datacenter } of nodeIdentities) {
    if (nodeName === "") return `Node identity is missing the node name field on this ${kind}`;
    if (datacenter === "") return `Node identity is missing the datacenter field on this ${kind}`;
    if (!IDENTITY_NAME.test(nodeName)) return `Node identity has an invalid name. ${ALLOWED}`;
  }
  return undefined;
}

/**
 * The same identities, each service and each node once. Datacenters of one service are put together;
 * none named means all. Absent where there are none.
 */
export function mergedIdentities({
  serviceIdentities = [],
  nodeIdentities = [],
}: AclGrants): Pick<AclGrants, "serviceIdentities" | "nodeIdentities"> {
  const services = new Map<string, AclServiceIdentity>();
  for (const identity of serviceIdentities) {
    const { serviceName } = identity;
    const held = services.get(serviceName);
    services.set(serviceName, held === undefined ? distinct(identity) : together(held, identity));
  }
  const nodes = new Map<string, AclNodeIdentity>();
  for (const identity of nodeIdentities)
    nodes.set(`${identity.datacenter}\n${identity.nodeName}`, identity);
  return {
    ...(services.size === 0 ? {} : { serviceIdentities: [...services.values()] }),
    ...(nodes.size === 0 ? {} : { nodeIdentities: [...nodes.values()] }),
  };
}

function distinct({ serviceName, datacenters }: AclServiceIdentity): AclServiceIdentity {
  return { serviceName, datacenters: [...new Set(datacenters)] };
}

function together(a: AclServiceIdentity, b: AclServiceIdentity): AclServiceIdentity {
  const everywhere = a.datacenters.length === 0 || b.datacenters.length === 0;
  const datacenters = everywhere ? [] : [...a.datacenters, ...b.datacenters];
  return distinct({ serviceName: a.serviceName, datacenters });
}

/** A policy that stands for an identity; no state holds it. */
export type IdentityPolicy = {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly rules: string;
  readonly datacenters: readonly string[];
};

/** Each identity as the policy that Consul makes of it, octet for octet. */
export function identityPolicies({
  serviceIdentities = [],
  nodeIdentities = [],
}: AclGrants): IdentityPolicy[] {
  const services = serviceIdentities.map(({ serviceName, datacenters }) => ({
    kind: "service",
    name: serviceName,
    rules:
      `${ruleText("service", serviceName, "write")}` +
      `${ruleText("service", `${serviceName}-sidecar-proxy`, "write")}` +
      `${ruleText("service_prefix", "", "read")}${ruleText("node_prefix", "", "read")}`,
    datacenters,
  }));
  const nodes = nodeIdentities.map(({ nodeName, datacenter }) => ({
    kind: "node",
    name: nodeName,
    rules: `${ruleText("node", nodeName, "write")}${ruleText("service_prefix", "", "read")}`,
    datacenters: [datacenter],
  }));
  return [...services, ...nodes].map(({ kind, name, rules, datacenters }) => {
    const id = `${hexOf(rules)}${FNV_OF_NOTHING}`;
    const description = `synthetic policy for ${kind} identity ${JSON.stringify(name)}`;
    return { id, name: `synthetic-policy-${id}`, description, rules, datacenters };
  });
}

/** Consul appends the hash of nothing (FNV-1a, 128 bits) to the rules themselves, and calls that their id. */
const FNV_OF_NOTHING = "6c62272e07bb014262b821756295c58d";

function ruleText(resource: string, name: string, access: string): string {
  return `\n${resource} "${name}" {\n\tpolicy = "${access}"\n}`;
}

/** Names of identities and rules are ASCII. */
function hexOf(text: string): string {
  return Array.from(text, (letter) => letter.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

/** What the identities grant in one datacenter. */
export function identityRules(
  { serviceIdentities = [], nodeIdentities = [] }: AclGrants,
  datacenter: string,
): Rules[] {
  const services = serviceIdentities.filter(
    ({ datacenters }) => datacenters.length === 0 || datacenters.includes(datacenter),
  );
  const nodes = nodeIdentities.filter((identity) => identity.datacenter === datacenter);
  return [
    ...services.map(({ serviceName }) =>
      rulesOf({
        service: { [serviceName]: "write", [`${serviceName}-sidecar-proxy`]: "write" },
        service_prefix: { "": "read" },
        node_prefix: { "": "read" },
      }),
    ),
    ...nodes.map(({ nodeName }) =>
      rulesOf({ node: { [nodeName]: "write" }, service_prefix: { "": "read" } }),
    ),
  ];
}
