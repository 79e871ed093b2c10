/** PUT /v1/agent/token/<name>: the agent's own tokens at run time. */
import { requireAgentWrite } from "./agent-rights.ts";
import { HttpError, route, type Call, type Route } from "./call.ts";

/** Tokens that may be set; their names are those of acl.tokens in the configuration. */
export type TokenName =
  | "default"
  | "agent"
  | "agent_recovery"
  | "replication"
  | "config_file_service_registration"
  | "dns";

/** Last part of the path → the token; older names stay valid. */
const NAMES: ReadonlyMap<string, TokenName> = new Map<string, TokenName>([
  ["default", "default"],
  ["acl_token", "default"],
  ["agent", "agent"],
  ["acl_agent_token", "agent"],
  ["agent_recovery", "agent_recovery"],
  ["agent_master", "agent_recovery"],
  ["acl_agent_master_token", "agent_recovery"],
  ["replication", "replication"],
  ["acl_replication_token", "replication"],
  ["config_file_service_registration", "config_file_service_registration"],
  ["dns", "dns"],
]);

const shape = { struct: { Token: "string" } } as const;

/** `setToken` resolves when the token is in use and, if it has to be, on disk; rejects if it cannot be written. */
export function tokenRoutes(deps: {
  setToken: (name: TokenName, secret: string) => Promise<void>;
}): readonly Route[] {
  return [
    route(["PUT"], "/v1/agent/token/", async (call) => {
      if (!call.deps.acl.enabled) return call.text(401, "ACL support disabled");
      return answerToken(call, deps.setToken);
    }),
  ];
}

async function answerToken(
  call: Call,
  setToken: (name: TokenName, secret: string) => Promise<void>,
): Promise<Response> {
  requireAgentWrite(call);
  const { Token } = await call.readBody(shape);
  const name = NAMES.get(call.argument);
  if (name === undefined)
    throw new HttpError(404, `Token ${JSON.stringify(call.argument)} is unknown`);
  try {
    await setToken(name, Token);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HttpError(500, `the token is in use, but could not be written: ${reason}`);
  }
  return call.empty();
}
