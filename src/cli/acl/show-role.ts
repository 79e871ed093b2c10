/** Roles as Consul's command line prints them. */
import type { Decoded } from "../../cluster/decode.ts";
import { jsonText } from "../answer.ts";
import {
  grantShapes,
  grantsJson,
  identityLines,
  linkLines,
  metaLines,
  type Look,
} from "./show-grants.ts";

/** A role of the API. */
export const roleShape = {
  struct: {
    ID: "string",
    Name: "string",
    Description: "string",
    ...grantShapes,
    Hash: "string",
    CreateIndex: "int",
    ModifyIndex: "int",
  },
} as const;

/** A role as it was read. */
export type Role = Decoded<typeof roleShape>;

/** Columns before the values. */
const WIDTH = "Create Index: ".length;

/** One role, with the empty line that Consul ends it with. */
export function showRole(role: Role, { format, meta }: Look): string {
  if (format === "json") return jsonText(roleJson(role));
  const lines = [
    `ID:           ${role.ID}`,
    `Name:         ${role.Name}`,
    ...fieldLines(role, meta),
  ];
  return `${lines.join("\n")}\n\n`;
}

/** A list of roles, each below its name. */
export function showRoles(roles: readonly Role[], { format, meta }: Look): string {
  if (format === "json") return jsonText(roles.map(roleJson));
  if (roles.length === 0) return "";
  const lines = roles.flatMap((role) => [
    `${role.Name}:`,
    ...[`ID:           ${role.ID}`, ...fieldLines(role, meta)].map((line) => `   ${line}`),
  ]);
  return `${lines.join("\n")}\n\n`;
}

function fieldLines(role: Role, meta: boolean): string[] {
  return [
    `Description:  ${role.Description}`,
    ...(meta ? metaLines(role, WIDTH) : []),
    ...linkLines("Policies", role.Policies),
    ...identityLines(role),
  ];
}

/** A role for JSON, in the order of Consul's client. */
export function roleJson(role: Role) {
  return {
    ID: role.ID,
    Name: role.Name,
    Description: role.Description,
    ...grantsJson(role),
    Hash: role.Hash,
    CreateIndex: role.CreateIndex,
    ModifyIndex: role.ModifyIndex,
  };
}
