import type { CommandGroup } from "./command.ts";
import { command } from "./command.ts";
import { noArguments } from "./arguments.ts";
import { bashScript } from "./completion/bash.ts";
import { fishScript } from "./completion/fish.ts";
import { loadPlaces, type Place } from "./completion/places.ts";
import { zshScript } from "./completion/zsh.ts";

/** `completion`: scripts for shells, made from the table of commands. */
export const completion: CommandGroup = {
  kind: "group",
  doc: "Prints a script for completion by the shell.",
  detail: `The script completes commands, flags and paths, for waypost and for consul:

    source <(waypost completion bash)
    source <(waypost completion zsh)
    waypost completion fish | source

\`waypost -autocomplete-install\` sets it up for good in the start files of bash, zsh and fish, and
\`waypost -autocomplete-uninstall\` takes it away again.`,
  children: {
    bash: script("bash", bashScript),
    fish: script("fish", fishScript),
    zsh: script("zsh", zshScript),
  },
};

function script(shell: string, write: (places: readonly Place[]) => string) {
  return command({
    doc: `Prints the script for ${shell}.`,
    usage: "",
    flags: {},
    async run({ args, world }) {
      noArguments(args);
      await world.out(write(await loadPlaces()));
      return 0;
    },
  });
}
