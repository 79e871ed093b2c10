/** Policies as Consul's command line prints them. */
import type { Decoded } from "../../cluster/decode.ts";
import { jsonText } from "../answer.ts";
import { metaLines, type Look } from "./show-grants.ts";

/** A policy of the API; lists have no rules. */
export const policyShape = {
  struct: {
    ID: "string",
    Name: "string",
    Description: "string",
    Rules: "string",
    Datacenters: { list: "string" },
    Hash: "string",
    CreateIndex: "int",
    ModifyIndex: "int",
  },
} as const;

/** A policy as it was read. */
export type Policy = Decoded<typeof policyShape>;

/** Columns before the values. */
const WIDTH = "Create Index: ".length;

/** One policy; its rules end as they were given. */
export function showPolicy(policy: Policy, { format, meta }: Look): string {
  if (format === "json") return jsonText(policyJson(policy, { Rules: policy.Rules }));
  const lines = [
    `ID:           ${policy.ID}`,
    `Name:         ${policy.Name}`,
    ...fieldLines(policy, meta),
    "Rules:",
    policy.Rules,
  ];
  return `${lines.join("\n")}\n`;
}

/** A list of policies, each below its name. */
export function showPolicies(policies: readonly Policy[], { format, meta }: Look): string {
  if (format === "json") return jsonText(policies.map((policy) => policyJson(policy, {})));
  if (policies.length === 0) return "";
  const lines = policies.flatMap((policy) => [
    `${policy.Name}:`,
    `   ID:           ${policy.ID}`,
    ...fieldLines(policy, meta).map((line) => `   ${line}`),
  ]);
  return `${lines.join("\n")}\n\n`;
}

function fieldLines(policy: Policy, meta: boolean): string[] {
  return [
    `Description:  ${policy.Description}`,
    `Datacenters:  ${(policy.Datacenters ?? []).join(", ")}`,
    ...(meta ? metaLines(policy, WIDTH) : []),
  ];
}

/** A policy for JSON, in the order of Consul's client. */
export function policyJson(policy: Policy, rules: { Rules?: string }) {
  return {
    ID: policy.ID,
    Name: policy.Name,
    Description: policy.Description,
    ...rules,
    Datacenters: policy.Datacenters,
    Hash: policy.Hash,
    CreateIndex: policy.CreateIndex,
    ModifyIndex: policy.ModifyIndex,
  };
}
