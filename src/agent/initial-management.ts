/** The token of `acl.tokens.initial_management` becomes one of the state, once. */
import type { AclReader } from "../cluster/acl-state.ts";
import { initialManagementCommand } from "../cluster/acl-tokens.ts";
import type { Command } from "../cluster/command.ts";
import type { Outcome } from "../cluster/engine.ts";
import type { Config } from "../config/options.ts";
import type { Clock, Random } from "../ports.ts";

/** Proposes it unless ACLs are off, none is configured, or it exists. Throws if it cannot be stored. */
export async function ensureInitialManagement(
  propose: (command: Command) => Promise<Outcome>,
  reader: AclReader,
  config: Config,
  world: { random: Random; clock: Clock },
): Promise<void> {
  if (!config["acl.enabled"]) return;
  const secret = config["acl.tokens.initial_management"];
  const drawn = { uuid: world.random.uuid(), timeMs: world.clock.wallMs() };
  const command = initialManagementCommand(reader, secret, drawn);
  if (command === undefined) return;
  const outcome = await propose(command);
  if (outcome.outcome !== "committed")
    throw new Error(`the initial management token cannot be stored: ${outcome.reason}`);
}
