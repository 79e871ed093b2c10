import { HttpFailure } from "./client.ts";
import { CommandFailure, httpCommand, UsageFailure } from "./command.ts";
import { flag } from "./flags.ts";

/** `join`: the agent is told of other members, one request for each. */
export const join = httpCommand({
  doc: "Tells the agent to join a cluster.",
  usage: "[options] ADDRESS...",
  detail: "It succeeds if at least one of the addresses could be joined.",
  flags: { wan: flag.boolean("Join another datacenter's servers in the WAN pool.") },
  async run({ flags, args, http, world }) {
    if (args.length === 0)
      throw new UsageFailure("At least one address to join must be specified.");
    let joined = 0;
    for (const address of args)
      try {
        await http.request("PUT", `/v1/agent/join/${encodeURIComponent(address)}`, {
          query: { wan: flags.wan ? 1 : undefined },
        });
        joined++;
      } catch (error) {
        if (!(error instanceof HttpFailure)) throw error;
        await world.err(`Error joining address '${address}': ${error.message}\n`);
      }
    if (joined === 0) throw new CommandFailure("Failed to join any nodes.");
    await world.out(`Successfully joined cluster by contacting ${joined} nodes.\n`);
    return 0;
  },
});
