/** The commands that talk to an agent or need none, by their first word. Loaded when they are used. */
import type { Command, CommandGroup } from "./command.ts";

/** Another command is another row; `doc` is the node's own. */
export const cliCommands: Readonly<
  Record<string, { doc: string; load(): Promise<Command | CommandGroup> }>
> = {
  kv: {
    doc: "Reads and writes the key/value store.",
    load: async () => (await import("./kv.ts")).kv,
  },
  reload: {
    doc: "Lets the agent read its configuration again.",
    load: async () => (await import("./reload.ts")).reload,
  },
};
