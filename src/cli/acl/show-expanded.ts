/** `acl token read -expanded`: a token with all that it grants, as Consul's command line prints it since 1.12. */
import { identityPolicies } from "../../cluster/acl-identity.ts";
import type { Decoded } from "../../cluster/decode.ts";
import { jsonText, quoted } from "../answer.ts";
import type { Grants } from "./show-grants.ts";
import { policyJson, policyShape, type Policy } from "./show-policy.ts";
import { roleJson, roleShape, type Role } from "./show-role.ts";
import { headLines, tokenJson, tokenShape } from "./show-token.ts";

/** A token of the API with `expanded`. */
export const expandedShape = {
  struct: {
    ...tokenShape.struct,
    ExpandedPolicies: { list: policyShape },
    ExpandedRoles: { list: roleShape },
    NamespaceDefaultPolicyIDs: { list: "string" },
    NamespaceDefaultRoleIDs: { list: "string" },
    AgentACLDefaultPolicy: "string",
    AgentACLDownPolicy: "string",
    ResolvedByAgent: "string",
  },
} as const;

/** A token as it was read, with what is behind it. */
export type Expanded = Decoded<typeof expandedShape>;

/** The token; agents that know nothing of `expanded` say of no policy what is in it. */
export function showExpanded(
  token: Expanded,
  look: { format: "json" | "pretty"; meta: boolean },
): string {
  if (look.format === "json") return jsonText(expandedJson(token));
  const policies = new Map((token.ExpandedPolicies ?? []).map((each) => [each.ID, each]));
  const roles = new Map((token.ExpandedRoles ?? []).map((each) => [each.ID, each]));
  const ownRoles = (token.Roles ?? []).flatMap(({ ID }) => roles.get(ID) ?? []);
  const lines = [
    ...headLines(token, look),
    ...grantLines(token, policies, ""),
    ...titled(
      "Roles:",
      ownRoles.flatMap((role) => roleLines(role, policies, "\t")),
    ),
    "=== End of Authorizer Layer 0: Token ===",
    "=== Start of Authorizer Layer 2: Agent Configuration Defaults (Inherited) ===",
    "Description: Defined at request-time by the agent that resolves the ACL token; other agents may have different configuration defaults",
    `Resolved By Agent: ${quoted(token.ResolvedByAgent)}`,
    "",
    `Default Policy: ${token.AgentACLDefaultPolicy}`,
    "\tDescription: Backstop rule used if no preceding layer has a matching rule (refer to default_policy option in agent configuration)",
    "",
    `Down Policy: ${token.AgentACLDownPolicy}`,
    "\tDescription: Defines what to do if this Token's information cannot be read from the primary_datacenter (refer to down_policy option in agent configuration)",
    "",
  ];
  return `${lines.join("\n")}\n\n`;
}

/** Policies and identities with their rules; each ends with an empty line. */
function grantLines(
  grants: Grants,
  policies: ReadonlyMap<string, Policy>,
  indent: string,
): string[] {
  const own = (grants.Policies ?? []).flatMap(({ ID }) => policies.get(ID) ?? []);
  const services = (grants.ServiceIdentities ?? []).map(({ ServiceName, Datacenters }) => ({
    line: `Name: ${ServiceName} (Datacenters: ${(Datacenters ?? []).join(", ") || "all"})`,
    grants: {
      policies: [],
      serviceIdentities: [{ serviceName: ServiceName, datacenters: Datacenters ?? [] }],
    },
  }));
  const nodes = (grants.NodeIdentities ?? []).map(({ NodeName, Datacenter }) => ({
    line: `Name: ${NodeName} (Datacenter: ${Datacenter})`,
    grants: {
      policies: [],
      nodeIdentities: [{ nodeName: NodeName, datacenter: Datacenter }],
    },
  }));
  const within = `${indent}\t`;
  const identityLines = (identities: typeof services | typeof nodes): string[] =>
    identities.flatMap((each) => [
      `${within}${each.line}`,
      ...identityPolicies(each.grants).flatMap(({ description, rules }) => [
        `${within}\tDescription: ${description}`,
        // Made rules begin with an end of line.
        ...`${within}\tRules:${rules}`
          .split("\n")
          .map((line, i) => (i > 0 ? `${within}\t\t${line}` : line)),
        "",
      ]),
    ]);
  return [
    ...titled(
      `${indent}Policies:`,
      own.flatMap((policy) => policyLines(policy, within)),
    ),
    ...titled(`${indent}Service Identities:`, identityLines(services)),
    ...titled(`${indent}Node Identities:`, identityLines(nodes)),
  ];
}

function policyLines({ Name, ID, Description, Rules }: Policy, indent: string): string[] {
  return [
    `${indent}Policy Name: ${Name}`,
    `${indent}\tID: ${ID}`,
    `${indent}\tDescription: ${Description}`,
    `${indent}\tRules:`,
    ...Rules.split("\n").map((line) => `${indent}\t\t${line}`),
    "",
  ];
}

function roleLines(role: Role, policies: ReadonlyMap<string, Policy>, indent: string): string[] {
  return [
    `${indent}Role Name: ${role.Name}`,
    `${indent}\tID: ${role.ID}`,
    `${indent}\tDescription: ${role.Description}`,
    ...grantLines(role, policies, `${indent}\t`),
  ];
}

function titled(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines];
}

function expandedJson(token: Expanded) {
  return {
    ExpandedPolicies:
      token.ExpandedPolicies?.map((policy) => policyJson(policy, { Rules: policy.Rules })) ?? null,
    ExpandedRoles: token.ExpandedRoles?.map(roleJson) ?? null,
    NamespaceDefaultPolicyIDs: token.NamespaceDefaultPolicyIDs,
    NamespaceDefaultRoleIDs: token.NamespaceDefaultRoleIDs,
    AgentACLDefaultPolicy: token.AgentACLDefaultPolicy,
    AgentACLDownPolicy: token.AgentACLDownPolicy,
    ResolvedByAgent: token.ResolvedByAgent,
    ...tokenJson(token),
  };
}
