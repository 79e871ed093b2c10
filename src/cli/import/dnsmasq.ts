import { importDnsmasq } from "../../config/dnsmasq/layer.ts";
import { readMachine } from "../../config/machine.ts";
import { command, CommandFailure, UsageFailure } from "../command.ts";

/** `import dnsmasq`: what dnsmasq is told, as a configuration file of ours. */
export const importDnsmasqConf = command({
  doc: "Prints the JSON that means what a configuration of dnsmasq's means.",
  usage: "FILE",
  detail: `Reads FILE, such as /etc/dnsmasq.conf, and all that it includes. The JSON goes to standard output;
what has no effect, or another one, is told on standard error with file and line. Ends with 1, without
JSON, if dnsmasq itself would not start with the file.

To leave the file as it is and have it read by each start and reload, give it to the agent:

    waypost agent -dnsmasq-conf /etc/dnsmasq.conf`,
  flags: {},
  async run({ args, world }) {
    const [file, extra] = args;
    if (file === undefined)
      throw new UsageFailure("Must specify a configuration file of dnsmasq's");
    if (extra !== undefined) throw new UsageFailure(`Too many arguments: ${extra}`);
    const { tree, errors, notes } = importDnsmasq(file, readMachine());
    await world.err(notes.map((note) => `note: ${note}\n`).join(""));
    if (errors.length > 0) throw new CommandFailure(errors.join("\n"));
    await world.out(`${JSON.stringify(tree, null, 2)}\n`);
    return 0;
  },
});
