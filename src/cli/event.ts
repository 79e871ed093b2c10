import { decodeShape } from "../cluster/decode.ts";
import { compileRegexp } from "../cluster/regexp.ts";
import { loosely, understood } from "./answer.ts";
import { HttpFailure } from "./client.ts";
import { CommandFailure, httpCommand, UsageFailure } from "./command.ts";
import { flag } from "./flags.ts";

/** `event`: fires a user event; prints its id. */
export const event = httpCommand({
  doc: "Fires a user event.",
  usage: "[options] [PAYLOAD]",
  detail: `Everybody who watches events of this name sees it, unless expressions leave nodes out:

    waypost event -name=deploy -service=web 42`,
  flags: {
    name: flag.text("Name of the event."),
    node: flag.text("Regular expression: only nodes whose name matches."),
    service: flag.text("Regular expression: only nodes that carry a service that matches."),
    tag: flag.text("Regular expression on tags of that service; needs -service."),
  },
  async run({ flags, args, http, world }) {
    if (flags.name === "") throw new UsageFailure("Event name must be specified");
    const { node, service, tag } = flags;
    for (const [name, expression] of Object.entries({ node, service, tag })) {
      const compiled = compileRegexp(expression);
      if (!compiled.ok)
        throw new CommandFailure(`Failed to compile ${name} filter regexp: ${compiled.error}`);
    }
    if (tag !== "" && service === "")
      throw new CommandFailure("Cannot provide tag filter without service filter.");
    if (args.length > 1) throw new UsageFailure("Too many command line arguments.");
    const given = (text: string) => (text === "" ? undefined : text);
    try {
      const answer = await http.request("PUT", `/v1/event/fire/${encodeURIComponent(flags.name)}`, {
        query: { node: given(node), service: given(service), tag: given(tag) },
        ...(args[0] === undefined ? {} : { body: args[0] }),
      });
      await world.out(
        `Event ID: ${understood(decodeShape({ struct: { ID: "string" } }, answer.json(), loosely)).ID}\n`,
      );
      return 0;
    } catch (error) {
      if (!(error instanceof HttpFailure)) throw error;
      // Consul asks the agent for its name first, which is where an agent that is away shows.
      const what = error.status === 0 ? "Error querying Consul agent" : "Error firing event";
      throw new CommandFailure(`${what}: ${error.message}`);
    }
  },
});
