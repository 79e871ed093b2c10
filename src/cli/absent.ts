import type { Command } from "./command.ts";
import { commandHelp } from "./help.ts";

/** A command of Consul for something that is not part of waypost: says so, whatever follows, and ends with 1. */
export function absent(what: string, instead: string): Command {
  const self: Command = {
    kind: "command",
    doc: `Not available: ${what}.`,
    usage: "",
    detail: instead,
    flags: {},
    async run(args, path, world) {
      if (/^--?h(elp)?$/.test(args[0] ?? "")) {
        await world.out(commandHelp(path, self));
        return 0;
      }
      await world.err(`${path} is not available: ${what}. ${instead}\n`);
      return 1;
    },
  };
  return self;
}
