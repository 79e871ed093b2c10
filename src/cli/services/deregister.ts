import { quoted } from "../answer.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { flag } from "../flags.ts";
import { servicesOfFiles } from "./files.ts";

/** `services deregister`: by configuration files, or by id. An id that is not registered is no error. */
export const deregister = httpCommand({
  doc: "Deregisters services of the agent.",
  usage: "[options] [FILE...]",
  detail: `By the files that registered them, or by id:

    waypost services deregister web.hcl
    waypost services deregister -id=web-1`,
  flags: { id: flag.text("Id of the service.") },
  async run({ flags, args, http, world }) {
    if (args.length === 0 && flags.id === "")
      throw new CommandFailure("Service deregistration requires at least one argument or -id.");
    if (args.length > 0 && flags.id !== "")
      throw new CommandFailure("Service deregistration requires arguments or -id, not both.");
    const ids =
      args.length === 0 ? [flags.id] : servicesOfFiles(args).map(({ ID, Name }) => ID ?? Name);
    for (const id of ids) {
      await attempt(
        `Error deregistering service ${quoted(id)}`,
        http.request("PUT", `/v1/agent/service/deregister/${encodeURIComponent(id)}`),
      );
      await world.out(`Deregistered service: ${id}\n`);
    }
    return 0;
  },
});
