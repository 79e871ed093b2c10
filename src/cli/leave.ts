import { noArguments } from "./arguments.ts";
import { attempt, httpCommand } from "./command.ts";

/** `leave`: the agent ends gracefully. */
export const leave = httpCommand({
  doc: "Lets the agent leave the cluster and end.",
  usage: "[options]",
  flags: {},
  async run({ args, http, world }) {
    noArguments(args);
    await attempt("Error leaving", http.request("PUT", "/v1/agent/leave"));
    await world.out("Graceful leave complete\n");
    return 0;
  },
});
