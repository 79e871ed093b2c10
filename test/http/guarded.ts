/** A server that denies by default, and tokens for it. */
import type { AclSettings } from "../../src/cluster/acl.ts";
import { createServer, type Answer, type Server } from "./harness.ts";

/** The secret that may do everything. */
export const ROOT = "aaaaaaaa-0000-4000-8000-00000000000a";

/** One request with a body that may be left out. */
export type Ask = (method: string, path: string, body?: unknown) => Promise<Answer>;

export type Guarded = {
  server: Server;
  /** Its configured tokens, which a test may change. */
  tokens: AclSettings["tokens"];
  /** Asks as the holder of a secret. */
  as: (secret: string) => Ask;
  /** Asks as ROOT. */
  admin: Ask;
  /** Secret of a new token with a policy of its own. */
  tokenWith: (rules: string) => Promise<string>;
};

/** What `createServer` takes as `acl`. */
export const denying = () => ({
  enabled: true,
  defaultPolicy: "deny" as const,
  tokens: { initialManagement: ROOT, agentRecovery: "", default: "", dns: "" },
});

export function createGuarded(options: Parameters<typeof createServer>[0] = {}): Guarded {
  const acl = { ...denying(), ...options.acl };
  const server = createServer({ ...options, acl });
  const as =
    (secret: string): Ask =>
    (method, path, body) =>
      server.ask(method, path, {
        headers: { "X-Consul-Token": secret },
        ...(body === undefined ? {} : { body }),
      });
  const admin = as(ROOT);
  let policies = 0;
  async function tokenWith(Rules: string): Promise<string> {
    const Name = `rules-${policies++}`;
    const policy = await admin("PUT", "/v1/acl/policy", { Name, Rules });
    if (policy.status !== 200) throw new Error(policy.text);
    const token = await admin("PUT", "/v1/acl/token", { Policies: [{ Name }] });
    return (token.json as { SecretID: string }).SecretID;
  }
  return { server, tokens: acl.tokens, as, admin, tokenWith };
}
