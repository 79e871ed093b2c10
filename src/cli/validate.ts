import { readMachine } from "../config/machine.ts";
import { emptyLayer, readLayer } from "../config/read.ts";
import { loadConfig } from "../config.ts";
import { command, CommandFailure, UsageFailure } from "./command.ts";
import { flag } from "./flags.ts";

/** `validate`: configuration is read as the agent would read it, and nothing is started. */
export const validate = command({
  doc: "Checks configuration files and directories.",
  usage: "[options] FILE_OR_DIRECTORY...",
  detail: "Ends with 0 if the configuration is valid, with 1 and a line per problem if it is not.",
  flags: {
    quiet: flag.boolean("Say nothing if all is well."),
    "config-format": flag.text("json or hcl, whatever the files are called.", {
      placeholder: "form",
    }),
    "dnsmasq-conf": flag.text("Configuration of dnsmasq's to take over; enough by itself.", {
      placeholder: "file",
    }),
  },
  async run({ flags, args, world }) {
    const dnsmasqConf = flags["dnsmasq-conf"];
    if (args.length === 0 && dnsmasqConf === "")
      throw new UsageFailure("Must specify at least one config file or directory");
    const word = flags["config-format"];
    if (word !== "" && word !== "json" && word !== "hcl")
      throw new CommandFailure(`-config-format must be either 'hcl' or 'json', got "${word}"`);
    const loaded = await loadConfig(
      {
        flagLists: emptyLayer(),
        flagValues:
          dnsmasqConf === ""
            ? emptyLayer()
            : readLayer({ forwarder: { dnsmasq_conf: dnsmasqConf } }, "-dnsmasq-conf"),
        paths: args,
        format: word === "" ? undefined : word,
        fragments: [],
        // Where there is no file of ours the data directory is for the flags to say.
        dev: args.length === 0,
      },
      readMachine(),
    );
    if (!loaded.ok)
      throw new CommandFailure(
        loaded.error.map((problem) => `Config validation failed: ${problem}`).join("\n"),
      );
    if (flags.quiet) return 0;
    await world.err(loaded.value.warnings.map((warning) => `warning: ${warning}\n`).join(""));
    await world.out("Configuration is valid!\n");
    return 0;
  },
});
