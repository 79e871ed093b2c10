import type { CommandGroup } from "../command.ts";
import { autopilot } from "./autopilot.ts";
import { raft } from "./raft.ts";

/** `operator`. */
export const operator: CommandGroup = {
  kind: "group",
  doc: "Looks after the servers: Raft and autopilot.",
  detail: "",
  children: { raft, autopilot },
};
