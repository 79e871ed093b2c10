import { attempt, httpCommand, UsageFailure } from "./command.ts";
import { flag } from "./flags.ts";

/** `force-leave`: a member that failed counts as one that left. Prints nothing when it is done. */
export const forceLeave = httpCommand({
  doc: 'Puts a member of the cluster into the state "left".',
  usage: "[options] NAME",
  detail: "Meant for members that failed and will not come back; one that is alive joins again.",
  flags: {
    prune: flag.boolean("Remove the member from the list at once."),
    wan: flag.boolean("The name is that of a member of the WAN pool: NODE.DATACENTER."),
  },
  async run({ flags, args, http }) {
    const [name] = args;
    if (name === undefined || args.length > 1)
      throw new UsageFailure("A single node name must be specified to force leave.");
    await attempt(
      "Error force leaving",
      http.request("PUT", `/v1/agent/force-leave/${encodeURIComponent(name)}`, {
        query: { prune: flags.prune ? 1 : undefined, wan: flags.wan ? 1 : undefined },
      }),
    );
    return 0;
  },
});
