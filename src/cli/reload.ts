import { attempt, httpCommand } from "./command.ts";
import { noArguments } from "./arguments.ts";

/** `reload`: the agent reads its files again; its answer says whether they were good. */
export const reload = httpCommand({
  doc: "Lets the agent read its configuration again.",
  usage: "[options]",
  flags: {},
  async run({ args, http, world }) {
    noArguments(args);
    await attempt("Error reloading", http.request("PUT", "/v1/agent/reload"));
    await world.out("Configuration reload triggered\n");
    return 0;
  },
});
