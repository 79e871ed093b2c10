/** The commands that talk to an agent or need none, by their first word. Loaded when they are used. */
import type { Command, CommandGroup } from "./command.ts";

/** Another command is another row; `doc` is the node's own. */
export const cliCommands: Readonly<
  Record<string, { doc: string; load(): Promise<Command | CommandGroup> }>
> = {
  catalog: {
    doc: "Lists datacenters, nodes and services.",
    load: async () => (await import("./catalog.ts")).catalog,
  },
  event: {
    doc: "Fires a user event.",
    load: async () => (await import("./event.ts")).event,
  },
  info: {
    doc: "Prints figures of the agent for operators.",
    load: async () => (await import("./info.ts")).info,
  },
  maint: {
    doc: "Takes the node or a service out of service and back.",
    load: async () => (await import("./maint.ts")).maint,
  },
  kv: {
    doc: "Reads and writes the key/value store.",
    load: async () => (await import("./kv.ts")).kv,
  },
  reload: {
    doc: "Lets the agent read its configuration again.",
    load: async () => (await import("./reload.ts")).reload,
  },
};
