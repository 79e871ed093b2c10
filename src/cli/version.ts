import { consulVersion, version as ownVersion } from "../version.ts";
import { checkFormat, formatFlag, jsonText } from "./answer.ts";
import { noArguments } from "./arguments.ts";
import { command } from "./command.ts";

/** Consul's protocol between agents: the one that is spoken, the least and the greatest. */
const RPC = { Default: 2, Min: 2, Max: 3 };

/** What `version`, `-v` and `--version` print for a program of this name. */
export function versionText(name: string): string {
  const own = `waypost v${ownVersion}\n`;
  if (name !== "consul") return own;
  const { Default, Min, Max } = RPC;
  return `Consul v${consulVersion}\n${own}Protocol ${Default} spoken by default, understands ${Min} to ${Max}\n`;
}

/** `version`. */
export const version = command({
  doc: "Prints the version.",
  usage: "[options]",
  flags: { format: formatFlag },
  async run({ flags, args, world }) {
    noArguments(args);
    const text =
      checkFormat(flags.format) === "pretty"
        ? versionText(world.name)
        : jsonText(
            { Version: consulVersion, Revision: "", Prerelease: "", RPC, Waypost: ownVersion },
            3,
          );
    await world.out(text);
    return 0;
  },
});
