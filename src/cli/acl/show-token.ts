/** Tokens as Consul's command line prints them. */
import type { Decoded } from "../../cluster/decode.ts";
import { goTime, jsonText, timeText } from "../answer.ts";
import {
  filled,
  grantShapes,
  grantsJson,
  identityLines,
  linkLines,
  linksShape,
  metaLines,
  type Look,
} from "./show-grants.ts";

/** A token of the API. */
export const tokenShape = {
  struct: {
    CreateIndex: "int",
    ModifyIndex: "int",
    AccessorID: "string",
    SecretID: "string",
    Description: "string",
    ...grantShapes,
    Roles: linksShape,
    Local: "bool",
    ExpirationTime: "string",
    CreateTime: "string",
    Hash: "string",
    Legacy: "bool",
    Rules: "string",
  },
} as const;

/** A token as it was read. */
export type Token = Decoded<typeof tokenShape>;

/** One token, with the empty line that Consul ends it with. */
export function showToken(token: Token, look: Look): string {
  if (look.format === "json") return jsonText(tokenJson(token));
  return `${tokenLines(token, look, []).join("\n")}\n\n`;
}

/** A list of tokens; on paper each but the first has an empty line before it. */
export function showTokens(tokens: readonly Token[], look: Look): string {
  if (look.format === "json")
    return jsonText(tokens.map((token) => ({ ...tokenJson(token), Legacy: token.Legacy })));
  return tokens
    .map((token) => {
      const lines = tokenLines(token, look, [`Legacy:           ${token.Legacy}`]);
      return `${lines.join("\n")}\n`;
    })
    .join("\n")
    .concat(tokens.length === 0 ? "" : "\n");
}

function tokenLines(token: Token, look: Look, more: readonly string[]): string[] {
  return [
    ...headLines(token, look, more),
    ...linkLines("Policies", token.Policies),
    ...linkLines("Roles", token.Roles),
    ...identityLines(token),
    ...(token.Rules === "" ? [] : ["Rules:", token.Rules]),
  ];
}

/** What a token is, without what it grants. */
export function headLines(token: Token, { meta }: Look, more: readonly string[] = []): string[] {
  const { ExpirationTime } = token;
  return [
    `AccessorID:       ${token.AccessorID}`,
    `SecretID:         ${token.SecretID}`,
    `Description:      ${token.Description}`,
    `Local:            ${token.Local}`,
    `Create Time:      ${timeText(token.CreateTime)}`,
    ...(ExpirationTime === "" ? [] : [`Expiration Time:  ${timeText(ExpirationTime)}`]),
    ...more,
    ...(meta ? metaLines(token, "Create Index:     ".length) : []),
  ];
}

/** A token for JSON, in the order of Consul's client. */
export function tokenJson(token: Token) {
  const { Policies, ...identities } = grantsJson(token);
  return {
    CreateIndex: token.CreateIndex,
    ModifyIndex: token.ModifyIndex,
    AccessorID: token.AccessorID,
    SecretID: token.SecretID,
    Description: token.Description,
    Policies,
    Roles: filled(token.Roles),
    ...identities,
    Local: token.Local,
    ExpirationTime: token.ExpirationTime === "" ? undefined : goTime(token.ExpirationTime),
    CreateTime: goTime(token.CreateTime),
    Hash: token.Hash,
  };
}
