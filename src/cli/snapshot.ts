import type { CommandGroup } from "./command.ts";
import { inspect } from "./snapshot/inspect.ts";
import { restore } from "./snapshot/restore.ts";
import { save } from "./snapshot/save.ts";

/** `snapshot`: files of the whole state. */
export const snapshot: CommandGroup = {
  kind: "group",
  doc: "Saves, restores and inspects the state of the servers.",
  detail: "",
  children: { inspect, restore, save },
};
