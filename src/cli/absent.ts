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

/** Commands of Consul for parts that are not there, which are not listed; why, for who calls them. */
export const absentCommands: Readonly<Record<string, string>> = {
  config: "there are no central configuration entries",
  configtest: "use `validate`",
  connect: "there is no service mesh",
  debug: "use `info`, `monitor` and the agent's /metrics",
  intention: "there is no service mesh",
  license: "there is nothing to license",
  namespace: "namespaces are a part of Consul Enterprise",
  partition: "partitions are a part of Consul Enterprise",
  peering: "there is one datacenter",
  resource: "there are no resources of that kind",
  tls: "certificates are made with other programs, as openssl",
  troubleshoot: "there is no service mesh",
};
