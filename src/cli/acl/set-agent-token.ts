import { quoted } from "../answer.ts";
import { readText } from "../arguments.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";

/** Word of the command line → name in the API. */
const names: Readonly<Record<string, string>> = {
  default: "default",
  agent: "agent",
  master: "agent_master",
  recovery: "agent_recovery",
  replication: "replication",
  config_file_service_registration: "config_file_service_registration",
  dns: "dns",
};

/** `acl set-agent-token`: a token that the agent itself uses. */
export const setAgentToken = httpCommand({
  doc: "Gives the agent a token for its own use.",
  usage: "[options] TYPE TOKEN",
  detail:
    "TYPE: default (for requests without a token), agent (for its own operations), master or\n" +
    "recovery (good for the agent's API when ACLs cannot be read), replication,\n" +
    "config_file_service_registration, dns. TOKEN: the secret, @PATH for a file, - for standard\n" +
    "input. It outlives a restart only with acl.enable_token_persistence.",
  flags: {},
  async run({ args, http, world }) {
    const [type, given, ...more] = args;
    if (type === undefined) throw new CommandFailure("Error! Missing TYPE and TOKEN arguments");
    const name = Object.hasOwn(names, type) ? names[type] : undefined;
    if (given === undefined)
      throw new CommandFailure(
        name === undefined ? "Error! MISSING TYPE argument" : "Error! Missing TOKEN argument",
      );
    if (more.length > 0)
      throw new CommandFailure(`Error! Too many arguments: expected 2 got ${args.length}`);
    if (name === undefined) throw new CommandFailure("Unknown token type");
    const Token = await readText(given, world, "Error! ");
    await attempt(
      `Failed to set ACL token ${quoted(type)}`,
      http.request("PUT", `/v1/agent/token/${name}`, { body: { Token } }),
    );
    await world.out(`ACL token ${quoted(type)} set successfully\n`);
    return 0;
  },
});
