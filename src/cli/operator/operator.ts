import type { CommandGroup } from "../command.ts";
import { autopilot } from "./autopilot.ts";
import { raft } from "./raft.ts";
import { usage } from "./usage.ts";

/** `operator`. */
export const operator: CommandGroup = {
  kind: "group",
  doc: "Looks after the servers: Raft, autopilot, counts.",
  detail: "",
  children: {
    raft,
    autopilot,
    usage,
  },
};
