import { HttpFailure } from "./client.ts";
import { CommandFailure, httpCommand, UsageFailure } from "./command.ts";
import { checkFilters, filterFlags, fireEvent } from "./event-filters.ts";
import { flag } from "./flags.ts";

/** `event`: fires a user event; prints its id. */
export const event = httpCommand({
  doc: "Fires a user event.",
  usage: "[options] [PAYLOAD]",
  detail: `Everybody who watches events of this name sees it, unless expressions leave nodes out:

    waypost event -name=deploy -service=web 42`,
  flags: {
    name: flag.text("Name of the event."),
    ...filterFlags,
  },
  async run({ flags, args, http, world }) {
    if (flags.name === "") throw new UsageFailure("Event name must be specified");
    checkFilters(flags);
    if (args.length > 1) throw new UsageFailure("Too many command line arguments.");
    try {
      await world.out(`Event ID: ${await fireEvent(http, flags.name, flags, args[0])}\n`);
      return 0;
    } catch (error) {
      if (!(error instanceof HttpFailure)) throw error;
      // Consul asks the agent for its name first, which is where an agent that is away shows.
      const what = error.status === 0 ? "Error querying Consul agent" : "Error firing event";
      throw new CommandFailure(`${what}: ${error.message}`);
    }
  },
});
